"""How good events are: predicted ones against the true segments of continuous recordings.

What is fragmented, merged and inserted is as in J. A. Ward, P. Lukowicz, H. W. Gellersen. Performance metrics for
activity recognition. ACM TIST 2 (2011): by any overlap of equal labels. Precision, recall and F1 are those of C. Lea et
al. Temporal convolutional networks for action segmentation and detection. CVPR 2017, at half of the union: a predicted
event and a true segment of its label match where they share more than half of the time that they cover together. More
than half, so that neither can match twice.

Known labels are judged on the time that is labelled with known labels, and `unknown` on all labelled time; where nobody
said what was there, nothing is held against an event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .spans import Span, overlaps


@dataclass(frozen=True)
class EventScore:
    """Events of one label, or of all known ones. segments = detected + partial + missed."""

    segments: int
    """True ones."""
    detected: int = 0
    """True segments that match an event."""
    partial: int = 0
    """True segments that overlap events of their label, and match none."""
    missed: int = 0
    """True segments that no event of their label overlaps."""
    fragmented: int = 0
    """True segments that two or more events of their label overlap."""
    merged: int = 0
    """True segments that share an event of their label with another one."""
    events: int = 0
    """Predicted ones that overlap the time judged."""
    inserted: int = 0
    """Events that overlap no true segment of their label: wrong ones."""

    @property
    def precision(self) -> float:
        """Matching events over events, 0–1; 0 without any."""
        return self.detected / max(1, self.events)

    @property
    def recall(self) -> float:
        """Detected segments over segments, 0–1; 0 without any."""
        return self.detected / max(1, self.segments)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0–1."""
        return 2 * self.detected / max(1, self.segments + self.events)

    def __add__(self, other: EventScore) -> EventScore:
        return EventScore(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Delay:
    """A time of many segments."""

    segments: int
    """Of how many it is known."""
    median_s: float | None
    p90_s: float | None
    """90 of 100 are at or below it."""


@dataclass(frozen=True)
class EventScores:
    """What predicted events say of the true segments of a set of recordings."""

    overall: EventScore
    """Of all known labels together."""
    per_label: dict[str, EventScore]
    """`unknown` among them where it occurs; it does not count in `overall`."""
    in_unknown: int
    """Events of known labels over time whose true label is unknown, and over none with a known label."""
    in_unlabelled: int
    """Events over time that has no label at all, which nothing says anything about."""
    onset: Delay
    """Start of the first event of its label that overlaps a segment, minus the segment's start; below 0 it is early.
    Segments that share this event with an earlier one have no onset."""
    known: Delay
    """The same until a live stream knew of the event."""
    changes: int
    """Changes of the predicted label inside true segments of known labels."""
    false_changes: int
    """Of these, all but the first to the segment's own label and a last one to the label of the segment after it."""
    false_changes_per_hour: float | None
    """By the hours that are labelled with known labels; None without any."""


@dataclass
class _Tally:
    """Counts of all recordings so far."""

    scores: dict[str, EventScore]
    onsets: list[int] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, label: str, **counts: int) -> None:
        self.scores[label] = self.scores.get(label, EventScore(0)) + EventScore(**{"segments": 0, **counts})


def score_events(
    recordings: Sequence[tuple[Sequence[Span], Sequence[Span]]], labels: Sequence[str], sampling_rate_hz: float
) -> EventScores:
    """Score the events of recordings, each given as its true segments and what was predicted.

    labels: the model's, which are the known ones; a true segment with another label is called `unknown`
    """
    tally = _Tally({label: EventScore(0) for label in labels})
    for truth, said in recordings:
        _count_events(tally, truth, said, frozenset(labels))
        _count_changes(tally, truth, said, frozenset(labels))
    known_samples = sum(span.length for truth, _ in recordings for span in truth if span.label in labels)
    hours = known_samples / sampling_rate_hz / 3600
    return EventScores(
        overall=sum((tally.scores[label] for label in labels), EventScore(0)),
        per_label=tally.scores,
        in_unknown=tally.counts["in unknown"],
        in_unlabelled=tally.counts["in unlabelled"],
        onset=_delay(tally.onsets, sampling_rate_hz),
        known=_delay(tally.delays, sampling_rate_hz),
        changes=tally.counts["changes"],
        false_changes=tally.counts["false changes"],
        false_changes_per_hour=tally.counts["false changes"] / hours if hours else None,
    )


def _count_events(tally: _Tally, truth: Sequence[Span], said: Sequence[Span], labels: frozenset[str]) -> None:
    judged = [0] * len(said)
    labelled = [0] * len(said)
    of_segment: list[list[tuple[int, int]]] = [[] for _ in truth]  # events of its label, and what they share
    of_event: list[list[int]] = [[] for _ in said]  # segments of its label
    for i, j, common in overlaps(truth, said):
        labelled[j] += common
        if truth[i].label in labels or said[j].label not in labels:
            judged[j] += common
        if truth[i].label == said[j].label:
            of_segment[i].append((j, common))
            of_event[j].append(i)
    for i, segment in enumerate(truth):
        found = of_segment[i]
        detected = any(2 * common > segment.length + judged[j] - common for j, common in found)
        tally.add(
            segment.label,
            segments=1,
            detected=detected,
            partial=bool(found) and not detected,
            missed=not found,
            fragmented=len(found) > 1,
            merged=any(len(of_event[j]) > 1 for j, _ in found),
        )
        if segment.label in labels and found and of_event[found[0][0]][0] == i:
            first = said[found[0][0]]
            tally.onsets.append(first.start - segment.start)
            tally.delays.append(first.known - segment.start)
    for j, event in enumerate(said):
        if judged[j]:
            tally.add(event.label, events=1, inserted=not of_event[j])
        else:
            tally.counts["in unknown" if labelled[j] else "in unlabelled"] += 1


def _count_changes(tally: _Tally, truth: Sequence[Span], said: Sequence[Span], labels: frozenset[str]) -> None:
    pieces: list[list[str]] = [[] for _ in truth]
    for i, j, _ in overlaps(truth, said):
        pieces[i].append(said[j].label)
    following = [*(segment.label for segment in truth[1:]), ""]
    for segment, heard, after in zip(truth, pieces, following, strict=False):
        if segment.label not in labels:
            continue
        for place, label in enumerate(heard[1:], start=1):
            reached = label == segment.label and label not in heard[:place]
            left = place == len(heard) - 1 and label == after
            tally.counts["changes"] += 1
            tally.counts["false changes"] += not (reached or left)


def _delay(samples: Sequence[int], rate_hz: float) -> Delay:
    if not samples:
        return Delay(0, None, None)
    seconds = np.array(samples) / rate_hz
    return Delay(len(samples), float(np.median(seconds)), float(np.percentile(seconds, 90)))
