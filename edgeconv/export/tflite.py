"""Keras → TFLite, in a child process: the converter can crash and must not take the export with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import run_child
from edgeconv.runtime.artefact import Artefact, Precision
from edgeconv.runtime.errors import ConversionError

from .job import Job
from .tflite_child import CONVERTING
from .tflite_metadata import embed

Arrays = Mapping[str, NDArray[Any]]


def write_tflite(job: Job, artefact: Artefact) -> None:
    """Write `model.tflite`, `model.float16.tflite` or `model.dynamic.tflite`: they take physical units."""
    file = job.aside / artefact.name
    to_tflite(job.folder / files.KERAS, file, weights=artefact.precision)
    file.write_bytes(finished(job, file.read_bytes(), normalised=False))


def finished(job: Job, converted: bytes, *, normalised: bool) -> bytes:
    """Return what the converter wrote with its metadata, which the spec and the data give."""
    return embed(converted, job.spec, normalised=normalised, licence=job.dataset.licence)


def to_tflite(
    keras_file: Path, out: Path, calibration: NDArray[np.float32] | None = None, *, weights: Precision = "float32"
) -> None:
    """Convert a `.keras` file and write a TFLite file for one window at a time, still without metadata.

    calibration: float32 [n, window, channels], normalised windows. With them the file is int8 throughout, input and
        output too, and takes the normalised window: a normalisation layer is left out. Without them its ends are
        float32 and it takes physical units.
    weights: number form of the weights of a file without calibration
    Raises ConversionError where the converter fails or crashes.
    """
    arrays = None if calibration is None else {"calibration": calibration}
    convert_aside("tflite_child", keras_file, out, "int8" if arrays else weights, arrays=arrays)


def to_mixed_tflite(keras_file: Path, out: Path, calibration: NDArray[np.float32], float_layers: Sequence[str]) -> None:
    """Convert as `to_tflite` does with calibration, but with these layers, and both ends, in float32.

    float_layers: names of the tensors that the layers give, as `search_float_layers` reports them
    Raises ConversionError where the converter fails or crashes.
    """
    arrays: Arrays = {"calibration": calibration, "float_layers": np.array(float_layers, np.str_)}
    convert_aside("tflite_mixed_child", keras_file, out, arrays=arrays)


def search_float_layers(
    keras_file: Path,
    report: Path,
    calibration: NDArray[np.float32],
    windows: NDArray[np.float32],
    reference: NDArray[np.float32],
    class_ids: NDArray[np.int64],
) -> dict[str, Any]:
    """Find the layers that must stay in float32 for the limits of int8 files to be kept.

    report: where the child may write for a moment
    calibration, windows: float32 [n, window, channels], normalised: what chooses the ranges and what judges the result
    reference: float32 [n, classes], of the windows; class_ids: int64 [n], the truth
    returns: `float_layers`, empty where no set of layers was found, `layer_errors`, the ranking, `float_layers_tried`
        and `with_float_layers`, the figures of all sets tried and of the one chosen
    Raises ConversionError where the converter fails or crashes.
    """
    arrays: Arrays = {
        "calibration": calibration,
        "windows": windows,
        "reference": reference,
        "class_ids": class_ids,
    }
    try:
        convert_aside("tflite_mixed_child", keras_file, report, arrays=arrays)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    finally:
        report.unlink(missing_ok=True)
    return found


def convert_aside(module: str, keras_file: Path, out: Path, *options: str, arrays: Arrays | None) -> None:
    """Run a module of this package as a process with a model, where to write, options and arrays in a file.

    Raises ConversionError, with the name of the layer where one can be found, where it fails or crashes.
    """
    given = out.with_name(out.name + ".arrays.npz")
    if arrays is not None:
        np.savez(given, allow_pickle=False, **arrays)
        options = (*options, str(given))
    where = ""
    try:
        done = run_child(f"edgeconv.export.{module}", str(keras_file), str(out), *options)
        if done.returncode == 0 and out.is_file():
            return
        if CONVERTING in done.stdout:
            search = run_child("edgeconv.export.tflite_layers", str(keras_file), *options)
            # The search stops, or falls, at the layer that it named last.
            names = search.stdout.splitlines() if search.returncode else []
            where = f"{names[-1]}: " if names else ""
    finally:
        given.unlink(missing_ok=True)
    how = f"crashed (signal {-done.returncode})" if done.returncode < 0 else f"failed (exit code {done.returncode})"
    raise ConversionError(f"{where}the TFLite converter {how}: {_reason(done.stderr)[:300]}")


def _reason(stderr: str) -> str:
    """Return what the converter says: of an operator that TFLite does not have, or its last line."""
    said = re.search(r"error: ('\S+' op is neither a custom op nor a flex op)", stderr)
    if said:
        return said[1].replace("neither a custom op nor a flex op", "none of TFLite's operators")
    return next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "it said nothing")
