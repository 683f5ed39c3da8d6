"""What a model says of a labelled recording: its windows, and events with and without smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import Event, EventStream, Smoothing, StreamClassifier
from edgeconv.runtime.conditioning.report import ConditionReport
from edgeconv.runtime.conditioning.signal import Signal
from edgeconv.runtime.events import UNKNOWN
from edgeconv.runtime.intake import Doubt
from edgeconv.runtime.sources.by_time import JoinedReport
from edgeconv.runtime.sources.joined import Recording
from edgeconv.runtime.walk import Walk

from .labelled import Truth
from .spans import Span

STRADDLES, UNLABELLED = -1, -2
"""In place of a window's true class: it lies in no single segment, or in no labelled time at all."""


@dataclass(frozen=True)
class Answers:
    """One recording with its truth and what the model says; nothing of its samples."""

    name: str
    subject: str | None
    timesteps: int
    truth: tuple[Span, ...]
    class_ids: NDArray[np.int64]
    """int64 [windows]: the truth as the place among `names_with_unknown`, or STRADDLES or UNLABELLED."""
    probabilities: NDArray[np.float32]
    """float32 [windows, classes]."""
    raw: tuple[Event, ...]
    """Runs of windows with the same most probable label."""
    smoothed: tuple[Event, ...]
    report: ConditionReport | JoinedReport | None = None
    """What was done to make the recording the model's; None where nothing had to be."""


def names_with_unknown(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that can be said: the model's, and `unknown` behind them where it is not one of these."""
    return tuple(labels) if UNKNOWN in labels else (*labels, UNKNOWN)


def answer(
    streaming: StreamClassifier,
    recording: Recording,
    truth: Truth,
    smoothing: Smoothing,
    as_unknown: Sequence[str] = (),
    signal: Signal | None = None,
    doubt: Doubt = "refuse",
) -> Answers:
    """Classify a recording as `edgeconv stream` does; of each window its probabilities are kept.

    as_unknown: labels of the model whose segments count as `unknown`
    Raises what `Walk.steps` raises.
    """
    spec, walk = streaming.classifier.spec, Walk.over_files(streaming, [recording], signal, doubt)
    rate_hz = spec.sampling_rate_hz
    streams = [EventStream(spec.labels, streaming.hop / rate_hz, each) for each in (Smoothing(), smoothing)]
    events: tuple[list[Event], ...] = ([], [])
    rows = [np.empty((0, len(spec.labels)), np.float32)]
    begins: list[float] = []
    timesteps = 0
    for step in walk.steps():
        timesteps = max(timesteps, round(step.end_s * rate_hz))
        rows += [prediction.probabilities[None] for prediction in step.predictions]
        begins += [prediction.start_s for prediction in step.predictions]
        for stream, found in zip(streams, events, strict=True):
            found += [event for prediction in step.predictions for event in stream.push(prediction)]
    for stream, found in zip(streams, events, strict=True):
        found += stream.finish()
    probabilities = np.concatenate(rows)
    known = [label for label in spec.labels if label not in as_unknown]
    spans = truth.spans(rate_hz, timesteps, known)
    starts = np.rint(np.array(begins) * rate_hz).astype(np.int64)
    class_ids = true_classes(starts, spec.window, spans, names_with_unknown(spec.labels))
    raw, smoothed = map(tuple, events)
    return Answers(
        recording.name, truth.subject, timesteps, spans, class_ids, probabilities, raw, smoothed, walk.report
    )


def true_classes(
    starts: NDArray[np.int64], window: int, truth: Sequence[Span], names: Sequence[str]
) -> NDArray[np.int64]:
    """Return the class of the segment that each window lies wholly inside, or STRADDLES or UNLABELLED.

    starts: int64 [n], first samples of windows; returns: int64 [n], places in `names`
    """
    if not truth:
        return np.full(len(starts), UNLABELLED, np.int64)
    begins, ends = (np.array([getattr(span, side) for span in truth]) for side in ("start", "end"))
    # The last segment that starts at or before the window does, and the last that starts before the window ends.
    first = np.searchsorted(begins, starts, side="right") - 1
    last = np.searchsorted(begins, starts + window, side="left") - 1
    inside = (first >= 0) & (starts + window <= ends[first])
    touches = (last >= 0) & (ends[last] > starts)
    ids = np.array([names.index(span.label) for span in truth], np.int64)
    return np.where(inside, ids[first], np.where(touches, STRADDLES, UNLABELLED))


def said_classes(events: Sequence[Event], names: Sequence[str]) -> NDArray[np.int64]:
    """Return what events say of each window that made them: int64 [windows], places in `names`."""
    ids = np.array([names.index(event.label) for event in events], np.int64)
    return np.repeat(ids, np.array([event.windows for event in events], np.int64))
