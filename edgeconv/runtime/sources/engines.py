"""Parsers of plain tables: numpy's, and where they are installed those of pyarrow and polars, which use all cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = np.float32 | np.float64
MIB = 1 << 20
LOADTXT_BYTES = 1 << 15
"""What loadtxt gets at a time: with more, its buffers are so large that the system takes them back after every call."""


@dataclass(frozen=True)
class Engine:
    """A parser of rows of numbers, all of one width, each ended by a newline; no cell holds another character.

    What is a number has the value that float() gives it. Anything else, an empty cell too, raises or becomes NaN.
    """

    parse: Callable[[bytes, str, int, Sequence[int], type[Real]], NDArray[Any]]
    """Data, delimiter, cells in a row, the columns wanted and dtype → dtype [rows, columns wanted]."""
    block_bytes: int
    """How much to parse at a time: what numpy parses fits the processor's cache, the others share it among cores."""


def choose_engine(size_bytes: int) -> Engine:
    """Return the quickest way to parse a file of this size, with the cost of importing what is not imported yet."""
    for package, worth_bytes, load in PACKAGES:
        if package in sys.modules or size_bytes >= worth_bytes:
            try:
                return load()
            except Exception:  # not installed, or not so that it can be used
                continue
    return NUMPY


def parse_numpy(data: bytes, delimiter: str, width: int, used: Sequence[int], dtype: type[Real]) -> NDArray[Any]:
    """Parse with numpy.loadtxt, many rows as one long one: row by row each would have to become a string first."""
    tables = []
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + LOADTXT_BYTES) + 1 or len(data)
        cells = data[start : end - 1].replace(b"\n", delimiter.encode()).decode("ascii")
        tables.append(np.loadtxt([cells], dtype, comments=None, delimiter=delimiter, ndmin=1).reshape(-1, width))
        start = end
    table = np.concatenate(tables)
    return table if list(used) == list(range(width)) else np.take(table, used, axis=1)


NUMPY = Engine(parse_numpy, MIB // 8)


def load_pyarrow() -> Engine:
    """Return pyarrow.csv; raises ImportError."""
    import pyarrow as pa
    from pyarrow import csv

    def parse(data: bytes, delimiter: str, width: int, used: Sequence[int], dtype: type[Real]) -> NDArray[Any]:
        # In memory of pyarrow's own: its threads drop their references late, and to drop one to Python's memory aborts
        # a process that is just ending (apache/arrow#49942).
        memory = pa.allocate_buffer(len(data))
        memoryview(memory).cast("B")[:] = data
        names = [str(column) for column in range(width)]
        # Quotes and words for missing values cannot be there, and not to look for them is quicker.
        table = csv.read_csv(
            pa.BufferReader(memory),
            csv.ReadOptions(column_names=names),
            csv.ParseOptions(delimiter=delimiter, quote_char=False),
            csv.ConvertOptions(
                include_columns=[names[column] for column in used],
                column_types=dict.fromkeys(names, pa.float64()),
                null_values=[""] if dtype is np.float64 else [],
            ),
        )
        return _stack([column.to_numpy() for column in table.columns], dtype)

    return Engine(parse, 2 * MIB)


def load_polars() -> Engine:
    """Return polars.read_csv; raises ImportError."""
    import polars as pl

    def parse(data: bytes, delimiter: str, width: int, used: Sequence[int], dtype: type[Real]) -> NDArray[Any]:
        schema = {str(column): pl.Float64 if column in used else pl.String for column in range(width)}
        try:
            table = pl.read_csv(data, has_header=False, separator=delimiter, quote_char=None, schema=schema)
        except KeyboardInterrupt:
            # Polars raises it in any thread at Ctrl-C; here that is for the main thread, which Python tells itself.
            raise ValueError("interrupted") from None
        return _stack([table[str(column)].to_numpy() for column in used], dtype)

    return Engine(parse, 2 * MIB)


def _stack(columns: list[NDArray[Any]], dtype: type[Real]) -> NDArray[Any]:
    """Return columns side by side; what is too large for float32 becomes infinite."""
    samples = np.empty((len(columns[0]), len(columns)), dtype)
    with np.errstate(over="ignore"):
        for position, column in enumerate(columns):
            samples[:, position] = column
    return samples


# What pyarrow saves is about 3 ms per MiB, for 25 ms of import; polars saves the same for 90 ms.
PACKAGES: tuple[tuple[str, int, Callable[[], Engine]], ...] = (
    ("pyarrow", 16 * MIB, load_pyarrow),
    ("polars", 48 * MIB, load_polars),
)
"""Optional packages, the file size from which they are worth their import, and how they are loaded; best first."""
