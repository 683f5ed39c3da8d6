"""`labels.csv`: which stretch of which recording has which label, and who was recorded."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from edgeconv.runtime.errors import InputError

LABELS_FILE = "labels.csv"
LABELS_HEADER = ["recording", "start_s", "end_s", "label"]
SUBJECT = "subject"
"""Name of a fifth column, if it is there."""


@dataclass(frozen=True)
class LabelRow:
    """One line of `labels.csv`."""

    line: int
    recording: str
    start_s: float
    end_s: float
    """The first moment after the segment."""
    label: str
    subject: str
    """Empty where the file has no such column."""


@dataclass(frozen=True)
class LabelTable:
    """The file's lines by recording, in the order in which recordings first come."""

    rows: dict[str, list[LabelRow]]
    has_subjects: bool


def read_labels(path: Path) -> LabelTable:
    """Read the file; raises InputError that names the first line that cannot be used."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV in UTF-8 ({error})") from None
    header = lines[0][1] if lines else []
    if header[:4] != LABELS_HEADER or header[4:] not in ([], [SUBJECT]):
        raise InputError(
            f"{path} begins with {','.join(header)[:80]!r}; expected the header {','.join(LABELS_HEADER)}, or with "
            f",{SUBJECT} behind it"
        )
    rows: dict[str, list[LabelRow]] = {}
    for line, cells in lines[1:]:
        row = _row(path, line, cells, len(header))
        rows.setdefault(row.recording, []).append(row)
        first = rows[row.recording][0]
        if row.subject != first.subject:
            raise InputError(
                f"{path}, line {line}: {row.recording} is of subject {row.subject!r} here and of {first.subject!r} in "
                f"line {first.line}; one subject for each recording expected"
            )
    if not rows:
        raise InputError(f"{path} has no line below its header; expected one for each labelled stretch")
    return LabelTable(rows, len(header) > 4)


def _row(path: Path, line: int, cells: list[str], width: int) -> LabelRow:
    where = f"{path}, line {line}"
    if len(cells) != width or not all(cells):
        raise InputError(f"{where}: {width} cells with something in each expected, {','.join(cells)[:80]!r} seen")
    try:
        start_s, end_s = float(cells[1]), float(cells[2])
    except ValueError:
        start_s = end_s = math.nan
    if not 0 <= start_s < end_s < math.inf:
        raise InputError(f"{where}: start_s before end_s expected, in seconds from 0; {cells[1]} and {cells[2]} seen")
    return LabelRow(line, cells[0], start_s, end_s, cells[3], cells[4] if width > 4 else "")
