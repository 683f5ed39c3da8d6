"""From one prediction a window to events: averaged, with hysteresis, as the predictions come.

A prediction speaks for the moments to which the centre of its window is nearest: one hop around the centre, and at the
ends of a recording what else the first and the last window hold. A window weighs its samples alike, so its middle is
the unbiased choice, and the stretches of consecutive windows tile the time. The answer is causal, but comes late: a
window is complete half a window after its centre. `Event.known_s` says when that was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .smoothing import Smoothing
from .stream import Prediction

UNKNOWN = "unknown"
"""What is said where no label is probable enough. A model may have a class of this name; then that is what is meant."""
_ROUNDING_S = 1e-6
"""Times are sums of float64 seconds; what is short of a limit by less than this has reached it."""


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of time with one label."""

    label: str
    start_s: float
    end_s: float
    confidence: float
    """Mean averaged probability of the label over the event's windows, with `unknown` that of the most probable one."""
    known_s: float
    """When a live stream knew of it: the end of the window that decided it."""
    windows: int
    """How many predictions speak for it."""
    implausible: tuple[str, ...] = ()
    """What was found in the stream until its last window, as in `Prediction.implausible`."""


@dataclass(slots=True)
class _Run:
    """Windows of one label, in force or waiting to be."""

    class_id: int
    start_s: float
    since_s: float
    """Where its own first window's stretch begins; before that it has windows of labels that did not last."""
    sums: NDArray[np.float64]
    """float64 [classes + 1]: averaged probabilities, and the highest of each window, added up."""
    known_s: float = math.inf
    windows: int = 0
    implausible: tuple[str, ...] = ()

    def take(self, other: _Run) -> None:
        self.windows += other.windows
        self.sums += other.sums
        self.implausible = tuple(dict.fromkeys((*self.implausible, *other.implausible)))

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"sums": self.sums.copy()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> _Run:
        return cls(**{**state, "sums": state["sums"].copy(), "implausible": tuple(state["implausible"])})


