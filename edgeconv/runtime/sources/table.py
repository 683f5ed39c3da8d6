"""A recording as a table of which the columns are known and the rows are still to be read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dates import is_date
from .foreign import refuse_foreign
from .growing import Follow
from .npy import NPY_MAGIC, open_npy
from .opened import measure, measure_text, open_file
from .rows import NOT_FINITE, NUMBER, Layout, comma_hint, quote_cell, split_cells
from .text import begin_text, read_rows, sniff_delimiter
from .typed import open_named
from .undeclared import Undeclared
from .wav import WAV_MAGIC, open_wav

REMEDY = "give --missing hold to keep the last value, or --missing gap to leave such rows out"


@dataclass(frozen=True)
class Wanted:
    """What is to be read of a table."""

    used: tuple[int, ...]
    """Columns, ascending."""
    dates: frozenset[int] = frozenset()
    """Columns among them that hold dates."""
    missing: bool = False
    """Whether values may be missing; a text that must have all says in which line one is not there."""


@dataclass(frozen=True)
class Table:
    """A recording that is open."""

    where: str
    """Its name in messages."""
    names: tuple[str, ...] | None
    """Of all columns; None where they have none."""
    width: int
    rate_hz: float | None
    """Where the file says it."""
    read: Callable[[Wanted], Generator[NDArray[np.float64]]]
    """Yields float64 [n, columns wanted]; a value that is missing is NaN."""


@contextmanager
def open_table(
    path: str | Path,
    known: Sequence[str] = (),
    *,
    dates: bool = False,
    follow: Follow = False,
    undeclared: Undeclared | None = None,
) -> Iterator[Table]:
    """Open a recording: text, NPY, NPZ, Parquet, Arrow or WAV, as its content says.

    known: names that a header may have, which decide where a first line has both names and numbers
    dates: whether a column may hold dates
    follow: whether to wait for what is still written to the file
    undeclared: what is asked of columns that are named as times are; None asks nothing
    Raises MissingFileError, InputError and DependencyError as `read_recording` does.
    """
    where = str(path)
    with open_file(Path(path), where, follow=follow) as file:
        size_bytes = measure(file)
        head = file.peek(64)[:64]
        if head.startswith(NPY_MAGIC):
            width, some = open_npy(file, where)
            yield Table(where, None, width, None, lambda wanted: some(wanted.used))
        elif head.startswith(WAV_MAGIC):
            width, rate_hz, some = open_wav(file, where, size_bytes)
            yield Table(where, None, width, rate_hz, lambda wanted: some(wanted.used))
        elif named := open_named(file, where, head):
            names, read = named
            if undeclared is not None:
                undeclared.look_at_columns(where, names, read)
            yield Table(where, names, len(names), None, lambda wanted: read(wanted.used, wanted.dates))
        else:
            refuse_foreign(head, where)
            yield _open_text(file, where, measure_text(file), known, dates, undeclared)


def _open_text(
    file: BufferedReader,
    where: str,
    size_bytes: int,
    known: Sequence[str],
    dates: bool,
    undeclared: Undeclared | None,
) -> Table:
    beginning = begin_text(file, where, "columns of numbers")
    delimiter = sniff_delimiter(beginning.line.strip())
    try:
        cells = [cell.strip() for cell in split_cells(beginning.line, delimiter)]
    except ValueError as error:
        raise InputError(
            f"{where}: line {beginning.number} cannot be split into cells ({error}); expected quotes that close on "
            "their line"
        ) from None
    headed = _is_header(cells, where, beginning.number, known, dates)
    names = tuple(cells) if headed else tuple(map(str, range(len(cells))))
    if headed and undeclared is not None:
        beginning = undeclared.look_at_text(where, beginning, names, delimiter)

    def read(wanted: Wanted) -> Generator[NDArray[np.float64]]:
        layout = Layout(
            where, delimiter, names, wanted.used, beginning.number, np.float64, wanted.missing, wanted.dates, REMEDY
        )
        return read_rows(beginning, layout, headed, size_bytes)

    return Table(where, names if headed else None, len(cells), None, read)


def _is_header(cells: list[str], where: str, number: int, known: Sequence[str], dates: bool) -> bool:
    """Whether the first line names the columns: it does if it has no number, or a name that is known."""
    values = [bool(NUMBER.fullmatch(cell) or NOT_FINITE.fullmatch(cell) or (dates and is_date(cell))) for cell in cells]
    if not any(values):
        return True
    texts = [at for at, value in enumerate(values) if not value and cells[at]]
    if not texts:
        return False
    if any(cells[at] in known for at in texts):
        return True
    raise InputError(
        f"{where}: line {number}, column {texts[0] + 1}: {quote_cell(cells[texts[0]])} is not a number, but others on "
        f"this line are; expected column names only, or numbers only{comma_hint(cells)}"
    )
