import numpy as np
import pytest

from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.runtime import UsageError
from edgeconv.train.networks import build


def test_seed_is_the_network_of_the_tutorial():
    model = build("seed", 128, 9, 6)
    layers = model.layers[1:]
    assert [type(layer).__name__ for layer in layers] == [
        "Conv1D", "Conv1D", "Dropout", "MaxPooling1D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    assert [tuple(layer.output.shape) for layer in layers] == [
        (None, 126, 64), (None, 124, 64), (None, 124, 64), (None, 62, 64), (None, 3968), (None, 100), (None, 6),
    ]  # fmt: skip
    assert model.count_params() == 411_650
    assert [layer.activation.__name__ for layer in layers if hasattr(layer, "activation")] == [
        "relu", "relu", "relu", "softmax",
    ]  # fmt: skip
    assert layers[2].rate == 0.5
    assert not model.compiled


def test_a_normalising_network_takes_physical_units():
    mean, std = np.array([1.0, -20.0]), np.array([0.5, 30.0])
    normalising, plain = build("seed", 16, 2, 3, (mean, std)), build("seed", 16, 2, 3)
    plain.set_weights(normalising.get_weights())
    windows = np.random.default_rng(0).normal(mean, std, size=(5, 16, 2)).astype(np.float32)
    # the same sums on inputs that were normalised in float64 and rounded: a few units in the last place
    np.testing.assert_allclose(
        KerasModel(normalising).predict(windows),
        KerasModel(plain).predict(((windows - mean) / std).astype(np.float32)),
        atol=1e-6,
    )


def test_an_unknown_network_names_the_known_ones():
    with pytest.raises(UsageError, match="network 'resnet' is not known; choose one of audio, edge, seed, tiny"):
        build("resnet", 128, 9, 6)


def test_a_window_too_short_for_the_network_is_refused():
    with pytest.raises(UsageError, match="does not fit windows of 4 timesteps"):
        build("seed", 4, 9, 6)


def test_audio_has_one_position_for_each_20_ms_at_16_khz_and_pads_nothing():
    model = build("audio", 16000, 1, 4)
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv1D"]
    assert np.prod([layer.strides[0] for layer in convolutions]) == 320
    assert {layer.padding for layer in convolutions} == {"valid"}
    assert model.count_params() <= 60_000
