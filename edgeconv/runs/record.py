"""A run as a plain folder: what was fitted on what, and every fit's result; crash-safe, and merged by copying.

    RUNS/<name>-<digest>/
        run.json                what decides the result: config, data, versions; the digest is of these
        fits/<fold>-seed<n>/
            plan.json           the fit was asked for
            metrics.jsonl       one line per epoch, written while it runs
            model.keras         the fitted model
            result.json         scores, time and machine; written last, so a fit that has it is finished

A fit's name says all that tells it from its run's other fits, so two copies of a run, filled on two machines, are
merged by copying one over the other, and asking again for the same run does only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.runtime.errors import ArtefactError, MissingFileError, UsageError

SCHEMA = "edgeconv.run/1"
RUN = "run.json"
FITS = "fits"
PLAN, METRICS, MODEL, RESULT = "plan.json", "metrics.jsonl", "model.keras", "result.json"
ENVIRONMENT = "EDGECONV_RUNS"


def runs_folder(chosen: Path | None = None) -> Path:
    """Return the folder of all runs: as chosen, or what EDGECONV_RUNS names, or `runs` in the working directory."""
    return chosen or Path(os.environ.get(ENVIRONMENT) or "runs")


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class FitName:
    """What tells a fit from the others of its run."""

    fold: str
    """Which subjects were held back: `official`, `subject-07`, `folds-2` …"""
    seed: int

    def __str__(self) -> str:
        return f"{self.fold}-seed{self.seed:03}"

    @classmethod
    def parse(cls, text: str) -> FitName | None:
        """Return the name that a fit's folder has; None for another folder."""
        match = re.fullmatch(r"(.+)-seed(\d{3,})", text)
        return cls(match[1], int(match[2])) if match else None


@dataclass(frozen=True)
class FitRecord:
    """The folder of one fit."""

    name: FitName
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return (self.folder / RESULT).exists()

    @property
    def model(self) -> Path:
        """The `.keras` file; there once the fit is finished."""
        return self.folder / MODEL

    def result(self) -> dict[str, Any]:
        """Return what `result.json` says; raises MissingFileError where the fit is not finished."""
        return files.read_json(self.folder / RESULT, "the same `edgeconv` command again")

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`, without a last one that is not whole."""
        return list(read_lines(self.folder / METRICS))

    def begin(self) -> None:
        """Forget the metrics of an attempt that did not end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / METRICS).write_text("", encoding="utf-8")

    def add_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, ensure_ascii=False) + "\n")

    def finish(self, result: Mapping[str, Any], metrics: list[dict[str, Any]], model: bytes) -> None:
        """Keep a finished fit; a fit that is there already stays as it is."""
        if self.finished:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_bytes(self.model, model)
        files.write_text(
            self.folder / METRICS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in metrics)
        )
        files.write_json(self.folder / RESULT, result)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; a last line that a crash cut off is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @classmethod
    def create(cls, runs: Path, name: str, decides: Mapping[str, Any]) -> Run:
        """Return the run of this name and of everything that decides its result; it may hold finished fits already.

        decides: config, data, versions …, as JSON values
        Raises UsageError where the folder cannot be made.
        """
        plain = json.loads(json.dumps(decides))
        digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]
        run = cls(runs / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{digest}")
        try:
            (run.folder / FITS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{run.folder} cannot be made ({error.strerror}); name another folder of runs with --runs"
            ) from None
        if not (run.folder / RUN).exists():
            files.write_json(run.folder / RUN, {"schema": SCHEMA, "name": name, "created": now(), **plain})
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Return the run in a folder; raises MissingFileError or ArtefactError where it is none."""
        run = cls(folder)
        if run.about().get("schema") != SCHEMA:
            raise ArtefactError(f"{folder / RUN} says schema {run.about().get('schema')!r}, {SCHEMA!r} expected")
        return run

    @property
    def id(self) -> str:
        """Name and digest, which is the folder's name."""
        return self.folder.resolve().name

    def about(self) -> dict[str, Any]:
        """Return what `run.json` says."""
        return files.read_json(self.folder / RUN, "`edgeconv train`")

    def fit(self, name: FitName) -> FitRecord:
        """Return the record of a fit, whether it is there or not."""
        return FitRecord(name, self.folder / FITS / str(name))

    def plan(self, names: list[FitName]) -> list[FitRecord]:
        """Note that these fits are asked for, and return their records."""
        records = [self.fit(name) for name in names]
        for record in records:
            if not (record.folder / PLAN).exists():
                record.folder.mkdir(parents=True, exist_ok=True)
                files.write_json(
                    record.folder / PLAN, {"fold": record.name.fold, "seed": record.name.seed, "at": now()}
                )
        return records

    def fits(self) -> list[FitRecord]:
        """Return the records of all fits that were asked for, by fold and seed."""
        found = []
        for folder in (self.folder / FITS).iterdir() if (self.folder / FITS).is_dir() else ():
            name = FitName.parse(folder.name)
            if name is not None and folder.is_dir():
                found.append(FitRecord(name, folder))
        return sorted(found, key=lambda record: (record.name.fold, record.name.seed))

    def results(self) -> list[dict[str, Any]]:
        """Return the results of the finished fits, by fold and seed."""
        return [record.result() for record in self.fits() if record.finished]


def all_runs(runs: Path) -> list[Run]:
    """Return the runs in a folder of runs, oldest first; other folders are passed over."""
    found = [Run(path.parent) for path in runs.glob(f"*/{RUN}")] if runs.is_dir() else []
    return sorted(found, key=lambda run: (str(run.about().get("created")), run.id))


def find_run(runs: Path, reference: str) -> Run:
    """Return the run that a folder, an id or the beginning of an id names.

    Raises MissingFileError where there is none, UsageError where several fit.
    """
    if (Path(reference) / RUN).is_file():
        return Run.open(Path(reference))
    known = all_runs(runs)
    fitting = [run for run in known if run.id == reference] or [run for run in known if run.id.startswith(reference)]
    if not fitting:
        listed = ", ".join(run.id for run in known) or "none"
        raise MissingFileError(f"no run {reference!r} in {runs}; there are: {listed}")
    if len(fitting) > 1:
        raise UsageError(
            f"{reference!r} fits several runs: {', '.join(run.id for run in fitting)}; give more of the id"
        )
    return fitting[0]
