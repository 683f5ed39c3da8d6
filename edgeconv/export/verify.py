"""Verify a model folder: derive again, from the files alone, what its certificate says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.artefacts import artefact_of, load_artefact
from edgeconv.evaluate.certificate import check_hashes, contradictions
from edgeconv.evaluate.examination import Examination
from edgeconv.evaluate.examine import Examiner
from edgeconv.evaluate.limits import UserLimits
from edgeconv.runtime.errors import CheckError, EdgeconvError

from .job import Job
from .rebuild import rebuild


@dataclass(frozen=True)
class Verification:
    """What `verify` found."""

    examinations: Mapping[str, Examination]
    lies: Mapping[str, tuple[str, ...]]
    """File → where the certificate's figures are not those measured on the same data."""
    failures: Mapping[str, str]
    """File → why it could not be run or built again."""
    same_data: bool
    """Whether the windows are those of the certificate."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, in words and figures; empty when every limit is kept."""
        return (
            *(f"{name}: {why}" for name, why in self.failures.items()),
            *(f"{name}: {problem}" for name, seen in self.examinations.items() for problem in seen.problems),
            *(f"{name}: {lie}" for name, found in self.lies.items() for lie in found),
        )

    def require_passed(self) -> None:
        """Raise CheckError that lists all problems."""
        if self.problems:
            raise CheckError("not equivalent: " + "; ".join(self.problems))


def verify(
    folder: Path,
    dataset: Dataset,
    *,
    limits: UserLimits | None = None,
    examiner: Examiner | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Repeat the certificate's examination from the files alone; a quantised file is also built again and compared.

    limits: in place of the built-in ones
    examiner: one made before for the same reference and data, which spares running the reference again
    Calls `on_progress` with the name of each file before it is run.
    Raises MissingFileError without a certificate, ArtefactError where a file is missing or its bytes are not those
    certified, InputError where the data do not fit the model.
    """
    certificate = files.read_json(folder / files.CERTIFICATE, f"`edgeconv export {folder}`")
    entries = check_hashes(folder, certificate)
    same_data = certificate["data"].get("content_hash") == dataset.content_hash()
    examinations: dict[str, Examination] = {}
    lies: dict[str, tuple[str, ...]] = {}
    failures: dict[str, str] = {}
    with files.staging(folder) as aside:
        job = Job.open(folder, aside, dataset, limits=limits, on_progress=on_progress)
        job.examiner = examiner = examiner or job.examiner
        for name in entries:
            load_artefact(folder / name, job.spec)
        for name in entries:
            on_progress(name)
            try:
                seen = examinations[name] = examiner.examine(folder / name, rebuilt_file(job, name, same_data))
            except EdgeconvError as error:
                failures[name] = str(error)
                continue
            if same_data:
                lies[name] = tuple(contradictions(entries[name], seen))
    return Verification(examinations, lies, failures, same_data)


def rebuilt_file(job: Job, name: str, same_data: bool) -> Path | None:
    """Build a quantised file again, as its records say; None for other files, and for data that are not the same."""
    artefact = artefact_of(name)
    if artefact.precision == "float32" or (artefact.precision == "int8" and not same_data):
        return None
    record: dict[str, Any] = {}
    if artefact.precision == "int8":
        record = files.read_json(job.folder / files.CALIBRATION, "`edgeconv export`")
    return rebuild(job, artefact, record)
