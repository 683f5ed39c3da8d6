"""Samples in which values are missing: left out, or filled with a channel's last value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resumable import Resumable
from .signal import Missing


class FillMissing(Resumable):
    """Return the samples that have all values; with `hold` a missing one is the channel's last, if that is not too old.

    Whatever is left out becomes a hole in time, which is bridged or a gap, as if the samples had never been there.
    """

    _kept = ("missing", "held", "_values", "_times")

    def __init__(self, channels: int, policy: Missing, hold_s: float) -> None:
        """Hold values for `hold_s` at most."""
        self.missing = self.held = 0
        self._policy, self._hold_s = policy, hold_s
        self._values, self._times = np.zeros((1, channels)), np.full((1, channels), -np.inf)

    def push(
        self, times: NDArray[np.float64], samples: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return samples with their holes filled, and which rows of them are whole.

        times: float64 [n], s, ascending; samples: float64 [n, channels]
        """
        there = np.isfinite(samples)
        whole = there.all(axis=1)
        lacking = len(samples) - int(whole.sum())
        self.missing += lacking
        if self._policy == "hold":
            if lacking:
                samples, whole = self._fill(times, samples, there)
                self.held += lacking - (len(samples) - int(whole.sum()))
            elif len(samples):
                self._values, self._times = samples[-1:].copy(), np.full_like(self._times, times[-1])
        return samples, np.asarray(whole)

    def _fill(
        self, times: NDArray[np.float64], samples: NDArray[np.float64], there: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        values = np.concatenate((self._values, samples))
        rows = np.arange(1, len(values))[:, None]
        last = np.maximum.accumulate(np.where(there, rows, 0), axis=0)  # 0 is what was there before this push
        filled = np.take_along_axis(values, last, axis=0)
        all_times = np.concatenate((np.zeros(1), times))
        since = np.where(last > 0, all_times[last], self._times)
        self._values, self._times = filled[-1:].copy(), since[-1:].copy()
        return filled, np.asarray((times[:, None] - since <= self._hold_s).all(axis=1))
