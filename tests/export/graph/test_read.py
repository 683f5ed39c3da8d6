"""The reader on what the converter makes of Keras layers: the canonical graph answers as Keras does."""

import numpy as np
import onnx
import pytest

from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.net import Conv, Net, Scale, Step, fold_scales
from edgeconv.export.graph.read import read_net
from edgeconv.export.graph.write import write_dense, write_windowed
from edgeconv.export.onnx import convert, to_onnx
from edgeconv.runtime import ConversionError

WINDOW, CHANNELS, CLASSES = 40, 3, 4

ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "mish",
    "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "squareplus", "tanh",
)  # fmt: skip
"""Keras's activations that have a canonical form."""


def networks():
    """Name → function of (layers, values) that gives the values of the last layer; all end in probabilities."""

    def dense(layers, values):
        return layers.Dense(CLASSES, activation="softmax")(values)

    def flat(layers, values):
        return dense(layers, layers.Dense(7, activation="relu")(layers.Flatten()(values)))

    def pooled(layers, values):
        both = [layers.GlobalAveragePooling1D()(values), layers.GlobalMaxPooling1D()(values)]
        return dense(layers, layers.Concatenate()(both))

    def residual(layers, values):
        values = layers.Conv1D(6, 3)(values)
        branch = layers.Conv1D(6, 3, activation="relu")(values)
        return flat(layers, layers.Add()([branch, layers.Cropping1D((2, 0))(values)]))

    return {
        "tutorial": lambda la, v: flat(la, la.MaxPooling1D(2)(la.Dropout(0.5)(la.Conv1D(8, 3, activation="relu")(v)))),
        "strided and dilated": lambda la, v: pooled(
            la, la.Conv1D(5, 3, dilation_rate=2)(la.Conv1D(6, 4, strides=3)(v))
        ),
        "separable": lambda la, v: pooled(la, la.SeparableConv1D(6, 5, activation="relu")(v)),
        "depthwise": lambda la, v: flat(la, la.DepthwiseConv1D(3, depth_multiplier=2, activation="relu")(v)),
        "batch normalised": lambda la, v: flat(
            la, la.ReLU()(la.BatchNormalization()(la.Conv1D(8, 3, use_bias=False)(v)))
        ),
        "normalised first": lambda la, v: flat(
            la, la.Conv1D(6, 3)(la.Normalization(mean=[1.0, 0.0, -2.0], variance=[4.0, 1.0, 0.25])(v))
        ),
        "average pooled": lambda la, v: flat(
            la, la.AveragePooling1D(3, strides=2)(la.Conv1D(4, 2, activation="elu")(v))
        ),
        "residual": residual,
        "no convolution": flat,
        "one filter": lambda la, v: flat(la, la.Conv1D(1, 5, activation="tanh")(v)),
        "grouped": lambda la, v: flat(la, la.Conv1D(6, 3, groups=3, activation="relu")(v)),
        "one channel in the middle": lambda la, v: pooled(
            la, la.Conv1D(4, 3, activation="relu")(la.MaxPooling1D(2)(la.SeparableConv1D(1, 3)(v)))
        ),
        "one channel pooled": lambda la, v: pooled(la, la.Conv1D(1, 3)(v)),
        "one timestep": lambda la, v: flat(la, la.Conv1D(5, 1, activation="relu")(la.Conv1D(4, WINDOW)(v))),
        "flattened after a batch normalisation": lambda la, v: flat(
            la, la.BatchNormalization()(la.AveragePooling1D(3)(la.Conv1D(4, 3)(v)))
        ),
        "every activation": lambda la, v: flat(
            la, la.Concatenate()([la.Conv1D(2, 3, activation=activation)(v) for activation in ACTIVATIONS])
        ),
        "dense on a sequence": lambda la, v: flat(la, la.Dense(6, activation="relu")(la.Conv1D(4, 3)(v))),
        "dense on the windows": lambda la, v: pooled(la, la.Dense(5, activation="softmax")(v)),
        "dense twice on a sequence": lambda la, v: dense(
            la, la.Flatten()(la.Conv1D(2, 3)(la.Dense(CLASSES, use_bias=False)(la.Dense(CHANNELS)(v))))
        ),
        "same padding": lambda la, v: flat(la, la.Conv1D(5, 4, padding="same", strides=2, activation="relu")(v)),
        "causal": lambda la, v: flat(la, la.Conv1D(5, 3, padding="causal", activation="relu")(v)),
    }


@pytest.fixture(scope="module", params=networks())
def converted(request, spec_of):
    """A Keras network with random weights and statistics, and what the converter makes of it."""
    keras = import_keras()
    keras.utils.set_random_seed(3)
    values = keras.Input((WINDOW, CHANNELS))
    model = keras.Model(values, networks()[request.param](keras.layers, values))
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    spec = spec_of(WINDOW, CHANNELS, CLASSES)
    return request.param, KerasModel(model), spec, convert(model, spec)


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(5).normal(size=(50, WINDOW, CHANNELS)).astype(np.float32)


@pytest.mark.parametrize("layout", ["1d", "2d"])
def test_the_canonical_graph_answers_as_keras_does(converted, windows, run_graph, layout):
    _, model, spec, proto = converted
    canonical = write_windowed(read_net(proto), spec, layout)
    onnx.checker.check_model(onnx.load_from_string(canonical), full_check=True)
    # probabilities: the limit of the certificate, which two orders of summation stay far below
    np.testing.assert_allclose(run_graph(canonical, windows), model.predict(windows), atol=1e-5, rtol=0)


