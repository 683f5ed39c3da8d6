"""Runs with made-up results, in the form in which real ones are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runs.record import FitName, Run

LABELS = ("walk", "rest")
WINDOWS = 200
"""Of each subject, half of each class."""


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Make a run of which subject i has, in repeat j, about so much accuracy [subjects, repeats]."""

    def make(
        name: str, accuracies: np.ndarray, folds: int = 1, data: str = "a" * 64, split: str = "folds", **config: object
    ) -> Run:
        about = {
            "config": {"network": "tiny", "split": split, "epochs": 3, "options": {}, **config},
            "network": {"options": {"filters": [8, 8]}, "parameters": 100, "multiply_adds": 5000, "uncounted": [],
                        "receptive_field": 9, "peak_activation_values": 64},
            "data": {"name": "made up", "synthetic": True, "source": "here", "content_hash": data},
            "versions": {"edgeconv": "0.1.0"},
        }  # fmt: skip
        run = Run.create(tmp_path / "runs", name, {**about, "label": name})
        subjects, repeats = accuracies.shape
        for seed in range(1, repeats + 1):
            for fold in range(folds):
                mine = [i for i in range(subjects) if i % folds == fold]
                hits = {i: round(WINDOWS * float(accuracies[i, seed - 1])) for i in mine}
                result = result_of(f"{split}-{fold + 1}", seed, hits)
                (record,) = run.plan([FitName(result["fold"], seed)])
                record.finish(result, [epoch(1), epoch(2), epoch(3)], b"model")
        return run

    return make


def result_of(fold: str, seed: int, hits: dict[int, int]) -> dict:
    right, total = sum(hits.values()), WINDOWS * len(hits)
    confusion = np.array([[total // 2, 0], [0, total // 2]])
    wrong = total - right
    confusion[0] += [-(wrong // 2), wrong // 2]
    confusion[1] += [wrong - wrong // 2, -(wrong - wrong // 2)]
    return {
        "fold": fold, "seed": seed, "fit_s": 1.5, "epochs": 3, "parameters": 100, "train_windows": 400,
        "test_windows": total, "accuracy": right / total, "macro_f1": right / total,
        "per_class": [{"label": label, "windows": total // 2, "recall": float(confusion[i, i] / (total // 2)),
                       "precision": 0.5, "f1": 0.5} for i, label in enumerate(LABELS)],
        "per_subject": {str(i): count / WINDOWS for i, count in hits.items()},
        "confusion": confusion.tolist(), "negative_log_likelihood": 0.3, "calibration_error": 0.02,
        "machine": {"processor": "some", "memory_gib": None}, "at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip


def epoch(number: int) -> dict[str, float]:
    return {"epoch": number, "loss": 1 / number, "learning_rate": 0.001 * number, "seconds": 0.5}
