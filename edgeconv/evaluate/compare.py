"""Compare a candidate's probabilities with its reference's on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import CheckError

from .limits import Limits
from .statistics import mcnemar, paired_difference

SMALLEST = 1e-30
"""Probabilities below this count as this: float32 loses what lies further down, and each engine in its own way."""

PROBABILITY_ROUNDING = 2 * float(np.finfo(np.float32).eps)
"""How far two probabilities may lie apart by their own rounding: one class may be 1 - p of another, near 1."""


@dataclass(frozen=True)
class Flip:
    """A window on which the candidate names another class than the reference."""

    window: int
    reference: int
    """Class id."""
    candidate: int
    margin: float
    """How much more probable the reference's class is than the candidate's, to the reference."""
    candidate_margin: float
    """How much more probable the candidate's class is than the reference's, to the candidate; 0 is a tie."""


@dataclass(frozen=True)
class Comparison:
    """What was seen when candidate and reference ran on the same inputs."""

    windows: int
    max_abs_diff: float
    """Largest |Δp| over all windows and classes."""
    p50_abs_diff: float
    """Median, over windows, of the largest |Δp| in each."""
    p999_abs_diff: float
    """99.9th percentile of the same."""
    max_logit_diff: float
    """Largest |Δlogit|; logits are taken relative to the reference's top class, as differences of log p."""
    relative_logit_diff: float
    """Largest |Δlogit| over the largest |logit| of the window, which counts as 1 at least."""
    worst_window: int
    """Where that is."""
    flips: tuple[Flip, ...]
    accuracy: float | None = None
    """Fraction 0–1 of the windows on which the candidate is right; None where the truth is not known."""
    reference_accuracy: float | None = None
    only_candidate_right: int = 0
    """Windows on which the candidate is right and the reference wrong."""
    only_reference_right: int = 0

    @property
    def top1_agreement(self) -> float:
        """Fraction 0–1 of the windows on which both name the same class."""
        return 1 - len(self.flips) / self.windows

    @property
    def ties(self) -> int:
        """Flips in which the candidate finds both classes equally probable."""
        return sum(flip.candidate_margin == 0 for flip in self.flips)

    @property
    def mcnemar_p(self) -> float:
        """Exact p-value that as many windows, or more unevenly, come right and wrong by chance."""
        return mcnemar(self.only_candidate_right, self.only_reference_right)

    @property
    def accuracy_difference(self) -> tuple[float, float]:
        """95 % interval of the candidate's accuracy minus the reference's."""
        return paired_difference(self.only_candidate_right, self.only_reference_right, self.windows)

    def violations(self, limits: Limits) -> list[str]:
        """Return, in words and figures, each limit that is not kept."""
        found = []
        if limits.relative_logit_diff is not None and not self.relative_logit_diff <= limits.relative_logit_diff:
            found.append(
                f"largest |Δlogit| is {self.relative_logit_diff:.2g} of the window's largest logit, the limit "
                f"{limits.relative_logit_diff:.2g} (largest |Δp| {self.max_abs_diff:.2g}, window {self.worst_window})"
            )
        if limits.max_abs_diff is not None and not self.max_abs_diff <= limits.max_abs_diff:
            found.append(f"largest |Δp| is {self.max_abs_diff:.2g}, the limit {limits.max_abs_diff:.2g}")
        if limits.top1_agreement is not None and not self.top1_agreement >= limits.top1_agreement:
            found.append(
                f"the top class agrees on {100 * self.top1_agreement:.2f} % of windows, "
                f"the limit is {100 * limits.top1_agreement:.2f} %"
            )
        if self.accuracy is None or self.reference_accuracy is None:
            return found
        drop = self.reference_accuracy - self.accuracy
        if limits.accuracy_drop is not None and not drop <= limits.accuracy_drop:
            found.append(
                f"accuracy is {100 * self.accuracy:.2f} %, {100 * drop:.2f} points below the reference's "
                f"{100 * self.reference_accuracy:.2f} %, the limit is {100 * limits.accuracy_drop:.2f} points"
            )
        if limits.accuracy is not None and not self.accuracy >= limits.accuracy:
            found.append(
                f"accuracy is {100 * self.accuracy:.2f} %, at least {100 * limits.accuracy:.2f} % was asked for"
            )
        return found


def compare(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], class_ids: NDArray[np.int64] | None = None
) -> Comparison:
    """Compare two sets of probabilities for the same windows.

    reference, candidate: float32 [n, classes]; class_ids: int64 [n], the truth where it is known
    Raises CheckError where there is nothing to compare, where shapes differ or a value is not finite: such a
    comparison shows nothing.
    """
    if (
        reference.shape != candidate.shape
        or reference.ndim != 2
        or len(reference) != len(reference if class_ids is None else class_ids)
    ):
        raise CheckError(
            f"probabilities do not match: the reference has shape {list(reference.shape)}, the candidate "
            f"{list(candidate.shape)}" + ("" if class_ids is None else f", for {len(class_ids)} windows")
        )
    if len(reference) == 0:
        raise CheckError("there are no windows to compare on; give data with at least one test window")
    for name, values in (("reference", reference), ("candidate", candidate)):
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise CheckError(f"the {name} gave NaN or infinity on {bad} of {len(values)} windows")
    diff = np.abs(candidate.astype(np.float64) - reference.astype(np.float64)).max(axis=1)
    logit_diff, largest = logit_differences(reference, candidate)
    relative = logit_diff / largest
    top_reference, top_candidate = reference.argmax(axis=1), candidate.argmax(axis=1)
    flips = tuple(
        Flip(
            int(row),
            int(a := top_reference[row]),
            int(b := top_candidate[row]),
            float(reference[row, a] - reference[row, b]),
            float(candidate[row, b] - candidate[row, a]),
        )
        for row in np.flatnonzero(top_reference != top_candidate)
    )
    right = (top_candidate == class_ids), (top_reference == class_ids)
    known = class_ids is not None
    return Comparison(
        windows=len(reference),
        max_abs_diff=float(diff.max()),
        p50_abs_diff=float(np.median(diff)),
        p999_abs_diff=float(np.quantile(diff, 0.999)),
        max_logit_diff=float(logit_diff.max()),
        relative_logit_diff=float(relative.max()),
        worst_window=int(relative.argmax()),
        flips=flips,
        accuracy=float(right[0].mean()) if known else None,
        reference_accuracy=float(right[1].mean()) if known else None,
        only_candidate_right=int((right[0] & ~right[1]).sum()) if known else 0,
        only_reference_right=int((right[1] & ~right[0]).sum()) if known else 0,
    )


def logit_differences(
    reference: NDArray[np.float32], candidate: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each window's largest |Δlogit|, and its largest |logit| or 1, both float64 [n].

    A softmax keeps the differences of logits as differences of log p, so both are taken relative to the class that is
    the reference's first choice. Float32 networks err in proportion to the size of what they add up. What the rounding
    of the probabilities themselves explains does not count.
    """
    rows, top = np.arange(len(reference)), reference.argmax(axis=1)
    both = [np.maximum(values.astype(np.float64), SMALLEST) for values in (reference, candidate)]
    rounding = PROBABILITY_ROUNDING / np.minimum(*both)
    a, b = (np.log(values) - np.log(values)[rows, top][:, None] for values in both)
    difference = np.abs(a - b) - rounding - rounding[rows, top][:, None]
    return np.maximum(0.0, difference.max(axis=1)), np.maximum(1.0, np.abs(a).max(axis=1))
