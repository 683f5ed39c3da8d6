"""The rows of docs/layers.md: small networks around each Keras layer that takes windows, by name.

A case is a function of the input [batch, window, channels] that gives the value in front of the classifying layer.
Where a name says `channels_first`, the input is [batch, channels, window].
"""

from collections.abc import Callable
from typing import Any

Case = Callable[[Any], Any]
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
)  # fmt: skip
INITIALIZERS = (
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Ones",
    "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros",
)  # fmt: skip
FIRST = {"data_format": "channels_first"}


def cases(keras: Any) -> dict[str, Case]:
    """Return all cases by name, in the order of the page."""
    groups = (
        convolutions, channels_first, activations, no_trace, other_convolutions, pools, normalisations, shapes, dense,
        merges, recurrent, attention, networks,
    )  # fmt: skip
    found: dict[str, Case] = {}
    for group in groups:
        found |= group(keras, keras.layers)
    return found


def convolutions(keras: Any, la: Any) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kernel in range(1, 16):
        found[f"Conv1D kernel {kernel}"] = lambda v, k=kernel: la.Conv1D(6, k)(v)
    for padding in ("valid", "same", "causal"):
        for stride, dilation in ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3)):
            for kernel in (4, 11):
                options = {"padding": padding, "strides": stride, "dilation_rate": dilation}
                name = f"Conv1D padding {padding}, stride {stride}, dilation {dilation}, kernel {kernel}"
                found[name] = lambda v, k=kernel, o=options: la.Conv1D(6, k, **o)(v)
    return found | {
        "Conv1D stride 2 and dilation 2": lambda v: la.Conv1D(6, 3, strides=2, dilation_rate=2)(v),
        "Conv1D groups 2": lambda v: la.Conv1D(8, 3, groups=2)(v),
        "Conv1D groups 4, same, stride 2": lambda v: la.Conv1D(8, 4, groups=4, padding="same", strides=2)(v),
        "Conv1D groups 2, causal, dilation 2": lambda v: la.Conv1D(
            8, 3, groups=2, padding="causal", dilation_rate=2
        )(v),
        "Conv1D without bias": lambda v: la.Conv1D(6, 3, use_bias=False)(v),
        "Conv1D of one filter": lambda v: la.Conv1D(1, 3)(v),
        "Conv1D over the whole window": lambda v: la.Conv1D(6, 32)(v),
        **{
            f"Conv1D initialised {name}": lambda v, n=name: la.Conv1D(
                6, 3, kernel_initializer=getattr(keras.initializers, n)(), bias_initializer="ones"
            )(v)
            for name in INITIALIZERS
        },
    }  # fmt: skip


def channels_first(_keras: Any, la: Any) -> dict[str, Case]:
    def block(v: Any) -> Any:
        v = la.Conv1D(6, 3, use_bias=False, **FIRST)(v)
        v = la.ReLU()(la.BatchNormalization(axis=1)(v))
        return la.GlobalAveragePooling1D(**FIRST)(la.Conv1D(6, 3, **FIRST)(la.MaxPooling1D(2, **FIRST)(v)))

    plain = {
        "Conv1D channels_first": {},
        "Conv1D channels_first, stride 2": {"strides": 2},
        "Conv1D channels_first, dilation 2": {"dilation_rate": 2},
        "Conv1D channels_first, groups 2": {"groups": 2},
        "Conv1D channels_first, same": {"padding": "same"},
        "Conv1D channels_first, same, stride 2": {"padding": "same", "strides": 2},
        "Conv1D channels_first, causal": {"padding": "causal"},
        "Conv1D channels_first, causal, dilation 3": {"padding": "causal", "dilation_rate": 3},
    }
    return {name: lambda v, o=options: la.Conv1D(6, 4, **o, **FIRST)(v) for name, options in plain.items()} | {
        "SeparableConv1D channels_first": lambda v: la.SeparableConv1D(6, 3, **FIRST)(v),
        "DepthwiseConv1D channels_first": lambda v: la.DepthwiseConv1D(3, depth_multiplier=2, **FIRST)(v),
        "Conv1DTranspose channels_first": lambda v: la.Conv1DTranspose(6, 3, strides=2, **FIRST)(v),
        "MaxPooling1D channels_first": lambda v: la.MaxPooling1D(3, 2, **FIRST)(v),
        "AveragePooling1D channels_first, same": lambda v: la.AveragePooling1D(3, 2, padding="same", **FIRST)(v),
        "GlobalMaxPooling1D channels_first": lambda v: la.GlobalMaxPooling1D(**FIRST)(v),
        "GlobalAveragePooling1D channels_first, keepdims": lambda v: la.GlobalAveragePooling1D(
            keepdims=True, **FIRST
        )(v),
        "ZeroPadding1D channels_first": lambda v: la.Conv1D(6, 3, **FIRST)(la.ZeroPadding1D(2, **FIRST)(v)),
        "Flatten channels_first": lambda v: la.Flatten(**FIRST)(la.Conv1D(6, 3, **FIRST)(v)),
        "a channels_first block with batch normalisation": block,
    }  # fmt: skip


