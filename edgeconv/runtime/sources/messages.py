"""What live sources bring: the payload of a message, or lines of text, as values of one device.

A text payload is JSON where it begins with `{` or `[`, and CSV otherwise. JSON may be

- an object of column → number, or column → array, all arrays of one length: `{"acc_x": 0.1, "acc_y": [0.2]}`;
- an array of such objects, one a sample;
- `{"samples": [[0.1, 0.2], …], "columns": ["acc_x", "acc_y"]}`, one inner array a sample, with or without `columns`;
- an array of numbers (one sample) or of such arrays, in the order of the columns.

CSV is one sample a line, the cells separated by tabs, semicolons, commas or white space, with or without a first line
of column names. A packed payload is float32, little-endian, [n, columns] in the order of the columns. Columns that
nobody needs may hold anything. A missing value (`null`, an empty cell, NaN) is NaN; a time in ISO 8601 becomes seconds
since 1970, in UTC where it names no zone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .rows import NOT_FINITE, NUMBER, count, quote_cell, split_cells
from .text import sniff_delimiter

Payload = Literal["text", "float32"]
"""What messages hold: JSON or CSV, which tell themselves apart, or packed values, which nothing tells apart."""
Columns = tuple[tuple[str, ...] | None, NDArray[np.float64]]
"""Names of the columns, None where nothing names them, and float64 [n, columns]."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """Values that a device sent."""

    device: str
    names: tuple[str, ...] | None
    """Names of the columns; None where the payload names none, and their order says what they are."""
    values: NDArray[np.float64]
    """float64 [n, columns], n ≥ 1, in the device's units; NaN where a value is missing."""


@dataclass(frozen=True)
class Loss:
    """Samples that a device sent, or may have sent, and that are not to be had: no window may span the place."""

    device: str | None
    """None for all devices of the source."""
    reason: str


