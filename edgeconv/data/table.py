"""Numbers from text files, with errors that name file, line, expected and seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import InputError


def split_lines(data: bytes) -> list[str]:
    """Return the lines of a file, without empty ones at its end."""
    # What is no ASCII becomes U+FFFD, which no number contains, so that a message can name its line.
    return data.decode("ascii", errors="replace").rstrip().splitlines()


def parse_integers(data: bytes, place: str, kind: str, largest: int | None = None) -> NDArray[np.int64]:
    """Return int64 [n], one number per line, from 1 up to `largest`; raises InputError naming `place` and line."""
    lines = split_lines(data)
    for number, line in enumerate(lines, start=1):
        token = line.strip()
        # At most nine digits: no id is longer, and int64 holds it.
        if not (token.isdecimal() and len(token) < 10 and 1 <= int(token) <= (largest or int(token))):
            upper = f" to {largest}" if largest else ""
            raise InputError(f"{place}, line {number}: a {kind} from 1{upper} expected, {token[:40]!r} seen")
    if not lines:
        raise InputError(f"{place} is empty; one {kind} per line expected")
    return np.array([int(line) for line in lines], dtype=np.int64)


def parse_labels(data: bytes, place: str, classes: int) -> tuple[str, ...]:
    """Return the names of lines `id name` in the order of the ids, from 1; raises InputError that names the line."""
    labels: dict[int, str] = {}
    for number, line in enumerate(split_lines(data), start=1):
        parts = line.split()
        if len(parts) != 2 or parts[0] not in {str(i) for i in range(1, classes + 1)} or int(parts[0]) in labels:
            raise InputError(
                f"{place}, line {number}: an id from 1 to {classes}, each once, and a name expected, {line[:40]!r} seen"
            )
        labels[int(parts[0])] = parts[1]
    if len(labels) != classes or len(set(labels.values())) != classes:
        raise InputError(f"{place}: {classes} different labels expected, {labels} seen")
    return tuple(labels[i] for i in sorted(labels))


def parse_rows(data: bytes, place: str, width: int) -> NDArray[np.float32]:
    """Return float32 [n, width], one row per line; raises InputError naming `place`, line and value."""
    lines = split_lines(data)
    if not lines:
        raise InputError(f"{place} is empty; lines of {width} values expected")
    try:
        with np.errstate(over="ignore"):
            rows = np.loadtxt(lines, dtype=np.float32, comments=None, ndmin=2)
    except ValueError:
        raise _bad_line(lines, place, width) from None
    if rows.shape != (len(lines), width):  # loadtxt takes any width and skips empty lines
        raise _bad_line(lines, place, width)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        seen = lines[row].split()[column][:40]
        raise InputError(f"{place}, line {row + 1}, value {column + 1}: a finite number expected, {seen!r} seen")
    return rows


def _bad_line(lines: list[str], place: str, width: int) -> InputError:
    """Return the error for the first line that is not `width` numbers."""
    for number, line in enumerate(lines, start=1):
        tokens = line.split()
        if len(tokens) != width:
            return InputError(f"{place}, line {number}: {width} values expected, {len(tokens)} seen")
        for position, token in enumerate(tokens, start=1):
            try:
                np.loadtxt([token], dtype=np.float32, comments=None)
            except ValueError:
                return InputError(f"{place}, line {number}, value {position}: a number expected, {token[:40]!r} seen")
    return InputError(f"{place} is no table of {width} numbers per line")
