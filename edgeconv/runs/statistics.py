"""What paired differences over subjects and repeats can say."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["better", "worse", "not resolvable"]
RESAMPLES = 4000
SEED = 0
"""Of the bootstrap, so that the same results give the same interval."""
Z95 = 1.959964
STUDENT_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % points of Student's t distribution for 1 to 30 degrees of freedom; 1.96 is taken beyond."""


@dataclass(frozen=True)
class Interval:
    """A mean of differences and the interval in which it lies with 95 % confidence; fractions 0–1."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether all of the interval lies on one side of zero."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not resolvable"


def crossed_bootstrap(differences: NDArray[np.float64], fits: NDArray[np.int64]) -> Interval | None:
    """Return the mean of paired differences and its 95 % interval, over both subjects and repeats.

    differences: float64 [subjects, repeats], fractions 0–1; fits: int64 [subjects], the fold that tests the subject
    returns: None where nothing tells what another fit would say: one repeat of one fold, or one subject
    A. B. Owen. The pigeonhole bootstrap. Annals of Applied Statistics 1 (2007): subjects and repeats are drawn anew,
    each with replacement and independently of the other, and a draw is the mean over the cells where they cross.
    With one repeat whole folds are drawn instead of subjects, because the subjects of a fold share a fit, and how much
    fits differ by their seed is not seen otherwise. A bootstrap of few observations is too narrow (T. Hesterberg, What
    teachers should know about the bootstrap, American Statistician 69, 2015): the part of each side in a draw's
    deviation is widened by (n / (n - 1))^½ t / z, as Student's t distribution widens the normal one.
    """
    subjects, repeats = differences.shape
    value = float(differences.mean())
    units = np.arange(subjects) if repeats > 1 else np.unique(fits, return_inverse=True)[1]
    count = int(units.max()) + 1
    if count == 1:
        return None
    rng = np.random.default_rng(SEED)
    members = np.eye(count)[units].T  # [units, subjects]
    drawn = _drawn(rng, count) @ members
    weights = drawn / drawn.sum(axis=1, keepdims=True)
    by_subject, by_repeat = differences.mean(axis=1) - value, differences.mean(axis=0) - value
    both = differences - value - by_subject[:, None] - by_repeat
    deviations = _widening(count) * (weights @ by_subject)
    if repeats > 1:
        seeds = _drawn(rng, repeats) / repeats
        deviations += _widening(repeats) * (seeds @ by_repeat) + ((weights @ both) * seeds).sum(axis=1)
    low, high = np.quantile(deviations, (0.025, 0.975))
    return Interval(value, value + float(low), value + float(high))


def _drawn(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return how often each of `count` is in each draw of so many with replacement, int64 [RESAMPLES, count]."""
    return rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)


def student_half_width(values: NDArray[np.float64]) -> float | None:
    """Return half of the 95 % interval of a mean by Student's t, in the unit of `values` [n]; None for one value."""
    count = len(values)
    return None if count < 2 else student_95(count) * float(values.std(ddof=1)) / sqrt(count)


def student_95(count: int) -> float:
    """Return the two-sided 95 % point of Student's t distribution for the mean of so many values, from 2."""
    return STUDENT_95[count - 2] if count - 2 < len(STUDENT_95) else Z95


def _widening(count: int) -> float:
    return sqrt(count / (count - 1)) * student_95(count) / Z95
