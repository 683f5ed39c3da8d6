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


def main(keras_file: str, out: str, weights: str, arrays_file: str | None = None) -> None:
    """Convert one file."""
    model = KerasModel.load(Path(keras_file)).model
    calibration = None
    if arrays_file is not None:
        calibration = np.load(arrays_file)["calibration"]
        model = without_normalisation(model)
    with converter_of(model, weights, calibration) as converter:
        Path(out).write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
