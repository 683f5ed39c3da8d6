"""Int8 in every form: the same integers, whatever the layout, and float32 where it is promised."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.int8 import (
    INT8_FORMS,
    Int8Net,
    integer_layers,
    integer_values,
    prepared,
    quantised,
    tied,
    with_input_scale,
)
from edgeconv.export.graph.net import Activation, Conv, Crop, Net, Pool, Scale, Softmax, Step, fold_scales
from edgeconv.export.graph.stateful import to_stateful
from edgeconv.export.graph.write import write_dense, write_stateful, write_windowed
from edgeconv.export.ranges import RULES, activations, ranges_of
from edgeconv.export.ways import WAYS, int8_by
from edgeconv.runtime import ConversionError
from edgeconv.runtime.spec import NETWORK_KEY


def cut(recordings, window, hop):
    starts = range(0, recordings.shape[1] - window + 1, hop)
    return np.concatenate([[recording[i : i + window] for i in starts] for recording in recordings])


def int8_of(net, spec, seed=0, form="qoperator-u8", rule="minmax"):
    """A network with the ranges of random windows."""
    windows = np.random.default_rng(seed).normal(size=(48, net.window, net.channels)).astype(np.float32)
    return Int8Net(net, ranges_of(net, activations(net, spec, windows), rule), form=form)


def conv(out, channels, kernel, seed=0, **options):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1 / np.sqrt(channels * kernel), (out, channels, kernel))
    return Conv(weight.astype(np.float32), rng.normal(0, 0.1, out).astype(np.float32), **options)


def chain(window, channels, *operations):
    return Net(
        window, channels, tuple(Step(operation, (i,), f"layer {i + 1}") for i, operation in enumerate(operations))
    )


@pytest.fixture
def small():
    """Normalisation, two layers with a ReLU and a pooling between, and the layer that answers."""
    scale = Scale(np.array([4, 0.01], np.float32), np.array([1, -1], np.float32))
    layers = [scale, conv(5, 2, 3), Activation("Relu"), Pool("max", 2, 2), conv(8, 5, 7), Activation("Relu")]
    return chain(16, 2, *layers, conv(3, 8, 1), Softmax())


@pytest.fixture
def answers(run_graph, run_stateful):
    """Answers for recordings in the windowed, dense and stateful form, each float32 [windows, classes]."""

    def run(int8, spec, recordings, hop, layout):
        net = int8.net
        windowed = run_graph(quantised(write_windowed(net, spec, "2d"), int8), cut(recordings, net.window, hop))
        dense = quantised(write_dense(to_dense(net, hop), net.classes, spec, layout), int8)
        stateful = quantised(write_stateful(to_stateful(net, hop), spec, layout), int8)
        stepped = run_stateful(stateful, recordings, net.window, hop)[:, : len(windowed) // len(recordings)]
        scored = np.concatenate([run_graph(dense, recording) for recording in recordings])
        return windowed, scored, stepped.reshape(windowed.shape)

    return run


def drawn(net, seed, windows):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, net.window + windows, net.channels)).astype(np.float32)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), data=st.data())
def test_windowed_dense_and_stateful_int8_are_one_network(random_net, answers, spec_of, logit_noise, seed, data):
    net = prepared(fold_scales(random_net(seed), keep_first=True))
    assume(sum(isinstance(step.operation, Conv) for step in net.steps) > 1)
    spec = spec_of(net.window, net.channels, net.classes)
    form = data.draw(st.sampled_from([form for form in INT8_FORMS if form != "qoperator-s8"]), "form")
    int8 = int8_of(net, spec, seed, form, data.draw(st.sampled_from(RULES), "rule"))
    hop = data.draw(st.integers(1, net.window + 5), "hop")
    layout = data.draw(st.sampled_from(["1d", "2d"]), "layout")
    windowed, dense, stateful = answers(int8, spec, drawn(net, seed, 3 * hop), hop, layout)
    # The last layer is float32: its sums differ by their order, everything before it is the same integers.
    np.testing.assert_allclose(dense, windowed, atol=logit_noise(windowed), rtol=0)
    np.testing.assert_allclose(stateful, windowed, atol=logit_noise(windowed), rtol=0)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), data=st.data())
def test_so_they_are_whatever_is_done_to_channels_and_input(random_net, answers, spec_of, logit_noise, seed, data):
    net = prepared(fold_scales(random_net(seed), keep_first=True))
    assume(sum(isinstance(step.operation, Conv) for step in net.steps) > 1)
    spec = spec_of(net.window, net.channels, net.classes)
    windows = np.random.default_rng(seed).normal(size=(48, net.window, net.channels)).astype(np.float32)
    way = data.draw(st.sampled_from([way for way in WAYS if way.channels == "equalised"]), "way")
    try:
        int8 = int8_by(way, net, spec, windows)
    except ConversionError:
        assume(False)
    int8 = replace(int8, form=data.draw(st.sampled_from(["qoperator-u8", "qdq-u8"]), "form"))
    hop = data.draw(st.integers(1, net.window + 5), "hop")
    windowed, dense, stateful = answers(int8, spec, drawn(net, seed, 3 * hop), hop, "2d")
    np.testing.assert_allclose(dense, windowed, atol=logit_noise(windowed), rtol=0)
    np.testing.assert_allclose(stateful, windowed, atol=logit_noise(windowed), rtol=0)


def test_a_float_layer_between_integers_tips_a_rounding_now_and_then(random_net, answers, spec_of, logit_noise):
    """Float sums in another order may fall on the other side of a half: then one value moves by one step."""
    same, nets = [], 0
    for seed in range(60):
        net = prepared(fold_scales(random_net(seed), keep_first=True))
        if sum(isinstance(step.operation, Conv) for step in net.steps) < 3:
            continue
        spec = spec_of(net.window, net.channels, net.classes)
        int8 = replace(int8_of(net, spec, seed), float_layers=frozenset({integer_layers(net)[-1]}))
        windowed, *others = answers(int8, spec, drawn(net, seed, 9), 3, "2d")
        nets += 1
        same += [np.abs(other - windowed).max(axis=1) <= logit_noise(windowed) for other in others]
    assert nets > 20
    assert np.concatenate(same).mean() > 0.97


def test_int8_is_near_the_float_network_and_not_the_same(small, run_graph, spec_of):
    spec = spec_of(16, 2, 3)
    windows = np.random.default_rng(5).normal(size=(64, 16, 2)).astype(np.float32)
    exact = run_graph(write_windowed(small, spec), windows)
    got = run_graph(quantised(write_windowed(small, spec), int8_of(small, spec, 1)), windows)
    assert 1e-5 < np.abs(got - exact).max() < 0.05


def test_weights_have_seven_bits_and_integers_end_before_the_last_layer(small, spec_of):
    int8 = Int8Net(small, tuple((-3.0, 3.0) for _ in range(9)))
    proto = onnx.load_from_string(quantised(write_windowed(small, spec_of(16, 2, 3)), int8))
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds == [
        "Transpose", "Unsqueeze", "Mul", "Add", "QuantizeLinear", "QLinearConv", "MaxPool", "Flatten", "QGemm",
        "DequantizeLinear", "Gemm", "Softmax",
    ]  # fmt: skip
    weights = [numpy_helper.to_array(one) for one in proto.graph.initializer]
    in_int8 = [weight for weight in weights if weight.dtype == np.int8 and weight.ndim > 1]
    assert len(in_int8) == 2
    assert max(int(np.abs(weight.astype(int)).max()) for weight in in_int8) == 64
    scales = [one for one in proto.graph.initializer if one.name == "conv_2_weight_scale"]
    assert list(scales[0].dims) == [5], "each channel has its own"


def test_a_layer_left_in_float_keeps_its_weights_and_has_float_values(small, spec_of):
    int8 = replace(int8_of(small, spec_of(16, 2, 3), 1), float_layers=frozenset({2}))
    assert integer_values(int8) == {5, 6}
    proto = onnx.load_from_string(quantised(write_windowed(small, spec_of(16, 2, 3)), int8))
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.index("Conv") < kinds.index("MaxPool") < kinds.index("QuantizeLinear") < kinds.index("QGemm")


def test_all_forms_carry_one_digest_which_is_neither_the_float_network_s_nor_another_int8_s(small, spec_of):
    spec = spec_of(16, 2, 3)
    int8 = int8_of(small, spec, 1)
    files = [write_windowed(small, spec), write_dense(to_dense(small, 4), 3, spec),
             write_stateful(to_stateful(small, 4), spec)]  # fmt: skip

    def about(content):
        return {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}

    before, after = [about(content) for content in files], [about(quantised(content, int8)) for content in files]
    assert {entries[NETWORK_KEY] for entries in after} == {int8.network}
    assert int8.network != before[0][NETWORK_KEY]
    for one, other in zip(before, after, strict=True):
        assert {**one, NETWORK_KEY: ""} == {**other, NETWORK_KEY: ""}
    assert json.loads(after[2]["edgeconv.state"])["warm_up"] == 3
    others = [
        replace(int8, float_layers=frozenset({2})),
        replace(int8, form="qdq-u8"),
        replace(int8, ranges=(*int8.ranges[:-1], (0.0, 2.0))),
    ]
    assert len({int8.network, *(other.network for other in others)}) == 4


def test_the_same_network_and_ranges_give_the_same_bytes(small, spec_of):
    spec = spec_of(16, 2, 3)
    for form in INT8_FORMS:
        once, again = (quantised(write_windowed(small, spec), int8_of(small, spec, 1, form)) for _ in range(2))
        assert once == again


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_average_poolings_as_sums_and_a_scaled_input_change_nothing(random_net, run_graph, spec_of, logit_noise, seed):
    net = random_net(seed)
    spec = spec_of(net.window, net.channels, net.classes)
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(8, net.window, net.channels)).astype(np.float32)
    expected = run_graph(write_windowed(net, spec), windows)
    got = run_graph(write_windowed(prepared(net), spec), windows)
    np.testing.assert_allclose(got, expected, atol=logit_noise(expected), rtol=0)
    scaled = with_input_scale(net, (10 ** rng.uniform(-2, 2, net.channels)).astype(np.float32))
    takes_input = {type(step.operation) for step in net.steps if 0 in step.inputs}
    assert (scaled is None) == (takes_input != {Conv})
    if scaled is not None:
        np.testing.assert_allclose(
            run_graph(write_windowed(scaled, spec), windows), expected, atol=4 * logit_noise(expected), rtol=0
        )


def test_what_clips_and_picks_shares_the_range_of_what_it_comes_from(small):
    seen = [(float(-number), float(number)) for number in range(9)]
    ranges = tied(small, seen)
    assert ranges[2] == ranges[3] == ranges[4] == seen[3], "convolution, ReLU and pooling"
    assert ranges[5] == ranges[6] == seen[6]
    assert (ranges[0], ranges[1], ranges[7]) == (seen[0], seen[1], seen[7])


def test_a_relu_whose_convolution_has_another_use_does_not_cut_its_range():
    steps = (
        Step(conv(2, 1, 3), (0,), "a"),
        Step(Activation("Relu"), (1,), "b"),
        Step(Crop(0, 0), (1,), "c"),
        Step(conv(2, 2, 6), (2,), "d"),
        Step(conv(2, 2, 6), (3,), "e"),
        Step(conv(2, 2, 1), (5,), "f"),
    )
    seen = [(-1.0, 1.0), (-5.0, 4.0), (0.0, 4.0), (-5.0, 4.0), (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)]
    assert tied(Net(8, 1, steps), seen)[1] == (-5.0, 4.0)


def test_a_network_of_one_layer_has_nothing_for_int8():
    with pytest.raises(ConversionError, match="one layer with weights at most, and the last one stays float32"):
        integer_layers(chain(8, 2, conv(3, 2, 8), Softmax()))
