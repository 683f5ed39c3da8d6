"""The layer cases of tf2onnx's own Keras tests, rebuilt from their descriptions on Keras 3, through our line.

The project tests its converter on small networks (`tests/keras2onnx_unit_tests/test_layers.py`); those with one input
over time, or with several that can be parts of one window, are here with the sizes and options given there. What each
one ends in is flattened to [batch, values] and compared value by value. Without EDGECONV_ALL_CASES=1 only every third
case runs, and of those one in six with TFLite.
"""

import os

import numpy as np
import pytest

from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.evaluate.tflite import TfliteModel
from edgeconv.export.onnx import to_onnx
from edgeconv.export.tflite_child import convert
from edgeconv.export.tflite_metadata import embed
from edgeconv.runtime import Channel, Classifier, ModelSpec

CASES = {}
"""Name → (window, channels) and a function of (layers, values)."""
ALL = bool(os.environ.get("EDGECONV_ALL_CASES"))


def case(name, shape, make):
    assert name not in CASES
    CASES[name] = (shape, make)


def parts(la, values, count):
    """The timesteps of a window as so many inputs [batch, channels]."""
    return [la.Flatten()(la.Cropping1D((i, count - 1 - i))(values)) for i in range(count)]


def _convolutions():
    for name, options in {
        "plain": {},
        "stride 2": {"strides": 2},
        "same": {"padding": "same"},
        "causal": {"padding": "causal"},
        "sigmoid": {"activation": "sigmoid"},
        "bias": {"use_bias": True},
    }.items():
        options = {"use_bias": False, **options}
        case(f"conv1d {name}", (15, 4), lambda la, v, o=options: la.Conv1D(5, 3, **o)(v))
    case("conv1d of one timestep's kernel, same, stride 2", (10, 3), lambda la, v: la.Conv1D(5, 1, 2, "same")(v))
    case("conv1d over one timestep, reshaped", (1, 5), lambda la, v: la.Reshape((1, 64))(
        la.Reshape((64,))(la.Conv1D(64, 3, padding="same")(v))))  # fmt: skip
    case("separable conv1d", (5, 3), lambda la, v: la.SeparableConv1D(10, 2)(v))

    def two_paddings(la, v):
        v, conv = la.Conv1D(16, 3, padding="same")(v), la.Conv1D(16, 3)
        return la.Concatenate()([conv(la.ZeroPadding1D((1, 0))(v)), conv(la.ZeroPadding1D((0, 1))(v))])

    case("one convolution on two paddings", (32, 3), two_paddings)


def _pools_and_shapes():
    for kind in ("Average", "Max"):
        for format_ in ("channels_last", "channels_first"):
            case(
                f"{kind.lower()} pooling, {format_}",
                (4, 6),
                lambda la, v, kind=kind, f=format_: getattr(la, f"{kind}Pooling1D")(2, data_format=f)(
                    v if f == "channels_last" else la.Permute((2, 1))(v)
                ),
            )
        case(f"global {kind.lower()} pooling", (4, 6), lambda la, v, k=kind: getattr(la, f"Global{k}Pooling1D")()(v))
    case("cropping by 2", (10, 20), lambda la, v: la.Cropping1D(2)(v))
    case("cropping by 1 and 2", (10, 20), lambda la, v: la.Cropping1D((1, 2))(v))
    case("upsampling", (20, 5), lambda la, v: la.UpSampling1D(2)(v))
    case("flatten and dense", (3, 2), lambda la, v: la.Dense(3)(la.Flatten()(v)))
    case("reshape", (3, 2), lambda la, v: la.Reshape((2, 3))(v))
    case("permute", (3, 2), lambda la, v: la.Permute((2, 1))(v))
    case("repeat vector", (4, 1), lambda la, v: la.RepeatVector(3)(la.Flatten()(v)))
    case("time distributed dense", (10, 16), lambda la, v: la.TimeDistributed(la.Dense(8))(v))


