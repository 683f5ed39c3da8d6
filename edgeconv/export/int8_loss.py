"""What int8 costs a fit: the accuracy that its int8 ONNX file would lose."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.runtime.artefact import Artefact
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import make_spec

from .int8_onnx import build, choose
from .job import Job
from .ranges import probabilities


@dataclass(frozen=True)
class Int8Fit:
    """What int8 makes of one fit."""

    float32: float
    """Accuracy of the Keras model on the test side."""
    int8: float
    """That of the int8 ONNX file, which `edgeconv export` would write."""
    float_layers: tuple[str, ...]
    """Layers that were left in float32."""
    bytes: int
    """Size of the file."""


def int8_of(keras_file: Path, dataset: Dataset, config: TrainConfig) -> Int8Fit:
    """Quantise a fit as an export does, on the training side, and test it on the test side.

    Raises ConversionError for a network that int8 cannot be made of.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(keras_file, folder / files.KERAS)
        spec = make_spec(dataset, config, keras_file.parent.name, "1")
        files.write_text(folder / files.SPEC, spec.to_json() + "\n")
        job = Job.open(folder, folder, dataset)
        entry = choose(job)
        model = build(job, Artefact(precision="int8"), entry)
    answers = probabilities(model, dataset.test.windows)
    float32, int8 = (
        float(np.mean(said.argmax(axis=1) == dataset.test.class_ids)) for said in (job.examiner.answers, answers)
    )
    return Int8Fit(float32, int8, tuple(entry["float_layers"]), len(model))


def int8_loss(keras_file: Path, dataset: Dataset, config: TrainConfig) -> float:
    """Return the accuracy that int8 loses: the Keras model's less that of the int8 ONNX file, on the test side."""
    found = int8_of(keras_file, dataset, config)
    return found.float32 - found.int8
