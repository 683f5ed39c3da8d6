"""How good predictions are: accuracy, per class, per subject, macro-F1, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; all are fractions 0–1."""

    label: str
    windows: int
    recall: float
    precision: float
    f1: float


@dataclass(frozen=True)
class Scores:
    """Scores of one set of predictions; all are fractions 0–1."""

    accuracy: float
    macro_f1: float
    """Mean F1 of the classes that occur or are predicted, each counted alike."""
    per_class: tuple[ClassScore, ...]
    per_subject: dict[int, float]
    """Accuracy of each subject's windows."""
    confusion: tuple[tuple[int, ...], ...]
    """Windows by true class (row) and predicted class (column)."""


def score(
    probabilities: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    subjects: NDArray[np.int64],
    labels: Sequence[str],
) -> Scores:
    """Score predictions against the truth.

    probabilities: float32 [n, classes]; class_ids: int64 [n]; subjects: int64 [n]
    A class without windows has recall 0, one never predicted has precision 0.
    """
    predicted = probabilities.argmax(axis=1)
    classes = len(labels)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (class_ids, predicted), 1)
    hits = confusion.diagonal()
    true_counts, predicted_counts = confusion.sum(axis=1), confusion.sum(axis=0)
    recall = hits / np.maximum(true_counts, 1)
    precision = hits / np.maximum(predicted_counts, 1)
    f1 = 2 * hits / np.maximum(true_counts + predicted_counts, 1)
    present = (true_counts + predicted_counts) > 0
    correct = predicted == class_ids
    return Scores(
        accuracy=float(correct.mean()),
        macro_f1=float(f1[present].mean()),
        per_class=tuple(
            ClassScore(label, int(true_counts[i]), float(recall[i]), float(precision[i]), float(f1[i]))
            for i, label in enumerate(labels)
        ),
        per_subject={int(s): float(correct[subjects == s].mean()) for s in np.unique(subjects)},
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )
