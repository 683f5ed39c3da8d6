"""Whatever a source gives to what a model wants: its channels, units and rate, and nothing over a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..resumable import Resumable
from ..spec import ModelSpec, require_signal
from .missing import FillMissing
from .off_grid import OffGrid
from .on_grid import OnGrid
from .rate import Rate, declared_rate
from .report import ConditionReport
from .settle import Settle
from .signal import Signal
from .stretch import Stretch
from .timeline import Timeline
from .wiring import Wiring, seconds_per

_ROUNDING = 1e-6
"""Of the longest gap that is bridged: a step longer by less is no longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Consecutive samples on the model's grid."""

    start_s: float
    """Time of the first one, from the first sample of the recording."""
    begins: bool
    """Whether no window may reach from what came before into this: it is the start, or comes after a gap."""
    samples: NDArray[np.float32]
    """float32 [n, channels], n from 1, in the spec's units and order."""


class Conditioner(Resumable):
    """Turn the samples of one stream into the model's, as they come; whatever the cutting, the result is the same.

    In this order: columns to channels with their units and signs; stamps to times that only go forward; missing values;
    gaps; then either the samples as they are, where they lie on the model's grid, or samples worked out anew on it
    (`Resampler`). What the source's rate is and whether its times are even, the first 128 samples decide, which are
    held back until they are there; without a time column the rate is declared, and nothing is held back.
    """

    _kept = ("_rows", "_untimed", "_samples_out", "_segments", "_gaps", "_longest_s", "_last_s", "_jumps",
             "_begins", "_timeline", "_settle")  # fmt: skip

    def __init__(
        self, spec: ModelSpec, signal: Signal, columns: Sequence[str] | int | Wiring, origin: float | None = None
    ) -> None:
        """Condition a source with these columns: their names, or how many there are where they have none.

        origin: the stamp, as the time column has it, that is 0 s and a point of the grid, for streams that share a
            clock; by default the first one
        Raises UsageError and InputError where the signal fits neither the spec nor the columns, ConversionError for a
        model that reads tokens.
        """
        require_signal(spec, "a signal")
        self.wiring = columns if isinstance(columns, Wiring) else Wiring.of(spec, signal, columns)
        self._spec, self._signal = spec, signal
        channels = len(spec.channels)
        self._timeline = Timeline(channels, seconds_per(signal), 1 / spec.sampling_rate_hz, origin)
        self._anchored = origin is not None
        self._rows = self._untimed = self._samples_out = self._segments = self._gaps = 0
        self._longest_s, self._last_s = 0.0, -np.inf
        self._jumps = 0
        self._begins = True
        self._settle = Settle(spec, signal, anchored=self._anchored)
        self._rate: Rate | None = None
        if self.wiring.time_index is None:
            self._set_up(declared_rate(spec, signal))

    def push(self, values: ArrayLike, times: ArrayLike | None = None) -> list[Piece]:
        """Take the next rows of the source; return what they complete.

        values: any real dtype [n, columns], any n from 0
        times: float64 [n], s, in place of a time column
        Raises InputError for another shape, for values that are missing where the signal rejects them, for time stamps
        that contradict the rate, and for a rate that changes.
        """
        rows = np.asarray(values, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.wiring.width:
            raise InputError(f"values have shape {list(rows.shape)}; expected [n, {self.wiring.width}], a row a sample")
        if times is not None and self._rate is not None and not self._rate.shown:
            if self._rows:
                raise InputError("rows have times, and those before had none; expected them with all rows or with none")
            self._rate = None
        samples, stamps = self.wiring.select(rows), self._stamps_of(rows, times)
        there = np.isfinite(stamps)
        if self._signal.missing == "reject":
            self._require_all(samples, there)
        self._rows += len(rows)
        self._untimed += len(there) - int(there.sum())
        if not there.all():
            samples, stamps = samples[there], stamps[there]
        if self._rate is not None and not self._rate.shown:
            return self._take(Stretch.even(stamps, samples))
        return self._take_stamped(self._timeline.push(stamps, samples), final=False)

    def finish(self) -> list[Piece]:
        """End the stream and return what was held back."""
        pieces: list[Piece] = []
        if self._rate is None or self._rate.shown:
            empty = np.empty((0, len(self._spec.channels)))
            pieces += self._take_stamped(self._timeline.push(np.empty(0), empty, final=True), final=True)
        return pieces + self._end_segment()

    @property
    def report(self) -> ConditionReport:
        """What was done so far."""
        model_hz, rate, line = self._spec.sampling_rate_hz, self._rate, self._timeline
        decided = rate is not None
        return ConditionReport(
            source_hz=rate.hz if rate is not None else model_hz,
            model_hz=model_hz,
            resampled=rate is not None and not rate.on_grid,
            delay_s=self._stage.delay_s if decided else 0.0,
            samples_in=self._rows,
            samples_out=self._samples_out,
            segments=self._segments,
            gaps=self._gaps,
            longest_gap_s=self._longest_s,
            bridged=self._stage.bridged if decided else 0,
            missing=self._untimed + (self._fill.missing if decided else 0),
            held=self._fill.held if decided else 0,
            duplicates=line.duplicates + (self._stage.crowded if decided else 0),
            out_of_order=line.out_of_order,
            clock_jumps=line.jumps,
        )

    def state(self) -> dict[str, Any]:
        """Return a copy of all that changes: numbers, texts, numpy arrays, and lists and dicts of these."""
        found = {**super().state(), "rate": None}
        if self._rate is not None:
            found |= {"rate": self._rate.as_dict(), "fill": self._fill.state(), "stage": self._stage.state()}
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, of a conditioner for the same spec, signal and columns."""
        super().restore(state)
        self._rate = None
        if state["rate"] is not None:
            self._set_up(Rate(**state["rate"]))
            self._fill.restore(state["fill"])
            self._stage.restore(state["stage"])

    def _stamps_of(self, rows: NDArray[np.float64], times: ArrayLike | None) -> NDArray[np.float64]:
        if times is not None:
            stamps = np.asarray(times, np.float64)
            if stamps.shape != (len(rows),):
                raise InputError(f"times have shape {list(stamps.shape)}; expected [{len(rows)}], one for each row")
            return stamps / seconds_per(self._signal)
        if self.wiring.time_index is not None:
            return rows[:, self.wiring.time_index]
        if self._rate is None or self._rate.shown:
            raise InputError("rows have no times, and those before had; expected them with all rows or with none")
        return np.arange(self._rows, self._rows + len(rows)) / self._rate.hz

    def _require_all(self, samples: NDArray[np.float64], there: NDArray[np.bool_]) -> None:
        finite = np.isfinite(samples)
        if finite.all() and there.all():
            return
        row = int(np.argmin(finite.all(axis=1) & there))
        lacking = np.flatnonzero(~finite[row])
        what = f"column {self.wiring.wires[lacking[0]].column!r}" if len(lacking) else "the time"
        raise InputError(
            f"row {self._rows + row} (counted from 0), {what}: the value is missing or not finite; expected one in "
            "every row: give --missing hold to keep the last value, or --missing gap to leave such rows out"
        )

    def _take_stamped(self, samples: Stretch, *, final: bool) -> list[Piece]:
        samples = self._settle.push(samples, final=final)
        if self._rate is None and self._settle.rate is not None:
            self._set_up(self._settle.rate)
        return self._take(samples) if self._rate is not None else []

    def _set_up(self, rate: Rate) -> None:
        channels, model_hz = len(self._spec.channels), self._spec.sampling_rate_hz
        self._rate = rate
        self._fill = FillMissing(channels, self._signal.missing, rate.max_gap_s * (1 + _ROUNDING))
        self._stage: OnGrid | OffGrid = (
            OnGrid(channels, model_hz, anchored=self._anchored)
            if rate.on_grid
            else OffGrid(channels, rate.hz, model_hz, jitter=rate.jitter)
        )

    def _take(self, given: Stretch) -> list[Piece]:
        """Leave out what is not whole, cut at gaps, and put each part on the grid."""
        assert self._rate is not None
        samples, whole = self._fill.push(given.times, given.rows)
        times, samples, jumps = given.times[whole], samples[whole], given.jumps[whole]
        if len(times) == 0:
            return []
        broken = np.diff(jumps, prepend=self._jumps) > 0
        self._jumps = int(jumps[-1])
        steps = np.diff(times, prepend=self._last_s)
        gaps = (steps > self._rate.max_gap_s * (1 + _ROUNDING)) & np.isfinite(steps)
        self._last_s = float(times[-1])
        self._gaps += int(gaps.sum())
        self._longest_s = max(self._longest_s, float(steps[gaps].max(initial=0.0)))
        pieces: list[Piece] = []
        cuts = np.flatnonzero(gaps | broken).tolist()
        for start, end in pairwise([*([] if cuts[:1] == [0] else [0]), *cuts, len(times)]):
            if start in cuts:
                pieces += self._end_segment()
            pieces += self._piece(*self._stage.push(times[start:end], samples[start:end]))
        return pieces

    def _end_segment(self) -> list[Piece]:
        if self._rate is None:
            return []
        pieces = self._piece(*self._stage.finish())
        self._begins = True
        return pieces

    def _piece(self, start_s: float, samples: NDArray[np.float64]) -> list[Piece]:
        if len(samples) == 0:
            return []
        begins, self._begins = self._begins, False
        self._segments += begins
        self._samples_out += len(samples)
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as such
            return [Piece(start_s, begins, samples.astype(np.float32))]
