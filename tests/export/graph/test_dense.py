from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.net import Activation, Conv, Net, Pad, Pool, Step
from edgeconv.export.graph.write import write_dense, write_windowed
from edgeconv.runtime import ConversionError


def cut(recording, window, hop):
    return np.stack([recording[i : i + window] for i in range(0, len(recording) - window + 1, hop)])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_dense_is_the_windowed_network_at_every_hop(random_net, run_graph, spec_of, logit_noise, seed, data):
    net = random_net(seed)
    hop = data.draw(st.integers(1, net.window + 9), "hop")
    length = net.window + data.draw(st.integers(0, 3 * max(hop, net.window)), "samples beyond one window")
    layout = data.draw(st.sampled_from(["1d", "2d"]), "layout")
    recording = np.random.default_rng(seed).normal(size=(length, net.channels)).astype(np.float32)
    spec = spec_of(net.window, net.channels, net.classes)
    expected = run_graph(write_windowed(net, spec, "1d"), cut(recording, net.window, hop))
    got = run_graph(write_dense(to_dense(net, hop), net.classes, spec, layout), recording)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=logit_noise(expected), rtol=0)


def test_the_random_networks_are_of_every_kind(random_net):
    nets = [random_net(seed) for seed in range(300)]
    kinds = Counter(type(step.operation).__name__ for net in nets for step in net.steps)
    assert set(kinds) == {"Conv", "Pool", "Scale", "Activation", "Crop", "Combine"}
    convolutions = [s.operation for net in nets for s in net.steps if isinstance(s.operation, Conv)]
    assert sum(c.stride > 1 for c in convolutions) > 30
    assert sum(c.dilation > 1 for c in convolutions) > 30
    assert sum(c.groups > 1 for c in convolutions) > 10


def step(operation, number=0):
    return Step(operation, (number,), f"layer {number + 1}")


def conv(out, channels, kernel, **options):
    weight = np.random.default_rng(0).normal(size=(out, channels, kernel)).astype(np.float32)
    return Conv(weight, np.zeros(out, np.float32), **options)


def test_what_the_hop_s_divisor_leaves_becomes_stride_and_dilation():
    net = Net(20, 1, (step(conv(2, 1, 3)), step(Pool("max", 2, 2), 1), step(conv(3, 2, 9), 2)))
    even = to_dense(net, 4).steps
    assert (even[1].operation.stride, even[1].operation.dilation) == (2, 1)
    assert (even[2].operation.stride, even[2].operation.dilation) == (2, 1)
    odd = to_dense(net, 3).steps
    assert (odd[1].operation.stride, odd[1].operation.dilation) == (1, 1)
    assert (odd[2].operation.stride, odd[2].operation.dilation) == (3, 2)
    assert to_dense(net, 3).receptive_field == 20


@pytest.mark.parametrize(
    "padding", [conv(2, 1, 3, padding=(1, 1)), conv(2, 1, 3, padding=(2, 0)), Pool("max", 2, padding=(0, 1)), Pad(2, 0)]
)
def test_a_layer_that_pads_is_refused_by_name(padding):
    time = Net(10, 1, (step(padding),)).shapes()[1]
    net = Net(10, 1, (step(padding), step(conv(2, time[0], time[1]), 1)))
    with pytest.raises(ConversionError, match=r"layer 1 pads: .*train with padding 'valid'"):
        to_dense(net, 5)


def test_a_network_without_one_prediction_a_window_is_refused():
    with pytest.raises(ConversionError, match="ends in 8 timesteps"):
        to_dense(Net(10, 1, (step(conv(2, 1, 3)), step(Activation("Relu"), 1))), 1)


def test_a_hop_below_one_is_refused():
    with pytest.raises(ConversionError, match="hop is 0"):
        to_dense(Net(10, 1, (step(conv(2, 1, 10)),)), 0)
