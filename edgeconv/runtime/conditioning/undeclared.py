"""Times that nobody mentioned: a column that is named as times are, and the rate that its first values show."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .rate import PLAUSIBLE, STRETCH, TOLERANCE
from .signal import SECONDS, TimeColumn, TimeUnit
from .timeline import Timeline, require_steady, sample_period_s

TIMES = frozenset({"time", "times", "timestamp", "timestamps", "date", "datetime", "epoch", "elapsed"})
"""Words of which one makes a column one of times."""
SHORT = frozenset({"t", "ts"})
"""Words that do so only alone, or beside a unit: t_acc_x is none."""
UNITS: dict[str, TimeUnit] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "usec", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), "ns"),
}  # fmt: skip
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zµμ]+")
"""A word of a name, also where only a capital says that one begins: timeStamp, UNIXTime."""
NUMBERS: tuple[TimeUnit, ...] = ("s", "ms", "us", "ns")
FEWEST = 8
"""Values that show a rate; of less nothing is said."""
LATE = 0.1
"""Part of the values that may come late in a column of times."""


def units_of(name: str) -> tuple[TimeUnit, ...]:
    """Return the units that numbers in a column of this name may have; none where it is not named as times are."""
    words = [word.lower() for word in WORD.findall(name)]
    units = [UNITS[word] for word in words if word in UNITS]
    alone = bool(words) and all(word in SHORT or word in UNITS for word in words)
    if not alone and TIMES.isdisjoint(words):
        return ()
    return (units[0],) if units else NUMBERS


@dataclass(frozen=True, eq=False)
class Stamps:
    """The first values of a column that is named as times are."""

    column: str
    """As --time-column would have it: the name, or a number where others have the same name."""
    units: tuple[TimeUnit, ...]
    """Those that the values may be in."""
    values: NDArray[np.float64]
    """float64 [n], n up to `STRETCH`; of dates the seconds, and NaN for what is no value."""


def times_at_model_rate(where: str, columns: Sequence[Stamps], model_hz: float) -> TimeColumn | None:
    """Return the first column whose values are times at the model's rate; None where none holds times.

    Values that do not increase steadily are no times. Raises InputError where all times are of another rate.
    """
    shown = [one for stamps in columns if (one := _shown(stamps, model_hz)) is not None]
    agreeing = [one for one in shown if one.agrees]
    if not shown or agreeing:
        return TimeColumn(agreeing[0].column, agreeing[0].unit) if agreeing else None
    column, unit, hz = shown[0].column, shown[0].unit, shown[0].hz
    seen = f"holds dates {1 / hz:.4g} s apart, {hz:.4g} Hz" if unit == "iso8601" else f"shows {hz:.4g} Hz in {unit}"
    option = f"--time-column {shlex.quote(f'{column}:{unit}')} to resample"
    if not PLAUSIBLE[0] <= hz / model_hz <= PLAUSIBLE[1]:
        option = f"--time-column {shlex.quote(f'{column}:UNIT')} with the unit that these times are in"
    raise InputError(
        f"{where}: the column {column!r} {seen}, and the model wants {model_hz:g} Hz; "
        f"give {option}, or --rate {model_hz:g} if the column means something else"
    )


@dataclass(frozen=True)
class _Shown:
    """What a column of times shows."""

    column: str
    unit: TimeUnit
    """Of the possible ones that in which the rate is nearest to the model's."""
    hz: float
    agrees: bool
    """Whether it is the model's rate."""


def _shown(stamps: Stamps, model_hz: float) -> _Shown | None:
    """Return what the values of a column show.

    None where the values do not increase, or not as samples are taken: in packets, or mostly repeating.
    """
    values = stamps.values[np.isfinite(stamps.values)][:STRETCH]
    if len(values) < FEWEST:
        return None
    line = Timeline(0, 1.0, 1.0)
    found = line.push(values, np.empty((len(values), 0)), final=True)
    if line.out_of_order + line.jumps > LATE * len(values):
        return None
    try:
        require_steady(found.times, line.duplicates)
    except InputError:
        return None
    period = sample_period_s(found.times)
    if period is None:
        return None
    rates = {unit: 1 / (period * SECONDS[unit]) for unit in stamps.units}
    unit = min(rates, key=lambda unit: abs(math.log(rates[unit] / model_hz)))
    tolerance = max(TOLERANCE, 2 / (len(found) - 1))  # of a few values jitter and holes take more
    return _Shown(stamps.column, unit, rates[unit], abs(rates[unit] / model_hz - 1) <= tolerance)
