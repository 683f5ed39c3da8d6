import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.export.graph.net import Activation, Combine, Conv, Crop, Net, Pool, Step
from edgeconv.export.graph.stateful import Cut, to_stateful
from edgeconv.export.graph.write import write_stateful, write_windowed
from edgeconv.runtime import ConversionError


def cut(recording, window, hop):
    return np.stack([recording[i : i + window] for i in range(0, len(recording) - window + 1, hop)])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_stateful_is_the_windowed_network_at_every_hop_for_every_stream(
    random_net, run_graph, run_stateful, spec_of, logit_noise, seed, data
):
    net = random_net(seed)
    hop = data.draw(st.integers(1, net.window + 9), "hop")
    length = net.window + data.draw(st.integers(0, 3 * max(hop, net.window)), "samples beyond one window")
    layout = data.draw(st.sampled_from(["1d", "2d"]), "layout")
    streams = data.draw(st.integers(1, 3), "streams")
    recordings = np.random.default_rng(seed).normal(size=(streams, length, net.channels)).astype(np.float32)
    spec = spec_of(net.window, net.channels, net.classes)
    windowed = write_windowed(net, spec, "1d")
    expected = np.stack([run_graph(windowed, cut(recording, net.window, hop)) for recording in recordings])
    got = run_stateful(write_stateful(to_stateful(net, hop), spec, layout), recordings, net.window, hop)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=logit_noise(expected), rtol=0)


def step(operation, *inputs):
    return Step(operation, inputs, "layer")


def conv(out, channels, kernel, **options):
    weight = np.random.default_rng(0).normal(size=(out, channels, kernel)).astype(np.float32)
    return Conv(weight, np.zeros(out, np.float32), **options)


def test_a_layer_holds_what_it_looks_at_beyond_its_step():
    net = Net(20, 1, (step(conv(2, 1, 3), 0), step(Pool("max", 2, 2), 1), step(conv(3, 2, 9), 2)))
    even = to_stateful(net, 4)
    assert even.new == (4, 4, 2, 1)
    assert even.held == (2, 0, 7, 0)  # 3 − 1 samples; a pooling as long as its stride; 9 − 4 / 2 pooled positions
    assert even.cuts == ((Cut(0, 6),), (Cut(0, 4),), (Cut(0, 9),))
    assert even.warm_up == 4
    # At hop 3 the pooling is computed at every position: two neighbours, and 9 taps that are 2 apart.
    odd = to_stateful(net, 3)
    assert (odd.new, odd.held) == ((3, 3, 3, 1), (2, 1, 14, 0))


def test_the_shorter_branch_of_a_sum_waits_for_the_longer():
    sum_ = (step(conv(1, 1, 5), 0), step(Crop(0, 4), 0), step(Combine("Add"), 1, 2), step(conv(2, 1, 8), 3))
    net = Net(12, 1, sum_)
    first = to_stateful(net, 4)
    assert first.held[0] == 4
    assert first.cuts[1] == (Cut(0, 4),)  # what is cropped at the end has come, and is held until it is used


def test_how_many_answers_mean_nothing_because_the_first_window_is_not_full():
    net = Net(10, 2, (step(conv(3, 2, 4), 0), step(conv(2, 3, 7), 1)))
    assert [to_stateful(net, hop).warm_up for hop in (1, 3, 5, 9, 10, 13)] == [9, 3, 1, 1, 0, 0]


def test_the_file_says_how_its_states_are_called_and_how_they_start(spec_of):
    net = Net(20, 1, (step(conv(2, 1, 3), 0), step(Pool("max", 2, 2), 1), step(conv(3, 2, 9), 2)))
    model = onnx.load_from_string(write_stateful(to_stateful(net, 4), spec_of(20, 1, 3), "2d"))
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["edgeconv.state"]) == {
        "warm_up": 4,
        "tensors": [
            {"input": "state_0", "output": "next_state_0", "shape": ["streams", 1, 1, 2], "start": 0},
            {"input": "state_2", "output": "next_state_2", "shape": ["streams", 2, 1, 7], "start": 0},
        ],
    }
    assert [value.name for value in model.graph.input] == ["samples", "state_0", "state_2"]
    assert [value.name for value in model.graph.output] == ["probabilities", "next_state_0", "next_state_2"]


def test_a_layer_that_pads_is_refused_by_name():
    net = Net(10, 1, (step(conv(2, 1, 3, padding=(1, 1)), 0), step(Activation("Relu"), 1), step(conv(2, 2, 10), 2)))
    with pytest.raises(ConversionError, match=r"layer pads: .*train with padding 'valid'"):
        to_stateful(net, 5)
