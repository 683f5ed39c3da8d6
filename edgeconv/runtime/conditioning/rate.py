"""What is decided once about a source: its rate, whether its samples are on the model's grid, what a gap is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..spec import ModelSpec
from .signal import SECONDS, Signal
from .stretch import Stretch
from .timeline import GAP_PERIODS, require_steady, sample_period_s

STRETCH = 128
"""Samples that decide, the first ones with a time."""
TOLERANCE = 0.02
"""How far time stamps may be from the rate that is declared."""
CHANGE = 0.1
"""How far the rate of any 128 samples may be from that of the first."""
ON_GRID = 0.05
"""Of a sample period: stamps that far from an even grid of the model's rate, or less, are on it. Rounding to
milliseconds does so much at 100 Hz."""
SAME_PERIOD = 0.01
EVEN = 0.002
"""Of a sample period: steps that far from a whole number of periods, or less, have no jitter worth evening out."""
PLAUSIBLE = (1 / 50, 500.0)
"""Rate of a source over that of the model; beyond, the unit of time must be wrong."""


@dataclass(frozen=True)
class Rate:
    """The decision."""

    hz: float
    shown: bool
    """Whether time stamps show it; otherwise it was declared."""
    on_grid: bool
    """Whether the samples are on the model's grid as they come."""
    jitter: bool
    """Whether the times between samples differ."""
    max_gap_s: float
    """Longest step that is bridged."""

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain values."""
        return asdict(self)


def declared_rate(spec: ModelSpec, signal: Signal) -> Rate:
    """Return the rate of a source without time stamps: as declared, or else the model's."""
    hz = signal.rate_hz or spec.sampling_rate_hz
    return Rate(hz, False, hz == spec.sampling_rate_hz, False, _longest_gap_s(signal, hz))


def shown_rate(spec: ModelSpec, signal: Signal, first: Stretch, *, anchored: bool = False) -> Rate:
    """Return the rate that the time stamps of the first samples show.

    anchored: whether the grid begins at 0 s, and not with the first sample of each part
    Raises InputError where they contradict the declared rate, or cannot be times of samples of this model.
    """
    times = first.times
    require_steady(times, int(first.repeats.sum()))
    declared = declared_rate(spec, signal)
    period_s = sample_period_s(times)
    if period_s is None:
        return Rate(declared.hz, True, declared.on_grid, False, declared.max_gap_s)
    hz, model_hz = 1 / period_s, spec.sampling_rate_hz
    if signal.rate_hz is not None and abs(hz / signal.rate_hz - 1) > TOLERANCE:
        raise InputError(
            f"the time stamps show {hz:.5g} Hz, and {signal.rate_hz:g} Hz is declared; expected them to agree within "
            f"{TOLERANCE:.0%}: leave --rate out to believe the stamps, or the time column out to believe --rate"
        )
    if not PLAUSIBLE[0] <= hz / model_hz <= PLAUSIBLE[1]:
        unit = signal.time.unit if signal.time else "s"
        raise InputError(
            f"the time stamps, in {unit}, show {hz:.5g} Hz, and the model wants {model_hz:g} Hz; the unit of time may "
            f"be wrong: give --time-column {signal.time.name if signal.time else 'NAME'}:UNIT with one of "
            f"{', '.join(SECONDS)}"
        )
    max_gap_s = _longest_gap_s(signal, hz)
    steps = np.diff(times)
    begins = np.append(True, (steps > max_gap_s) | (np.diff(first.jumps) > 0))
    near = steps[~begins[1:]] / period_s
    jitter = bool((np.abs(near - np.rint(near)) > EVEN).any())
    # Places on a grid that starts anew with each part, as the parts do.
    part = np.maximum.accumulate(np.where(begins, np.arange(len(times)), 0))
    places = (times if anchored else times - times[part]) * model_hz
    off = places - np.rint(places)
    near_grid = np.abs(off).max() <= ON_GRID if anchored else np.ptp(off) <= 2 * ON_GRID
    on_grid = abs(period_s * model_hz - 1) <= SAME_PERIOD and bool(near_grid)
    return Rate(hz, True, on_grid, jitter, max_gap_s)


def _longest_gap_s(signal: Signal, hz: float) -> float:
    """Return the longest step that is bridged, s; raises InputError where every step would be a gap."""
    if signal.max_gap_s is not None and signal.max_gap_s <= 1.01 / hz:
        raise InputError(
            f"--max-gap is {signal.max_gap_s:g} s, and samples are {1 / hz:.3g} s apart; expected more, or every "
            "sample would stand alone"
        )
    return signal.max_gap_s or GAP_PERIODS / hz


def require_same_rate(rate: Rate, times: NDArray[np.float64]) -> None:
    """Raise InputError where later time stamps show another rate than the first ones."""
    period_s = sample_period_s(times)
    if period_s is not None and abs(1 / period_s / rate.hz - 1) > CHANGE:
        raise InputError(
            f"from {times[0]:.3f} s on the time stamps show {1 / period_s:.5g} Hz, and {rate.hz:.5g} Hz before; "
            "expected one rate in a recording: cut it there, and stream the parts one by one"
        )
