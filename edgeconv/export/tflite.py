"""Keras → TFLite, float32 or int8, in a child process: the converter can crash and must not take the export with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeconv.evaluate.keras_model import run_child
from edgeconv.runtime.errors import ConversionError


def to_tflite(keras_file: Path, out: Path, calibration: NDArray[np.float32] | None = None) -> None:
    """Convert a `.keras` file and write a TFLite file for one window at a time.

    calibration: float32 [n, window, channels], normalised windows. With them the file is int8 throughout, input and
        output too, and takes the normalised window: a normalisation layer is left out. Without them it is float32 and
        takes physical units.
    Raises ConversionError where the converter fails or crashes.
    """
    arguments = [str(keras_file), str(out)]
    windows = out.with_name(out.name + ".calibration.npy")
    if calibration is not None:
        np.save(windows, calibration)
        arguments.append(str(windows))
    try:
        done = run_child("edgeconv.export.tflite_child", *arguments)
    finally:
        windows.unlink(missing_ok=True)
    if done.returncode == 0 and out.is_file():
        return
    how = f"crashed (signal {-done.returncode})" if done.returncode < 0 else f"failed (exit code {done.returncode})"
    last = next((line.strip() for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
    raise ConversionError(f"the TFLite converter {how}: {last[:300]}")
