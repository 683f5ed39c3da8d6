"""Whether a model is as sure as it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .statistics import BINS, expected_calibration_error

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
LEAST = float(np.finfo(np.float32).tiny)
"""A probability of 0 counts as this, the smallest normal float32, so that no single window makes the mean infinite."""


@dataclass(frozen=True)
class Bin:
    """Windows whose confidence lies in [low, high); the last bin has 1, too."""

    low: float
    high: float
    windows: int
    confidence: float | None
    """Mean of them; None without windows."""
    accuracy: float | None


@dataclass(frozen=True)
class Above:
    """What is left where answers below a confidence are not taken."""

    confidence: float
    share: float
    """Of windows with at least this confidence."""
    accuracy: float | None
    """Of these windows; None without any."""


@dataclass(frozen=True)
class Reliability:
    """How confidence and truth go together on a number of windows."""

    windows: int
    negative_log_likelihood: float
    """Mean of −log p of the true class, natural logarithm."""
    brier: float
    """Mean over windows of the squared differences between probabilities and truth, added up over the classes, 0–2."""
    expected_calibration_error: float
    """Mean over windows of |accuracy − confidence| of their bin, 0–1."""
    bins: tuple[Bin, ...]
    above: tuple[Above, ...]


def reliability(probabilities: NDArray[np.float32], class_ids: NDArray[np.int64]) -> Reliability:
    """Return how far a model's probabilities can be believed.

    probabilities: float32 [n, classes], n from 1; class_ids: int64 [n], the truth
    Confidence is the highest probability; its bins have equal width. G. W. Brier. Verification of forecasts expressed
    in terms of probability. Monthly Weather Review 78 (1950). C. Guo et al. On calibration of modern neural networks.
    ICML 2017 (expected calibration error, reliability diagram).
    """
    wide = probabilities.astype(np.float64)
    of_truth = wide[np.arange(len(wide)), class_ids]
    squares = (wide**2).sum(axis=1) - of_truth**2 + (1 - of_truth) ** 2
    confidence, hits = wide.max(axis=1), wide.argmax(axis=1) == class_ids
    at = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)

    def mean(values: NDArray[np.generic], chosen: NDArray[np.bool_]) -> float | None:
        return float(values[chosen].mean()) if chosen.any() else None

    return Reliability(
        windows=len(wide),
        negative_log_likelihood=float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        brier=float(squares.mean()),
        expected_calibration_error=expected_calibration_error(probabilities, class_ids),
        bins=tuple(
            Bin(b / BINS, (b + 1) / BINS, int((at == b).sum()), mean(confidence, at == b), mean(hits, at == b))
            for b in range(BINS)
        ),
        above=tuple(
            Above(limit, float((confidence >= limit).mean()), mean(hits, confidence >= limit)) for limit in THRESHOLDS
        ),
    )
