"""Predictions as CSV (RFC 4180, with lines ended by a newline alone)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from .sink import format_seconds, make_encodable

if TYPE_CHECKING:
    from ..stream import Prediction


class CsvRows:
    """Writes a header at once, then one row a prediction."""

    def __init__(self, stream: TextIO, labels: Sequence[str], *, header: bool = True, marks: bool = False) -> None:
        """Write to this stream, with a column for each label, and one for what is implausible.

        header: whether the stream is empty
        """
        self._stream, self._marks = stream, marks
        self._row = "%s,%s,%s,%s,%.9g" + ",%.9g" * len(labels) + "%s\n"
        names = ["recording", "start_s", "end_s", "label", "confidence", *[f"probability_{label}" for label in labels]]
        names += ["implausible"] if marks else []
        if header:
            stream.write(",".join(map(_quote, names)) + "\n")

    def write(self, recording: str, prediction: Prediction) -> None:
        """Write one row."""
        self._stream.write(
            self._row
            % (
                _quote(recording),
                format_seconds(prediction.start_s),
                format_seconds(prediction.end_s),
                _quote(prediction.label),
                prediction.confidence,
                *prediction.probabilities.tolist(),
                f",{' '.join(prediction.implausible)}" if self._marks else "",
            )
        )

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()


@lru_cache(maxsize=1024)
def _quote(text: str) -> str:
    # Python before 3.13 quotes a carriage return only where it is part of the line end.
    cell = StringIO(newline="")
    csv.writer(cell, lineterminator="\r\n").writerow([make_encodable(text)])
    return cell.getvalue().removesuffix("\r\n")
