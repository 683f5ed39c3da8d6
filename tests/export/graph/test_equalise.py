"""Channels that reach equally far: the same network in float32, and what int8 gains."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgeconv.export.graph.equalise import equalised, sharing
from edgeconv.export.graph.int8 import integer_layers, prepared, quantised, result_of
from edgeconv.export.graph.net import Activation, Combine, Conv, Net, Pad, Pool, Scale, Step, fold_scales
from edgeconv.export.graph.precision import bias_corrections, rounded_weights, with_input_twice
from edgeconv.export.graph.write import write_windowed
from edgeconv.export.ranges import activations, channel_means, channel_ranges
from edgeconv.export.ways import WAYS, Way, int8_by
from edgeconv.runtime import ConversionError


def normal(net, seed, count=32):
    return np.random.default_rng(seed).normal(size=(count, net.window, net.channels)).astype(np.float32)


def conv(out, channels, kernel, seed=0, **options):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1 / np.sqrt(channels * kernel), (out, channels, kernel))
    return Conv(weight.astype(np.float32), rng.normal(0, 0.1, out).astype(np.float32), **options)


def chain(window, channels, *operations):
    return Net(
        window, channels, tuple(Step(operation, (i,), f"layer {i + 1}") for i, operation in enumerate(operations))
    )


@pytest.fixture
def separable():
    """Normalisation, a convolution, two separable ones, both poolings over time, and the layer that answers."""
    operations = [
        Scale(np.array([1, 0.1], np.float32), np.zeros(2, np.float32)),
        conv(6, 2, 3, 1), Activation("Relu"),
        conv(6, 1, 3, 2, groups=6), conv(8, 6, 1, 3), Activation("Relu"), Pool("max", 2, 2),
        conv(8, 1, 3, 4, groups=8), conv(10, 8, 1, 5), Activation("Relu"),
    ]  # fmt: skip
    net = chain(24, 2, *operations)
    end, length = len(operations), net.shapes()[-1][1]
    heads = (Step(Pool("average", length), (end,), "mean"), Step(Pool("max", length), (end,), "maximum"))
    last = (Step(Combine("Concat"), (end + 1, end + 2), "both"), Step(conv(3, 20, 1, 6), (end + 3,), "answer"))
    return prepared(replace(net, steps=(*net.steps, *heads, *last)))


def spread(net, decades, seed=0):
    """The same network with channels that differ by factors of so many decades, wherever they can."""
    share, rng = sharing(net), np.random.default_rng(seed)
    reach = 10 ** rng.uniform(0, decades, share.count).astype(np.float32)
    return equalised(net, [(-reach[groups] * 0, reach[groups]) for groups in share.groups])


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_an_equalised_network_is_the_same_network(random_net, run_graph, spec_of, logit_noise, seed):
    net = random_net(seed)
    if seed % 2:
        net = prepared(fold_scales(net, keep_first=True))
    if sum(isinstance(step.operation, Conv) for step in net.steps) < 2:
        return
    spec, windows = spec_of(net.window, net.channels, net.classes), normal(net, seed)
    expected = run_graph(write_windowed(net, spec), windows)
    values = activations(net, spec, windows) if expected.shape[1] > 1 else None
    if values is None:
        return
    changed = equalised(net, channel_ranges(values, ("minmax", "99.9 %")[seed % 3 // 2]))
    got = run_graph(write_windowed(changed, spec), windows)
    # Values behind moved ones are sums of larger numbers, whose rounding is larger.
    np.testing.assert_allclose(got, expected, atol=25 * logit_noise(expected), rtol=0)


def test_channels_reach_equally_far_where_no_weights_mix_them(separable, spec_of):
    spec = spec_of(24, 2, 3)
    net = spread(separable, 3)
    windows = normal(net, 1)
    before = channel_ranges(activations(net, spec, windows), "minmax")
    after_net = equalised(net, before)
    after = channel_ranges(activations(after_net, spec, windows), "minmax")

    def ratio(ranges, number):
        low, high = ranges[number]
        reach = np.maximum(np.abs(low), np.abs(high))
        return reach.max() / reach.min()

    for number in (3, 7):  # a depthwise convolution takes them: each of its weights meets one channel
        assert ratio(before, number) > 20
        assert ratio(after, number) == pytest.approx(1, abs=0.01)
    assert ratio(after, 4) < ratio(before, 4) / 5  # a mixing one does: weights that hardly look at a channel count
    low, high = after[4]
    np.testing.assert_allclose(low, -high, rtol=0.05)  # nothing stands between: it is moved, too


def test_a_network_with_channels_of_three_decades_gains(separable, run_graph, spec_of):
    spec = spec_of(24, 2, 3)
    for seed in range(5):
        net = spread(separable, 3, seed)
        windows = normal(net, seed, 64)
        exact = run_graph(write_windowed(net, spec), windows)

        def off(way, net=net, windows=windows, exact=exact):
            int8 = int8_by(way, net, spec, windows)
            return np.sqrt(np.mean((run_graph(quantised(write_windowed(int8.net, spec), int8), windows) - exact) ** 2))

        plain = off(Way("as they are", "as it is", "minmax"))
        for input_ in ("as it is", "twice"):
            assert off(Way("equalised", input_, "minmax")) < plain / 3, (seed, input_)


@pytest.mark.parametrize(
    ("between", "equal"),
    [
        ([], True),
        ([Activation("Relu")], True),
        ([Activation("LeakyRelu", {"alpha": 0.1})], True),
        ([Activation("Clip", {"min": 0.0, "max": None})], True),
        ([Activation("Relu"), Pool("max", 2, 2)], True),
        ([Pad(1, 1)], True),
        ([Activation("Tanh")], False),
        ([Activation("Clip", {"min": 0.0, "max": 6.0})], False),
    ],
)
def test_only_functions_that_let_factors_through_are_crossed(between, equal, run_graph, spec_of):
    net = chain(12, 2, conv(4, 2, 3, 1), *between, conv(4, 4, 2, 2), Pool("max", 3), conv(2, 4, 1, 3))
    net = chain(12, 2, *(step.operation for step in net.steps[:-2]), conv(3, 4, net.shapes()[-3][1], 3))
    spec, windows = spec_of(12, 2, 3), normal(net, 3)
    changed = equalised(net, channel_ranges(activations(net, spec, windows), "minmax"))
    assert np.array_equal(changed.steps[0].operation.weight, net.steps[0].operation.weight) != equal
    expected = run_graph(write_windowed(net, spec), windows)
    np.testing.assert_allclose(run_graph(write_windowed(changed, spec), windows), expected, atol=2e-6, rtol=1e-5)


def test_what_is_added_has_one_factor_and_what_is_multiplied_none():
    def net(combine):
        steps = (
            Step(conv(3, 2, 1, 1), (0,), "a"), Step(conv(3, 2, 1, 2), (0,), "b"),
            Step(Combine(combine), (1, 2), "c"), Step(conv(2, 6 if combine == "Concat" else 3, 4, 3), (3,), "d"),
        )  # fmt: skip
        return sharing(Net(4, 2, steps))

    added = net("Add")
    assert [groups.tolist() for groups in added.groups[1:4]] == [added.groups[3].tolist()] * 3
    assert not set(added.groups[3].tolist()) & added.fixed
    assert set(added.groups[3].tolist()) <= added.unmoved
    multiplied = net("Mul")
    assert all(set(multiplied.groups[number].tolist()) <= multiplied.fixed for number in (1, 2, 3))
    joined = net("Concat")
    assert joined.groups[3].tolist() == [*joined.groups[1].tolist(), *joined.groups[2].tolist()]


def test_a_channel_that_is_silent_in_calibration_is_not_stretched_beyond_measure(separable, spec_of):
    first = separable.steps[1].operation
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[2], bias[2] = 0, 0
    steps = list(separable.steps)
    steps[1] = replace(steps[1], operation=replace(first, weight=weight, bias=bias))
    net = replace(separable, steps=tuple(steps))
    changed = equalised(net, channel_ranges(activations(net, spec_of(24, 2, 3), normal(net, 1)), "minmax"))
    assert all(
        np.isfinite(step.operation.weight).all() and np.abs(step.operation.weight).max() < 1e5
        for step in changed.steps
        if isinstance(step.operation, Conv)
    )


def test_a_value_of_large_numbers_does_not_hide_one_of_small_numbers(run_graph, spec_of):
    net = spread(chain(12, 2, conv(4, 2, 3, 1), conv(4, 4, 3, 2), Pool("max", 8), conv(2, 4, 1, 3)), 3)
    first = replace(net.steps[0].operation, weight=net.steps[0].operation.weight * np.float32(1e6))
    second = replace(net.steps[1].operation, weight=net.steps[1].operation.weight / np.float32(1e6))
    net = replace(
        net, steps=(replace(net.steps[0], operation=first), replace(net.steps[1], operation=second), *net.steps[2:])
    )
    spec, windows = spec_of(12, 2, 2), normal(net, 1)
    changed = equalised(net, channel_ranges(activations(net, spec, windows), "minmax"))
    reaches = [high.max() - low.min() for low, high in channel_ranges(activations(changed, spec, windows), "minmax")]
    assert max(reaches[1:3]) < 100 * min(reaches[1:3])


def test_an_input_taken_twice_is_the_same_network_and_told_twice_as_finely(separable, run_graph, spec_of):
    spec, windows = spec_of(24, 2, 3), normal(separable, 5, 64)
    values = activations(separable, spec, windows)
    low, high = channel_ranges(values, "minmax")[1]
    twice = with_input_twice(separable, (float(low.min()), float(high.max())))
    expected = run_graph(write_windowed(separable, spec), windows)
    np.testing.assert_allclose(run_graph(write_windowed(twice, spec), windows), expected, atol=2e-6, rtol=1e-5)

    step = float(high.max() - low.min()) / 255
    copies = activations(twice, spec, windows)[2].reshape(64, 2, 2, -1)
    errors = np.round(copies / step) * step - copies
    assert np.abs(errors).max() > 0.49 * step
    assert np.abs(errors.mean(axis=1)).max() < 0.26 * step


@pytest.mark.parametrize(
    "net",
    [
        chain(8, 2, conv(3, 2, 8)),
        chain(8, 2, Scale(np.ones(2, np.float32), np.ones(2, np.float32)), conv(2, 1, 8, groups=2)),
        chain(8, 2, Scale(np.ones(2, np.float32), np.ones(2, np.float32)), conv(2, 2, 3, padding=(1, 1))),
        chain(8, 2, Scale(np.ones(2, np.float32), np.ones(2, np.float32)), Activation("Relu"), conv(2, 2, 8)),
    ],
)
def test_an_input_that_convolutions_do_not_take_as_it_is_is_taken_once(net):
    assert with_input_twice(net, (-1.0, 1.0)) is None


def test_weights_are_rounded_as_the_file_has_them_and_biases_take_the_mean_error_back(separable, run_graph, spec_of):
    spec, windows = spec_of(24, 2, 3), normal(separable, 7, 64)
    int8 = int8_by(Way("equalised", "as it is", "minmax"), separable, spec, windows)
    file = quantised(write_windowed(int8.net, spec), int8)
    there = {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(file).graph.initializer}
    conv_5 = int8.net.steps[4].operation
    written = there["conv_5_weight_quantized"] * there["conv_5_weight_scale"].reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(written[:, :, 0], rounded_weights(conv_5), atol=1e-6)

    means = channel_means(activations(int8.net, spec, windows))
    corrections = bias_corrections(int8.net, means)
    assert set(corrections) == set(integer_layers(int8.net))
    number = 9
    layer = int8.net.steps[number - 1].operation
    exact, rounded = ((weight.sum(axis=2) * means[8]).sum(axis=1) for weight in (layer.weight, rounded_weights(layer)))
    np.testing.assert_allclose(rounded + corrections[number], exact, atol=1e-5)
    assert np.abs(corrections[number]).max() > 1e-4
    assert result_of(int8.net, number) != number


def test_a_layer_that_stays_in_float_keeps_its_bias(separable, spec_of):
    spec = spec_of(24, 2, 3)
    int8 = int8_by(Way("equalised", "as it is", "minmax"), separable, spec, normal(separable, 7))
    int8 = replace(int8, float_layers=frozenset({2}))
    file = onnx.load_from_string(quantised(write_windowed(int8.net, spec), int8))
    biases = {one.name: numpy_helper.to_array(one) for one in file.graph.initializer}
    np.testing.assert_array_equal(biases["conv_2_bias"], int8.net.steps[1].operation.bias)
    assert replace(int8, corrections={}).network != int8.network


def test_a_network_that_does_not_normalise_gets_a_scale_to_equalise_its_input(run_graph, spec_of):
    net = chain(10, 3, conv(4, 3, 3, 1), Activation("Relu"), conv(5, 4, 8, 2), Activation("Relu"), conv(3, 5, 1, 3))
    spec, rng = spec_of(10, 3, 3), np.random.default_rng(0)
    windows = (rng.normal(size=(64, 10, 3)) * [1, 30, 0.05] + [0, 500, 1]).astype(np.float32)
    exact = run_graph(write_windowed(net, spec), windows)
    errors = {}
    for way in WAYS:
        int8 = int8_by(way, net, spec, windows)
        got = run_graph(quantised(write_windowed(int8.net, spec), int8), windows)
        errors[way.channels, way.input, way.ranges] = np.sqrt(np.mean((got - exact) ** 2))
    minmax = {key[:2]: error for key, error in errors.items() if key[2] == "minmax"}
    assert minmax["equalised", "as it is"] < minmax["as they are", "by channel"] / 3, "they are moved, too"


def test_a_way_that_is_not_known_is_refused():
    with pytest.raises(ConversionError, match="another way to quantise"):
        Way.of({"channels": "sorted", "input": "as it is", "ranges": "minmax"})
    assert Way.of({"input": "as it is", "ranges": "minmax"}) == WAYS[0]