@dataclass
class EventStream:
    """Turn the predictions of one stream into events; each stream has one of its own."""

    labels: Sequence[str]
    """The model's, in the order of its probabilities."""
    hop_s: float
    """Time between the starts of two windows."""
    smoothing: Smoothing = field(default_factory=Smoothing)

    def __post_init__(self) -> None:
        self._names = self.labels if UNKNOWN in self.labels else (*self.labels, UNKNOWN)
        self._unknown = self._names.index(UNKNOWN)
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next prediction is the first one of a recording."""
        self._force: _Run | None = None
        self._waiting: _Run | None = None
        self._start_s: float | None = None
        self._end_s: float | None = None
        self._votes: deque[int] = deque(maxlen=self.smoothing.majority)
        self._sums = np.zeros(len(self.labels))
        self._weight, self._last_s = 0.0, 0.0

    @property
    def now(self) -> Event | None:
        """The event in force, up to the end of the last window; None before the first label has lasted long enough."""
        return None if self._force is None or self._end_s is None else self._event(self._force, self._end_s)

    def push(self, prediction: Prediction) -> list[Event]:
        """Take the next prediction of the stream; return the event that ended, if one did.

        Where the windows have a gap, being further apart than a hop, the event ends in front of it.
        Raises InputError where the probabilities are not those of the labels.
        """
        if prediction.probabilities.shape != (len(self.labels),):
            shape = list(prediction.probabilities.shape)
            raise InputError(f"a prediction has probabilities of the shape {shape}; expected [{len(self.labels)}]")
        late_s = 0.0 if self._start_s is None else prediction.start_s - self._start_s - self.hop_s
        ended = self.finish() if late_s > min(_ROUNDING_S, self.hop_s / 2) else []
        self._start_s = prediction.start_s
        averaged, best = self._average(prediction)
        said = self._say(averaged, best)
        centre = (prediction.start_s + prediction.end_s) / 2
        begin = prediction.start_s if self._end_s is None else centre - self.hop_s / 2
        until = min(centre + self.hop_s / 2, prediction.end_s)
        self._end_s = prediction.end_s
        sums = np.append(averaged, averaged.max())
        window = _Run(said, begin, begin, sums, windows=1, implausible=prediction.implausible)
        force, waiting = self._force, self._waiting
        if force is not None and said == force.class_id:
            if waiting is not None:
                force.take(waiting)
                self._waiting = None
            force.take(window)
            return ended
        if waiting is not None and waiting.class_id == said:
            waiting.take(window)
        else:
            if waiting is not None and force is not None:
                force.take(waiting)
            elif waiting is not None:
                window.start_s = waiting.start_s
                window.take(waiting)
            waiting = self._waiting = window
        if until - waiting.since_s < self.smoothing.hold_s - _ROUNDING_S:
            return ended
        waiting.known_s = prediction.end_s
        self._force, self._waiting = waiting, None
        return ended if force is None else [self._event(force, waiting.since_s)]

    def finish(self) -> list[Event]:
        """Return the event that the end of the recording ends; the next prediction starts a new recording.

        A recording in which no label lasted long enough is one event, with the label of its end.
        """
        force, waiting, end_s = self._force, self._waiting, self._end_s
        self.reset()
        if end_s is None:
            return []
        if force is not None and waiting is not None:
            force.take(waiting)
        elif force is None and waiting is not None:
            force = waiting
            force.known_s = end_s
        return [] if force is None else [self._event(force, end_s)]

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        force, waiting = self._force, self._waiting
        return {
            "force": None if force is None else force.state(),
            "waiting": None if waiting is None else waiting.state(),
            "start_s": self._start_s,
            "end_s": self._end_s,
            "votes": list(self._votes),
            "sums": self._sums.copy(),
            "weight": self._weight,
            "last_s": self._last_s,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of a stream with the same labels, hop and smoothing."""
        self._force, self._waiting = (None if state[n] is None else _Run.of(state[n]) for n in ("force", "waiting"))
        self._start_s = state["start_s"]
        self._end_s, self._weight, self._last_s = state["end_s"], state["weight"], state["last_s"]
        self._votes = deque(state["votes"], maxlen=self.smoothing.majority)
        self._sums = state["sums"].copy()

    def _average(self, prediction: Prediction) -> tuple[NDArray[np.float64], int]:
        """Return averaged probabilities, float64 [classes], and the class that leads."""
        smoothing, probabilities = self.smoothing, prediction.probabilities.astype(np.float64)
        if smoothing.majority > 1:
            self._votes.append(int(probabilities.argmax()))
            votes = np.bincount(self._votes, minlength=len(self.labels))
            leader = next(vote for vote in reversed(self._votes) if votes[vote] == votes.max())
            return votes / len(self._votes), leader
        if smoothing.time_constant_s > 0:
            faded = math.exp((self._last_s - prediction.end_s) / smoothing.time_constant_s) if self._weight else 0.0
            self._sums = self._sums * faded + probabilities
            self._weight = self._weight * faded + 1
            self._last_s = prediction.end_s
            probabilities = self._sums / self._weight
        return probabilities, int(probabilities.argmax())

    def _say(self, averaged: NDArray[np.float64], best: int) -> int:
        """Return the place of the label that this window speaks for, which may be `unknown`."""
        force, said = self._force, best
        if force is not None and force.class_id < len(self.labels):
            said = best if averaged[best] - averaged[force.class_id] >= self.smoothing.margin else force.class_id
        return said if averaged[said] >= self.smoothing.unknown else self._unknown

    def _event(self, run: _Run, end_s: float) -> Event:
        label, confidence = self._names[run.class_id], float(run.sums[run.class_id]) / run.windows
        return Event(label, run.start_s, end_s, confidence, run.known_s, run.windows, run.implausible)


def change_delay_s(smoothing: Smoothing, window_s: float, hop_s: float) -> float:
    """Return how long after a clean change a live stream knows of it; infinite where it never would.

    In a clean change every window is certain of what its centre lies in, and the change is where the stretches of
    two windows meet. Without smoothing that is (window + hop) / 2.
    """
    before = max(
        smoothing.majority, math.ceil(40 * smoothing.time_constant_s / hop_s), math.ceil(smoothing.hold_s / hop_s) + 1
    )
    stream = EventStream(("before", "after"), hop_s, smoothing)
    for number in range(4 * before + 4):
        centre = (number - before) * hop_s + hop_s / 2  # the change is at 0 s
        row = np.array([1.0, 0.0] if number < before else [0.0, 1.0], np.float32)
        start, end = centre - window_s / 2, centre + window_s / 2
        stream.push(Prediction(start, end, int(row.argmax()), "", 1.0, row))
        if stream.now is not None and stream.now.label == "after":
            return end
    return math.inf
