"""A model on continuous labelled recordings: its windows, its time and its events, with and without smoothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.folder import versions
from edgeconv.runtime import Event, Smoothing, StreamClassifier
from edgeconv.runtime.conditioning.signal import Signal
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.events import change_delay_s
from edgeconv.runtime.intake import Doubt
from edgeconv.runtime.sources.joined import Recording

from .answers import Answers, answer
from .events import EventScores, score_events
from .labelled import Truth
from .reliability import Reliability, reliability
from .spans import spans_of
from .timed import TimeScores, WindowScores, score_time, score_windows

SCHEMA = "edgeconv.evaluation/1"


@dataclass(frozen=True)
class Side:
    """What was seen of the recordings, without smoothing or with it."""

    smoothing: Smoothing
    change_delay_s: float
    """How long after a clean change a live stream knows of it."""
    windows: WindowScores
    time: TimeScores
    events: EventScores

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        windows = asdict(self.windows)
        scores = windows.pop("scores") or {}
        events = asdict(self.events)
        for label, found in [("", self.events.overall), *self.events.per_label.items()]:
            entry = events["per_label"][label] if label else events["overall"]
            entry |= {"precision": found.precision, "recall": found.recall, "f1": found.f1}
        delay_s = self.change_delay_s
        return {
            "smoothing": str(self.smoothing),
            "change_delay_s": delay_s if np.isfinite(delay_s) else None,
            "windows": {**windows, "accuracy": self.windows.accuracy, "per_class": scores.get("per_class", [])},
            "time": asdict(self.time),
            "events": events,
        }


@dataclass(frozen=True)
class Evaluation:
    """A model on labelled recordings."""

    model: Mapping[str, Any]
    """Name, version, device and whatever else says what ran."""
    as_unknown: tuple[str, ...]
    """Labels of the model that were taken as unknown."""
    unknown_labels: tuple[str, ...]
    """Labels of the recordings that the model does not have."""
    without_labels: tuple[str, ...]
    """Recordings that have no labels, and were not read."""
    without_recording: tuple[str, ...]
    """Recordings that have labels and were not given."""
    beyond_s: Mapping[str, float]
    """Recording → how far its labels reach beyond its end; what lies there is left out."""
    answers: tuple[Answers, ...]
    raw: Side
    smoothed: Side
    reliability: Reliability | None
    """Of the scored windows, not smoothed; None without any."""

    def as_json(self) -> dict[str, Any]:
        """Return everything, the events of each recording among it, as JSON has it."""
        return {
            "schema": SCHEMA,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions("numpy", "onnxruntime", "onnxruntime-gpu"),
            "model": dict(self.model),
            "as_unknown": list(self.as_unknown),
            "unknown_labels": list(self.unknown_labels),
            "without_labels": list(self.without_labels),
            "without_recording": list(self.without_recording),
            "beyond_s": dict(self.beyond_s),
            "raw": self.raw.as_json(),
            "smoothed": self.smoothed.as_json(),
            "reliability": asdict(self.reliability) if self.reliability else None,
            "recordings": {
                found.name: {
                    "subject": found.subject,
                    "timesteps": found.timesteps,
                    "windows": len(found.class_ids),
                    **({} if found.report is None else {"signal": found.report.as_dict()}),
                    "truth": [asdict(span) for span in found.truth],
                    "raw": [asdict(event) for event in found.raw],
                    "smoothed": [asdict(event) for event in found.smoothed],
                }
                for found in self.answers
            },
        }


def evaluate(
    streaming: StreamClassifier,
    recordings: Mapping[str, Path | tuple[Path, ...]],
    truths: Mapping[str, Truth],
    smoothing: Smoothing,
    as_unknown: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    signal: Signal | None = None,
    doubt: Doubt = "refuse",
) -> Evaluation:
    """Classify recordings and score the answers; a recording without a truth is not read.

    as_unknown: labels of the model whose segments count as unknown
    `progress` is told how many recordings are done.
    recordings: name → file, or files that belong together; signal: what is known of them
    Raises InputError where no recording has a truth, or no segment has a label that the model knows; and what reading
    and classifying raise.
    """
    classifier = streaming.classifier
    spec = classifier.spec
    labelled = {name: path for name, path in recordings.items() if name in truths}
    if not labelled:
        raise InputError(
            f"none of the recordings has labels: the recordings are {_few(recordings)}, the labels are of "
            f"{_few(truths)}; a recording is named as its file without ending"
        )
    used = {segment.label for name in labelled for segment in truths[name].segments}
    if not used & (set(spec.labels) - set(as_unknown)):
        raise InputError(f"the labels are {_few(sorted(used))}; the model knows {', '.join(spec.labels)}")
    answers = []
    for number, (name, path) in enumerate(labelled.items()):
        if progress is not None:
            progress(number)
        recording = Recording(name, path if isinstance(path, tuple) else (path,))
        answers.append(answer(streaming, recording, truths[name], smoothing, as_unknown, signal, doubt))
    ends_s = {found.name: found.timesteps / spec.sampling_rate_hz for found in answers}
    beyond = {name: truths[name].segments[-1].end_s - end_s for name, end_s in ends_s.items()}
    sides = []
    for each, said in ((Smoothing(), [a.raw for a in answers]), (smoothing, [a.smoothed for a in answers])):
        sides.append(_side(streaming, answers, said, each))
    class_ids = np.concatenate([found.class_ids for found in answers])
    known = np.isin(class_ids, range(len(spec.labels)))
    probabilities = np.concatenate([found.probabilities for found in answers])[known]
    return Evaluation(
        model={
            "name": spec.name, "version": spec.version, "trained_on": spec.trained_on, "labels": list(spec.labels),
            "device": classifier.device, "precision": classifier.precision, "sampling_rate_hz": spec.sampling_rate_hz,
            "window": spec.window, "hop": streaming.hop,
        },
        as_unknown=tuple(as_unknown),
        unknown_labels=tuple(sorted(used - set(spec.labels))),
        without_labels=tuple(name for name in recordings if name not in truths),
        without_recording=tuple(name for name in truths if name not in recordings),
        beyond_s={name: late for name, late in beyond.items() if late > 0.5 / spec.sampling_rate_hz},
        answers=tuple(answers),
        raw=sides[0],
        smoothed=sides[1],
        reliability=reliability(probabilities, class_ids[known]) if known.any() else None,
    )  # fmt: skip


def _side(
    streaming: StreamClassifier, answers: Sequence[Answers], said: Sequence[Sequence[Event]], smoothing: Smoothing
) -> Side:
    spec = streaming.classifier.spec
    rate_hz = spec.sampling_rate_hz
    spans = [(found.truth, spans_of(events, rate_hz)) for found, events in zip(answers, said, strict=True)]
    timesteps = sum(found.timesteps for found in answers)
    return Side(
        smoothing=smoothing,
        change_delay_s=change_delay_s(smoothing, spec.window / rate_hz, streaming.hop / rate_hz),
        windows=score_windows(answers, said, spec.labels),
        time=score_time(spans, spec.labels, timesteps, rate_hz),
        events=score_events(spans, spec.labels, rate_hz),
    )


def _few(names: Mapping[str, object] | Sequence[str]) -> str:
    shown = list(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
