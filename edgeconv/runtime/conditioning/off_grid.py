"""Samples that are not on the model's grid: holes bridged, then resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resumable import Resumable
from .on_grid import bridge
from .resample import Resampler
from .timeline import HOLE_PERIODS


class OffGrid(Resumable):
    """Resample the samples of a stretch to the model's rate, after putting straight lines into holes."""

    _kept = ("bridged", "_resampler", "_last")
    crowded = 0

    def __init__(self, channels: int, source_hz: float, rate_hz: float, *, jitter: bool) -> None:
        self.bridged = 0
        self._source_hz, self._rate_hz = source_hz, rate_hz
        self._resampler = Resampler(channels, source_hz, rate_hz, jitter=jitter)
        self._last = np.empty((0, 1 + channels))

    @property
    def delay_s(self) -> float:
        """How long after a moment its sample is known."""
        return self._resampler.delay_s

    def push(self, times: NDArray[np.float64], samples: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Take the next samples of the stretch; return the time of a grid point, s, and the samples from it on.

        times: float64 [n], s, ascending; samples: float64 [n, channels], finite
        """
        rows = np.concatenate((times[:, None], samples), axis=1)
        before = self._last if len(self._last) else rows[:1]
        steps = _periods(np.diff(times, prepend=before[0, :1]) * self._source_hz)
        if len(rows):
            self._last = rows[-1:].copy()
        found = bridge(before, rows, steps)
        self.bridged += len(found) - len(rows)
        return self._timed(*self._resampler.push(found[:, 0].copy(), found[:, 1:]))

    def finish(self) -> tuple[float, NDArray[np.float64]]:
        """End the stretch and return what is left of it; the next push begins another one."""
        self._last = self._last[:0]
        return self._timed(*self._resampler.finish())

    def _timed(self, number: int, samples: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        return number / self._rate_hz, samples


def _periods(steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many sample periods steps are, in periods: two from `HOLE_PERIODS` on."""
    return np.maximum(np.floor(steps + 2 - HOLE_PERIODS), 1).astype(np.int64)
