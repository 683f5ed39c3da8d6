"""What became of one way of disturbing recordings, counted."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data.dataset import Recording
from edgeconv.runtime import ModelSpec

from .command import FOLDER, REFUSED, Answers, Grid, stream
from .ways import Way


@dataclass
class Tally:
    """Windows, counted against the reference."""

    recordings: int = 0
    answered: int = 0
    expected: int = 0
    windows: int = 0
    """Of each recording those answered, or those that there should be, whichever are more."""
    same: int = 0
    """Those with the reference's top class for that start."""
    largest: float = 0.0
    """Largest |Δp|."""

    def add(self, answers: Answers, name: str, reference: Grid, expected: int) -> None:
        """Count the windows of one recording."""
        starts = answers.starts.get(name, np.empty(0, np.int64))
        own = answers.probabilities.get(name, np.empty((0, reference.shape[1])))
        known = starts < len(reference)
        own, like = own[known], reference[starts[known]]
        self.recordings += 1
        self.answered += len(starts)
        self.expected += expected
        self.windows += max(len(starts), expected)
        self.same += int((own.argmax(axis=1) == like.argmax(axis=1)).sum())
        self.largest = max(self.largest, float(np.abs(own - like).max(initial=0.0)))


@dataclass
class Plain:
    """What became of all recordings, one by one, when nothing was said of the disturbance."""

    options: tuple[str, ...]
    refused: int = 0
    before: int = 0
    """Windows that were answered before their recordings were refused."""
    silent: Tally = field(default_factory=Tally)
    """Recordings that were answered, and nothing was said."""
    noted: Tally = field(default_factory=Tally)
    """Recordings that were answered, and something was said."""
    said: list[str] = field(default_factory=list)

    def add(self, answers: Answers, name: str, reference: Grid, expected: int) -> None:
        """Count one recording."""
        self.said += answers.said
        if answers.code in REFUSED:
            self.refused += 1
            self.before += sum(map(len, answers.starts.values()))
        else:
            (self.noted if answers.said else self.silent).add(answers, name, reference, expected)


@dataclass(frozen=True)
class Study:
    """What is the same for all ways."""

    model: Path
    spec: ModelSpec
    recordings: Sequence[Recording]
    reference: Mapping[str, Grid]
    seed: int

    def of(self, way: Way) -> dict[str, Any]:
        """Return what became of one way, as plain values: each recording untold, then all of them told."""
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder)
            (where / FOLDER).mkdir()
            if way.toml:
                (where / "signal.toml").write_text(way.toml, encoding="utf-8")
            plain, right, expected = Plain(way.plain), Tally(), {}
            for number, recording in enumerate(self.recordings):
                samples, name = recording.samples.astype(np.float64), recording.name
                path, stretches = way.write(samples, name, where / FOLDER, (self.seed, number))
                expected[name] = sum(self._windows_in(samples) for samples in stretches)
                untold = stream(self.model, [f"{FOLDER}/{path.name}"], way.plain, where)
                plain.add(untold, next(iter(untold.starts), name), self.reference[name], expected[name])
            told = stream(self.model, [FOLDER], way.right, where)
            for name, reference in self.reference.items():
                right.add(told, name, reference, expected[name])
        return {
            "name": way.name,
            "bound": asdict(way.bound) if way.bound else None,
            "plain": {**asdict(plain), "said": most_often(plain.said)},
            "right": {
                "options": way.right, "code": told.code, **asdict(right), "marked": told.marked,
                "said": most_often(told.said),
            },
        }  # fmt: skip

    def _windows_in(self, samples: int) -> int:
        return max(0, (samples - self.spec.window) // self.spec.hop + 1)


def most_often(said: Sequence[str]) -> str:
    """Return the first of the messages of which there are most; numbers do not make a message another one."""
    kinds = [re.sub(r"[\d.]+(e[+-]?\d+)?", "#", line) for line in said]
    return said[kinds.index(Counter(kinds).most_common(1)[0][0])] if said else ""
