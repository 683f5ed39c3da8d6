"""What is when in recordings: `labels.csv` as `edgeconv data recordings` writes it."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path

from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.events import UNKNOWN

from .spans import Span

COLUMNS = ("recording", "start_s", "end_s", "label")


@dataclass(frozen=True)
class Segment:
    """A labelled stretch of a recording."""

    start_s: float
    end_s: float
    """The first moment after it."""
    label: str


@dataclass(frozen=True)
class Truth:
    """What is known of one recording."""

    segments: tuple[Segment, ...]
    """In time order; they do not overlap."""
    subject: str | None
    """Who was recorded; None where the file does not say."""

    def spans(self, sampling_rate_hz: float, timesteps: int, labels: Collection[str]) -> tuple[Span, ...]:
        """Return the segments in samples, to the nearest one, and cut off where the recording ends.

        Segments of one label that touch are one. labels: those that count; others become `unknown`
        """
        found: list[Span] = []
        before = ""
        for segment in self.segments:
            start, end = (round(at_s * sampling_rate_hz) for at_s in (segment.start_s, segment.end_s))
            end = min(end, timesteps)
            if start >= end:
                continue
            if found and before == segment.label and found[-1].end == start:
                start = found.pop().start
            found.append(Span(start, end, segment.label if segment.label in labels else UNKNOWN))
            before = segment.label
        return tuple(found)


def read_labels(path: Path) -> dict[str, Truth]:
    """Read the segments of recordings, by recording.

    A CSV file with a header: recording, start_s, end_s and label, perhaps subject, and others that are not read; rows
    in any order. Raises MissingFileError, and InputError with the line for a file without these columns, a time that is
    none, a segment that ends before it starts or overlaps another, and a recording of two subjects.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; `edgeconv data recordings` writes a labels.csv") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected a CSV file in UTF-8") from None
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    lines: dict[str, list[tuple[Segment, int]]] = {}
    subjects: dict[str, str | None] = {}
    try:
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise InputError(f"{path}: no column {missing[0]!r} in its first line; expected {','.join(COLUMNS)}")
        for row in rows:
            if not row:
                continue
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(header):
                raise InputError(f"{where}: {len(row)} values; expected {len(header)}, as in the first line")
            values = dict(zip(header, (value.strip() for value in row), strict=True))
            name, subject = values["recording"], values.get("subject") or None
            if subjects.setdefault(name, subject) != subject:
                raise InputError(f"{where}: {name} is of subject {subject}, and of {subjects[name]} in an earlier line")
            lines.setdefault(name, []).append((_segment(values, where), rows.line_num))
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: no CSV ({error})") from None
    if not lines:
        raise InputError(f"{path} has no segments; expected lines such as walk_01,0.00,12.80,WALKING")
    return {name: Truth(_in_order(found, name, path), subjects[name]) for name, found in lines.items()}


def _segment(values: dict[str, str], where: str) -> Segment:
    if not values["label"] or not values["recording"]:
        raise InputError(f"{where}: recording {values['recording']!r} and label {values['label']!r}; expected names")
    times = []
    for column in ("start_s", "end_s"):
        try:
            times.append(float(values[column]))
        except ValueError:
            times.append(math.nan)
        if not (math.isfinite(times[-1]) and times[-1] >= 0):
            raise InputError(f"{where}: {column} is {values[column]!r}; expected seconds from 0")
    start_s, end_s = times
    if end_s <= start_s:
        raise InputError(f"{where}: the segment ends at {end_s:g} s and starts at {start_s:g} s; expected a later end")
    return Segment(start_s, end_s, values["label"])


def _in_order(found: list[tuple[Segment, int]], name: str, path: Path) -> tuple[Segment, ...]:
    """Return a recording's segments in time order."""
    found = sorted(found, key=lambda item: item[0].start_s)
    for (before, _), (segment, line) in pairwise(found):
        if segment.start_s < before.end_s:
            raise InputError(
                f"{path}, line {line}: {segment.label} of {name} starts at {segment.start_s:g} s, before "
                f"{before.label} ends at {before.end_s:g} s; segments of a recording must not overlap"
            )
    return tuple(segment for segment, _ in found)
