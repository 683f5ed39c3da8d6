"""What acts while training only leaves no trace: the exported bytes are the same with it and without it."""

import numpy as np
import pytest

from edgeconv.evaluate.keras_model import import_keras
from edgeconv.export.onnx import read_model, write_form
from edgeconv.export.tflite_child import convert
from edgeconv.runtime import Channel, ModelSpec

SPEC = ModelSpec("trace", "1", tuple(Channel(f"c{i}", "g") for i in range(3)), 50.0, 20, 5, ("a", "b", "c"))

TRAINING_ONLY = {
    "regularised kernel": {"kernel_regularizer": "L1"},
    "regularised bias": {"bias_regularizer": "L2"},
    "regularised activity": {"activity_regularizer": "L1L2"},
    "constrained kernel": {"kernel_constraint": "max_norm"},
    "constrained bias": {"bias_constraint": "non_neg"},
    "initialised otherwise": {"kernel_initializer": "he_normal", "bias_initializer": "ones"},
}


def network(weights=None, **options):
    """A network with the options on each kind of layer that takes them, and with given weights."""
    keras = import_keras()
    la = keras.layers
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((20, 3)), la.Conv1D(5, 3, activation="relu", **options), la.MaxPooling1D(2), la.Flatten(),
            la.Dense(3, activation="softmax", **options),
        ]
    )  # fmt: skip
    if weights is not None:
        model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def plain():
    """The weights of a network without any option, and its files."""
    model = network()
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model.get_weights(), onnx_files(model)


def onnx_files(model):
    source = read_model(model, SPEC)
    return [write_form(source, form, SPEC.hop) for form in ("onnx", "dense", "stateful")]


@pytest.mark.parametrize("options", TRAINING_ONLY.values(), ids=TRAINING_ONLY)
def test_the_onnx_files_are_the_same_bytes(plain, options):
    weights, files = plain
    model = network(weights, **options)
    model.predict(np.zeros((2, 20, 3), np.float32), verbose=0)  # as the export does first
    assert onnx_files(model) == files


@pytest.mark.parametrize("options", [{key: value for some in TRAINING_ONLY.values() for key, value in some.items()}])
def test_the_tflite_file_is_the_same_bytes(plain, options):
    weights, _ = plain

    def file(**given):
        import_keras().utils.clear_session()  # names count on within a session, and the converter writes them
        return convert(network(weights, **given), "float32")

    assert file(**options) == file()
