"""What the writers of all formats share: one model, one data set, one folder aside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.artefacts import load_artefact
from edgeconv.evaluate.certificate import require_same_contract
from edgeconv.evaluate.compare import Comparison
from edgeconv.evaluate.examination import Examination
from edgeconv.evaluate.examine import Examiner
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.limits import UserLimits
from edgeconv.evaluate.original import OriginalModel
from edgeconv.evaluate.reference import load_reference, reference_file
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ArtefactError, ConversionError, EdgeconvError
from edgeconv.runtime.spec import ModelSpec

from .graph.writer import Layout
from .onnx import DEFAULT_OPSET, Source, read_model
from .original_source import read_original

CALIBRATION_SCHEMA = "edgeconv.calibration/2"


@dataclass
class Job:
    """One export: what is exported, what it is compared with, and where its files go before they are put in place."""

    folder: Path
    aside: Path
    model: KerasModel | OriginalModel
    examiner: Examiner
    opset: int
    on_progress: Callable[[str], None] = lambda _: None
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    """Format → layout of its convolutions, where another than the default is wanted."""
    calibrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Engine → what chose the ranges of its int8 files: method, count, seed, rows, subjects and what was tried."""

    @classmethod
    def open(
        cls,
        folder: Path,
        aside: Path,
        dataset: Dataset,
        *,
        opset: int = DEFAULT_OPSET,
        limits: UserLimits | None = None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> Job:
        """Load a model folder; raises InputError where the data are not what it was made for."""
        spec = ModelSpec.load(folder / files.SPEC)
        require_same_contract(spec, dataset)
        on_progress(f"{reference_file(folder)} on {len(dataset.test)} test windows")
        model = load_reference(folder)
        return cls(folder, aside, model, Examiner(model, spec, dataset, limits), opset, on_progress)

    @property
    def spec(self) -> ModelSpec:
        """The model's signal contract."""
        return self.examiner.spec

    @property
    def dataset(self) -> Dataset:
        """The data that the files are compared and calibrated on."""
        return self.examiner.dataset

    @cached_property
    def source(self) -> Source:
        """The model as the ONNX files are written from it; converted when first asked for."""
        if isinstance(self.model, OriginalModel):
            return read_original(self.model, self.opset)
        return read_model(self.model.model, self.spec, self.opset)

    def require_possible(self, artefact: Artefact) -> None:
        """Raise ConversionError where the model's origin, its input or its data rule a kind of file out."""
        if artefact.engine == "tflite" and isinstance(self.model, OriginalModel):
            raise ConversionError(f"TFLite is made of Keras layers, and this model is {files.ORIGINAL}, a graph")
        if artefact.precision == "int8" and self.spec.input == "tokens":
            raise ConversionError("an int8 file takes the window in int8, and token ids are no quantities to round")
        if artefact.precision == "int8" and not len(self.dataset.train):
            raise ConversionError(f"int8 ranges are measured on training windows, and {self.dataset.name} has none")

    def check(self, path: Path) -> Comparison:
        """Run a file on all test windows and compare it with the reference."""
        return self.examiner.quick(path)

    def examine(self, path: Path) -> Examination:
        """Examine a file just converted; raises ConversionError where it cannot be run, CheckError for NaN."""
        with self._just_converted(path):
            return self.examiner.examine(path)

    def run(self, path: Path, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities that a file just converted gives; raises ConversionError where it cannot be run.

        windows: float32 [n, window, channels], in the spec's units
        returns: float32 [n, classes]
        """
        with self._just_converted(path):
            return load_artefact(path, self.spec).predict(windows)

    @contextmanager
    def _just_converted(self, path: Path) -> Iterator[None]:
        try:
            yield
        except ArtefactError as error:
            raise ConversionError(str(error).replace(str(path), f"{path.name}, just converted,")) from None

    def keeps_limits(self, path: Path) -> bool:
        """Whether a file keeps the limits of its kind on all test windows."""
        return not self.check(path).violations(self.examiner.limits(path.name))

    def calibration_record(self, engines: Collection[str]) -> dict[str, Any]:
        """Return what chose the int8 ranges: of this export for the given engines, and what the folder says of others.

        What an earlier export recorded counts if it was for the same data.
        """
        record: dict[str, Any] = {
            "schema": CALIBRATION_SCHEMA,
            "split": "train",
            "data": {"name": self.dataset.name, "content_hash": self.dataset.content_hash()},
        }
        try:
            earlier = files.read_json(self.folder / files.CALIBRATION, "`edgeconv export`")
        except EdgeconvError:
            earlier = {}
        same = all(earlier.get(key) == record[key] for key in ("schema", "data"))
        kept = {engine: earlier[engine] for engine in ("onnx", "tflite") if same and engine in earlier}
        return record | kept | {engine: self.calibrations[engine] for engine in engines}


def record_of(folder: Path) -> dict[str, Any]:
    """Return what is written of a model's training or, where it was made elsewhere, of its origin.

    Raises MissingFileError where there is neither.
    """
    if (folder / files.ORIGIN).exists():
        return files.read_json(folder / files.ORIGIN, "`edgeconv export FILE --out`")
    return files.read_json(folder / files.TRAINING, "`edgeconv train`")
