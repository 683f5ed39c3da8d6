"""What was measured, as JSON: every round of every session, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.bench.statistics import CONFIDENCE, Interval

SCHEMA = "edgeconv.benchmarks/1"
RESAMPLES = 2000
DIGITS = 5

Sessions = Sequence[Sequence[float]]
"""Rounds of each session."""


@dataclass(frozen=True)
class Row:
    """One contestant of a heat."""

    kind: str
    precision: str
    hop: int
    file: str
    file_bytes: int
    facts: Mapping[str, Any]
    problem: str
    """What is wrong with its answers; then it was not timed. Empty where nothing is."""
    max_abs_diff: float | None
    """Largest |Δp| against Keras; None where it gives no probabilities."""
    same_class: float | None
    """Fraction of the windows with the same most probable class as Keras."""
    peak_memory_mib: float | None
    """The most of all sessions, of the whole process."""
    others_cores: float | None
    """How many cores everything else on the machine kept busy meanwhile, on average; None where nobody counts them."""
    rounds: Mapping[str, Sessions]
    """Figure → rounds of each session; less is better."""


@dataclass(frozen=True)
class Results:
    """One run of the script."""

    created: str
    """UTC time in ISO 8601."""
    seconds: float
    effort: str
    """`full`, or another of `heats.EFFORTS`, of which nothing can be taken as a figure."""
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    network: Mapping[str, Any]
    settings: Mapping[str, Any]
    multiply_adds: Mapping[str, int]
    """Of each form, for one answer."""
    left_out: Mapping[str, Mapping[str, str]]
    """Heat → contestants that did not take part, each with the reason."""
    heats: Mapping[str, Mapping[str, Row]]
    """Heat → contestant → what was seen."""
    cuda: str = field(default="")
    """Section on CUDA in Markdown, from tools/check_cuda.py; empty where nothing was measured."""

    def rounds(self, heat: str, name: str, figure: str) -> list[np.ndarray] | None:
        """Return a figure's rounds, float64 [rounds] for each session; None where it was not measured."""
        row = self.heats.get(heat, {}).get(name)
        if row is None or figure not in row.rounds:
            return None
        return [np.array(session) for session in row.rounds[figure]]

    def seen(self, heat: str, name: str, figure: str) -> Interval | None:
        """Return a figure as the median of its sessions; None where it was not measured."""
        rounds = self.rounds(heat, name, figure)
        return None if rounds is None else over_sessions(rounds)


def over_sessions(sessions: Sequence[Sequence[float]] | Sequence[np.ndarray], seed: int = 0) -> Interval:
    """Return the median of the sessions' medians, with its 95 % interval.

    sessions: the rounds of each session
    Sessions differ by more than the rounds of one, because each process has its own place in memory and its own state
    of the machine; so sessions are drawn anew first, and in each its rounds (Kalibera & Jones 2013).
    """
    values = [np.asarray(session, np.float64) for session in sessions]
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [
            np.median(rounds[rng.integers(0, len(rounds), (RESAMPLES, len(values), len(rounds)))], -1)
            for rounds in values
        ]
    )  # [session, resample, place]: medians of rounds drawn anew, for each place that a session may take
    chosen = rng.integers(0, len(values), (RESAMPLES, len(values)))
    medians = drawn[chosen, np.arange(RESAMPLES)[:, None], np.arange(len(values))]
    low, high = np.quantile(np.median(medians, axis=1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(np.median([np.median(rounds) for rounds in values])), float(low), float(high))


def together(what: Callable[..., np.ndarray], *figures: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
    """Return a function of several figures, round by round, since contestants of one heat ran in the same rounds."""
    if any(figure is None for figure in figures):
        return None
    return [what(*rounds) for rounds in zip(*figures, strict=True)]  # type: ignore[arg-type]


def summary(interval: Interval, sessions: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return an interval and the medians of the sessions, as JSON values."""
    return {
        "median": shorten(interval.value),
        "low": shorten(interval.low),
        "high": shorten(interval.high),
        "sessions": [shorten(float(np.median(rounds))) for rounds in sessions],
    }


def shorten(value: float) -> float:
    """Return a number with as many digits as are kept."""
    return float(f"{value:.{DIGITS}g}")


def to_json(results: Results, targets: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the JSON file: the results, each figure in short, and the targets."""
    data = {"schema": SCHEMA, **asdict(results), "targets": list(targets)}
    for heat, rows in results.heats.items():
        for name, row in rows.items():
            data["heats"][heat][name]["figures"] = {
                figure: summary(over_sessions(rounds), [np.array(session) for session in rounds])
                for figure, rounds in row.rounds.items()
            }
    text = json.dumps(data, indent=1, ensure_ascii=False)
    return _on_one_line(text) + "\n"


def read_results(path: Path) -> Results:
    """Read a file that `to_json` made."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if data["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {data['schema']!r}, expected {SCHEMA!r}: run the script again")
    heats = {
        heat: {name: Row(**{key: row[key] for key in Row.__dataclass_fields__}) for name, row in rows.items()}
        for heat, rows in data["heats"].items()
    }
    return Results(**{**{key: data[key] for key in Results.__dataclass_fields__}, "heats": heats})


def _on_one_line(text: str) -> str:
    """Put lists of numbers on one line each."""
    import re

    return re.sub(r"\[\s+([-\d.e+,\s]+?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text)
