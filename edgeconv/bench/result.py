"""What a benchmark found, as a JSON file with everything that its figures rest on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.runtime.errors import InputError, MissingFileError

SCHEMA = "edgeconv.bench/1"


@dataclass(frozen=True)
class Figure:
    """One figure of a contestant; less is better."""

    median: float
    low: float
    """Lower end of the 95 % bootstrap interval of the median."""
    high: float
    rounds: tuple[float, ...]
    """The value of every round, in the order in which they ran."""

    @property
    def half_width(self) -> float:
        """Half of the interval as a fraction of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True)
class Row:
    """One contestant of a scenario."""

    file: str
    file_bytes: int
    problem: str
    """What is wrong with its answers; then it was not timed. Empty where nothing is."""
    facts: Mapping[str, Any]
    """Device and provider, as read back from the session, and whatever else the contestant says."""
    figures: Mapping[str, Figure]
    """The first one is what the scenario is about."""
    details: Mapping[str, float]
    """Further figures, which have no rounds."""
    relative: Mapping[str, float | str] | None
    """The first figure over that of the scenario's first contestant, round by round: `to`, `ratio`, `low`, `high`."""
    unstable: tuple[str, ...]
    """Why the first figure cannot be trusted; empty where it is stable."""
    crowded: bool
    """Whether other processes used so much of the machine that they left it too few cores."""
    units_per_run: float
    """Predictions per run."""
    runs_per_round: int
    warm_up_s: float
    settled: bool | None
    """Whether the times settled while warming up; None where it is not meant to be warm."""
    retried_rounds: int
    """Rounds that were run again because the contestant had to wait for a core."""
    others_cores: float | None
    """How many cores everything else on the machine kept busy meanwhile; None where the system does not tell."""
    peak_memory_mib: float | None
    """Of the contestant's process as a whole."""

    @property
    def verdict(self) -> str:
        """`stable`, `unstable`, or `wrong` where its answers are."""
        return "wrong" if self.problem else "unstable" if self.unstable else "stable"


@dataclass(frozen=True)
class Result:
    """What one run of the benchmark found."""

    created: str
    """UTC time in ISO 8601."""
    seconds: float
    """Seconds that the whole took."""
    edgeconv: str
    machine: Mapping[str, Any]
    """See `edgeconv.runtime.machine.Machine`."""
    load_average: Sequence[float | None]
    """How many processes wanted to run over the last minute, before and after; None where nobody counts them."""
    model: Mapping[str, Any]
    """`name`, `version`, and the `files` with their `sha256` and `bytes`."""
    left_out: Mapping[str, str]
    """Forms that did not take part, each with the reason."""
    settings: Mapping[str, Any]
    scenarios: Mapping[str, Mapping[str, Row]]
    """Scenario → contestant → what was found."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        scenarios = {
            name: {contestant: {"verdict": row.verdict, **asdict(row)} for contestant, row in rows.items()}
            for name, rows in self.scenarios.items()
        }
        return {"schema": SCHEMA, **asdict(self), "scenarios": scenarios}

    def write(self, path: Path) -> None:
        """Write the JSON file whole or not at all; raises InputError where it cannot be written."""
        try:
            files.write_json(path, self.to_json())
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); give another file") from None


def read_result(path: Path) -> Result:
    """Read a file that `Result.write` wrote.

    Raises MissingFileError where there is none, and InputError for a file that is no result of a benchmark.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; `edgeconv bench MODEL --json {path}` writes it") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise InputError(f"{path} cannot be read as JSON ({reason}); give what `edgeconv bench --json` wrote") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"{path} is no result of `edgeconv bench --json`: its schema is {schema!r}, expected {SCHEMA!r}"
        )
    try:
        _look_up_what_a_comparison_needs(data)
        scenarios = {
            name: {contestant: _row(row) for contestant, row in rows.items()}
            for name, rows in data["scenarios"].items()
        }
        return Result(**{**{name: data[name] for name in Result.__dataclass_fields__}, "scenarios": scenarios})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); run `edgeconv bench` again") from None


def _look_up_what_a_comparison_needs(data: Mapping[str, Any]) -> None:
    data["machine"]["id"]
    data["settings"].get("hop")
    for file in data["model"]["files"].values():
        file["sha256"][:12]


def _row(data: Mapping[str, Any]) -> Row:
    figures = {name: _figure(name, figure) for name, figure in data["figures"].items()}
    values = {name: data[name] for name in Row.__dataclass_fields__}
    return Row(**{**values, "figures": figures, "unstable": tuple(data["unstable"])})


def _figure(name: str, data: Mapping[str, Any]) -> Figure:
    figure = Figure(float(data["median"]), float(data["low"]), float(data["high"]), tuple(map(float, data["rounds"])))
    if len(figure.rounds) < 2 or not all(0 <= value < math.inf for value in figure.rounds):
        raise ValueError(f"{name} needs two or more rounds, each a number from 0")
    return figure
