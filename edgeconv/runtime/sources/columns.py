"""Columns of recordings that hold texts, as labels and subjects are, and the names of all columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .lines import decode_lines, read_blocks
from .npy import NPY_MAGIC
from .opened import open_file
from .parquet import PARQUET_MAGIC, read_parquet_text
from .rows import NUMBER, count, quote_cell, split_cells, split_rows
from .text import sniff_delimiter
from .typed import open_named
from .wav import WAV_MAGIC


def read_columns(path: str | Path, names: Sequence[str]) -> list[list[str]]:
    """Return whole columns of a text or Parquet file as texts, each as long as the recording has samples.

    Raises MissingFileError, InputError for a file without these columns or that cannot be read, and DependencyError for
    a Parquet file that nothing reads.
    """
    where = str(path)
    if _head(path).startswith(PARQUET_MAGIC):
        return read_parquet_text(where, names)
    header = column_names(path)
    for name in names:
        if header.count(name) != 1:
            there = f"its header names {', '.join(map(quote_cell, header[:20]))}" if header else "it has no header"
            raise InputError(f"{where}: {header.count(name) or 'no'} columns called {name!r}, one expected; {there}")
    at = [header.index(name) for name in names]
    found: list[list[str]] = [[] for _ in names]
    number, delimiter, headed = 1, None, False
    with open_file(Path(path), where) as file:
        for block in read_blocks(file.read1):
            lines = [line for line in decode_lines(block, number, where).split("\n") if line.strip()]
            if lines and not headed:
                delimiter, headed = sniff_delimiter(lines.pop(0).strip()), True
            try:
                rows = split_rows(lines, delimiter)
            except ValueError as error:
                raise InputError(f"{where}: lines from {number} on cannot be split into cells ({error})") from None
            for row in rows:
                if len(row) != len(header):
                    raise InputError(
                        f"{where}: a row from line {number} on has {count(row, 'cell')}; expected {len(header)} in "
                        f"every row: {quote_cell(', '.join(row))}"
                    )
                for column, position in zip(found, at, strict=True):
                    column.append(row[position].strip())
            number += block.count(b"\n")
    return found


def column_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of a recording's columns; none for a text without header and for NPY and WAV files.

    Raises MissingFileError, InputError and DependencyError.
    """
    where, number = str(path), 1
    with open_file(Path(path), where) as file:
        head = file.peek(8)[:8]
        if head.startswith((NPY_MAGIC, WAV_MAGIC)):
            return ()
        if named := open_named(file, where, head):
            return named[0]
        for block in read_blocks(file.read1):
            for line in decode_lines(block, number, where).split("\n"):
                if line.strip():
                    return _names(line.strip(), where)
            number += block.count(b"\n")
    raise InputError(f"{where}: the file is empty; expected a header and one sample a line")


def _names(line: str, where: str) -> tuple[str, ...]:
    try:
        cells = tuple(cell.strip() for cell in split_cells(line, sniff_delimiter(line)))
    except ValueError as error:
        raise InputError(f"{where}: the first line cannot be split into cells ({error})") from None
    return () if all(map(NUMBER.fullmatch, cells)) else cells


def _head(path: str | Path) -> bytes:
    with open_file(Path(path), str(path)) as file:
        return file.peek(8)[:8]
