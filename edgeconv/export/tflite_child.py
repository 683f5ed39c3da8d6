"""A child process of `tflite.py`: python -m edgeconv.export.tflite_child MODEL.keras OUT WEIGHTS [ARRAYS.npz]."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.evaluate.keras_model import KerasModel, import_keras

from .normalisation import without_normalisation

CONVERTING = "converting"
"""What a child says before the converter starts: from there on, a layer is to blame."""

TRIED = 32
"""Windows that a new file is tried on."""


@contextmanager
def converter_of(model: Any, weights: str, calibration: Any = None) -> Iterator[Any]:
    """Give a converter to a TFLite file with a named signature, windows → probabilities, for one window.

    weights: `float32`, `float16`, or `dynamic` for weights in int8 that meet values in float32; or `int8`, throughout
    calibration: float32 [n, window, channels] for an int8 file
    """
    keras = import_keras()
    import tensorflow as tf

    sizes = model.input_shape[1:]  # without channels they are those of token ids
    kind = (
        tf.TensorSpec((1, *sizes), tf.int32, "tokens")
        if len(sizes) == 1
        else tf.TensorSpec((1, *sizes), name="windows")
    )
    signature = [kind]
    # The archive hands the variables of a Keras 3 model over; a SavedModel or a traced function made without it loses
    # them, and the converter then writes, without a word, a file that answers NaN.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", lambda windows: {"probabilities": model(windows, training=False)}, signature
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if weights == "int8":
            converter.representative_dataset = lambda: ([calibration[i : i + 1]] for i in range(len(calibration)))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        yield converter


def convert(model: Any, weights: str, calibration: Any = None) -> bytes:
    """Return a TFLite file; arguments as `converter_of`. Raises RuntimeError where TFLite cannot run the file."""
    with converter_of(model, weights, calibration) as converter:
        content = bytes(converter.convert())
    try_out(content, calibration)
    return content


def try_out(content: bytes, windows: Any) -> None:
    """Run a file once on zeros and on the first of the given windows: TFLite refuses some of its converter's files.

    windows: float32 [n, window, channels], or None
    """
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    scale, zero_point = source["quantization"]
    zeros = np.zeros((1, *source["shape"]), np.float32)
    for window in zeros if windows is None else (*zeros, *windows[:TRIED, None]):
        given = window if scale == 0 else np.clip(np.round(window / scale) + zero_point, -128, 127)
        interpreter.set_tensor(source["index"], given.astype(source["dtype"]))
        interpreter.invoke()


def suit_to_int8(layer: Any) -> None:
    """Have a model, or a layer, computed in a way whose values the converter can give int8 ranges; the same values.

    Recurrent layers write their steps one after another instead of a loop, which has no ranges inside. `celu` is `elu`
    (for Keras's alpha of 1) written with a minimum, whose range the converter forces upon the layer in front.
    """
    keras = import_keras()
    inside = [getattr(layer, name, None) for name in ("layer", "forward_layer", "backward_layer")]
    for inner in (*getattr(layer, "layers", ()), *inside):
        if inner is not None:
            suit_to_int8(inner)
    if hasattr(layer, "unroll"):
        layer.unroll = True
    if getattr(layer, "activation", None) is keras.activations.celu:
        layer.activation = keras.activations.elu


def prepared(keras_file: str, arrays_file: str | None = None) -> tuple[Any, Any]:
    """Return the model as it is converted, and the calibration windows for an int8 file."""
    model = KerasModel.load(Path(keras_file)).model
    if arrays_file is None:
        return model, None
    suit_to_int8(model)
    return without_normalisation(model), np.load(arrays_file)["calibration"]


def main(keras_file: str, out: str, weights: str, arrays_file: str | None = None) -> None:
    """Convert one file."""
    model, calibration = prepared(keras_file, arrays_file)
    print(CONVERTING, flush=True)
    Path(out).write_bytes(convert(model, weights, calibration))


if __name__ == "__main__":
    main(*sys.argv[1:])
