"""Medians with bootstrap intervals, ratios of two sets of rounds, and whether a series of times can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
RESAMPLES = 4000

SETTLED_BLOCK = 3
SETTLED_TOLERANCE = 0.03

STABLE_HALF_WIDTH = 0.03
"""Wider than the margin that `compare` asks for, an interval could not show a change anyway."""
STABLE_DRIFT = 0.05


@dataclass(frozen=True)
class Interval:
    """A value and the interval in which it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval as a fraction of the value."""
        return (self.high - self.low) / 2 / abs(self.value) if self.value else 0.0


def median(rounds: ArrayLike, seed: int = 0) -> Interval:
    """Return the median of a figure's rounds with its bootstrap interval.

    rounds: float [n], n ≥ 1
    The interval is the bootstrap's percentile interval (Efron & Tibshirani 1993, chapter 13). Its refinement BCa takes
    its acceleration from the jackknife, which fails for the median (there, section 11.6).
    """
    values = _values(rounds)
    return _interval(float(np.median(values)), np.median(_resampled(values, seed), axis=1))


def ratio(before: ArrayLike, after: ArrayLike, seed: int = 0) -> Interval:
    """Return the median of `after` over that of `before`, for rounds of two separate runs.

    before, after: float [n], float [m], the rounds of a figure, above 0
    Each side is drawn anew on its own (Kalibera & Jones 2013: give the effect's size with an interval, not a test).
    """
    first, second = _values(before), _values(after)
    drawn = np.median(_resampled(second, seed), axis=1) / np.median(_resampled(first, seed + 1), axis=1)
    return _interval(float(np.median(second) / np.median(first)), drawn)


def paired_ratio(before: ArrayLike, after: ArrayLike, seed: int = 0) -> Interval:
    """Return the median, over rounds, of `after` over `before`, for contestants that were interleaved.

    before, after: float [n], the same rounds of both, above 0
    What slows a round of both, such as a warm processor or a neighbour, is not in their ratio.
    """
    ratios = _values(after) / _values(before)
    return _interval(float(np.median(ratios)), np.median(_resampled(ratios, seed), axis=1))


def has_settled(times: Sequence[float]) -> bool:
    """Return whether the last times are what those before them were, so that the warm-up can end.

    times: seconds of successive equal pieces of work, any unit
    True where the medians of the last three and of the three before differ by at most 3 %. Georges et al. 2007 ask that
    the coefficient of variation of the last few times falls below 1 or 2 %; where neighbours disturb single times it
    never does, and medians tell a trend from a disturbance.
    """
    if len(times) < 2 * SETTLED_BLOCK:
        return False
    last = float(np.median(times[-SETTLED_BLOCK:]))
    earlier = float(np.median(times[-2 * SETTLED_BLOCK : -SETTLED_BLOCK]))
    return abs(last - earlier) <= SETTLED_TOLERANCE * earlier


def instabilities(rounds: ArrayLike, seed: int = 0) -> list[str]:
    """Return, in words and figures, why a figure's rounds cannot be trusted; nothing where they can.

    rounds: float [n], in the order in which they ran
    Stable means: half of the interval is at most 3 % of the median, and the medians of the first and the last third of
    the rounds differ by at most 5 %.
    """
    values = _values(rounds)
    found = []
    half_width = median(values, seed).half_width
    if not half_width <= STABLE_HALF_WIDTH:
        found.append(f"the interval is ±{100 * half_width:.1f} %, the limit ±{100 * STABLE_HALF_WIDTH:g} %")
    third = -(-len(values) // 3)
    drift = float(np.median(values[-third:]) / np.median(values[:third])) - 1
    if not abs(drift) <= STABLE_DRIFT:
        found.append(
            f"it drifts by {100 * drift:+.1f} % from first to last rounds, the limit ±{100 * STABLE_DRIFT:g} %"
        )
    return found


def _values(rounds: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(rounds, np.float64)


def _resampled(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    return values[np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))]


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(value, float(low), float(high))
