"""Stretches of a recording in whole samples, and what two sequences of them have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgeconv.runtime.events import Event


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch with one label, from sample `start` up to but not including sample `end`."""

    start: int
    end: int
    label: str
    known: int = 0
    """Of one that a model predicted: the sample at which a live stream knew of it."""

    @property
    def length(self) -> int:
        """Samples."""
        return self.end - self.start


def overlaps(first: Sequence[Span], second: Sequence[Span]) -> Iterator[tuple[int, int, int]]:
    """Yield every pair of spans that overlap as (index in first, index in second, samples in common), in time order.

    Each sequence is in time order and its spans do not overlap one another.
    """
    i = j = 0
    while i < len(first) and j < len(second):
        common = min(first[i].end, second[j].end) - max(first[i].start, second[j].start)
        if common > 0:
            yield i, j, common
        if first[i].end <= second[j].end:
            i += 1
        else:
            j += 1


def spans_of(events: Iterable[Event], sampling_rate_hz: float) -> tuple[Span, ...]:
    """Return predicted events in samples: a sample belongs to the event that its moment, index / rate, lies in."""
    found = (
        Span(_at(event.start_s, sampling_rate_hz), _at(event.end_s, sampling_rate_hz), event.label,
             _at(event.known_s, sampling_rate_hz))
        for event in events
    )  # fmt: skip
    return tuple(span for span in found if span.length > 0)


def _at(seconds: float, rate_hz: float) -> int:
    # A boundary may lie between two samples; what is off a whole sample by rounding alone must not.
    return math.ceil(seconds * rate_hz - 1e-4)
