"""What the results of several fits say together: mean, spread, interval, worst subject, classes, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeconv.runs.statistics import STUDENT_95


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the results of a run's fits say together; all figures are fractions 0–1.

    accuracy_mean, accuracy_sd: over repeats, each the accuracy of all windows of all folds; the sample standard
        deviation is None for one repeat
    accuracy_interval: 95 % interval of that mean, by Student's t over the repeats; None for one repeat
    worst_subject: the subject with the lowest mean accuracy
    recall: mean recall of each class; calibration_error, negative_log_likelihood: means over all fits
    """
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        by_seed.setdefault(result["seed"], []).append(result)
    accuracies = np.array([_pooled(folds) for folds in by_seed.values()])
    count = len(accuracies)
    spread = float(accuracies.std(ddof=1)) if count > 1 else None
    mean = float(accuracies.mean())
    subjects: dict[str, list[float]] = {}
    for result in results:
        for subject, accuracy in result["per_subject"].items():
            subjects.setdefault(str(subject), []).append(accuracy)
    per_subject = {subject: float(np.mean(found)) for subject, found in sorted(subjects.items(), key=_by_number)}
    worst = min(per_subject, key=lambda subject: per_subject[subject])
    confusion = np.sum([result["confusion"] for result in results], axis=0)
    recall = confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)
    labels = [entry["label"] for entry in results[0]["per_class"]]
    return {
        "accuracy_mean": mean,
        "accuracy_sd": spread,
        "accuracy_interval": None if spread is None else _interval(mean, spread, count),
        "per_subject": per_subject,
        "worst_subject": {"subject": worst, "accuracy": per_subject[worst]},
        "recall": dict(zip(labels, map(float, recall), strict=True)),
        "negative_log_likelihood": float(np.mean([result["negative_log_likelihood"] for result in results])),
        "calibration_error": float(np.mean([result["calibration_error"] for result in results])),
    }


def _pooled(folds: list[dict[str, Any]]) -> float:
    """Return the accuracy over all windows of the folds of one repeat."""
    confusion = np.sum([fold["confusion"] for fold in folds], axis=0)
    return float(confusion.trace() / confusion.sum())


def _interval(mean: float, spread: float, count: int) -> list[float]:
    t = STUDENT_95[count - 2] if count - 2 < len(STUDENT_95) else 1.96
    half = t * spread / count**0.5
    return [mean - half, mean + half]


def _by_number(entry: tuple[str, Any]) -> tuple[int, str]:
    return (int(entry[0]) if entry[0].isdecimal() else 0, entry[0])