def activations(_keras: Any, la: Any) -> dict[str, Case]:
    by_name = {f"activation {a}": lambda v, a=a: la.Conv1D(6, 3, activation=a)(v) for a in ACTIVATIONS}
    made = {
        "LeakyReLU": lambda: la.LeakyReLU(0.1),
        "ELU": lambda: la.ELU(0.7),
        "PReLU": lambda: la.PReLU(shared_axes=[1]),
        "PReLU of every timestep": lambda: la.PReLU(),
        "ReLU": lambda: la.ReLU(),
        "ReLU up to 2": lambda: la.ReLU(max_value=2.0),
        "ReLU with a slope and a threshold": lambda: la.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.3),
        "Softmax": lambda: la.Softmax(),
        "Softmax over time": lambda: la.Softmax(axis=1),
        "Activation": lambda: la.Activation("tanh"),
    }
    return by_name | {name: lambda v, m=make: m()(la.Conv1D(6, 3)(v)) for name, make in made.items()}


def no_trace(_keras: Any, la: Any) -> dict[str, Case]:
    """Return what acts while training only."""
    rules = {
        "Conv1D with regularised kernel and bias": {"kernel_regularizer": "L1L2", "bias_regularizer": "L2"},
        "Conv1D with regularised activity": {"activity_regularizer": "L1"},
        "Conv1D with constraints": {"kernel_constraint": "max_norm", "bias_constraint": "non_neg"},
        "Conv1D with constraints of a norm": {"kernel_constraint": "unit_norm", "bias_constraint": "min_max_norm"},
    }
    layers = {
        "Dropout": lambda: la.Dropout(0.5),
        "SpatialDropout1D": lambda: la.SpatialDropout1D(0.5),
        "AlphaDropout": lambda: la.AlphaDropout(0.5),
        "GaussianDropout": lambda: la.GaussianDropout(0.5),
        "GaussianNoise": lambda: la.GaussianNoise(0.5),
        "ActivityRegularization": lambda: la.ActivityRegularization(0.1),
    }
    return {name: lambda v, o=options: la.Conv1D(6, 3, **o)(v) for name, options in rules.items()} | {
        name: lambda v, m=make: m()(la.Conv1D(6, 3)(v)) for name, make in layers.items()
    }


def other_convolutions(_keras: Any, la: Any) -> dict[str, Case]:
    separable = {
        "SeparableConv1D": {},
        "SeparableConv1D depth multiplier 3": {"depth_multiplier": 3},
        "SeparableConv1D same, stride 2": {"padding": "same", "strides": 2},
        "SeparableConv1D same, dilation 2": {"padding": "same", "dilation_rate": 2},
        "SeparableConv1D without bias": {"use_bias": False},
    }
    depthwise = {
        "DepthwiseConv1D": {},
        "DepthwiseConv1D depth multiplier 2": {"depth_multiplier": 2},
        "DepthwiseConv1D same": {"padding": "same"},
        "DepthwiseConv1D stride 2": {"strides": 2},
        "DepthwiseConv1D dilation 2": {"dilation_rate": 2},
    }
    transposed = {
        "Conv1DTranspose": {},
        "Conv1DTranspose stride 2": {"strides": 2},
        "Conv1DTranspose same, stride 2": {"strides": 2, "padding": "same"},
        "Conv1DTranspose stride 3, output padding 1": {"strides": 3, "output_padding": 1},
        "Conv1DTranspose dilated": {"dilation_rate": 2},
    }
    return (
        {name: lambda v, o=o: la.SeparableConv1D(6, 3, **o)(v) for name, o in separable.items()}
        | {name: lambda v, o=o: la.DepthwiseConv1D(3, **o)(v) for name, o in depthwise.items()}
        | {name: lambda v, o=o: la.Conv1DTranspose(6, 3, **o)(v) for name, o in transposed.items()}
    )


def pools(_keras: Any, la: Any) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind in ("Max", "Average"):
        for padding in ("valid", "same"):
            for size, stride in ((2, 2), (3, 2), (4, 1)):
                found[f"{kind}Pooling1D of {size}, stride {stride}, {padding}"] = (
                    lambda v, kind=kind, padding=padding, size=size, stride=stride: getattr(la, f"{kind}Pooling1D")(
                        size, stride, padding=padding
                    )(v)
                )
        for keep in (False, True):
            found[f"Global{kind}Pooling1D" + ", keepdims" * keep] = lambda v, kind=kind, keep=keep: getattr(
                la, f"Global{kind}Pooling1D"
            )(keepdims=keep)(la.Conv1D(6, 3)(v))
        found[f"Adaptive{kind}Pooling1D"] = lambda v, kind=kind: getattr(la, f"Adaptive{kind}Pooling1D")(8)(v)
    return found


