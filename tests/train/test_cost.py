"""What a network costs, counted by hand and by the exported graph."""

import json

import numpy as np
import onnx
import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.export.onnx import read_model, write_form
from edgeconv.runtime.spec import COST_KEY
from edgeconv.train.config import TrainConfig
from edgeconv.train.cost import cost
from edgeconv.train.networks import build
from edgeconv.train.place import make_spec


def model_of(stack, window=20, channels=2):
    keras = import_keras()
    windows = keras.Input((window, channels))
    return keras.Model(windows, stack(keras.layers, windows))


def test_a_network_counted_by_hand():
    def stack(layers, x):
        x = layers.Conv1D(4, 3, strides=2)(x)  # 9 positions: 9·3·2·4 = 216; sees 3
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.SeparableConv1D(6, 3, dilation_rate=2)(x)  # 5 positions: 5·(3·4 + 4·6) = 180; sees 3 + 2·2·2 = 11
        x = layers.MaxPooling1D(2)(x)  # sees 11 + 1·2 = 13
        x = layers.GlobalAveragePooling1D()(x)
        return layers.Dense(3)(x)  # 18

    found = cost(model_of(stack))
    assert found.multiply_adds == 216 + 180 + 18
    assert found.receptive_field == 13
    # the input, 20·2, is kept while the first convolution writes 9·4
    assert found.peak_activation_values == 40 + 36
    assert found.uncounted == []


def test_both_branches_of_a_sum_are_kept_until_it():
    def stack(layers, x):
        a = layers.Conv1D(8, 1)(x)
        b = layers.Conv1D(8, 1)(a)
        return layers.Dense(2)(layers.GlobalMaxPooling1D()(layers.Add()([a, b])))

    # at the sum: both summands and the result, 20·8 each
    assert cost(model_of(stack)).peak_activation_values == 3 * 160


def test_recurrent_layers_multiply_at_every_timestep_and_unknown_ones_are_named():
    found = cost(model_of(lambda layers, x: layers.Dense(2)(layers.LSTM(5)(x))))
    assert found.multiply_adds == 20 * (2 * 20 + 5 * 20) + 10
    attention = model_of(lambda layers, x: layers.MultiHeadAttention(1, 4, name="look")(x, x))
    assert cost(attention).uncounted == ["look"]


@pytest.mark.parametrize("network", ["seed", "edge", "tiny"])
def test_the_count_is_that_of_the_exported_graph(network, tmp_path):
    dataset = synthetic_har(train_subjects=1, test_subjects=1)
    model = build(network, dataset.window, len(dataset.channels), len(dataset.labels))
    spec = make_spec(dataset, TrainConfig(network), "m", "1")
    written = onnx.load_from_string(write_form(read_model(model, spec), "onnx", spec.hop))
    said = {entry.key: entry.value for entry in written.metadata_props}
    assert json.loads(said[COST_KEY]) == cost(model).multiply_adds


@pytest.mark.parametrize(
    ("network", "parameters", "multiply_adds"), [("edge", 50_000, 1_200_000), ("tiny", 12_000, 400_000)]
)
@pytest.mark.parametrize("channels", [6, 9])
def test_the_presets_keep_to_their_size(network, parameters, multiply_adds, channels):
    found = cost(build(network, 128, channels, 6, (np.zeros(channels), np.ones(channels))))
    assert found.parameters <= parameters
    assert found.multiply_adds <= multiply_adds
