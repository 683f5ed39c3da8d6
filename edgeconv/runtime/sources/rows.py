"""Lines of text to samples: fast where all is well, and careful where the message must name the cell."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dates import EXPECTED, seconds_of
from .engines import Real

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
"""What a number is: decimal digits, a point, an exponent; no hexadecimal, no underscores, no other scripts."""
NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)

WORD = re.compile(r'"((?:[^"]|"")*)"(?=\s|$)|(\S+)')
"""A cell of a line separated by white space, in quotes or not."""


def split_cells(line: str, delimiter: str | None) -> list[str]:
    """Split one line into its cells, without their quotes; None stands for any white space.

    Raises ValueError for quotes that do not close.
    """
    if '"' not in line:
        return line.split(delimiter)
    if delimiter is None:
        return [bare or quoted.replace('""', '"') for quoted, bare in WORD.findall(line)]
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def split_rows(lines: list[str], delimiter: str | None) -> list[list[str]]:
    """Split many lines into their cells, none of them blank: as `split_cells` does, and faster.

    Raises ValueError for quotes that do not close on their line.
    """
    if delimiter is None:
        return [split_cells(line, delimiter) for line in lines]
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if len(rows) != len(lines):
        raise ValueError("a cell in quotes goes on in the next line")
    return rows


def quote_cell(cell: str) -> str:
    """Return a cell as messages show it: in quotes, on one line, and not too long."""
    return repr(cell if len(cell) <= 40 else cell[:39] + "…")


def count(things: Sequence[object], noun: str) -> str:
    """Return how many there are, in words: `1 cell`, `2 cells`."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def comma_hint(cells: list[str]) -> str:
    """Return the end of a message about cells, which says so where one has a decimal comma."""
    for cell in cells:
        if DECIMAL_COMMA.fullmatch(cell.strip()):
            return f" ({quote_cell(cell)} has a decimal comma: write a point)"
    return ""


@dataclass(frozen=True)
class Layout:
    """How the lines of one text file are to be read."""

    where: str
    """Name of the file in messages."""
    delimiter: str | None
    """What separates cells; None for any white space."""
    columns: tuple[str, ...]
    """Names of all columns."""
    used: tuple[int, ...]
    """Column of each channel, in the model's order."""
    first_line: int
    """Number of the line that tells how many columns there are."""
    dtype: type[Real] = np.float32
    """Of the samples."""
    missing: bool = False
    """Whether a value may be missing: an empty cell, `nan` or `inf`, which becomes NaN or infinite."""
    dates: frozenset[int] = frozenset()
    """Columns that hold dates and times by ISO 8601; they become seconds since 1970."""
    remedy: str = "fill the gap, cut the file, or stream it with --missing hold or gap"
    """What to do where a value is missing."""

    def parse(self, text: str, number: int) -> NDArray[Any]:
        """Return the samples in some lines, the first of which has this number: [n, channels], all finite.

        Raises InputError that names line and column of the first cell, or the line, that cannot be used.
        """
        try:
            return self.parse_fast(text)
        except ValueError:
            # Either the file is wrong, and this finds out where, or numpy is stricter than we are.
            return self.parse_carefully(text, number)

    def parse_fast(self, text: str) -> NDArray[Any]:
        """Do what `parse` does with numpy's parser, without saying what is wrong: any ValueError."""
        lines = text.split("\n")
        if "" in lines:
            lines = [line for line in lines if line]
        if '"' in text:
            rows = split_rows(lines, self.delimiter)
            if any(len(row) != len(self.columns) for row in rows):
                raise ValueError("ragged")
            # Joined by commas even where white space was, because that swallows empty cells.
            return self._load([",".join([row[i] for i in self.used]) for row in rows], ",", len(self.used))
        if len(self.used) == len(self.columns):
            return np.take(self._load(lines, self.delimiter, len(self.used)), self.used, axis=1)
        # Told to use some columns only, numpy does not count the others.
        if self.delimiter is None:
            counts = {len(line.split()) for line in lines}
        else:
            counts = {delimiters + 1 for delimiters in set(map(str.count, lines, repeat(self.delimiter)))}
        if counts != {len(self.columns)}:
            raise ValueError("ragged")
        return self._load(lines, self.delimiter, len(self.used), self.used)

    @np.errstate(over="ignore")
    def parse_carefully(self, text: str, number: int) -> NDArray[Any]:
        """Do what `parse` does cell by cell: slow, and the definition of what is accepted."""
        rows = []
        for at, line in enumerate(text.split("\n"), number):
            if not line.strip(" " if self.delimiter else None):
                continue
            try:
                cells = split_cells(line, self.delimiter)
            except ValueError as error:
                raise InputError(
                    f"{self.where}: line {at} cannot be split into cells ({error}); expected quotes that close on "
                    "their line"
                ) from None
            if len(cells) != len(self.columns):
                raise InputError(
                    f"{self.where}: line {at} has {count(cells, 'cell')}; expected {len(self.columns)} in every row, "
                    f"as in line {self.first_line}: complete the row or remove it{comma_hint(cells)}"
                )
            rows.append([self._value(cells[i].strip(), at, i) for i in self.used])
        return np.array(rows, self.dtype).reshape(-1, len(self.used))

    def _value(self, cell: str, line: int, index: int) -> Real | float:
        column = self.columns[index]
        if self.missing and (not cell or NOT_FINITE.fullmatch(cell)):
            return float(cell or "nan")
        if index in self.dates:
            try:
                return seconds_of(cell)
            except ValueError:
                problem = f"{quote_cell(cell)} is none; {EXPECTED}"
                raise InputError(f"{self.where}: line {line}, column {column!r}: {problem}") from None
        if NUMBER.fullmatch(cell):
            value = self.dtype(float(cell))
            if isfinite(value) or self.missing:
                return value
            problem = (
                f"{quote_cell(cell)} is too large for float32; expected a finite value in every row: check its unit"
            )
        elif NOT_FINITE.fullmatch(cell):
            problem = f"{quote_cell(cell)} is not finite; expected a value in every row: {self.remedy}"
        elif cell:
            problem = f"{quote_cell(cell)} is not a number; expected a value in every row{comma_hint([cell])}"
        else:
            problem = f"the cell is empty; expected a value in every row: {self.remedy}"
        raise InputError(f"{self.where}: line {line}, column {column!r}: {problem}")

    def _load(
        self, lines: list[str], delimiter: str | None, width: int, usecols: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """Return [lines, width] as numpy reads it; raises ValueError."""
        if not any(map(str.strip, lines)):
            raise ValueError("no samples, of which numpy would warn")
        samples = np.loadtxt(lines, self.dtype, comments=None, delimiter=delimiter, usecols=usecols, ndmin=2)
        # numpy passes over lines without a cell; what they are is for the careful way to say.
        if samples.shape != (len(lines), width) or not (self.missing or np.isfinite(samples).all()):
            raise ValueError("ragged or not finite")
        return samples