def normalisations(_keras: Any, la: Any) -> dict[str, Case]:
    makers = {
        "BatchNormalization": lambda: la.BatchNormalization(),
        "BatchNormalization without scale": lambda: la.BatchNormalization(scale=False),
        "BatchNormalization without centre": lambda: la.BatchNormalization(center=False),
        "BatchNormalization without either": lambda: la.BatchNormalization(scale=False, center=False),
        "LayerNormalization": lambda: la.LayerNormalization(),
        "LayerNormalization without scale and centre": lambda: la.LayerNormalization(center=False, scale=False),
        "LayerNormalization over time and channels": lambda: la.LayerNormalization(axis=[1, 2]),
        "RMSNormalization": lambda: la.RMSNormalization(),
        "GroupNormalization": lambda: la.GroupNormalization(2),
        "UnitNormalization": lambda: la.UnitNormalization(),
    }
    return {name: lambda v, m=make: m()(la.Conv1D(6, 3)(v)) for name, make in makers.items()} | {
        "Normalization": lambda v: la.Conv1D(4, 3)(la.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4])(v)),
        "Rescaling": lambda v: la.Conv1D(4, 3)(la.Rescaling(0.5, 1.0)(v)),
        "SpectralNormalization": lambda v: la.SpectralNormalization(la.Conv1D(6, 3))(v),
    }


def shapes(_keras: Any, la: Any) -> dict[str, Case]:
    return {
        "ZeroPadding1D": lambda v: la.Conv1D(4, 3)(la.ZeroPadding1D((2, 1))(v)),
        "Cropping1D": lambda v: la.Conv1D(4, 3)(la.Cropping1D((2, 1))(v)),
        "UpSampling1D": lambda v: la.Conv1D(4, 3)(la.UpSampling1D(2)(v)),
        "Reshape": lambda v: la.Conv1D(4, 3)(la.Reshape((16, 8))(v)),
        "Permute": lambda v: la.Conv1D(4, 3)(la.Permute((2, 1))(v)),
        "Flatten": lambda v: la.Flatten()(la.Conv1D(6, 3)(v)),
        "RepeatVector": lambda v: la.Conv1D(4, 3)(la.RepeatVector(8)(la.GlobalMaxPooling1D()(v))),
    }


def dense(_keras: Any, la: Any) -> dict[str, Case]:
    return {
        "Dense": lambda v: la.Dense(8, activation="relu")(la.Flatten()(v)),
        "Dense without bias": lambda v: la.Dense(8, use_bias=False)(la.Flatten()(v)),
        "Dense on a sequence": lambda v: la.Dense(8, activation="relu")(la.Conv1D(6, 3)(v)),
        "TimeDistributed Dense": lambda v: la.TimeDistributed(la.Dense(8))(la.Conv1D(6, 3)(v)),
        "TimeDistributed Conv1D": lambda v: la.TimeDistributed(la.Conv1D(3, 3))(la.Reshape((4, 8, 4))(v)),
        "EinsumDense on a sequence": lambda v: la.EinsumDense("btc,cd->btd", output_shape=(32, 8))(v),
    }


def merges(_keras: Any, la: Any) -> dict[str, Case]:
    def both(v: Any) -> list[Any]:
        return [la.Cropping1D((1, 1))(v), la.Conv1D(4, 3)(v)]

    kinds = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    return {f"{kind} of a cropped branch": lambda v, k=kind: getattr(la, k)()(both(v)) for kind in kinds} | {
        "Concatenate with a cropped branch": lambda v: la.Concatenate()(both(v)),
        "Concatenate in time": lambda v: la.Concatenate(axis=1)(both(v)),
        "Dot of two branches": lambda v: la.Dot(axes=1)(both(v)),
        "Add of a padded branch": lambda v: la.Add()([v, la.Conv1D(4, 3, padding="same")(v)]),
        "Multiply, squeeze and excite": lambda v: la.Multiply()(
            [v, la.Reshape((1, 4))(la.Dense(4, activation="sigmoid")(la.GlobalAveragePooling1D()(v)))]
        ),
        "Multiply, squeeze and excite with keepdims": lambda v: la.Multiply()(
            [v, la.Dense(4, activation="sigmoid")(la.GlobalAveragePooling1D(keepdims=True)(v))]
        ),
    }


