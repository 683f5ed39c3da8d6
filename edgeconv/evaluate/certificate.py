"""The certificate of a model folder: what each artefact was seen to do on real windows, bound to its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.classifier import Classifier
from edgeconv.runtime.errors import ArtefactError, CheckError, InputError
from edgeconv.runtime.score import Scorer
from edgeconv.runtime.spec import ModelSpec
from edgeconv.runtime.stateful import Stepper

from .compare import FLOAT_LIMITS, INT8_LIMITS, Comparison, Limits, compare
from .keras_model import KerasModel
from .over_recordings import OverRecordings
from .tflite import TfliteModel

SCHEMA = "edgeconv.certificate/1"
SAME_MACHINE_NOISE = 2e-3
"""How far an accuracy (fraction 0–1) may lie from the certificate's on the same data, on another machine."""


class Predictor(Protocol):
    """What everything that predicts looks like."""

    def predict(self, windows: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Float32 [n, window, channels] in physical units → probabilities, float32 [n, classes]."""
        ...


def limits_of(name: str) -> Limits:
    """Return what a file must reach, by its name."""
    return FLOAT_LIMITS if artefact_of(name).precision == "float32" else INT8_LIMITS


def in_order(names: Iterable[str]) -> list[str]:
    """Return file names in the order in which a certificate lists them, larger hops first."""

    def place(name: str) -> tuple[int, bool, int]:
        artefact = artefact_of(name)
        return files.KINDS.index(artefact.kind), artefact.hop is not None, -(artefact.hop or 0)

    return sorted(names, key=place)


def artefact_of(name: str) -> Artefact:
    """Return what a file name says; raises ArtefactError for a name that no exported file has."""
    artefact = Artefact.parse(name)
    if artefact is None:
        raise ArtefactError(f"{name} is not the name of an exported file")
    return artefact


def load_artefact(path: Path, spec: ModelSpec) -> Predictor:
    """Load an exported file by the runtime that will run it; raises ArtefactError where it disagrees with the spec."""
    artefact = artefact_of(path.name)
    if artefact.engine == "tflite":
        return TfliteModel.load(path, spec)
    model: Classifier | Scorer | Stepper
    if artefact.form == "dense":
        model = Scorer.load(path)
    else:
        model = Stepper.load(path) if artefact.form == "stateful" else Classifier.load(path)
    if model.spec != replace(spec, hop=artefact.hop or spec.hop):
        raise ArtefactError(f"{path}: the spec inside differs from {files.SPEC} beside it; export the model again")
    return model if isinstance(model, Classifier) else OverRecordings(model, spec.hop)


def require_same_contract(spec: ModelSpec, dataset: Dataset) -> None:
    """Raise InputError where the data set's windows are not what the model was made for."""
    for what, wanted, given in (
        ("channels and units", [(c.name, c.unit) for c in spec.channels], [(c.name, c.unit) for c in dataset.channels]),
        ("timesteps per window", spec.window, dataset.window),
        ("samples per second", spec.sampling_rate_hz, dataset.sampling_rate_hz),
        ("labels", list(spec.labels), list(dataset.labels)),
    ):
        if wanted != given:
            raise InputError(
                f"{dataset.name} does not fit model {spec.name!r}: it has other {what} ({given}; the model wants "
                f"{wanted}); give the data that the model was trained on"
            )


def certified(
    comparisons: Mapping[str, Comparison], folder: Path, staged: Path, dataset: Dataset, created: str
) -> dict[str, Any]:
    """Return the certificate of the files in `staged`, compared with the Keras model in `folder`."""
    return {
        "schema": SCHEMA,
        "created": created,
        "reference": {"file": files.KERAS, "sha256": files.file_sha256(folder / files.KERAS)},
        "spec": {"file": files.SPEC, "sha256": files.file_sha256(folder / files.SPEC)},
        "data": {
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "split": "test",
            "windows": len(dataset.test),
            "subjects": np.unique(dataset.test.subjects).tolist(),
            "content_hash": dataset.content_hash(),
        },
        "artefacts": {
            name: {
                "accuracy": seen.accuracy,
                "reference_accuracy": seen.reference_accuracy,
                "max_abs_diff": seen.max_abs_diff,
                "p999_abs_diff": seen.p999_abs_diff,
                "top1_agreement": seen.top1_agreement,
                "decisive_top1_changes": seen.decisive_top1_changes,
                "sha256": files.file_sha256(staged / name),
                "bytes": (staged / name).stat().st_size,
                "limits": {key: value for key, value in asdict(limits_of(name)).items() if value},
            }
            for name, seen in comparisons.items()
        },
        "versions": files.versions("tensorflow", "keras", "tf2onnx", "onnx", "onnx-ir", "onnxruntime", "numpy"),
    }


@dataclass(frozen=True)
class Verification:
    """What `verify` found; `problems` is empty when every limit is kept."""

    comparisons: dict[str, Comparison]
    problems: tuple[str, ...]
    same_data: bool
    """Whether the windows are those of the certificate."""

    def require_passed(self) -> None:
        """Raise CheckError that lists all problems."""
        if self.problems:
            raise CheckError("not equivalent: " + "; ".join(self.problems))


def verify(folder: Path, dataset: Dataset, on_progress: Callable[[str], None] = lambda _: None) -> Verification:
    """Repeat the certificate's check from the files alone.

    Calls `on_progress` with the name of each file before it is run.
    Raises MissingFileError without a certificate, ArtefactError where a file is missing or its bytes are not those
    certified, InputError where the data do not fit the model.
    """
    certificate = files.read_json(folder / files.CERTIFICATE, f"`edgeconv export {folder}`")
    entries = check_hashes(folder, certificate)
    spec = ModelSpec.load(folder / files.SPEC)
    require_same_contract(spec, dataset)
    candidates = {name: load_artefact(folder / name, spec) for name in entries}
    test = dataset.test
    on_progress(files.KERAS)
    reference = KerasModel.load(folder / files.KERAS).predict(test.windows)
    same_data = certificate["data"].get("content_hash") == dataset.content_hash()
    comparisons, problems = {}, []
    for name, candidate in candidates.items():
        on_progress(name)
        seen = comparisons[name] = compare(reference, candidate.predict(test.windows), test.class_ids)
        problems += [f"{name}: {violation}" for violation in seen.violations(limits_of(name))]
        if same_data:
            problems += [f"{name}: {lie}" for lie in contradictions(entries[name], seen)]
    return Verification(comparisons, tuple(problems), same_data)


def check_hashes(folder: Path, certificate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the certificate's entry of each artefact after checking that all files have the certified bytes."""
    where = folder / files.CERTIFICATE
    again = f"run `edgeconv export {folder}` again"
    try:
        if certificate["schema"] != SCHEMA:
            raise ArtefactError(
                f"{where}: schema is {certificate['schema']!r}, this edgeconv reads {SCHEMA!r}; {again}"
            )
        entries: dict[str, dict[str, Any]] = certificate["artefacts"]
        hashes = {certificate[part]["file"]: certificate[part]["sha256"] for part in ("reference", "spec")}
        hashes |= {name: entry["sha256"] for name, entry in entries.items()}
        certificate["data"]["windows"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{where} is not a complete certificate ({error} is missing); {again}") from None
    unknown = sorted(name for name in entries if Artefact.parse(name) is None)
    if unknown or not entries:
        raise ArtefactError(f"{where} certifies {unknown or 'no file at all'}; {again}")
    if {files.KERAS, files.SPEC} - set(hashes):
        raise ArtefactError(f"{where} does not name {files.KERAS} and {files.SPEC}; {again}")
    for name, wanted in hashes.items():
        if not (folder / name).is_file():
            raise ArtefactError(f"{folder / name} is certified but not there; {again}")
        found = files.file_sha256(folder / name)
        if found != wanted:
            raise ArtefactError(
                f"{folder / name} is not the file that was certified: its SHA-256 is {found}, "
                f"the certificate says {wanted}; {again}"
            )
    return entries


def contradictions(entry: dict[str, Any], seen: Comparison) -> list[str]:
    """Return, in words, where a certificate's figures are not those seen on the same data."""
    found = []
    for figure in ("accuracy", "reference_accuracy", "top1_agreement"):
        stated, measured = entry.get(figure), getattr(seen, figure)
        if not isinstance(stated, int | float) or not abs(stated - measured) <= SAME_MACHINE_NOISE:
            found.append(f"the certificate says {figure} {stated}, measured on the same data {measured:.6f}")
    return found
