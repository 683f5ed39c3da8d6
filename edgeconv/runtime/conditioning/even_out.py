"""Samples at irregular times to evenly spaced ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..resumable import Resumable

NEAR = 32
"""Samples that one even sample is made of, half of them before it."""
BAND = 0.9
"""Of the Nyquist frequency: what is below is kept; the resampler's pass band ends here, too."""
NOISE = 1e-5
"""Power of what is no such signal, over that of the signal; it keeps samples that nearly coincide from being believed
more than they say."""
BLOCK = 256
"""Even samples that are worked out at once."""


class EvenOut(Resumable):
    """Estimate a band-limited signal at evenly spaced times from its samples at uneven ones.

    Each even sample is the best linear estimate (the least mean square error) from the samples nearest to it, of a
    signal with a flat spectrum up to `BAND`: weights K⁻¹ k, where K and k are the signal's autocorrelation, a sinc,
    between the samples and from them to the even time. J. L. Yen, On nonuniform sampling of bandwidth-limited signals,
    1956, has it without noise. With times off by up to three tenths of a period, tones of up to 0.8 of the Nyquist
    frequency err by less than 0.002 of their amplitude (rms), and at the edge of the band by 0.01.
    """

    _kept = ("_times", "_samples", "_origin_s", "_next")

    def __init__(self, channels: int, period_s: float) -> None:
        self._period_s, self._channels = period_s, channels
        self.reset()

    def reset(self) -> None:
        """Forget everything; the first sample that comes begins an even grid."""
        self._times, self._samples = np.empty(0), np.empty((0, self._channels))
        self._origin_s, self._next = 0.0, 0

    def push(
        self, times: NDArray[np.float64], samples: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take the next samples; return even times and samples, those that have half of `NEAR` samples on either side.

        times: float64 [n], s, ascending; samples: float64 [n, channels]
        """
        if len(self._times) == 0 and len(times):
            self._origin_s = float(times[0])
        self._times = np.concatenate((self._times, times))
        self._samples = np.concatenate((self._samples, samples))
        half = NEAR // 2
        if len(self._times) < NEAR:
            return np.empty(0), np.empty((0, self._channels))
        last = int(np.floor((self._times[-half] - self._origin_s) / self._period_s)) + 1
        even = np.asarray(self._origin_s + np.arange(self._next, last + 1) * self._period_s, np.float64)
        after = np.searchsorted(self._times, even)
        known = after <= len(self._times) - half
        even, after = even[known], after[known]
        self._next += len(even)
        good = after >= half  # before that the stretch begins
        even, after = even[good], after[good]
        blocks = (slice(at, at + BLOCK) for at in range(0, len(even), BLOCK))
        found = [self._at(even[block], after[block] - half) for block in blocks]
        keep = max(0, int(np.searchsorted(self._times, self._origin_s + self._next * self._period_s)) - half)
        self._times, self._samples = self._times[keep:].copy(), self._samples[keep:].copy()
        return even, np.concatenate([np.empty((0, self._channels)), *found])

    def _at(self, even: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
        near = starts[:, None] + np.arange(NEAR)
        places = (self._times[near] - even[:, None]) * (BAND / self._period_s)
        between = np.sinc(places[:, :, None] - places[:, None, :])
        between[:, np.arange(NEAR), np.arange(NEAR)] += NOISE
        weights = np.linalg.solve(between, np.sinc(places)[:, :, None])
        weights /= weights.sum(axis=1, keepdims=True)  # so a constant stays what it is
        return np.asarray((weights * self._samples[near]).sum(axis=1))
