"""What a number of windows can say: intervals, a test for two models on the same windows, calibration."""

from __future__ import annotations

from fractions import Fraction
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959964
"""Two-sided 95 % of the normal distribution."""
BINS = 15


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, fractions 0–1.

    E. B. Wilson. Probable inference, the law of succession, and statistical inference. JASA 22 (1927).
    """
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value for two models of which each is right alone on so many windows.

    Q. McNemar. Note on the sampling error of the difference between correlated proportions. Psychometrika 12 (1947);
    exact, by the binomial distribution with p = 1/2 over the windows on which one of the two is right.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    return float(min(Fraction(1), 2 * Fraction(sum(comb(n, k) for k in range(fewer + 1)), 2**n)))


def paired_difference(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy of the first minus that of the second on the same n windows.

    A. Agresti, Y. Min. Simple improved confidence intervals for comparing matched proportions. Statistics in Medicine
    24 (2005): half an observation added to each of the four cells.
    """
    b, c, total = only_first + 0.5, only_second + 0.5, n + 2.0
    centre = (b - c) / total
    half = Z95 * sqrt(max(0.0, (b + c) - (b - c) ** 2 / total)) / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def expected_calibration_error(probabilities: NDArray[np.float32], class_ids: NDArray[np.int64]) -> float:
    """Return how far confidence and accuracy lie apart, a fraction 0–1: mean over equal bins of confidence.

    probabilities: float32 [n, classes]; class_ids: int64 [n], the truth
    C. Guo et al. On calibration of modern neural networks. ICML 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == class_ids
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = [abs(float((hits[bins == b] - confidence[bins == b]).sum())) for b in np.unique(bins)]
    return sum(gaps) / len(probabilities)
