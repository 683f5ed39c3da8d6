"""Predictions or events of many devices as JSON objects, each with an id by which a repeated one is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Protocol, TextIO

from .sink import format_seconds, make_encodable

if TYPE_CHECKING:
    from ..events import Event
    from ..stream import Prediction


class ServedSink(Protocol):
    """Takes messages about devices; they are safe when `flush` has returned."""

    def write(self, device: str, message: str) -> None:
        """Take a message about a device, a JSON object that `Windows` or `Events` made."""
        ...

    def flush(self, expired: Callable[[], bool] = lambda: False) -> None:
        """Wait until all that was written has arrived; raises InputError when it cannot, or has not when `expired`."""
        ...

    def close(self) -> None:
        """Let go of the place where messages go."""
        ...


class Windows:
    """Makes one JSON object of each prediction."""

    def __init__(self, labels: Sequence[str]) -> None:
        """Have `probabilities` as an object with these labels as keys."""
        self._labels = [_quote(label) for label in labels]

    def make(self, device: str, since_ms: int, sample: int, prediction: Prediction) -> str:
        """Return the object; two of the same window have the same id, whoever made them from the same stream.

        A probability that is not finite, which JSON cannot say, is null; others read back bit for bit as float32.

        since_ms: when the device's stream began, in milliseconds since 1970; sample: the window's first one
        """
        numbers = [f"{number:.9g}" if isfinite(number) else "null" for number in prediction.probabilities.tolist()]
        probabilities = ", ".join(f"{label}: {number}" for label, number in zip(self._labels, numbers, strict=True))
        return (
            f"{_head(device, since_ms, sample)}, "
            f'"start_s": {format_seconds(prediction.start_s)}, "end_s": {format_seconds(prediction.end_s)}, '
            f'"label": {_quote(prediction.label)}, "confidence": {numbers[prediction.class_id]}, '
            f'"probabilities": {{{probabilities}}}{_marks(prediction.implausible)}}}'
        )


class Events:
    """Makes one JSON object of each event that begins or ends."""

    def make(self, device: str, since_ms: int, sample: int, event: Event, *, ended: bool) -> str:
        """Return the object; the same event has the same id when it begins, with null for its end, and when it ends.

        since_ms, sample: as for `Windows.make`
        """
        confidence = f"{event.confidence!r}" if isfinite(event.confidence) else "null"
        return (
            f"{_head(device, since_ms, sample)}, "
            f'"start_s": {format_seconds(event.start_s)}, "end_s": {format_seconds(event.end_s) if ended else "null"}, '
            f'"label": {_quote(event.label)}, "confidence": {confidence}, '
            f'"known_s": {format_seconds(event.known_s)}, "windows": {event.windows}{_marks(event.implausible)}}}'
        )


class ServedLines:
    """Writes one object a line to a stream."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream, which stays the caller's to close."""
        self._stream = stream

    def write(self, device: str, message: str) -> None:  # noqa: ARG002
        """Write one line, as `ServedSink.write` says."""
        self._stream.write(message + "\n")

    def flush(self, expired: Callable[[], bool] = lambda: False) -> None:  # noqa: ARG002
        """Flush the stream, however long its reader takes."""
        self._stream.flush()

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()


def _head(device: str, since_ms: int, sample: int) -> str:
    return f'{{"id": {_quote(f"{device}/{since_ms}/{sample}")}, "device": {_quote(device)}, "since_ms": {since_ms}'


def _marks(codes: Sequence[str]) -> str:
    return f', "implausible": {json.dumps(codes)}' if codes else ""


def _quote(text: str) -> str:
    return json.dumps(make_encodable(text), ensure_ascii=False)