def _dense_and_activations():
    def pair(la, v, first, last):
        return la.Dense(3, **last)(la.Dense(5, **first)(la.Flatten()(v)))

    for bias in (True, False):
        case(f"dense, bias {bias}", (4, 1), lambda la, v, b=bias: pair(
            la, v, {"activation": "sigmoid"}, {"use_bias": b}))  # fmt: skip
    case("dense softmax", (4, 1), lambda la, v: pair(la, v, {"activation": "softmax"}, {}))
    case("dense and softmax layer", (4, 1), lambda la, v: la.Dense(3)(
        la.Activation("softmax")(la.Dense(5)(la.Flatten()(v)))))  # fmt: skip
    for name in (
        "tanh", "sigmoid", "hard_sigmoid", "relu", "elu", "selu", "softsign", "softplus", "softmax", "linear",
    ):  # fmt: skip
        case(f"activation {name}", (11, 1), lambda la, v, n=name: la.Activation(n)(la.Flatten()(v)))
    made = {
        "leaky relu": lambda la: la.LeakyReLU(0.1),
        "thresholded relu": lambda la: la.ReLU(threshold=1.0),
        "elu": lambda la: la.ELU(1.0),
        "prelu of zeros": lambda la: la.PReLU("zeros"),
        "prelu of ones": lambda la: la.PReLU("ones"),
        "prelu of random slopes": lambda la: la.PReLU("random_normal"),
        "relu layer": lambda la: la.ReLU(),
        "relu up to 1.5": lambda la: la.ReLU(1.5),
        "relu up to 1.5 with a slope": lambda la: la.ReLU(1.5, 0.1),
        "softmax layer": lambda la: la.Softmax(),
    }
    for name, make in made.items():
        case(f"layer {name}", (11, 1), lambda la, v, m=make: m(la)(la.Flatten()(v)))
    for axis in (1, -1):
        case(f"softmax over axis {axis}", (3, 4), lambda la, v, a=axis: la.Softmax(axis=a)(v))

    def after_pooling(la, v):
        return la.Activation("gelu")(la.Dense(10)(la.GlobalMaxPooling1D()(v)))

    case("gelu behind a pooled dense layer", (20, 10), after_pooling)

    def stack(la, v, name):
        v = la.Flatten()(v)
        for units in (64, 64):
            v = la.Dense(units, activation=name)(v)
        v = la.PReLU()(la.ReLU()(la.LeakyReLU(0.2)(la.Dense(6)(v))))
        return la.Activation("silu")(la.LeakyReLU(0.5)(v))

    for name in ("relu", "relu6", "softmax", "leaky_relu"):
        case(f"dense stack {name}", (10, 1), lambda la, v, n=name: stack(la, v, n))

    def selu(la, v):
        return la.Dense(5, activation="softmax")(
            la.Dense(32, activation="selu")(la.Flatten()(la.Conv1D(32, 3, strides=2)(v)))
        )

    case("selu network", (10, 1), selu)

    def training(la, v):
        v = la.Activation("relu")(la.GaussianNoise(0.1)(la.Dense(32)(v)))
        return la.Dense(2)(la.SpatialDropout1D(0.2)(la.AlphaDropout(0.1)(la.GaussianDropout(0.1)(v))))

    case("layers of training only", (3, 4), training)


def _merges():
    for name, kind, count in (
        ("add", "Add", 2), ("add three", "Add", 3), ("subtract", "Subtract", 2), ("multiply", "Multiply", 2),
        ("average", "Average", 2), ("maximum", "Maximum", 2), ("concatenate", "Concatenate", 2),
    ):  # fmt: skip
        case(name, (count, 3), lambda la, v, k=kind, c=count: getattr(la, k)()(parts(la, v, c)))
    for axis in (1, 2, -1):
        case(f"concatenate axis {axis}", (4, 2), lambda la, v, a=axis: la.Concatenate(axis=a)(
            [la.Cropping1D((0, 2))(v), la.Cropping1D((2, 0))(v)]))  # fmt: skip
    for normalize in (False, True):
        case(f"dot, normalize {normalize}", (2, 3), lambda la, v, n=normalize: la.Dense(2)(
            la.Dot(axes=-1, normalize=n)(parts(la, v, 2))))  # fmt: skip
        for axes in (1, 2):
            case(f"dot over axis {axes}, normalize {normalize}", (6, 5), lambda la, v, a=axes, n=normalize: la.Dot(
                axes=a, normalize=n)([la.Cropping1D((0, 3))(v), la.Cropping1D((3, 0))(v)]))  # fmt: skip

    def added(la, v):
        one, other = parts(la, v, 2)
        return la.Add()([la.Dense(3, activation="relu")(one), la.Dense(3, activation="sigmoid")(other)])

    case("dense branches added", (2, 4), added)

    def shared(la, v):
        keras = import_keras()
        one, other = parts(la, v, 2)
        source = keras.Input((3,))
        part = keras.Model(source, la.Activation("sigmoid")(la.Dense(3)(source)))
        return la.Add()([part(part(la.Activation("tanh")(one))), la.Activation("tanh")(part(other))])

    case("a model inside, used three times", (2, 3), shared)


def _normalisations():
    for gamma, beta, scale, centre in (
        ("ones", "zeros", True, True), ("ones", "ones", True, True), ("ones", "ones", True, False),
        ("zeros", "zeros", False, True),
    ):  # fmt: skip
        for axis in (1, 2):
            options = {
                "axis": axis, "gamma_initializer": gamma, "beta_initializer": beta, "scale": scale, "center": centre,
                "moving_mean_initializer": "ones", "moving_variance_initializer": "ones",
            }  # fmt: skip
            case(
                f"batch normalisation, gamma {gamma}, beta {beta}, {scale}, {centre}, axis {axis}",
                (2, 5),
                lambda la, v, o=options: la.BatchNormalization(**o)(v),
            )
    case("batch normalisation and dense", (10, 1), lambda la, v: la.Dense(5)(la.BatchNormalization()(la.Flatten()(v))))
    case("batch normalisation behind conv1d", (10, 20), lambda la, v: la.Dense(5)(
        la.BatchNormalization()(la.Conv1D(32, 3, strides=2)(v))))  # fmt: skip
    case("batch normalisation of timesteps", (10, 20), lambda la, v: la.Dense(5)(la.BatchNormalization(axis=1)(v)))


