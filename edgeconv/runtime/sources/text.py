"""Recordings as text: find out how the file is laid out, then read it in blocks of lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .ahead import work_ahead
from .engines import choose_engine
from .grid import parse_grid
from .lines import BLOCK_BYTES, decode_lines, read_blocks
from .rows import NOT_FINITE, NUMBER, Layout, comma_hint, count, quote_cell, split_cells

LONG_BYTES = 1 << 20
"""From this size on a file is worth a thread, whose start costs some milliseconds."""

QUOTED = re.compile(r'"[^"]*"')


def read_text(
    file: BufferedReader,
    where: str,
    channels: Sequence[str],
    size_bytes: int = 0,
    look: Look | None = None,
) -> Generator[NDArray[np.float32]]:
    """Read a text file: yields float32 [n, channels] with n ≥ 1, in blocks of some 128 KiB of text, or larger ones.

    `where` names the file in messages. A long file is read ahead, whose size is known, or guessed; with 0, for a pipe
    and whatever may still grow, samples are yielded as they come. Raises InputError for a file that is empty or cannot
    be used, and what `look` raises, which sees the beginning of a file with a header.
    """
    beginning = begin_text(file, where, count(channels, "channel"))
    layout, has_header = lay_out(beginning.line, beginning.number, where, channels)
    if has_header and look is not None:
        beginning = look(where, beginning, layout.columns, layout.delimiter)
    yield from read_rows(beginning, layout, has_header, size_bytes)


@dataclass(frozen=True)
class Beginning:
    """A text file that was read to its first line that is not blank, and a little beyond."""

    line: str
    number: int
    """Of this line, from 1."""
    others: tuple[str, ...]
    """Lines after it that are read already."""
    blocks: Iterator[bytes]
    """The rest of the file."""


Look = Callable[[str, Beginning, Sequence[str], str | None], Beginning]
"""Takes a file's name in messages, its beginning, the names of its columns and their delimiter; returns the beginning
to be read on from."""


def begin_text(file: BufferedReader, where: str, expected: str) -> Beginning:
    """Read the beginning of a text file; raises InputError where it is empty, or no text."""
    blocks = read_blocks(file.read1)
    number = 1
    for block in blocks:
        lines = decode_lines(block, number, where).split("\n")
        first = next((i for i, line in enumerate(lines) if line.strip()), None)
        if first is not None:
            return Beginning(lines[first], number + first, tuple(lines[first + 1 :]), blocks)
        number += len(lines)
    raise InputError(f"{where}: the file is empty; expected one sample a line, with {expected}")


def read_rows(beginning: Beginning, layout: Layout, has_header: bool, size_bytes: int) -> Generator[NDArray[Any]]:
    """Yield the samples of a file whose layout is known, as `read_text` does."""
    lines = beginning.others if has_header else (beginning.line, *beginning.others)
    number = beginning.number + len(beginning.others) + 1
    samples = layout.parse("\n".join(lines), number - len(lines))
    if len(samples):
        yield samples
    if size_bytes < LONG_BYTES:
        yield from parse_blocks(beginning.blocks, number, layout)
    else:
        yield from work_ahead(parse_long(beginning.blocks, number, layout, size_bytes))


def parse_blocks(blocks: Iterable[bytes], number: int, layout: Layout) -> Iterator[NDArray[Any]]:
    """Yield the samples in blocks of lines, the first of which has this number; raises InputError."""
    for block in blocks:
        samples = layout.parse(decode_lines(block, number, layout.where), number)
        number += block.count(b"\n")
        if len(samples):
            yield samples


def parse_long(blocks: Iterator[bytes], number: int, layout: Layout, size_bytes: int) -> Iterator[NDArray[Any]]:
    """Do what `parse_blocks` does, quicker for a file of this size: many blocks at a time while they are plain."""
    engine = choose_engine(size_bytes)
    for batch in gather(blocks, engine.block_bytes // BLOCK_BYTES):
        samples = parse_grid(b"".join(batch), layout, engine)
        if samples is not None:
            number += len(samples)
            yield samples
        else:
            yield from parse_blocks(batch, number, layout)
            number += sum(block.count(b"\n") for block in batch)


def gather(blocks: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    """Yield the blocks some at a time; what came before an error is yielded before it is raised."""
    batch: list[bytes] = []
    try:
        for block in blocks:
            batch.append(block)
            if len(batch) == most:
                yield batch
                batch = []
    except (OSError, InputError):
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def sniff_delimiter(line: str) -> str | None:
    """Return what separates the cells of a line: tab, else semicolon, else comma, else None for white space."""
    bare = QUOTED.sub("", line)
    return next((delimiter for delimiter in "\t;," if delimiter in bare), None)


def lay_out(line: str, number: int, where: str, channels: Sequence[str]) -> tuple[Layout, bool]:
    """Return how to read the file that has this first line, and whether the line is a header.

    A header is a line without a number. It may hold some where it also names a channel ("0", "1" are names, too).
    Raises InputError for a line that is neither header nor sample, or does not fit the channels.
    """
    delimiter = sniff_delimiter(line.strip())
    try:
        cells = [cell.strip() for cell in split_cells(line, delimiter)]
    except ValueError as error:
        raise InputError(
            f"{where}: line {number} cannot be split into cells ({error}); expected quotes that close on their line"
        ) from None
    numeric = [bool(NUMBER.fullmatch(cell) or NOT_FINITE.fullmatch(cell)) for cell in cells]
    named = [channel in cells for channel in channels]
    if all(numeric) and not all(named):
        if len(cells) != len(channels):
            raise InputError(
                f"{where}: line {number} has {count(cells, 'number')} and there is no header; expected "
                f"{count(channels, 'column')} ({_list(channels)}), or a header that names them"
            )
        return Layout(where, delimiter, tuple(channels), tuple(range(len(channels))), number), False
    if any(numeric) and not any(named):
        at = numeric.index(False)
        raise InputError(
            f"{where}: line {number}, column {at + 1}: {quote_cell(cells[at])} is not a number, but others on this "
            f"line are; expected column names only, or numbers only{comma_hint(cells)}"
        )
    if not all(named):
        missing = [channel for channel, found in zip(channels, named, strict=True) if not found]
        raise InputError(
            f"{where}: no column for {_list(missing)}; the header (line {number}) names {_list(cells)}: expected a "
            f"column for each channel of the model{comma_hint(cells)}"
        )
    for channel in channels:
        if cells.count(channel) > 1:
            raise InputError(
                f"{where}: line {number} names {channel!r} {cells.count(channel)} times; expected one column for each "
                "channel: rename the others"
            )
    return Layout(where, delimiter, tuple(cells), tuple(map(cells.index, channels)), number), True


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(quote_cell, names[:20]))
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
