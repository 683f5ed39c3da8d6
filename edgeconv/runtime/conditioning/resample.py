"""Band-limited resampling of a stretch of samples, from their true times to an even grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resumable import Resumable
from .even_out import NEAR, EvenOut
from .kernel import Kernel

ATTENUATION_DB = 70.0
PASS = 0.9
"""The pass band, as a share of the lower of the two Nyquist frequencies, at which the stop band begins."""
BETA = 0.1102 * (ATTENUATION_DB - 8.7)
BLOCK = 512
"""Grid points that are worked out at once."""
_ROUNDING = 1e-6
"""Of a grid period: what is off a grid point by less lies on it."""


def half_length_s(source_hz: float, target_hz: float) -> float:
    """Return half the length of the kernel, s: how far a grid point looks to either side.

    By Kaiser's formula for the attenuation and a transition band from `PASS` to 1 of the lower Nyquist frequency.
    """
    transition_hz = (1 - PASS) * min(source_hz, target_hz) / 2
    return (ATTENUATION_DB - 7.95) / (14.36 * transition_hz) / 2


class Resampler(Resumable):
    """Take samples of one stretch at their times; give the samples at the grid points k / rate inside the stretch.

    Filter: a sinc under a Kaiser window, evaluated at the true distances between samples and grid point. With F the
    lower of the two Nyquist frequencies, it passes 0 to 0.9 F within 0.003 of the amplitude, weakens F and all above by
    65 dB or more, and reaches 21.6 / F to either side (0.86 s for 50 Hz). It is symmetric, so tones come out
    without delay; only the answer is late, by half its length. Before the first and after the last sample of the
    stretch it sees these two, held.

    Times that are not even are evened out first (`EvenOut`), which makes the answer later by 16 samples. Weights are
    normalised to a sum of 1, so a constant stays what it is.
    """

    _kept = ("_even", "_times", "_rows", "_last_row", "_last_s", "_next", "_begun")

    def __init__(self, channels: int, source_hz: float, target_hz: float, *, jitter: bool) -> None:
        """Resample from a rate, which may be an average, to another one; `jitter` says that times are not even."""
        self._target_hz, self._period_s = target_hz, 1 / source_hz
        self._channels = channels
        half_s = half_length_s(source_hz, target_hz)
        self._kernel = Kernel(0.5 * (1 + PASS) * min(source_hz, target_hz) / 2, half_s, BETA)
        self._even = EvenOut(channels, self._period_s) if jitter else None
        self._held = int(np.ceil(half_s * source_hz)) + 2 + (NEAR if jitter else 0)
        self.delay_s = half_s + (NEAR // 2 * self._period_s if jitter else 0.0)
        """How long after a moment its sample is known."""
        self._reset()

    def _reset(self) -> None:
        self._begun = False
        self._times, self._rows = np.empty(0), np.empty((0, self._channels))
        self._last_s, self._last_row = 0.0, np.empty((1, self._channels))
        self._next = 0
        if self._even is not None:
            self._even.reset()

    def push(self, times: NDArray[np.float64], samples: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
        """Take the next samples of the stretch; return the number of a grid point, and the samples there and after.

        times: float64 [n], s, ascending, steps about those of the source's rate; samples: float64 [n, channels]
        returns: k, float64 [m, channels]: the samples at k / rate, (k + 1) / rate …
        """
        if len(times) == 0:
            return self._next, np.empty((0, self._channels))
        if not self._begun:
            self._begun = True
            self._next = int(np.ceil(times[0] * self._target_hz - _ROUNDING))
            before = times[0] + self._period_s * np.arange(-self._held, 0, dtype=np.float64)
            self._take(before, np.repeat(samples[:1], self._held, axis=0))
        self._last_s, self._last_row = float(times[-1]), samples[-1:].copy()
        self._take(times, samples)
        known_s = self._times[-1] - self._kernel.half_s if len(self._times) else -np.inf
        return self._give(known_s)

    def finish(self) -> tuple[int, NDArray[np.float64]]:
        """End the stretch; return what is left of it, as `push` does. The next push begins another one."""
        if not self._begun:
            return 0, np.empty((0, self._channels))
        after = self._last_s + self._period_s * np.arange(1, self._held + 1, dtype=np.float64)
        self._take(after, np.repeat(self._last_row, self._held, axis=0))
        found = self._give(self._last_s + _ROUNDING / self._target_hz)
        self._reset()
        return found

    def _take(self, times: NDArray[np.float64], samples: NDArray[np.float64]) -> None:
        if self._even is not None:
            times, samples = self._even.push(times, samples)
        self._times, self._rows = np.concatenate((self._times, times)), np.concatenate((self._rows, samples))

    def _give(self, until_s: float) -> tuple[int, NDArray[np.float64]]:
        first = self._next
        last = int(np.floor(until_s * self._target_hz)) if np.isfinite(until_s) else first - 1
        blocks = (np.arange(at, min(at + BLOCK, last + 1)) for at in range(first, last + 1, BLOCK))
        found = [np.empty((0, self._channels)), *(self._at(block / self._target_hz) for block in blocks)]
        self._next = max(first, last + 1)
        needed = np.searchsorted(self._times, self._next / self._target_hz - self._kernel.half_s) - 1
        if needed > 0:
            self._times, self._rows = self._times[needed:].copy(), self._rows[needed:].copy()
        return first, np.concatenate(found)

    def _at(self, grid_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the samples at grid points: float64 [n, channels]."""
        starts = np.searchsorted(self._times, grid_s - self._kernel.half_s)
        counts = np.searchsorted(self._times, grid_s + self._kernel.half_s, side="right") - starts
        offsets = np.cumsum(counts) - counts
        near = np.arange(counts.sum()) + np.repeat(starts - offsets, counts)
        weights = self._kernel(np.repeat(grid_s, counts) - self._times[near])
        # Each sum is over the terms of one grid point, so it does not depend on which others are worked out with it.
        sums = np.add.reduceat(self._rows[near] * weights[:, None], offsets, axis=0)
        return np.asarray(sums / np.add.reduceat(weights, offsets)[:, None])
