"""What `edgeconv evaluate` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .console import count, table

if TYPE_CHECKING:
    from edgeconv.evaluate.evaluation import Evaluation, Side

SHOWN = 5
"""Recordings in the table of the worst."""


def report(found: Evaluation) -> str:
    """Return a heading and the tables."""
    parts = [heading(found), summary(found), per_label(found), confusion(found), lowest(found), confidence(found)]
    return "\n\n".join(part for part in parts if part)


def heading(found: Evaluation) -> str:
    """Return what was scored, on what."""
    model, windows, time = found.model, found.raw.windows, found.raw.time
    rate_hz = model["sampling_rate_hz"]
    return (
        f"{model['name']} version {model['version']}, windows of {model['window'] / rate_hz:g} s every "
        f"{model['hop'] / rate_hz:g} s, on {model['device']}{' in int8' if model['precision'] == 'int8' else ''}\n"
        f"{count(len(found.answers), 'recording')}, {time.recorded_s / 60:.1f} minutes: {time.known_s / 60:.1f} with "
        f"labels that the model knows, {time.unknown_s / 60:.1f} with others\n"
        f"{count(windows.windows, 'window')}: {windows.scored} inside one segment with a known label, "
        f"{windows.in_unknown} inside one with another, {windows.straddling} across ends of segments, "
        f"{windows.unlabelled} in unlabelled time\n"
        f"smoothed: {found.smoothed.smoothing}"
    )


def summary(found: Evaluation) -> str:
    """Return the figures of all recordings together, without smoothing and with it."""
    columns = [dict(_figures(side)) for side in (found.raw, found.smoothed)]
    return table(["", "raw", "smoothed"], [[name, *(column[name] for column in columns)] for name in columns[0]])


def _figures(side: Side) -> list[tuple[str, str]]:
    windows, time, events = side.windows, side.time, side.events
    overall, hourly = events.overall, events.false_changes_per_hour
    worst = min(windows.per_subject.values(), default=None)
    return [
        ("windows: accuracy %", _percent(windows.accuracy)),
        ("windows: macro-F1 %", _percent(windows.macro_f1)),
        *([] if worst is None else [("windows: accuracy % of the worst subject", _percent(worst))]),
        ("time: right %", _percent(time.accuracy)),
        ("time: no answer %", _percent(time.unanswered_s / time.known_s if time.known_s else None)),
        ("events: true segments", str(overall.segments)),
        ("events: detected", str(overall.detected)),
        ("events: partial", str(overall.partial)),
        ("events: missed", str(overall.missed)),
        ("events: fragmented", str(overall.fragmented)),
        ("events: merged", str(overall.merged)),
        ("events: predicted", str(overall.events)),
        ("events: inserted", str(overall.inserted)),
        ("events: precision %", _percent(overall.precision)),
        ("events: recall %", _percent(overall.recall)),
        ("events: F1 %", _percent(overall.f1)),
        ("events: in time labelled unknown", str(events.in_unknown)),
        ("events: in unlabelled time", str(events.in_unlabelled)),
        ("onset: late by, median s", _fixed(events.onset.median_s)),
        ("onset: late by, 90th percentile s", _fixed(events.onset.p90_s)),
        ("onset: known live after, median s", _fixed(events.known.median_s)),
        ("onset: known live after, 90th percentile s", _fixed(events.known.p90_s)),
        ("a clean change is known after s", _fixed(side.change_delay_s)),
        ("false changes per hour", _fixed(hourly, 1)),
    ]


def per_label(found: Evaluation) -> str:
    """Return the figures of each label, raw/smoothed."""
    raw, smoothed = found.raw, found.smoothed
    rows = []
    for label, windows in raw.windows.confusion.items():
        if label not in found.model["labels"] and label not in {**raw.events.per_label, **smoothed.events.per_label}:
            continue
        cells = [label, _share(windows, label), _share(smoothed.windows.confusion[label], label)]
        cells += [_share(side.time.confusion_s[label], label) for side in (raw, smoothed)]
        segments = [side.events.per_label.get(label) for side in (raw, smoothed)]
        cells.append(str(max((each.segments for each in segments if each), default=0)))
        cells += [str(each.detected if each else 0) for each in segments]
        cells += [_percent(each.f1 if each else None) for each in segments]
        rows.append(cells)
    head = ["label", "windows %", "smoothed", "time %", "smoothed", "segments", "detected", "smoothed", "event F1 %",
            "smoothed"]  # fmt: skip
    return "Each label: right windows and time, detected segments\n" + table(head, rows)


def confusion(found: Evaluation) -> str:
    """Return the windows by true and said label, without smoothing and with it."""
    texts = []
    for name, side in (("raw", found.raw), ("smoothed", found.smoothed)):
        rows = [(label, row) for label, row in side.windows.confusion.items() if sum(row.values())]
        said = [label for label in side.windows.confusion if any(row[label] for _, row in rows)]
        body = [[label, *(row[column] for column in said)] for label, row in rows]
        texts.append(f"Windows by true label (rows) and label said, {name}\n" + table(["", *said], body))
    return "\n\n".join(texts)


def lowest(found: Evaluation) -> str:
    """Return every subject's accuracy, or that of the worst recordings where subjects are not known."""
    raw, smoothed = found.raw.windows, found.smoothed.windows
    if raw.per_subject:
        rows = _worst(raw.per_subject, smoothed.per_subject, len(raw.per_subject))
        return "Accuracy of the windows of each subject, %\n" + table(["subject", "raw", "smoothed"], rows)
    if len(raw.per_recording) < 2:
        return ""
    rows = _worst(raw.per_recording, smoothed.per_recording, SHOWN)
    return "Accuracy of the windows of the worst recordings, %\n" + table(["recording", "raw", "smoothed"], rows)


def _worst(raw: Mapping[str, float], smoothed: Mapping[str, float], most: int) -> list[list[str]]:
    names = sorted(raw, key=lambda name: raw[name])[:most]
    return [[name, _percent(raw[name]), _percent(smoothed[name])] for name in names]


def confidence(found: Evaluation) -> str:
    """Return how far the model's probabilities can be believed."""
    seen = found.reliability
    if seen is None:
        return ""
    rows = [[f"{each.confidence:g}", _percent(each.share), _percent(each.accuracy)] for each in seen.above]
    return (
        f"Confidence of the windows, raw: negative log-likelihood {seen.negative_log_likelihood:.3f}, "
        f"Brier score {seen.brier:.3f},\nexpected calibration error {100 * seen.expected_calibration_error:.2f} % "
        f"in {len(seen.bins)} bins\n" + table(["confidence from", "windows %", "accuracy %"], rows)
    )


def _share(row: Mapping[str, float], label: str) -> str:
    total = sum(row.values())
    return _percent(row[label] / total if total else None)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _fixed(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
