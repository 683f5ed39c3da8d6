"""Which training windows decide the int8 ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Split
from edgeconv.evaluate.compare import Comparison

TRIMMED = 0.02
"""Fraction of windows, those that reach furthest from zero, that a trimmed draw leaves out."""


@dataclass(frozen=True)
class Calibration:
    """A way to draw calibration windows from the training subjects; the same one always draws the same rows."""

    method: str
    """`random`: any rows; `balanced`: as many of each subject and class; `trimmed`: random without the extremes."""
    count: int
    seed: int

    def rows(self, train: Split, normalised: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the row numbers drawn from the training split, int64 [≤ count], in rising order.

        normalised: float32 [n, window, channels], the training windows as the int8 file will see them
        """
        rng = np.random.default_rng(self.seed)
        candidates = np.arange(len(train))
        if self.method == "balanced":
            groups = np.unique(np.stack([train.subjects, train.class_ids]), axis=1, return_inverse=True)[1].ravel()
            # Shuffled, then sorted by how many of its group came before: each group gives its first, then its second …
            order = rng.permutation(candidates)
            turn = np.empty(len(order), np.int64)
            for group in range(groups.max() + 1):
                members = np.flatnonzero(groups[order] == group)
                turn[members] = np.arange(len(members))
            return np.sort(order[np.argsort(turn, kind="stable")][: self.count])
        if self.method == "trimmed":
            reach = np.abs(normalised).max(axis=(1, 2))
            candidates = candidates[reach <= np.quantile(reach, 1 - TRIMMED)]
        return np.sort(rng.permutation(candidates)[: self.count])


HELD_BACK = 0.25
"""Part of the training subjects whose windows judge the calibrations that the others' windows make."""


def held_back(train: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows that may decide ranges and those that judge the result, int64 each.

    The judging rows are those of the last quarter of the training subjects, at least one; with a single subject they
    are the last quarter of its windows. Test subjects never take part.
    """
    subjects = np.unique(train.subjects)
    rows = np.arange(len(train))
    if len(subjects) == 1:
        judges = rows >= len(rows) * (1 - HELD_BACK)
    else:
        judges = np.isin(train.subjects, subjects[-max(1, round(HELD_BACK * len(subjects))) :])
    return rows[~judges], rows[judges]


ATTEMPTS = (
    Calibration("random", 256, 0),
    Calibration("random", 1024, 1),
    Calibration("balanced", 512, 2),
    Calibration("trimmed", 512, 3),
    Calibration("random", 128, 4),
    Calibration("trimmed", 1024, 5),
)
"""Tried in this order until one keeps the limits; the first that does is used and `calibration.json` names it."""


def figures(seen: Comparison) -> dict[str, float | None]:
    """Return what the record of a calibration keeps of a comparison on held-back windows."""
    return {
        "accuracy": seen.accuracy,
        "reference_accuracy": seen.reference_accuracy,
        "top1_agreement": seen.top1_agreement,
        "max_abs_diff": seen.max_abs_diff,
    }
