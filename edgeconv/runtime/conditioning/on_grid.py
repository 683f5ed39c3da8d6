"""Samples that are on the model's grid already, and holes filled by straight lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resumable import Resumable


class OnGrid(Resumable):
    """Pass the samples of a stretch as they are, bit for bit: the first one is a grid point, others the nearest one.

    A grid point without a sample is on a straight line between its neighbours; of two samples on one the second is left
    out. So a clock that is a little fast or slow never puts a sample more than half a period off its time.
    """

    _kept = ("bridged", "crowded", "_start_s", "_last", "_last_row")

    def __init__(self, channels: int, rate_hz: float, *, anchored: bool = False) -> None:
        """Take samples of this rate; anchored: the first one is put on the nearest point of a grid from 0 s on."""
        self._anchored = anchored
        self.bridged = self.crowded = 0
        self.delay_s = 0.0
        self._rate_hz = rate_hz
        self._start_s, self._last, self._last_row = 0.0, -1, np.zeros((1, channels))

    def push(self, times: NDArray[np.float64], samples: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Take the next samples of the stretch; return the time of the first grid point, s, and the samples from it on.

        times: float64 [n], s, ascending; samples: float64 [n, channels], finite
        """
        if self._last < 0 and len(times):
            start_s = float(times[0])
            self._start_s = round(start_s * self._rate_hz) / self._rate_hz if self._anchored else start_s
        first = self._last + 1
        places = np.rint((times - self._start_s) * self._rate_hz).astype(np.int64)
        steps = np.diff(places, prepend=self._last)
        if not (steps == 1).all():
            kept = steps > 0
            self.crowded += len(kept) - int(kept.sum())
            samples, steps = samples[kept], steps[kept]
            self.bridged += int(steps.sum()) - len(steps)
        found = bridge(self._last_row, samples, steps)
        if len(found):
            self._last += len(found)
            self._last_row = found[-1:].copy()
        return self._start_s + first / self._rate_hz, found

    def finish(self) -> tuple[float, NDArray[np.float64]]:
        """End the stretch, of which nothing is left; the next push begins another one."""
        self._last = -1
        return 0.0, self._last_row[:0]


def bridge(before: NDArray[np.float64], rows: NDArray[np.float64], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rows with evenly spaced ones in front of each, so that it is `steps` after the one before it.

    before: float64 [1, columns], the row before the first; rows: float64 [n, columns]; steps: int64 [n], each from 1
    """
    if (steps == 1).all():
        return rows
    ends = np.cumsum(steps)
    parts = np.arange(1, ends[-1] + 1) - np.repeat(ends - steps, steps)
    left = np.repeat(np.concatenate((before, rows[:-1])), steps, axis=0)
    found = left + (np.repeat(rows, steps, axis=0) - left) * (parts / np.repeat(steps, steps))[:, None]
    found[ends - 1] = rows
    return np.asarray(found)