def test_nothing_of_the_converter_s_layout_is_left(converted):
    _, _, spec, proto = converted
    nodes = [node.op_type for node in onnx.load_from_string(write_windowed(read_net(proto), spec, "1d")).graph.node]
    assert "Squeeze" not in nodes
    assert "Reshape" not in nodes
    assert nodes.count("Transpose") == 1


def test_the_dense_form_answers_as_keras_does_on_every_window_or_names_the_layer_that_pads(converted, run_graph):
    name, model, spec, proto = converted
    net = read_net(proto)
    if name in ("same padding", "causal"):
        with pytest.raises(ConversionError, match=r"conv1d.* pads"):
            to_dense(net, 5)
        return
    recording = np.random.default_rng(6).normal(size=(150, CHANNELS)).astype(np.float32)
    for hop in (1, 7, 20, 55):
        windows = np.stack([recording[i : i + WINDOW] for i in range(0, 150 - WINDOW + 1, hop)])
        got = run_graph(write_dense(to_dense(net, hop), CLASSES, spec), recording)
        np.testing.assert_allclose(got, model.predict(windows), atol=1e-5, rtol=0)


def test_two_exports_give_the_same_bytes_although_two_conversions_do_not(converted):
    _, model, spec, proto = converted
    assert convert(model.model, spec) != proto, "the converter counts on in the names that it gives"
    assert to_onnx(model.model, spec) == to_onnx(model.model, spec) == write_windowed(read_net(proto), spec)


def test_scales_are_folded_into_the_convolutions_beside_them(spec_of, run_graph):
    rng = np.random.default_rng(7)

    def scale(channels):
        return Scale(*(rng.normal(1, 0.5, (2, channels)).astype(np.float32)))

    def conv(out, into, kernel, **options):
        return Conv(rng.normal(size=(out, into, kernel)).astype(np.float32), np.ones(out, np.float32), **options)

    operations = [scale(4), conv(6, 2, 3, groups=2), scale(6), scale(6), conv(3, 6, 8)]
    net = Net(10, 4, tuple(Step(o, (i,), str(i)) for i, o in enumerate(operations)))
    folded = fold_scales(net)
    assert [type(step.operation) for step in folded.steps] == [Conv, Conv]
    windows = rng.normal(size=(9, 10, 4)).astype(np.float32)
    one, other = (run_graph(write_windowed(n, spec_of(10, 4, 3), "1d"), windows) for n in (net, folded))
    np.testing.assert_allclose(one, other, rtol=0, atol=4e-6 * np.abs(one).max())


def test_a_scale_before_a_convolution_that_pads_stays(spec_of):
    scale = Scale(np.ones(1, np.float32), np.ones(1, np.float32))
    padded = Conv(np.ones((1, 1, 3), np.float32), np.zeros(1, np.float32), padding=(1, 1))
    net = Net(5, 1, (Step(scale, (0,), "a"), Step(padded, (1,), "b")))
    assert len(fold_scales(net).steps) == 2


def test_a_value_that_is_used_twice_is_not_folded_away():
    scale = Scale(np.full(1, 2, np.float32), np.zeros(1, np.float32))
    point = Conv(np.ones((1, 1, 1), np.float32), np.zeros(1, np.float32))
    net = Net(5, 1, (Step(scale, (0,), "a"), Step(point, (1,), "b"), Step(point, (1,), "c")))
    assert len(fold_scales(net).steps) == 3


def test_a_recurrent_network_is_refused_by_the_name_of_what_cannot_be_read(spec_of):
    keras = import_keras()
    values = keras.Input((WINDOW, CHANNELS))
    model = keras.Model(values, keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.LSTM(4)(values)))
    with pytest.raises(ConversionError, match="lstm"):
        read_net(convert(model, spec_of(WINDOW, CHANNELS, CLASSES)))


def test_what_has_no_canonical_form_stays_as_the_converter_left_it(spec_of, run_graph, windows):
    keras = import_keras()
    values = keras.Input((WINDOW, CHANNELS))
    model = keras.Model(values, keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.LSTM(4)(values)))
    exported = to_onnx(model, spec_of(WINDOW, CHANNELS, CLASSES))
    np.testing.assert_allclose(run_graph(exported, windows), KerasModel(model).predict(windows), atol=1e-5, rtol=0)


def test_a_reshape_that_is_no_flattening_is_not_taken_for_one(spec_of):
    """[batch, 6, 4] to [batch · 3, 8], and a product over that: neither the window nor a timestep."""
    weight = onnx.numpy_helper.from_array(np.ones((8, 3), np.float32), "weight")
    shape = onnx.numpy_helper.from_array(np.array([-1, 8], np.int64), "shape")
    float32, make = onnx.TensorProto.FLOAT, onnx.helper
    graph = make.make_graph(
        [make.make_node("Reshape", ["x", "shape"], ["r"], "mixing"), make.make_node("MatMul", ["r", "weight"], ["y"])],
        "mixed", [make.make_tensor_value_info("x", float32, ["batch", 6, 4])],
        [make.make_tensor_value_info("y", float32, ["rows", 3])], [weight, shape],
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r"mixing: a reshape to .* mixes the axes"):
        read_net(make.make_model(graph).SerializeToString())
