"""The first rows of a recording of whose times nobody said anything, looked at before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..conditioning.rate import STRETCH
from ..conditioning.signal import TimeColumn, TimeUnit
from ..conditioning.undeclared import Stamps, times_at_model_rate, units_of
from ..errors import InputError
from .dates import is_date, seconds_of
from .named import Read
from .rows import NUMBER, split_cells
from .text import Beginning


@dataclass(frozen=True)
class Undeclared:
    """What a model wants where nobody said when samples were taken."""

    model_hz: float
    channels: frozenset[str]
    """Columns that hold channels, by name or number, whatever they are called."""
    _found: list[TimeColumn | None] = field(default_factory=list)

    @property
    def times(self) -> TimeColumn | None:
        """The column of times that all files had which were looked at."""
        return self._found[0] if len(set(self._found)) == 1 else None

    def columns(self, names: Sequence[str]) -> dict[int, str]:
        """Return the places of columns that are named as times are, and how --time-column would call them."""
        return {
            at: name if names.count(name) == 1 else str(at)
            for at, name in enumerate(names)
            if units_of(name) and name not in self.channels and (str(at) not in self.channels or str(at) in names)
        }

    def look_at_text(self, where: str, beginning: Beginning, names: Sequence[str], delimiter: str | None) -> Beginning:
        """Return the beginning of a text with a header, to be read on from, if its times show the model's rate.

        Waits for as many lines as decide, where there are such columns. Raises InputError for another rate.
        """
        columns = self.columns(names)
        if not columns:
            self._found.append(None)
            return beginning
        lines, blocks = [line for line in beginning.others if line.strip()], []
        while len(lines) < STRETCH and (block := next(beginning.blocks, None)) is not None:
            blocks.append(block)
            lines += [line for line in block.decode("utf-8", "replace").splitlines() if line.strip()]
        rows = [_cells(line, delimiter) for line in lines[:STRETCH]]
        whole = [row for row in rows if len(row) == len(names)]  # of others the reader says what is wrong
        found = [_of_texts(column, names[at], [row[at].strip() for row in whole]) for at, column in columns.items()]
        self._found.append(times_at_model_rate(where, found, self.model_hz))
        return replace(beginning, blocks=chain(blocks, beginning.blocks))

    def look_at_columns(self, where: str, names: Sequence[str], read: Read) -> None:
        """Raise InputError where the times in a file of typed columns show another rate than the model's."""
        found = []
        for at, column in self.columns(names).items():
            for dates in (False, True):
                try:
                    values = _first(read, at, dates=dates)
                except InputError:  # the column holds something else, or the reader says what is wrong with the file
                    continue
                found.append(Stamps(column, ("iso8601",) if dates else units_of(names[at]), values))
                break
        self._found.append(times_at_model_rate(where, found, self.model_hz))


def _first(read: Read, at: int, *, dates: bool) -> NDArray[np.float64]:
    values = np.empty(0)
    with closing(read([at], frozenset({at} if dates else ()))) as blocks:
        for block in blocks:
            values = np.concatenate((values, block[:STRETCH, 0]))
            if len(values) >= STRETCH:
                break
    return values[:STRETCH]


def _cells(line: str, delimiter: str | None) -> list[str]:
    try:
        return split_cells(line, delimiter)
    except ValueError:
        return []


def _of_texts(column: str, name: str, texts: Sequence[str]) -> Stamps:
    dates = any(map(is_date, texts))
    units: tuple[TimeUnit, ...] = ("iso8601",) if dates else units_of(name)
    return Stamps(column, units, np.array([_number(text, dates=dates) for text in texts], np.float64))


def _number(text: str, *, dates: bool) -> float:
    if dates:
        return seconds_of(text) if is_date(text) else np.nan
    return float(text) if NUMBER.fullmatch(text) else np.nan
