"""Recordings as Parquet files: named columns, read by pyarrow in bounded memory, or by polars."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DependencyError, InputError
from .named import Read, find_columns, numbers_of

PARQUET_MAGIC = b"PAR1"
BLOCK_ROWS = 1 << 16
"""Read at a time."""


def open_parquet(path: str) -> tuple[tuple[str, ...], Read]:
    """Return the names of the columns, and what yields some of them in blocks.

    Raises InputError for a damaged file, DependencyError where neither pyarrow nor polars is installed.
    """
    names = parquet_names(path)

    def read(used: Sequence[int], dates: frozenset[int]) -> Generator[NDArray[np.float64]]:
        for columns in _read_blocks(path, [names[index] for index in used]):
            yield np.column_stack(
                [
                    numbers_of(path, names[at], column, date=at in dates)
                    for at, column in zip(used, columns, strict=True)
                ]
            )

    return names, read


def read_parquet_text(path: str, columns: Sequence[str]) -> list[list[str]]:
    """Return whole columns as texts, a missing value as ""; raises what `open_parquet` raises."""
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
    find_columns(path, parquet_names(path), columns)
    arrow, polars = _packages(path)
    try:
        if arrow is None:
            table = polars.read_parquet(path, columns=list(columns))
            for start in range(0, table.height, BLOCK_ROWS):
                yield [table[name][start : start + BLOCK_ROWS] for name in columns]
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
