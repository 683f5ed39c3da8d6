"""Recordings as Parquet files: named columns, read by pyarrow in bounded memory, or by polars."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DependencyError, InputError
from .dates import EXPECTED, seconds_of
from .rows import count, quote_cell

PARQUET_MAGIC = b"PAR1"
BLOCK_ROWS = 1 << 16
"""Read at a time."""


def read_parquet(path: str, channels: Sequence[str]) -> Generator[NDArray[np.float32]]:
    """Read a Parquet file: yields float32 [n, channels] with n ≥ 1, the columns of these names in this order.

    Raises InputError for a damaged file, one that lacks a column or has no rows, and for values that are missing, no
    numbers or not finite; DependencyError where neither pyarrow nor polars is installed.
    """
    row = 0
    for columns in _read_blocks(path, channels):
        samples = np.empty((len(columns[0]), len(channels)), np.float32)
        for position, (name, column) in enumerate(zip(channels, columns, strict=True)):
            values = column.to_numpy(zero_copy_only=False) if hasattr(column, "to_pylist") else column.to_numpy()
            if values.dtype.kind not in "fiu":
                kind = column.type if hasattr(column, "type") else column.dtype
                raise InputError(f"{path}: column {name!r} holds {kind}; expected numbers, floats or integers")
            with np.errstate(over="ignore"):
                samples[:, position] = values
        finite = np.isfinite(samples)
        if not finite.all():
            at, position = np.argwhere(~finite)[0].tolist()
            raise InputError(
                f"{path}: row {row + at} (counted from 0), column {channels[position]!r}: the value is missing, not "
                "finite or too large for float32; expected a finite value in every row: fill the gap or cut the file"
            )
        if len(samples):
            yield samples
        row += len(samples)
    if row == 0:
        raise InputError(f"{path}: the file has no rows; expected {count(channels, 'channel')}, one sample a row")


def open_parquet(
    path: str,
) -> tuple[tuple[str, ...], Callable[[Sequence[int], frozenset[int]], Generator[NDArray[np.float64]]]]:
    """Return the names of the columns, and what yields some of them in blocks, float64 [n, columns wanted].

    What it is given are the columns wanted, and those of them that are dates. A value that is missing is NaN.
    Raises InputError and DependencyError.
    """
    names = parquet_names(path)

    def read(used: Sequence[int], dates: frozenset[int]) -> Generator[NDArray[np.float64]]:
        for columns in _read_blocks(path, [names[index] for index in used]):
            yield np.column_stack(
                [_numbers(path, names[at], column, at in dates) for at, column in zip(used, columns, strict=True)]
            )

    return names, read


def _numbers(path: str, name: str, column: Any, date: bool) -> NDArray[np.float64]:
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
            raise InputError(f"{path}: column {name!r} holds {kind}; {EXPECTED}") from None
    dates = "; the unit of a time column that holds dates is iso8601" if values.dtype.kind == "M" else ""
    raise InputError(f"{path}: column {name!r} holds {kind}; expected numbers, floats or integers{dates}")


def read_parquet_text(path: str, columns: Sequence[str]) -> list[list[str]]:
    """Return whole columns as texts, a missing value as ""; raises what `read_parquet` raises."""
    texts: list[list[str]] = [[] for _ in columns]
    for block in _read_blocks(path, columns):
        for text, column in zip(texts, block, strict=True):
            values = column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
            text += ["" if value is None else str(value).strip() for value in values]
    return texts


def parquet_names(path: str) -> tuple[str, ...]:
    """Return the names of the columns; raises InputError and DependencyError."""
    arrow, polars = _packages(path)
    try:
        if arrow is not None:
            return tuple(arrow.read_schema(path).names)
        return tuple(polars.read_parquet_schema(path))
    except Exception as error:  # each package has errors of its own
        raise _damaged(path, error) from None


def _read_blocks(path: str, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the columns in blocks of rows, as pyarrow's or polars' own arrays."""
    names = parquet_names(path)
    for name in columns:
        if names.count(name) != 1:
            raise InputError(
                f"{path}: {names.count(name) or 'no'} columns called {name!r}; expected one for each channel; there "
                f"are {', '.join(map(quote_cell, names[:20]))}"
            )
    arrow, polars = _packages(path)
    try:
        if arrow is None:
            table = polars.read_parquet(path, columns=list(columns))
            yield [table[name] for name in columns]
            return
        with arrow.ParquetFile(path) as file:
            for batch in file.iter_batches(BLOCK_ROWS, columns=list(columns), use_threads=False):
                yield [batch.column(name) for name in columns]
    except InputError:
        raise
    except Exception as error:  # each package has errors of its own
        raise _damaged(path, error) from None


def _packages(path: str) -> tuple[Any, Any]:
    """Return pyarrow's reader, or else None and polars."""
    try:
        import pyarrow.parquet

        return pyarrow.parquet, None
    except ImportError:
        pass
    try:
        import polars as pl
    except ImportError:
        raise DependencyError(
            f"{path}: this is a Parquet file, which pyarrow or polars reads; `pip install "
            '"edgeconv[arrow]"` or `pip install "edgeconv[polars]"` brings one'
        ) from None
    return None, pl


def _damaged(path: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:120]
    return InputError(f"{path}: the Parquet file cannot be read ({reason}); copy it again or write it anew")