def _recurrent():
    for kind in ("SimpleRNN", "GRU", "LSTM"):
        for sequences in (False, True):
            end = ", sequences" * sequences
            options = {"return_sequences": sequences}
            case(f"{kind}{end}", (3, 1), lambda la, v, k=kind, o=options: getattr(la, k)(2, **o)(v))
            case(f"bidirectional {kind}{end}", (5, 10), lambda la, v, k=kind, o=options: la.Softmax()(la.Dense(5)(
                la.Bidirectional(getattr(la, k)(7, **o))(v))))  # fmt: skip
        case(f"three unrolled {kind}", (3, 4), lambda la, v, k=kind: getattr(la, k)(32, unroll=True)(
            getattr(la, k)(64, unroll=True, return_sequences=True)(
                getattr(la, k)(32, unroll=True, return_sequences=True)(v))))  # fmt: skip
        case(f"masking and {kind}", (3, 5), lambda la, v, k=kind: getattr(la, k)(8)(la.Masking()(v)))
        case(f"masking of 5 and {kind}", (3, 5), lambda la, v, k=kind: getattr(la, k)(8)(la.Masking(5.0)(v)))
        case(f"masking and bidirectional {kind}", (3, 5), lambda la, v, k=kind: la.Bidirectional(getattr(la, k)(8))(
            la.Masking()(v)))  # fmt: skip
    for sequences in (False, True):
        for bias in (False, True):
            for backwards in (False, True):
                options = {"return_sequences": sequences, "use_bias": bias, "go_backwards": backwards}
                case(f"LSTM {options}", (3, 5), lambda la, v, o=options: la.LSTM(2, **o)(v))
    case("LSTM cell", (3, 5), lambda la, v: la.RNN(la.LSTMCell(2))(v))
    case("LSTM reshaped", (3, 7), lambda la, v: la.Reshape((3, 5))(la.LSTM(5, return_sequences=True)(v)))
    case("large GRU of one timestep", (1, 257), lambda la, v: la.Dense(257, activation="sigmoid")(
        la.GRU(400, reset_after=True)(v)))  # fmt: skip

    def passed(la, v):
        _, *states = la.LSTM(2, return_state=True)(v)
        return la.LSTM(2, return_sequences=True)(v, initial_state=states)

    case("LSTM that starts where another ended", (3, 5), passed)


for _add in (_convolutions, _pools_and_shapes, _dense_and_activations, _merges, _normalisations, _recurrent):
    _add()


def built(name):
    """The network of a case with no bias at zero, its spec, windows and Keras's answers.

    Where there is a `Masking`, some timesteps of the windows are what it looks for: zeros, or 5 throughout.
    """
    keras = import_keras()
    (window, channels), make = CASES[name]
    keras.utils.clear_session()
    keras.utils.set_random_seed(6)
    source = keras.Input((window, channels))
    values = make(keras.layers, source)
    model = keras.Model(source, keras.layers.Flatten()(values) if len(values.shape) > 2 else values)
    rng = np.random.default_rng(7)
    model.set_weights([w + rng.uniform(0, 0.5, w.shape) * (w.ndim == 1) for w in model.get_weights()])
    windows = rng.normal(0, 2, (4, window, channels)).astype(np.float32)
    if "masking" in name:
        windows[1, window // 2 :], windows[2, window // 2 :] = 0, 5
    spec = ModelSpec(
        "case", "1", tuple(Channel(f"c{i}", "g") for i in range(channels)), 50.0, window, window,
        tuple(f"v{i}" for i in range(model.output_shape[1])),
    )  # fmt: skip
    model = KerasModel(model)
    return model, spec, windows, model.model(windows, training=False).numpy()


def assert_close(got, expected):
    """Within 1e-5 of the largest value: what the order of float32 sums can do, and nothing else."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("name", list(CASES)[:: 1 if ALL else 3])
def test_the_onnx_file_answers_as_keras_does(name, tmp_path):
    model, spec, windows, expected = built(name)
    (tmp_path / "model.onnx").write_bytes(to_onnx(model.model, spec))
    assert_close(Classifier.load(tmp_path / "model.onnx").predict(windows), expected)


@pytest.mark.parametrize("name", list(CASES)[:: 1 if ALL else 18])
def test_the_tflite_file_answers_as_keras_does(name, tmp_path):
    model, spec, windows, expected = built(name)
    (tmp_path / "model.tflite").write_bytes(embed(convert(model.model, "float32"), spec, normalised=False))
    assert_close(TfliteModel.load(tmp_path / "model.tflite", spec).predict(windows), expected)
