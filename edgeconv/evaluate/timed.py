"""How much of the windows and of the time of labelled recordings a model is right about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import Event
from edgeconv.runtime.events import UNKNOWN

from .answers import STRADDLES, UNLABELLED, Answers, names_with_unknown, said_classes
from .scores import Scores, score
from .spans import Span, overlaps
from .statistics import wilson

NO_ANSWER = "no answer"
"""Column of time that belongs to no window: behind the last one, or in a recording shorter than a window."""


@dataclass(frozen=True)
class WindowScores:
    """Scores of the windows that lie wholly inside one segment with a known label; fractions 0–1."""

    windows: int
    """All of the recordings. Of these lie …"""
    scored: int
    """… inside one segment with a known label: these are what all scores divide by …"""
    in_unknown: int
    """… inside one segment whose label is unknown …"""
    straddling: int
    """… partly in labelled time, but not inside one segment …"""
    unlabelled: int
    """… and in no labelled time at all."""
    scores: Scores | None
    """Per class with `unknown` last; None where no window is scored. Its subjects are places in the sorted names."""
    accuracy_interval: tuple[float, float]
    """95 %, Wilson; it takes windows as independent, which those of one recording are not."""
    macro_f1: float | None
    """Mean F1 of the model's labels that occur or are said."""
    confusion: Mapping[str, Mapping[str, int]]
    """True label → label said → windows; the row `unknown` is of `in_unknown`, and in no score."""
    per_subject: Mapping[str, float]
    """Accuracy; empty where the labels name no subjects."""
    per_recording: Mapping[str, float]

    @property
    def accuracy(self) -> float | None:
        """Right windows over scored ones."""
        return self.scores.accuracy if self.scores else None


def score_windows(found: Sequence[Answers], said: Sequence[Sequence[Event]], labels: Sequence[str]) -> WindowScores:
    """Score the windows of recordings by the events that speak for them.

    labels: the model's; `said` has the events of each recording
    """
    names = names_with_unknown(labels)
    truth = np.concatenate([answers.class_ids for answers in found])
    predicted = np.concatenate([said_classes(events, names) for events in said])
    known = np.isin(truth, range(len(labels)))
    by_recording = _groups([answers.name for answers in found], found)
    by_subject = _groups([answers.subject or "" for answers in found], found)
    subjects = sorted(set(by_subject.tolist()))
    scores = None
    if known.any():
        places = np.searchsorted(subjects, by_subject[known])
        scores = score(np.eye(len(names), dtype=np.float32)[predicted[known]], truth[known], places, names)
    hits = int((predicted == truth)[known].sum())
    return WindowScores(
        windows=len(truth),
        scored=int(known.sum()),
        in_unknown=int((truth >= len(labels)).sum()),
        straddling=int((truth == STRADDLES).sum()),
        unlabelled=int((truth == UNLABELLED).sum()),
        scores=scores,
        accuracy_interval=wilson(hits, int(known.sum())),
        macro_f1=_macro_f1(scores, len(labels)),
        confusion={
            row: {column: int(((truth == i) & (predicted == j)).sum()) for j, column in enumerate(names)}
            for i, row in enumerate(names)
        },
        per_subject=_accuracies(by_subject[known], (predicted == truth)[known]) if subjects != [""] else {},
        per_recording=_accuracies(by_recording[known], (predicted == truth)[known]),
    )


@dataclass(frozen=True)
class TimeScores:
    """Shares of labelled time, to the sample."""

    recorded_s: float
    known_s: float
    """Time labelled with known labels: what the accuracy divides by."""
    unknown_s: float
    """Time labelled with labels that are unknown."""
    accuracy: float | None
    """Share of `known_s` that is given its label, 0–1; time without an answer is not right. None without any."""
    unanswered_s: float
    """Of `known_s`: time that belongs to no window."""
    recall: Mapping[str, float | None]
    """The same share for each of the model's labels; None for one without time."""
    confusion_s: Mapping[str, Mapping[str, float]]
    """True label → label said, or `no answer` → seconds; the row `unknown` is of `unknown_s`."""


def score_time(
    recordings: Sequence[tuple[Sequence[Span], Sequence[Span]]], labels: Sequence[str], timesteps: int, rate_hz: float
) -> TimeScores:
    """Score the time of recordings, each given as its true segments and what was predicted.

    labels: the model's; timesteps: of all recordings together
    """
    names = (*names_with_unknown(labels), NO_ANSWER)
    place = {name: i for i, name in enumerate(names)}
    shared = np.zeros((len(names) - 1, len(names)), np.int64)
    for truth, said in recordings:
        for span in truth:
            shared[place[span.label], -1] += span.length
        for i, j, common in overlaps(truth, said):
            shared[place[truth[i].label], place[said[j].label]] += common
            shared[place[truth[i].label], -1] -= common
    seconds, known = shared / rate_hz, shared[: len(labels)]
    totals = known.sum(axis=1)
    unknown = 0.0 if UNKNOWN in labels else float(seconds[-1].sum())
    return TimeScores(
        recorded_s=timesteps / rate_hz,
        known_s=float(known.sum() / rate_hz),
        unknown_s=unknown,
        accuracy=float(known.diagonal().sum() / known.sum()) if known.any() else None,
        unanswered_s=float(known[:, -1].sum() / rate_hz),
        recall={label: float(known[i, i] / totals[i]) if totals[i] else None for i, label in enumerate(labels)},
        confusion_s={
            row: {column: float(seconds[i, j]) for j, column in enumerate(names)} for i, row in enumerate(names[:-1])
        },
    )


def _groups(names: Sequence[str], found: Sequence[Answers]) -> NDArray[np.str_]:
    """Return the name that belongs to each window."""
    return np.repeat(np.array(names, np.str_), [len(answers.class_ids) for answers in found])


def _accuracies(groups: NDArray[np.str_], right: NDArray[np.bool_]) -> dict[str, float]:
    return {str(name): float(right[groups == name].mean()) for name in np.unique(groups)}


def _macro_f1(scores: Scores | None, classes: int) -> float | None:
    if scores is None:
        return None
    said = np.array(scores.confusion).sum(axis=0)
    f1 = [each.f1 for i, each in enumerate(scores.per_class[:classes]) if each.windows or said[i]]
    return float(np.mean(f1)) if f1 else None