@dataclass(frozen=True)
class Decoder:
    """Payloads to values, for those who need some columns of them."""

    columns: tuple[str, ...]
    """Names of the columns that are needed; packed values have these, in this order."""
    payload: Payload = "text"

    def decode(self, payload: bytes) -> Columns:
        """Return the values of one message, of the needed columns only where it names them.

        Raises InputError for a payload that is none of what this module describes, that lacks a needed column, or that
        has something else than a number in one.
        """
        if self.payload == "float32":
            return None, self._unpack(payload)
        text = decode_text(payload).strip()
        if not text:
            raise InputError("the message is empty; expected JSON or CSV")
        if text[0] in "{[":
            return self.decode_json(text)
        names, values, _ = self.decode_rows([line for line in text.splitlines() if line.strip()], None)
        if len(values) == 0:
            raise InputError("there is a header and no sample; expected one sample a line")
        return names, values

    def decode_json(self, text: str) -> Columns:
        """Return the values in a JSON text; raises InputError."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"this is not JSON ({error}): {quote_cell(text)}") from None
        if isinstance(data, dict):
            rows = data.get("samples")
            if isinstance(rows, list) and "samples" not in self.columns:
                return self._pick_table(rows, data.get("columns"))
            return self._pick_object(data)
        if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
            there = {name for row in data for name in row}
            return self._pick_object({name: [row.get(name) for row in data] for name in self.columns if name in there})
        rows = data if isinstance(data, list) and data and isinstance(data[0], list) else [data]
        return self._pick_table(rows, None)

    def decode_rows(
        self, lines: Sequence[str], header: tuple[str, ...] | None
    ) -> tuple[*Columns, tuple[str, ...] | None]:
        """Return the names and values in lines of cells, none of them blank, and the header that holds after them.

        header: the names of all columns, from a line before these; None for none
        Raises InputError. There are no values where there is nothing but a header.
        """
        delimiter = sniff_delimiter(lines[0].strip())
        try:
            rows = [[cell.strip() for cell in split_cells(line, delimiter)] for line in lines]
        except ValueError as error:
            raise InputError(f"a line cannot be split into cells ({error}): {quote_cell(lines[0])}") from None
        if self._is_header(rows[0]):
            header, rows = tuple(rows[0]), rows[1:]
        width = len(header) if header else len(rows[0])
        for row in rows:
            if len(row) != width:
                raise InputError(f"a line has {count(row, 'cell')}; expected {width}: {quote_cell(' '.join(row))}")
        if header is None:
            return None, _table(rows, None), None
        used = self._find(header)
        return self.columns, _table([[row[i] for i in used] for row in rows], self.columns), header

    def _unpack(self, payload: bytes) -> NDArray[np.float64]:
        size = 4 * len(self.columns)
        if len(payload) == 0 or len(payload) % size:
            raise InputError(
                f"the payload has {len(payload)} bytes, no whole number of samples: {len(self.columns)} values in "
                f"float32 take {size}"
            )
        return np.frombuffer(payload, "<f4").reshape(-1, len(self.columns)).astype(np.float64)

    def _is_header(self, cells: list[str]) -> bool:
        if any(NUMBER.fullmatch(cell) or NOT_FINITE.fullmatch(cell) for cell in cells):
            return set(self.columns) <= set(cells)
        return not set(self.columns).isdisjoint(cells)

    def _find(self, names: Sequence[str]) -> list[int]:
        """Return where the needed columns are; raises InputError."""
        for name in self.columns:
            if names.count(name) != 1:
                there = ", ".join(map(quote_cell, names[:20])) or "none"
                raise InputError(
                    f"there {'is no' if name not in names else 'are several'} {name!r}; the columns are {there}"
                )
        return [names.index(name) for name in self.columns]

    def _pick_table(self, rows: Any, names: Any) -> Columns:
        if not (isinstance(rows, list) and rows and all(isinstance(row, list) and row for row in rows)):
            raise InputError(
                "this JSON is no samples; expected an object of columns, an array of such objects, or arrays of numbers"
            )
        if len({len(row) for row in rows}) > 1:
            raise InputError(
                "the samples are not all of one length; expected one value for each column in each of them"
            )
        if names is None:
            return None, _table(rows, None)
        if not (
            isinstance(names, list) and all(isinstance(name, str) for name in names) and len(names) == len(rows[0])
        ):
            raise InputError(
                f"`columns` are {quote_cell(str(names))}; expected {len(rows[0])} names, one for each value"
            )
        used = self._find(names)
        return self.columns, _table([[row[i] for i in used] for row in rows], self.columns)

    def _pick_object(self, data: dict[str, Any]) -> Columns:
        self._find(tuple(data))
        cells = [value if isinstance(value := data[name], list) else [value] for name in self.columns]
        sizes = sorted({len(column) for column in cells})
        if len(sizes) > 1 or sizes[0] == 0:
            raise InputError(
                f"the columns have {' and '.join(map(str, sizes))} values; expected as many in each, 1 or more"
            )
        return self.columns, _table([list(row) for row in zip(*cells, strict=True)], self.columns)


class Lines:
    """The lines of one connection, out of pieces of any size: CSV with one header for all, or a JSON text a line."""

    def __init__(self, decoder: Decoder, *, starts_inside: bool = False) -> None:
        """Decode lines; `starts_inside` leaves out what may be the end of a line, before the first that is known whole.

        A first line that is whole by itself, a header or JSON, is taken.
        """
        self._decoder = decoder
        self._inside = starts_inside
        self._rest = b""
        self._header: tuple[str, ...] | None = None

    def push(self, data: bytes) -> list[Columns | InputError]:
        """Take the next bytes; return what the lines that they complete hold, in order, or what is wrong with them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        too_long = len(self._rest) > LINE_BYTES
        found: list[Columns | InputError] = []
        rows: list[str] = []
        for line in lines:
            try:
                text = decode_text(line).strip()
            except InputError as error:
                found += [*self._decode(rows), error]
                rows = []
                continue
            if self._inside:
                self._inside = False
                if text[:1] not in ("{", "[") and not self._names_columns(text):
                    continue
            if text[:1] in ("{", "["):
                found += self._decode(rows)
                rows = []
                try:
                    found.append(self._decoder.decode_json(text))
                except InputError as error:
                    found.append(error)
            elif text:
                rows.append(text)
        found += self._decode(rows)
        if too_long:
            found.append(InputError(f"a line is longer than {LINE_BYTES >> 10} KiB; expected one sample a line"))
            self._rest, self._inside = b"", True
        return found

    def finish(self) -> list[Columns | InputError]:
        """Return what is wrong with a line that never ended; its last number may be cut."""
        rest, self._rest = self._rest.strip(), b""
        return [InputError(f"the last line never ended: {quote_cell(repr(rest)[2:-1])}")] if rest else []

    def _decode(self, rows: list[str]) -> list[Columns | InputError]:
        if not rows:
            return []
        try:
            names, values, self._header = self._decoder.decode_rows(rows, self._header)
        except InputError as error:
            if len(rows) == 1:
                return [error]
            return [found for row in rows for found in self._decode([row])]  # one bad line costs itself alone
        return [(names, values)] if len(values) else []

    def _names_columns(self, text: str) -> bool:
        return set(self._decoder.columns) <= {cell.strip('" ') for cell in text.split(sniff_delimiter(text))}


LINE_BYTES = 1 << 16
"""No line of a live source is longer."""


def decode_text(data: bytes) -> str:
    """Return the bytes as text; raises InputError for what is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"this is not UTF-8 text, it begins with {data[:8]!r}; are the values packed?") from None


def _table(rows: list[list[Any]], names: Sequence[str] | None) -> NDArray[np.float64]:
    """Return cells, texts or what JSON has, as float64 [n, columns]; raises InputError."""
    if not rows:
        return np.empty((0, len(names or ())), np.float64)
    try:
        values = np.array(rows, np.float64)
        if values.ndim == 2:
            return values
    except (ValueError, TypeError, OverflowError):
        pass
    # Something is missing, a time, or wrong.
    return np.array(
        [[_number(cell, names[i] if names else i) for i, cell in enumerate(row)] for row in rows], np.float64
    )


def _number(cell: Any, column: str | int) -> float:
    if cell is None or cell == "":
        return float("nan")
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            pass
        try:
            time = datetime.fromisoformat(cell)
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except ValueError:
            pass
    elif isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            pass
    raise InputError(
        f"column {column!r} holds {quote_cell(str(cell))}, which is not a number; expected one in every sample"
    )
