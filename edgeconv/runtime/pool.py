"""Many sensors in one process: a small state for each, and the windows that are due run together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import BATCH, Classifier
from .errors import InputError
from .spec import require_signal
from .stream import Prediction
from .windows import SlidingWindow, as_float32, require_finite

STEP_BATCH = 64
"""Streams in one run of the stateful form: enough to share its weights, few enough for a cache to hold their states."""
AHEAD_WINDOWS = 8
"""So many windows of samples may a stream be ahead of what was run."""


@dataclass(slots=True, eq=False)
class _Stream:
    """What one stream holds besides its row of the states."""

    name: Hashable
    row: int
    samples: NDArray[np.float32]
    """float32 [hop or window, channels]"""
    filled: int = 0
    """Samples that are there; below 0, samples to leave out before the next window (hop above window)."""
    runs: int = 0
    """Runs of this stretch so far."""
    start_s: float = 0.0
    """Time of the stretch's first sample."""
    ahead: list[NDArray[np.float32]] = field(default_factory=list)  # a deque is larger, and most streams have none
    """Samples that came after the buffer was full, and wait for it to be run."""
    ahead_samples: int = 0
    pushed_s: float = 0.0
    """When samples came last, by the pool's clock."""


class StreamPool:
    """Classify many streams, each pushed in pieces of any size: `push` takes samples, `run` gives answers.

    With the model's stateful form a stream holds the samples of one hop and its state, otherwise the samples of one
    window. The answers are those of a `StreamClassifier` for each stream, but for the order in which float32 numbers
    are added up.

    Streams are served in turn: each run takes one window of every stream that has one due, those first that wait
    longest. A stream may be `AHEAD_WINDOWS` windows ahead of that; a push that would exceed it first runs what is due,
    of all streams. So nothing is left out, memory is bounded, and who pushes faster than can be run is slowed down.
    """

    def __init__(
        self, classifier: Classifier, hop: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Predict every `hop` timesteps of each stream, by default as often as the model's spec says.

        clock: seconds, for `drop_idle`
        Raises UsageError for a hop below 1, ArtefactError where a form of the model cannot be used, ConversionError for
        a model that reads tokens.
        """
        spec = classifier.spec
        require_signal(spec, "a stream")
        checked = SlidingWindow(spec.window, spec.hop if hop is None else hop, len(spec.channels))
        self.classifier = classifier
        self.hop = checked.hop
        """Timesteps between the starts of two windows."""
        self._clock = clock
        self._stepper = classifier.forms(self.hop).stateful if self.hop < spec.window else None
        self._length = self.hop if self._stepper else spec.window
        self._most_ahead = AHEAD_WINDOWS * spec.window
        self._streams: dict[Hashable, _Stream] = {}
        self._states = [] if self._stepper is None else self._stepper.start(0)
        self._free: list[int] = []
        at_once = STEP_BATCH if self._stepper else BATCH
        self._batch = np.empty((at_once, self._length, checked.channels), np.float32)
        self._due: deque[_Stream] = deque()
        """Streams whose buffer is full, in the order in which they are run; each is in it once at most."""
        self._done: list[tuple[Hashable, Prediction]] = []

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, stream: Hashable) -> bool:
        return stream in self._streams

    @property
    def bytes_per_stream(self) -> int:
        """Bytes of samples and state that the pool holds for each stream that is not ahead of what was run."""
        return 4 * self._length * self._batch.shape[2] + (self._stepper.state_bytes if self._stepper else 0)

    def push(self, stream: Hashable, samples: ArrayLike) -> None:
        """Take the next samples of a stream; one that is new begins at 0 s.

        samples: any real dtype [n, channels], any n from 0, in the spec's units and channel order
        Raises InputError for another shape, or for values that are NaN or infinite; the stream is then as before.
        """
        added = as_float32(samples, "samples")
        if added.ndim != 2 or added.shape[1] != self._batch.shape[2]:
            raise InputError(f"samples have shape {list(added.shape)}; expected [n, {self._batch.shape[2]}]")
        require_finite(added, "samples")
        one = self._streams.get(stream) or self._begin(stream)
        one.pushed_s = self._clock()
        while len(added):
            if one.filled < self._length:
                added = added[self._fill(one, added) :]
            elif one.ahead_samples < self._most_ahead:
                kept = added[: self._most_ahead - one.ahead_samples].copy()  # the caller may use the array again
                one.ahead.append(kept)
                one.ahead_samples += len(kept)
                added = added[len(kept) :]
            else:
                self._run_due()

    def run(self) -> list[tuple[Hashable, Prediction]]:
        """Run what is due, and return all predictions since the last call, each with its stream, oldest first."""
        while self._due:
            self._run_due()
        done, self._done = self._done, []
        return done

    def reset(self, stream: Hashable, start_s: float = 0.0) -> None:
        """Let the next samples of a stream begin a new stretch at this time; no window spans the two.

        Predictions that are due are kept. A stream that is new begins then.
        """
        one = self._streams.get(stream) or self._begin(stream)
        self._run_out(one)
        one.start_s = start_s
        self._clear(one)

    def drop(self, stream: Hashable) -> None:
        """Forget a stream; predictions of it that are due are kept. Raises KeyError for one that is not there."""
        one = self._streams[stream]
        self._run_out(one)
        del self._streams[stream]
        self._free.append(one.row)

    def drop_idle(self, idle_s: float) -> list[Hashable]:
        """Drop the streams to which nothing was pushed for so long, and return their names."""
        before = self._clock() - idle_s
        idle = [name for name, one in self._streams.items() if one.pushed_s < before]
        for name in idle:
            self.drop(name)
        return idle

    def state(self) -> dict[str, Any]:
        """Return a copy of all that `restore` needs to go on; names of streams must then be texts or numbers."""
        streams = [
            {
                "name": one.name,
                "samples": one.samples.copy(),
                "filled": one.filled,
                "runs": one.runs,
                "start_s": one.start_s,
                "ahead": [samples.copy() for samples in one.ahead],
                "state": [state[one.row].copy() for state in self._states],
            }
            for one in self._streams.values()
        ]
        done = [[name, p.start_s, p.end_s, p.class_id, p.probabilities.copy()] for name, p in self._done]
        return {**self._identity(), "streams": streams, "due": [one.name for one in self._due], "done": done}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, in place of whatever the pool holds.

        Raises InputError for the state of another model, hop or precision.
        """
        theirs = {name: state.get(name) for name in self._identity()}
        if theirs != self._identity():
            raise InputError(f"the state is of {theirs}; expected {self._identity()}: begin without it")
        self._streams = {}
        self._due.clear()
        self._free, self._states = [], [] if self._stepper is None else self._stepper.start(0)
        for kept in state["streams"]:
            one = self._begin(kept["name"])
            one.samples[:] = kept["samples"]
            one.filled, one.runs, one.start_s = kept["filled"], kept["runs"], kept["start_s"]
            one.ahead.extend(samples.copy() for samples in kept["ahead"])
            one.ahead_samples = sum(map(len, one.ahead))
            for mine, row in zip(self._states, kept["state"], strict=True):
                mine[one.row] = row
        self._due.extend(self._streams[name] for name in state["due"])
        labels = self.classifier.spec.labels
        self._done = [
            (name, Prediction(start_s, end_s, at, labels[at], float(answer[at]), answer.copy()))
            for name, start_s, end_s, at, answer in state["done"]
        ]

    def _identity(self) -> dict[str, Any]:
        model = self.classifier.model
        return {
            "model": self.classifier.spec.name,
            "network": model.network,
            "hop": self.hop,
            "form": "stateful" if self._stepper else "windowed",
        }

    def _begin(self, name: Hashable) -> _Stream:
        if not self._free:
            room = max(STEP_BATCH, len(self._streams))  # twice as much as there was
            self._free = list(range(len(self._streams), len(self._streams) + room))[::-1]
            more = self._stepper.start(room) if self._stepper else []
            self._states = [np.concatenate(pair) for pair in zip(self._states, more, strict=True)]
        one = _Stream(name, self._free.pop(), np.zeros(self._batch.shape[1:], np.float32), pushed_s=self._clock())
        self._clear(one)
        self._streams[name] = one
        return one

    def _clear(self, one: _Stream) -> None:
        """Make a stream as one that has seen nothing."""
        for state in self._states:
            state[one.row] = 0
        one.filled = self._stepper.lead if self._stepper else 0
        one.runs = 0

    def _fill(self, one: _Stream, added: NDArray[np.float32]) -> int:
        """Put samples into a stream's buffer until it is full, and so due; return how many were used."""
        if one.filled < 0:
            left_out = min(-one.filled, len(added))
            one.filled += left_out
            return left_out
        taken = min(self._length - one.filled, len(added))
        one.samples[one.filled : one.filled + taken] = added[:taken]
        one.filled += taken
        if one.filled == self._length:
            self._due.append(one)
        return taken

    def _run_out(self, one: _Stream) -> None:
        """Run until nothing of a stream is due."""
        while one.filled == self._length:
            self._run_due()

    def _run_due(self) -> None:
        """Run one window of each stream that is due, as many as fit into one batch."""
        streams = [self._due.popleft() for _ in range(min(len(self._due), len(self._batch)))]
        samples = self._batch[: len(streams)]
        for i, one in enumerate(streams):
            samples[i] = one.samples
        warm_up = 0
        if self._stepper is None:
            answers = self.classifier.model.run(samples)[0]
        else:
            rows = [one.row for one in streams]
            answers, *after = self._stepper.model.run(samples, *(state[rows] for state in self._states))
            for state, new in zip(self._states, after, strict=True):
                state[rows] = new
            warm_up = self._stepper.warm_up
        for one, answer, class_id in zip(streams, answers, answers.argmax(axis=1).tolist(), strict=True):
            one.runs += 1
            if one.runs > warm_up:
                self._done.append((one.name, self._predict(one, answer, class_id, one.runs - 1 - warm_up)))
            self._advance(one)

    def _predict(self, one: _Stream, answer: NDArray[np.float32], class_id: int, number: int) -> Prediction:
        """Return what was answered for the window of this number in the stream's stretch."""
        spec, first = self.classifier.spec, number * self.hop
        return Prediction(
            start_s=one.start_s + first / spec.sampling_rate_hz,
            end_s=one.start_s + (first + spec.window) / spec.sampling_rate_hz,
            class_id=class_id,
            label=spec.labels[class_id],
            confidence=float(answer[class_id]),
            probabilities=answer,
        )

    def _advance(self, one: _Stream) -> None:
        """Keep of a buffer that was run what the next window needs, and fill it with what waits."""
        kept = self._length - self.hop
        if kept > 0:
            one.samples[:kept] = one.samples[self.hop :].copy()
        one.filled = kept
        while one.ahead and one.filled < self._length:
            first = one.ahead.pop(0)
            used = self._fill(one, first)
            one.ahead_samples -= used
            if used < len(first):
                one.ahead.insert(0, first[used:])
