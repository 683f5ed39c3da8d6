"""What was seen when one file was examined, and what that says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .compare import Comparison
from .limits import Limits

CLEAR = 0.05
"""A p-value below this calls a difference in accuracy real."""


@dataclass(frozen=True)
class Check:
    """One limit of one file, and whether it is kept."""

    name: str
    problem: str = ""
    """In words and figures; empty where the limit is kept."""


@dataclass(frozen=True)
class Examination:
    """What was seen of one file."""

    name: str
    sha256: str
    bytes: int
    windows: Comparison
    """On all test windows."""
    recordings: Comparison
    """On test recordings taken whole, from half a hop on, so that the windows lie between those of the data set."""
    adversarial: Mapping[str, Comparison]
    quality: Mapping[str, Any]
    """Accuracy with its interval, per class and subject, and calibration."""
    rebuilt: Comparison | None
    """The file against itself built again, on all of these inputs; None for a file that is not quantised."""
    same_bytes: bool | None
    ends: Mapping[str, Any]
    """Types, scales and zero points of inputs and outputs."""
    limits: Limits
    tolerance: float
    """Largest relative |Δlogit| that a float32 copy of this reference may have."""
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words and figures."""
        return [check.problem for check in self.checks if check.problem]

    @property
    def verdict(self) -> str:
        """What the figures say, as one sentence."""
        seen = self.windows
        low, high = (100 * bound for bound in seen.accuracy_difference)
        difference = 100 * ((seen.accuracy or 0) - (seen.reference_accuracy or 0))
        if self.problems:
            return "out of its limits: " + "; ".join(self.problems)
        if max(seen.relative_logit_diff, self.recordings.relative_logit_diff) <= self.tolerance:
            return f"equal to the reference on {seen.windows} windows, within the rounding of float32"
        interval = f"{low:+.2f} to {high:+.2f}"
        if seen.mcnemar_p >= CLEAR:
            return (
                f"indistinguishable in accuracy on {seen.windows} windows: {difference:+.2f} points, "
                f"95 % interval {interval}"
            )
        return f"{'worse' if difference < 0 else 'better'} by {abs(difference):.2f} points, 95 % interval {interval}"

    def to_json(self) -> dict[str, Any]:
        """Return the certificate's entry."""
        seen = self.windows
        entry: dict[str, Any] = {
            "sha256": self.sha256,
            "bytes": self.bytes,
            "verdict": self.verdict,
            "accuracy": seen.accuracy,
            "reference_accuracy": seen.reference_accuracy,
            **self.quality,
            "mcnemar": {
                "only_this_right": seen.only_candidate_right,
                "only_reference_right": seen.only_reference_right,
                "p": seen.mcnemar_p,
                "accuracy_difference_interval": list(seen.accuracy_difference),
            },
            **figures(seen),
            "top1_agreement": seen.top1_agreement,
            "ties": seen.ties,
            "flips": [asdict(flip) for flip in seen.flips],
            "recordings": {
                "windows": self.recordings.windows,
                **figures(self.recordings),
                "top1_agreement": self.recordings.top1_agreement,
                "ties": self.recordings.ties,
            },
            "adversarial": {name: figures(found) for name, found in self.adversarial.items()},
            "ends": dict(self.ends),
            "limits": self.limits.given(),
        }
        if self.rebuilt is not None:
            entry["rebuilt"] = {
                "same_bytes": self.same_bytes,
                "windows": self.rebuilt.windows,
                "max_abs_diff": self.rebuilt.max_abs_diff,
                "top1_agreement": self.rebuilt.top1_agreement,
            }
        return entry


def figures(seen: Comparison) -> dict[str, float]:
    """Return how far two sets of answers lie apart."""
    return {
        "max_abs_diff": seen.max_abs_diff,
        "p50_abs_diff": seen.p50_abs_diff,
        "p999_abs_diff": seen.p999_abs_diff,
        "max_logit_diff": seen.max_logit_diff,
        "relative_logit_diff": seen.relative_logit_diff,
    }
