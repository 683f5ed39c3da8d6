"""Windowed sinc kernels as tables, read at any time between their entries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ENTRIES = 512
"""Of a table for each zero crossing; read between them on straight lines, 105 dB below the kernel's peak."""


class Kernel:
    """A sinc of one bandwidth under a Kaiser window, zero beyond its half length.

    The window and its shape: J. F. Kaiser, Nonrecursive digital filter design using the I0-sinh window function, 1974.
    The table: J. O. Smith, P. Gossett, A flexible sampling-rate conversion method, ICASSP 1984.
    """

    def __init__(self, cutoff_hz: float, half_s: float, beta: float) -> None:
        """Make the table of a low-pass whose gain at `cutoff_hz` is one half."""
        self.half_s = half_s
        self._per_s = 2 * cutoff_hz * ENTRIES
        count = int(np.ceil(half_s * self._per_s)) + 1
        times = np.arange(count + 1) / self._per_s
        window = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (times / half_s) ** 2))) / np.i0(beta)
        self._table = np.where(times <= half_s, np.sinc(2 * cutoff_hz * times) * window, 0.0)
        self._steps = np.append(np.diff(self._table), 0.0)

    def __call__(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernel at these times, s; 1 at 0."""
        place = np.minimum(np.abs(times) * self._per_s, len(self._table) - 1)
        at = place.astype(np.intp)
        place -= at
        place *= self._steps[at]
        place += self._table[at]
        return place
