"""The twin of a network that takes channels first, against numpy and against Keras where TensorFlow can run both."""

import numpy as np
import pytest

from edgeconv.evaluate.channels_last import with_channels_last
from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.runtime import ConversionError

WINDOW, CHANNELS = 24, 4
FIRST = {"data_format": "channels_first"}


@pytest.fixture(scope="module")
def layers():
    return import_keras().layers


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(1).normal(size=(5, WINDOW, CHANNELS)).astype(np.float32)


def network(source_shape, make):
    keras = import_keras()
    keras.utils.set_random_seed(2)
    source = keras.Input(source_shape)
    return keras.Model(source, make(source))


def convolved(values, kernel, bias, stride=1, dilation=1, groups=1, before=0, after=0):
    """A convolution of values [n, channels, time] with a Keras kernel [k, channels / groups, filters], as defined."""
    padded = np.pad(values.astype(np.float64), ((0, 0), (0, 0), (before, after)))
    size, per_group, filters = kernel.shape
    steps = (padded.shape[2] - (size - 1) * dilation - 1) // stride + 1
    out = np.zeros((len(values), filters, steps)) + bias[:, None]
    for filter_ in range(filters):
        first = filter_ // (filters // groups) * per_group
        for step in range(steps):
            at = step * stride + np.arange(size) * dilation
            out[:, filter_, step] += np.einsum(
                "nck,kc->n", padded[:, first : first + per_group, at], kernel[:, :, filter_]
            )
    return out


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({}, (0, 0)),
        ({"strides": 3}, (0, 0)),
        ({"dilation_rate": 2}, (0, 0)),
        ({"groups": 2}, (0, 0)),
        ({"padding": "same"}, (1, 2)),
        ({"padding": "causal", "dilation_rate": 2}, (6, 0)),
    ],
)
def test_a_convolution_with_channels_first_is_what_its_definition_says(layers, windows, options, padding):
    model = network((CHANNELS, WINDOW), lambda v: layers.Conv1D(6, 4, **options, **FIRST)(v))
    kernel, _ = model.layers[-1].get_weights()
    bias = np.arange(6, dtype=np.float32)
    model.layers[-1].set_weights([kernel, bias])
    expected = convolved(
        windows.transpose(0, 2, 1), kernel, bias, options.get("strides", 1), options.get("dilation_rate", 1),
        options.get("groups", 1), *padding,
    )  # fmt: skip
    got = KerasModel(model).predict(windows)  # the twin takes [n, window, channels] and gives what the layer gives
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)  # sums of 16 products of order one in float32


def test_layers_that_run_on_every_processor_answer_as_their_twins_do(layers, windows):
    def make(v):
        v = layers.SeparableConv1D(6, 3, depth_multiplier=2, activation="relu", **FIRST)(v)
        v = layers.BatchNormalization(axis=1)(layers.DepthwiseConv1D(3, **FIRST)(v))
        v = layers.MaxPooling1D(3, 2, padding="same", **FIRST)(layers.ZeroPadding1D((2, 1), **FIRST)(v))
        v = layers.Add()([v, layers.AveragePooling1D(1, **FIRST)(v)])
        pooled = layers.GlobalAveragePooling1D(keepdims=True, **FIRST)(v)
        return layers.Concatenate()(
            [layers.Flatten()(pooled), layers.GlobalMaxPooling1D(**FIRST)(v), layers.Flatten(**FIRST)(v)]
        )

    model = network((CHANNELS, WINDOW), make)
    before = [weight.copy() for weight in model.get_weights()]
    expected = model(windows.transpose(0, 2, 1), training=False)
    twin = with_channels_last(model)
    assert twin.input_shape == (None, WINDOW, CHANNELS)
    assert all(getattr(layer, "data_format", "channels_last") == "channels_last" for layer in twin.layers)
    np.testing.assert_allclose(twin(windows, training=False), expected, rtol=0, atol=1e-6)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_a_normalisation_in_front_is_passed_and_keeps_its_statistics(layers, windows):
    normalisation = layers.Normalization(axis=1)
    normalisation.adapt(3 * windows.transpose(0, 2, 1) + 2)
    model = network((CHANNELS, WINDOW), lambda v: layers.MaxPooling1D(2, **FIRST)(normalisation(v)))
    expected = model(windows.transpose(0, 2, 1), training=False)
    np.testing.assert_array_equal(KerasModel(model).predict(windows), expected)


def test_windows_that_the_network_permutes_itself_come_as_they_are(layers, windows):
    model = network((WINDOW, CHANNELS), lambda v: layers.MaxPooling1D(2, **FIRST)(layers.Permute((2, 1))(v)))
    np.testing.assert_array_equal(KerasModel(model).predict(windows), model(windows, training=False))


def test_a_sequential_model_and_one_inside_another_have_twins(layers, windows):
    keras = import_keras()
    inner = keras.Sequential([keras.Input((CHANNELS, WINDOW)), layers.MaxPooling1D(2, **FIRST), layers.ReLU()])
    alone = KerasModel(inner).predict(windows)
    np.testing.assert_array_equal(alone, inner(windows.transpose(0, 2, 1)))
    model = network((WINDOW, CHANNELS), lambda v: inner(layers.Permute((2, 1))(v)))
    np.testing.assert_array_equal(KerasModel(model).predict(windows), alone)


def test_a_loaded_sequential_model_is_turned_too(layers, windows, tmp_path):
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((CHANNELS, WINDOW)), layers.BatchNormalization(axis=1), layers.MaxPooling1D(2, **FIRST)]
    )
    model.save(tmp_path / "model.keras")
    loaded = KerasModel.load(tmp_path / "model.keras")
    assert loaded.model.input_shape == (None, WINDOW, CHANNELS)
    np.testing.assert_array_equal(loaded.predict(windows), model(windows.transpose(0, 2, 1), training=False))


def test_a_network_with_channels_last_throughout_is_left_as_it_is(layers):
    model = network((WINDOW, CHANNELS), lambda v: layers.Conv1D(3, 3)(v))
    assert with_channels_last(model) is model


def test_a_layer_without_a_twin_is_refused_by_name(layers):
    wrapped = layers.TimeDistributed(layers.Conv1D(2, 3, **FIRST), name="every_part")
    with pytest.raises(ConversionError, match=r"layer every_part \(TimeDistributed\) takes channels first"):
        KerasModel(network((3, CHANNELS, WINDOW), wrapped))
