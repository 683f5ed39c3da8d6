"""Compare a candidate's probabilities with its reference's on the same real windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import CheckError

DECISIVE_MARGIN = 2e-5
"""Two probabilities that each move by up to 1e-5 can only change places when they are closer than this."""


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach; None leaves a figure out."""

    max_abs_diff: float | None = None
    """Largest |Δp| allowed anywhere."""
    decisive_top1_equal: bool = False
    """Whether the top class must be the same wherever the reference's margin exceeds `DECISIVE_MARGIN`."""
    accuracy_drop: float | None = None
    """How far the accuracy (fraction 0–1) may lie below the reference's."""
    top1_agreement: float | None = None
    """Fraction 0–1 of windows on which the top class must be the reference's."""


FLOAT_LIMITS = Limits(max_abs_diff=1e-5, decisive_top1_equal=True)
"""For a float32 copy of the network: nothing but the order of summation may differ."""
INT8_LIMITS = Limits(accuracy_drop=0.005, top1_agreement=0.985)
"""For an int8 copy: half a percentage point of accuracy, and the same answer on 98.5 % of windows."""


@dataclass(frozen=True)
class Comparison:
    """What was seen when candidate and reference ran on the same windows."""

    accuracy: float
    """Fraction 0–1 of the windows on which the candidate is right."""
    reference_accuracy: float
    max_abs_diff: float
    """Largest |Δp| over all windows and classes."""
    p999_abs_diff: float
    """99.9th percentile, over windows, of the largest |Δp| in each."""
    top1_agreement: float
    """Fraction 0–1 of the windows on which both name the same class."""
    decisive_top1_changes: int
    """Windows on which they differ although the reference's margin exceeds `DECISIVE_MARGIN`."""
    windows: int

    def violations(self, limits: Limits) -> list[str]:
        """Return, in words and figures, each limit that is not kept."""
        found = []
        if limits.max_abs_diff is not None and not self.max_abs_diff <= limits.max_abs_diff:
            found.append(f"largest |Δp| is {self.max_abs_diff:.2g}, the limit {limits.max_abs_diff:.2g}")
        if limits.decisive_top1_equal and self.decisive_top1_changes:
            found.append(
                f"the top class changed on {self.decisive_top1_changes} of {self.windows} windows although the "
                f"reference's margin exceeds {DECISIVE_MARGIN:g}"
            )
        drop = self.reference_accuracy - self.accuracy
        if limits.accuracy_drop is not None and not drop <= limits.accuracy_drop:
            found.append(
                f"accuracy is {100 * self.accuracy:.2f} %, {100 * drop:.2f} points below the reference's "
                f"{100 * self.reference_accuracy:.2f} %, the limit is {100 * limits.accuracy_drop:.2f} points"
            )
        if limits.top1_agreement is not None and not self.top1_agreement >= limits.top1_agreement:
            found.append(
                f"the top class agrees on {100 * self.top1_agreement:.2f} % of windows, "
                f"the limit is {100 * limits.top1_agreement:.2f} %"
            )
        return found


def compare(reference: NDArray[np.float32], candidate: NDArray[np.float32], class_ids: NDArray[np.int64]) -> Comparison:
    """Compare two sets of probabilities for the same windows.

    reference, candidate: float32 [n, classes]; class_ids: int64 [n], the truth
    Raises CheckError where there is nothing to compare, where shapes differ or a value is not finite: such a
    comparison shows nothing.
    """
    if reference.shape != candidate.shape or reference.ndim != 2 or len(reference) != len(class_ids):
        raise CheckError(
            f"probabilities do not match: the reference has shape {list(reference.shape)}, the candidate "
            f"{list(candidate.shape)}, for {len(class_ids)} windows"
        )
    if len(reference) == 0:
        raise CheckError("there are no windows to compare on; give data with at least one test window")
    for name, values in (("reference", reference), ("candidate", candidate)):
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise CheckError(f"the {name} gave NaN or infinity on {bad} of {len(values)} windows")
    diff = np.abs(candidate.astype(np.float64) - reference.astype(np.float64)).max(axis=1)
    top_reference, top_candidate = reference.argmax(axis=1), candidate.argmax(axis=1)
    ranked = np.sort(reference, axis=1)
    margin = ranked[:, -1] - ranked[:, -2]
    changed = top_reference != top_candidate
    return Comparison(
        accuracy=float((top_candidate == class_ids).mean()),
        reference_accuracy=float((top_reference == class_ids).mean()),
        max_abs_diff=float(diff.max()),
        p999_abs_diff=float(np.quantile(diff, 0.999)),
        top1_agreement=float(1 - changed.mean()),
        decisive_top1_changes=int((changed & (margin > DECISIVE_MARGIN)).sum()),
        windows=len(reference),
    )
