"""The canonical form as a Keras model: the same network, with what Keras has no layer for refused by name."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgeconv.export.graph.keras import to_keras
from edgeconv.export.graph.net import Activation, Combine, Conv, Crop, Net, Pad, Pool, Scale, Softmax, Step
from edgeconv.export.graph.write import write_windowed
from edgeconv.runtime import ConversionError


def answers_of(net, run_graph, spec_of):
    """What the Keras model and the ONNX file answer."""
    windows = np.random.default_rng(1).normal(size=(8, net.window, net.channels)).astype(np.float32)
    expected = run_graph(write_windowed(net, spec_of(net.window, net.channels, net.classes)), windows)
    return np.asarray(to_keras(net)(windows)), expected


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_keras_model_is_the_network(random_net, run_graph, spec_of, logit_noise, seed):
    net = random_net(seed)
    try:
        got, expected = answers_of(net, run_graph, spec_of)
    except ConversionError:
        convs = [step.operation for step in net.steps if isinstance(step.operation, Conv)]
        assume(not any(conv.stride > 1 and conv.dilation > 1 for conv in convs))
        raise
    np.testing.assert_allclose(got, expected, atol=logit_noise(expected), rtol=0)


def weights(out, per_group, kernel, **options):
    rng = np.random.default_rng(4)
    return Conv(
        rng.normal(size=(out, per_group, kernel)).astype(np.float32), rng.normal(size=out).astype(np.float32), **options
    )


def test_every_kind_of_step_has_a_layer(run_graph, spec_of):
    operations = [
        (Scale(np.array([1, 2], np.float32), np.array([0, 1], np.float32)), (0,)),
        (Pad(1, 2), (1,)), (weights(4, 1, 3, groups=2), (2,)), (Activation("LeakyRelu", {"alpha": 0.2}), (3,)),
        (weights(4, 2, 3, groups=2, padding=(1, 1)), (4,)), (Activation("Clip", {"min": 0.0, "max": 6.0}), (5,)),
        (Crop(1, 2), (6,)), (Pool("average", 2, 2), (7,)), (Combine("Concat"), (8, 8)), (Combine("Mul"), (9, 9)),
        (weights(3, 8, 5), (10,)), (Softmax(), (11,)),
    ]  # fmt: skip
    net = Net(12, 2, tuple(Step(operation, inputs, "step") for operation, inputs in operations))
    got, expected = answers_of(net, run_graph, spec_of)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize(
    "operation",
    [
        weights(2, 2, 3, stride=2, dilation=2),
        Pool("max", 3, padding=(1, 1)),
        Pool("max", 3, dilation=2),
        Crop(0, 0, 2),
        Activation("Erf"),
        Activation("Clip", {"min": -1.0, "max": 1.0}),
    ],
)
def test_what_keras_has_no_layer_for_is_refused_by_name(operation):
    net = Net(12, 2, (Step(operation, (0,), "the odd one"),))
    with pytest.raises(ConversionError, match="the odd one: Keras has no"):
        to_keras(net)