def recurrent(_keras: Any, la: Any) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        layer = getattr(la, kind)
        found |= {
            kind: lambda v, layer=layer: layer(5)(v),
            f"{kind} of sequences": lambda v, layer=layer: layer(5, return_sequences=True)(v),
            f"{kind} unrolled": lambda v, layer=layer: layer(5, unroll=True)(v),
            f"{kind} backwards": lambda v, layer=layer: layer(5, go_backwards=True)(v),
            f"Bidirectional {kind}": lambda v, layer=layer: la.Bidirectional(layer(5))(v),
        }
    return found | {
        "Bidirectional LSTM of sequences, summed": lambda v: la.Bidirectional(
            la.LSTM(5, return_sequences=True), merge_mode="sum"
        )(v),
        "GRU with reset before": lambda v: la.GRU(5, reset_after=False)(v),
        "LSTM without bias": lambda v: la.LSTM(5, use_bias=False)(v),
        "two LSTMs": lambda v: la.LSTM(5)(la.LSTM(5, return_sequences=True)(v)),
        "ConvLSTM1D": lambda v: la.ConvLSTM1D(3, 3)(la.Reshape((4, 8, 4))(v)),
        "Masking in front of an LSTM": lambda v: la.LSTM(5)(la.Masking()(v)),
    }


def attention(_keras: Any, la: Any) -> dict[str, Case]:
    return {
        "MultiHeadAttention": lambda v: la.MultiHeadAttention(2, 4)(v, v),
        "GroupedQueryAttention": lambda v: la.GroupQueryAttention(4, 4, 2)(v, v),
        "Attention": lambda v: la.Attention()([v, v]),
        "AdditiveAttention": lambda v: la.AdditiveAttention()([v, v]),
    }


def networks(_keras: Any, la: Any) -> dict[str, Case]:
    """Networks as they are built of these layers."""

    def deep_conv_lstm(v: Any) -> Any:
        for _ in range(4):
            v = la.Conv1D(8, 5, activation="relu")(v)
        return la.Dropout(0.5)(la.LSTM(6)(la.LSTM(6, return_sequences=True)(v)))

    def inception(v: Any) -> Any:
        v = la.Conv1D(4, 1, use_bias=False)(v)
        sides = [la.Conv1D(4, kernel, padding="same", use_bias=False)(v) for kernel in (9, 5, 3)]
        pooled = la.Conv1D(4, 1)(la.MaxPooling1D(3, 1, padding="same")(v))
        v = la.ReLU()(la.BatchNormalization()(la.Concatenate()([*sides, pooled])))
        return la.GlobalAveragePooling1D()(v)

    def resnet(v: Any) -> Any:
        start = la.BatchNormalization()(la.Conv1D(8, 1)(v))
        for kernel in (8, 5):
            v = la.ReLU()(la.BatchNormalization()(la.Conv1D(8, kernel, padding="same")(v)))
        v = la.ReLU()(la.Add()([start, la.BatchNormalization()(la.Conv1D(8, 3, padding="same")(v))]))
        return la.GlobalAveragePooling1D()(v)

    def temporal(v: Any) -> Any:
        v = la.Conv1D(6, 1)(v)
        for dilation in (1, 2, 4):
            part = la.Conv1D(6, 3, padding="causal", dilation_rate=dilation, activation="relu")(v)
            v = la.Add()([v, la.SpatialDropout1D(0.2)(la.LayerNormalization()(part))])
        return la.Cropping1D((31, 0))(v)

    def separable(v: Any) -> Any:
        for filters in (8, 12):
            v = la.DepthwiseConv1D(3, use_bias=False)(v)
            v = la.ReLU(6.0)(la.BatchNormalization()(la.Conv1D(filters, 1, use_bias=False)(v)))
        return la.GlobalAveragePooling1D()(v)

    def transformer(v: Any) -> Any:
        v = la.Conv1D(8, 4, strides=4)(v)
        v = la.Add()([v, la.MultiHeadAttention(2, 4)(la.LayerNormalization()(v), la.LayerNormalization()(v))])
        return la.GlobalAveragePooling1D()(la.Add()([v, la.Dense(8, activation="gelu")(la.LayerNormalization()(v))]))

    return {
        "a tutorial's network: two Conv1D, Dropout, MaxPooling1D, Dense": lambda v: la.Dense(10, activation="relu")(
            la.Flatten()(
                la.MaxPooling1D(2)(
                    la.Dropout(0.5)(la.Conv1D(8, 3, activation="relu")(la.Conv1D(8, 3, activation="relu")(v)))
                )
            )
        ),
        "convolutions, then LSTMs (as DeepConvLSTM)": deep_conv_lstm,
        "an inception block (as InceptionTime)": inception,
        "a residual block with padding (as ResNet)": resnet,
        "causal dilated residual blocks (as a TCN)": temporal,
        "separable blocks (as MobileNet)": separable,
        "patches and attention (as a transformer)": transformer,
    }
