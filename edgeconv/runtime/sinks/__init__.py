"""Where predictions go: lines of text on a stream, or an MQTT broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from ..errors import UsageError
from ..sources.say import Say, to_nobody
from .csv_rows import CsvRows
from .events import EventCsv, EventLines, EventTable
from .json_lines import JsonLines
from .served import ServedLines, ServedSink
from .sink import Sink
from .table import TextTable

if TYPE_CHECKING:
    from ..events import Event
    from ..stream import Prediction

__all__ = ["ServedSink", "Sink", "open_event_sink", "open_served", "open_sink"]

SINKS: dict[str, type[CsvRows] | type[JsonLines] | type[TextTable]] = {
    "table": TextTable,
    "jsonl": JsonLines,
    "csv": CsvRows,
}
EVENT_SINKS: dict[str, type[EventCsv] | type[EventLines] | type[EventTable]] = {
    "table": EventTable,
    "jsonl": EventLines,
    "csv": EventCsv,
}


def open_sink(
    format: Literal["table", "jsonl", "csv"],  # noqa: A002
    stream: TextIO,
    labels: Sequence[str],
    *,
    header: bool = True,
    marks: bool = False,
) -> Sink[Prediction]:
    """Return a sink that writes predictions to a stream; the stream stays the caller's to close.

    table: aligned columns for a terminal, with the most probable label and the runner-up
    jsonl: one JSON object a line
    csv: a header and one row a prediction
    All name the same things in the same order: recording, start_s, end_s, label, confidence, probabilities. In jsonl
    and csv, probabilities are written such that float32 reads back bit for bit.

    labels: of the model, in the order of its probabilities
    header: whether the stream is empty, so that a format that has a header begins with it
    marks: whether each prediction also names what was found implausible in its stream, `implausible`
    Raises UsageError for another format.
    """
    _require_format(format)
    return SINKS[format](stream, labels, header=header, marks=marks)


def open_event_sink(
    format: Literal["table", "jsonl", "csv"],  # noqa: A002
    stream: TextIO,
    labels: Sequence[str],
    *,
    header: bool = True,
    marks: bool = False,
) -> Sink[Event]:
    """Return a sink that writes events to a stream: recording, start_s, end_s, label, confidence, known_s, windows.

    The rest as for `open_sink`; the first columns of csv are those of a `labels.csv`. A table leaves `known_s` out.
    """
    _require_format(format)
    return EVENT_SINKS[format](stream, labels, header=header, marks=marks)


def _require_format(format: str) -> None:  # noqa: A002
    if format not in SINKS:
        raise UsageError(f"there is no output format {format!r}; expected one of {', '.join(SINKS)}")


def open_served(
    address: str,
    stream: TextIO,
    *,
    of: Literal["prediction", "event"] = "prediction",
    source: str = "",
    client_id: str = "",
    say: Say = to_nobody,
) -> ServedSink:
    """Return a sink for messages about many devices: `-` for JSON lines on the stream, or `mqtt://HOST/TOPIC`.

    of: what is served, for the topic where none is given
    source: where samples come from; messages may not come back through it
    client_id, say: as for `open_live`
    Raises UsageError for another address, InputError for what cannot be reached, DependencyError.
    """
    if address == "-":
        return ServedLines(stream)
    if address.startswith(("mqtt://", "mqtts://")):
        from .mqtt import MqttSink, refuse_loop

        refuse_loop(source, address, of)
        return MqttSink(address, client_id, of=of, say=say)
    raise UsageError(f"{address!r} is no place for predictions; expected - or mqtt://HOST:PORT/edgeconv/{{device}}/…")
