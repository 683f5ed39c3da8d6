"""Recordings whose columns have names and types: the model's channels out of them, and what is no number."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dates import EXPECTED, seconds_of
from .rows import count, quote_cell

Read = Callable[[Sequence[int], frozenset[int]], Generator[NDArray[np.float64]]]
"""Columns wanted, in any order, and those of them that hold dates → float64 [n, columns wanted], block by block; what
is missing is NaN."""


def read_channels(
    where: str, names: Sequence[str], read: Read, channels: Sequence[str]
) -> Generator[NDArray[np.float32]]:
    """Yield the columns of these names, in this order: float32 [n, channels] with n ≥ 1.

    Raises InputError for a column that is not there or not the only one of its name, for values that are missing, no
    numbers or not finite, and where there are no rows.
    """
    row = 0
    with np.errstate(over="ignore"):
        for values in read(find_columns(where, names, channels), frozenset()):
            samples = values.astype(np.float32)
            finite = np.isfinite(samples)
            if not finite.all():
                at, position = np.argwhere(~finite)[0].tolist()
                raise InputError(
                    f"{where}: row {row + at} (counted from 0), column {channels[position]!r}: the value is missing, "
                    "not finite or too large for float32; expected a finite value in every row: fill the gap, cut the "
                    "file, or stream it with --missing hold or gap"
                )
            if len(samples):
                yield samples
            row += len(samples)
    if row == 0:
        raise InputError(f"{where}: the file has no rows; expected {count(channels, 'channel')}, one sample a row")


def find_columns(where: str, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the places of columns; raises InputError for one that is not there, or not the only one of its name."""
    for name in wanted:
        if names.count(name) != 1:
            raise InputError(
                f"{where}: {names.count(name) or 'no'} columns called {name!r}; expected one for each channel; there "
                f"are {', '.join(map(quote_cell, names[:20]))}"
            )
    return [names.index(name) for name in wanted]


def numbers_of(where: str, name: str, column: Any, *, date: bool) -> NDArray[np.float64]:
    """Return a column of pyarrow's or polars' as float64 [n], dates as seconds since 1970; raises InputError."""
    values = column.to_numpy(zero_copy_only=False) if hasattr(column, "to_pylist") else column.to_numpy()
    if values.dtype.kind in "fiu" and not date:
        return np.asarray(values, np.float64)
    if values.dtype.kind == "M" and date:
        since = values.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(values), np.nan, since)
    kind = column.type if hasattr(column, "type") else column.dtype
    if date:
        try:
            return np.array([np.nan if text is None else seconds_of(text) for text in values.tolist()], np.float64)
        except (TypeError, AttributeError, ValueError):
            raise InputError(f"{where}: column {name!r} holds {kind}; {EXPECTED}") from None
    dates = "; the unit of a time column that holds dates is iso8601" if values.dtype.kind == "M" else ""
    raise InputError(f"{where}: column {name!r} holds {kind}; expected numbers, floats or integers{dates}")
