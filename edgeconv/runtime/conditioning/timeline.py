"""Time stamps as they come to times that only go forward, and the sample period that they show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..resumable import Resumable
from .stretch import Stretch

RUN = 5
"""So many stamps in a row that ascend, all behind the last one, say that the clock was set back; fewer came late."""
GAP_PERIODS = 5.0
"""A longer step between two samples is a gap, unless --max-gap says otherwise: at 50 Hz 0.1 s. What moves faster than
that is lost in a gap, and a straight line over it changes less of a window than the window's own hop does."""
HOLE_PERIODS = 1.75
"""In a longer step at least one sample is missing; a shorter one may be jitter."""
BURSTS = 0.5
"""Where several gaps take a larger share of the time, stamps say when packets arrived, not when samples were taken."""


class Timeline(Resumable):
    """Keep the samples whose time is later than that of all before; the first stamp is 0 s.

    Stamps that repeat and stamps that come late are left out. Where the clock was set back, times go on one model
    period after the last one, and the jump is counted; a clock that is set forward leaves a gap.
    """

    _kept = ("duplicates", "out_of_order", "jumps", "_origin", "_offset_s", "_last_s", "_repeats", "_stamps", "_rows")

    def __init__(self, channels: int, seconds: float, jump_s: float, origin: float | None = None) -> None:
        """Take stamps that count `seconds` each; after a jump the time goes on `jump_s` later.

        origin: the stamp that is 0 s, in place of the first one
        """
        self.duplicates = self.out_of_order = self.jumps = 0
        self._seconds, self._jump_s = seconds, jump_s
        self._origin = origin
        self._offset_s, self._last_s = 0.0, -np.inf
        self._repeats = 0  # since the last time
        # What is behind the last time, and too little yet to say whether it is late or the clock was set back.
        self._stamps = np.empty(0)
        self._rows = np.empty((0, channels))

    def push(self, stamps: NDArray[np.float64], rows: NDArray[np.float64], *, final: bool = False) -> Stretch:
        """Take the next stamps and rows; return those kept, with their times.

        stamps: float64 [n], finite, in the source's unit; rows: float64 [n, channels]
        final: nothing more comes, so that nothing is kept back
        """
        if self._origin is None and len(stamps):
            self._origin = float(stamps[0])
        # The difference first: in nanoseconds since 1970 a float64 is exact to 256 of them only.
        seconds = (stamps - (self._origin or 0.0)) * self._seconds
        seconds, rows = np.concatenate((self._stamps, seconds)), np.concatenate((self._rows, rows))
        self._stamps, self._rows = self._stamps[:0], self._rows[:0]
        times = seconds + self._offset_s
        if len(times) and times[0] > self._last_s and (times[1:] > times[:-1]).all():
            self._last_s = float(times[-1])
            found = Stretch.even(times, rows, self.jumps)
            found.repeats[0], self._repeats = self._repeats, 0
            return found
        return self._sort_out(seconds, rows, final)

    def _sort_out(self, seconds: NDArray[np.float64], rows: NDArray[np.float64], final: bool) -> Stretch:
        stamps = seconds.tolist()
        kept: list[tuple[int, float, int, int]] = []
        for at, stamp in enumerate(stamps):
            time_s = stamp + self._offset_s
            if time_s == self._last_s:
                self.duplicates += 1
                self._repeats += 1
                continue
            if time_s < self._last_s:
                run = [later + self._offset_s for later in stamps[at : at + RUN]]
                ascends = all(a < b for a, b in pairwise(run)) and run[-1] <= self._last_s
                if ascends and len(run) < RUN and not final:
                    self._stamps, self._rows = seconds[at:].copy(), rows[at:].copy()
                    break
                if not (ascends and len(run) == RUN):
                    self.out_of_order += 1
                    continue
                self.jumps += 1
                self._offset_s += self._last_s + self._jump_s - time_s
                time_s = self._last_s + self._jump_s
            kept.append((at, time_s, self.jumps, self._repeats))
            self._last_s, self._repeats = time_s, 0
        places, times, jumps, repeats = zip(*kept, strict=True) if kept else ((), (), (), ())
        return Stretch(
            np.array(times, np.float64), rows[list(places)], np.array(jumps, np.int64), np.array(repeats, np.int64)
        )


def sample_period_s(times: NDArray[np.float64]) -> float | None:
    """Return the sample period that ascending times show, s; None for fewer than two.

    The mean of the steps that no sample is missing in, which are those up to `HOLE_PERIODS` times the median. With
    jitter of three tenths of a period 128 samples show it to 1 %.
    """
    steps = np.diff(times)
    if len(steps) == 0:
        return None
    return float(steps[steps <= HOLE_PERIODS * np.median(steps)].mean())


def require_steady(times: NDArray[np.float64], repeated: int) -> None:
    """Raise InputError where stamps cannot say when samples were taken: they come in bursts, or mostly repeat.

    times: ascending, of the first stretch; repeated: stamps in it that were left out because they repeat
    """
    remedy = "leave the time column out and give --rate"
    if repeated > len(times):
        raise InputError(
            f"of the first {len(times) + repeated} time stamps {repeated} repeat the one before; expected one for each "
            f"sample: they are too coarse, {remedy}"
        )
    steps = np.diff(times)
    period_s = sample_period_s(times)
    if period_s is None:
        return
    gaps = steps[steps > GAP_PERIODS * period_s]
    if len(gaps) > 1 and gaps.sum() > BURSTS * steps.sum():
        raise InputError(
            f"the first {len(times)} samples seem to be stamped as they arrive, in packets: {1000 * period_s:.3g} ms "
            f"apart, with {len(gaps)} gaps that take {gaps.sum():.3g} s of {steps.sum():.3g} s; expected the times "
            f"when they were taken: {remedy}"
        )
