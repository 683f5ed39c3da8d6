"""Which column each channel of a model comes from, and what its values are multiplied by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..spec import ModelSpec
from .signal import SECONDS, Signal, group_of
from .units import canonical, factor_between

SHOWN = 20
"""Columns named in a message."""


@dataclass(frozen=True)
class Wire:
    """Where one channel comes from."""

    channel: str
    column: str
    """As it was said, without a sign: a name, or a number from 0."""
    unit: str
    """Of the column."""
    target: str
    """The model's unit."""
    factor: float
    """From the column's values to the model's, the sign included."""


@dataclass(frozen=True)
class Wiring:
    """Where all channels and the time come from, in a source whose columns are known."""

    wires: tuple[Wire, ...]
    indices: tuple[int, ...]
    """Of each channel's column."""
    time_index: int | None
    """Of the column of times."""
    width: int
    """Columns that the source has."""

    @classmethod
    def of(cls, spec: ModelSpec, signal: Signal, columns: Sequence[str] | int) -> Wiring:
        """Find the column of each channel, and of the time.

        columns: names, or how many there are where they have none; a name that occurs twice can be given by number
        Raises InputError where a column is not there or not the only one of its name, and what `wires_of` raises.
        """
        wires = wires_of(spec, signal)
        names = () if isinstance(columns, int) else tuple(columns)
        width = columns if isinstance(columns, int) else len(names)
        time = signal.time
        if not names and not signal.columns and width - (time is not None) == len(wires):
            # Columns without names are the channels in the model's order, beside that of the time.
            at = None if time is None else _find(time.name, names, width, "the time")
            rest = [index for index in range(width) if index != at]
            wires = tuple(replace(wire, column=str(index)) for wire, index in zip(wires, rest, strict=True))
            return cls(wires, tuple(rest), at, width)
        indices = tuple(_find(wire.column, names, width, f"channel {wire.channel!r}") for wire in wires)
        return cls(wires, indices, None if time is None else _find(time.name, names, width, "the time"), width)

    @property
    def used(self) -> tuple[int, ...]:
        """The columns that are needed, each once, in the source's order."""
        found = set(self.indices) if self.time_index is None else {*self.indices, self.time_index}
        return tuple(sorted(found))

    def narrowed(self) -> Wiring:
        """Return the wiring of a source that has the used columns only."""
        place = {index: at for at, index in enumerate(self.used)}
        time = None if self.time_index is None else place[self.time_index]
        return Wiring(self.wires, tuple(place[index] for index in self.indices), time, len(place))

    def select(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the channels in the model's order and units: float64 [n, columns] → float64 [n, channels]."""
        factors = np.array([wire.factor for wire in self.wires])
        chosen = values[:, list(self.indices)]
        return chosen if (factors == 1.0).all() else chosen * factors


def wires_of(spec: ModelSpec, signal: Signal) -> tuple[Wire, ...]:
    """Return where each channel comes from, as far as that can be said without the source's columns.

    Raises UsageError for a channel or group that the model does not have, and for units that do not fit.
    """
    groups = {group_of(name) for name in spec.channel_names} - {""}
    strange = [name for name in signal.columns if name not in spec.channel_names]
    strange += [name for name in signal.units if name not in spec.channel_names and name not in groups]
    if strange:
        raise UsageError(
            f"the model has no channel {strange[0]!r}; it has {', '.join(spec.channel_names)}"
            + (f", and the groups {', '.join(sorted(groups))}" if groups else "")
        )
    wires = []
    for channel in spec.channels:
        column = signal.columns.get(channel.name, channel.name)
        sign = -1.0 if column.startswith("-") and channel.name in signal.columns else 1.0
        unit = signal.units.get(channel.name, signal.units.get(group_of(channel.name), channel.unit))
        same = canonical(unit) == canonical(channel.unit)
        factor = 1.0 if same else factor_between(unit, channel.unit, f"channel {channel.name!r}")
        bare = column.removeprefix("-") if sign < 0 else column
        wires.append(Wire(channel.name, bare, unit, channel.unit, sign * factor))
    return tuple(wires)


def seconds_per(signal: Signal) -> float:
    """Return what one of the time column's numbers is in seconds."""
    return 1.0 if signal.time is None else SECONDS[signal.time.unit]


def _find(column: str, names: Sequence[str], width: int, what: str) -> int:
    count = names.count(column) if names else 0
    if count == 1:
        return names.index(column)
    if count == 0 and column.isascii() and column.isdecimal() and int(column) < width:
        return int(column)
    shown = ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    there = f"the columns are {shown}" if names else f"the columns have no names, they are 0 to {width - 1}"
    if count:
        raise InputError(f"{what} is column {column!r}, of which there are {count}; give its number, counted from 0")
    option = "--time-column" if what == "the time" else "--map"
    raise InputError(f"there is no column {column!r} for {what}; {there}: say which one it is with {option}")
