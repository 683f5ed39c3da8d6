"""Events as lines of text: the columns of a `labels.csv`, and what is known of each event behind them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from .sink import format_seconds, make_encodable
from .table import RECORDING_LIMITS, fit, label_width

if TYPE_CHECKING:
    from ..events import Event

COLUMNS = ("recording", "start_s", "end_s", "label", "confidence", "known_s", "windows")
LINE_OF_TABLE = "%s %9s %9s  %s %4s %7s"


class EventCsv:
    """Writes a header at once, then one row an event (RFC 4180, with lines ended by a newline alone)."""

    def __init__(self, stream: TextIO, labels: Sequence[str], *, header: bool = True, marks: bool = False) -> None:  # noqa: ARG002
        """Write to this stream; header: whether it is empty; marks: a column of what is implausible."""
        self._stream, self._marks = stream, marks
        if header:
            self._write([*COLUMNS, *(["implausible"] if marks else [])])

    def write(self, recording: str, event: Event) -> None:
        """Write one row."""
        self._write(
            [make_encodable(recording), *_cells(event), *([" ".join(event.implausible)] if self._marks else [])]
        )

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()

    def _write(self, cells: Sequence[str]) -> None:
        # Python before 3.13 quotes a carriage return only where it is part of the line end.
        row = StringIO(newline="")
        csv.writer(row, lineterminator="\r\n").writerow(cells)
        self._stream.write(row.getvalue().removesuffix("\r\n") + "\n")


class EventLines:
    """Writes one JSON object a line (https://jsonlines.org)."""

    def __init__(self, stream: TextIO, labels: Sequence[str], *, header: bool = True, marks: bool = False) -> None:  # noqa: ARG002
        """Write to this stream; marks: whether each event also names what is implausible."""
        self._stream, self._marks = stream, marks

    def write(self, recording: str, event: Event) -> None:
        """Write one line."""
        start, end, label, confidence, known, windows = _cells(event)
        texts = json.dumps(make_encodable(recording), ensure_ascii=False), json.dumps(label, ensure_ascii=False)
        marks = f', "implausible": {json.dumps(event.implausible)}' if self._marks else ""
        self._stream.write(
            f'{{"recording": {texts[0]}, "start_s": {start}, "end_s": {end}, "label": {texts[1]}, '
            f'"confidence": {confidence}, "known_s": {known}, "windows": {windows}{marks}}}\n'
        )

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()


class EventTable:
    """Writes a header at once, then one line an event, aligned for a terminal of 80 characters."""

    def __init__(self, stream: TextIO, labels: Sequence[str], *, header: bool = True, marks: bool = False) -> None:
        """Write to this stream, in columns as wide as these labels need; what is marked has a `?` behind its label."""
        self._stream, self._marks = stream, marks
        self._label = label_width((*labels, "unknown"))
        if header:
            self._write("recording", "start_s", "end_s", "label", "conf", "windows")

    def write(self, recording: str, event: Event) -> None:
        """Write one line, with seconds to 2 decimals and the confidence in percent."""
        doubt = "?" if self._marks and event.implausible else ""
        times = f"{event.start_s:.2f}", f"{event.end_s:.2f}"
        self._write(recording, *times, event.label + doubt, f"{event.confidence:.0%}", str(event.windows))

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()

    def _write(self, recording: str, start: str, end: str, label: str, percent: str, windows: str) -> None:
        cells = fit(recording, RECORDING_LIMITS[1]), start, end, fit(label, self._label), percent, windows
        self._stream.write(LINE_OF_TABLE % cells + "\n")


def _cells(event: Event) -> tuple[str, ...]:
    """Return what stands in the columns behind the recording; the confidence reads back as the same float64."""
    times = format_seconds(event.start_s), format_seconds(event.end_s)
    rest = repr(event.confidence), format_seconds(event.known_s), str(event.windows)
    return *times, make_encodable(event.label), *rest
