"""Predictions as aligned columns for a terminal of 80 characters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO
from unicodedata import combining, east_asian_width

from .sink import make_encodable

if TYPE_CHECKING:
    from ..stream import Prediction

LINE = 80
LABEL_LIMIT = 18
RECORDING_LIMITS = (12, 30)
OTHERS = len(" 12345.67 12345.67  ") + len(" 100%  50% ")
"""Characters of a line that are neither recording nor label."""


class TextTable:
    """Writes a header at once, then one line a prediction: the most probable label and the runner-up.

    Not all probabilities fit beside each other on a terminal; of two that are close, the line shows both.
    """

    def __init__(self, stream: TextIO, labels: Sequence[str], *, header: bool = True, marks: bool = False) -> None:
        """Write to this stream, in columns as wide as these labels need; what is marked has a `?` behind its label.

        header: whether the stream is empty
        """
        self._stream, self._marks = stream, marks
        self._labels = tuple(labels)
        self._label = label_width(labels)
        low, high = RECORDING_LIMITS
        self._recording = min(high, max(low, LINE - OTHERS - 2 * self._label))
        if header:
            self._write_line("recording", "start_s", "end_s", "label", "conf", "", "runner-up")

    def write(self, recording: str, prediction: Prediction) -> None:
        """Write one line, with seconds to 2 decimals and probabilities in percent."""
        percent = f"{prediction.confidence:.0%}"
        second, runner_up = "", ""
        if len(self._labels) > 1:
            probabilities = prediction.probabilities.tolist()
            probabilities[prediction.class_id] = -1.0
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            second, runner_up = f"{probabilities[best]:.0%}", self._labels[best]
        start, end = f"{prediction.start_s:.2f}", f"{prediction.end_s:.2f}"
        doubt = "?" if self._marks and prediction.implausible else ""
        self._write_line(recording, start, end, prediction.label + doubt, percent, second, runner_up)

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()

    def _write_line(
        self, recording: str, start: str, end: str, label: str, percent: str, second: str, runner_up: str
    ) -> None:
        name, label, runner_up = (
            fit(recording, self._recording),
            fit(label, self._label),
            fit(runner_up, self._label),
        )
        self._stream.write(f"{name} {start:>8} {end:>8}  {label} {percent:>4} {second:>4} {runner_up}".rstrip() + "\n")


def label_width(labels: Sequence[str]) -> int:
    """Return how many characters of a line labels take."""
    return min(LABEL_LIMIT, max(len("runner-up"), *(_measure(_clean(label)) for label in labels)))


def _measure(text: str) -> int:
    """Return how many characters of a terminal the text takes: ideographs take two, accents on their own none."""
    return sum(2 if east_asian_width(c) in "WF" else 0 if combining(c) else 1 for c in text)


def _clean(text: str) -> str:
    """Return the text without what would break a line or command a terminal."""
    return "".join(c if c.isprintable() else "?" for c in make_encodable(text))


@lru_cache(maxsize=1024)
def fit(text: str, width: int) -> str:
    """Return the text shortened in the middle, or filled with spaces, to this width."""
    text = _clean(text)
    shown, keep = text, len(text)
    while _measure(shown) > width:
        keep -= 1
        shown = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
    return shown + " " * (width - _measure(shown))
