"""Build a quantised file again, exactly as it was built: its own reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ArtefactError

from .formats import WRITERS
from .int8_onnx import rebuild as rebuild_onnx
from .int8_tflite import rebuild as rebuild_tflite
from .job import Job


def rebuild(job: Job, artefact: Artefact, record: dict[str, Any]) -> Path:
    """Write an artefact aside again, from the model and what `calibration.json` says, and return the file.

    Raises ArtefactError where the record does not say how, ConversionError where the converter now refuses.
    """
    try:
        if artefact.precision != "int8":
            WRITERS[artefact.engine, artefact.precision](job, artefact)
        elif artefact.engine == "onnx":
            content = rebuild_onnx(job, artefact, record["onnx"])
            if content is None:
                raise ValueError("the record is not complete, or of another way to quantise")
            (job.aside / artefact.name).write_bytes(content)
        else:
            (job.aside / artefact.name).write_bytes(rebuild_tflite(job, artefact, record["tflite"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ArtefactError(
            f"{job.folder / files.CALIBRATION} does not say how {artefact.name} was made "
            f"({type(error).__name__}: {error}); export the model again"
        ) from None
    return job.aside / artefact.name
