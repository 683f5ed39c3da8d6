"""Many sensors in one process: a small state for each, and the windows that are due run together."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import BATCH, Classifier
from .errors import InputError
from .spec import require_signal
from .stream import Prediction, predictions
from .windows import SlidingWindow, as_float32, require_finite

STEP_BATCH = 64
"""Streams in one run of the stateful form: enough to share its weights, few enough for a cache to hold their states."""


@dataclass(slots=True, eq=False)
class _Stream:
    """What one stream holds besides its row of the states."""

    name: Hashable
    row: int
    samples: NDArray[np.float32]
    """float32 [hop or window, channels]"""
    filled: int = 0
    """Samples that are there; below 0, samples to leave out before the next window (hop above window)."""
    due: int = 0
    """Runs that were due so far."""


class StreamPool:
    """Classify many streams, each pushed in pieces of any size: `push` takes samples, `run` gives answers.

    With the model's stateful form a stream holds the samples of one hop and its state, otherwise the samples of one
    window. The answers are those of a `StreamClassifier` for each stream, but for the order in which float32 numbers
    are added up.
    """

    def __init__(self, classifier: Classifier, hop: int | None = None) -> None:
        """Predict every `hop` timesteps of each stream, by default as often as the model's spec says.

        Raises UsageError for a hop below 1, ArtefactError where a form of the model cannot be used, ConversionError for
        a model that reads tokens.
        """
        spec = classifier.spec
        require_signal(spec, "a stream")
        checked = SlidingWindow(spec.window, spec.hop if hop is None else hop, len(spec.channels))
        self.classifier = classifier
        self.hop = checked.hop
        """Timesteps between the starts of two windows."""
        self._stepper = classifier.forms(self.hop).stateful if self.hop < spec.window else None
        self._length = self.hop if self._stepper else spec.window
        self._streams: dict[Hashable, _Stream] = {}
        self._states = [] if self._stepper is None else self._stepper.start(0)
        self._free: list[int] = []
        at_once = STEP_BATCH if self._stepper else BATCH
        self._batch = np.empty((at_once, self._length, checked.channels), np.float32)
        self._waiting: dict[int, _Stream] = {}  # by row of the states: a stream waits for one run at most
        self._done: list[tuple[Hashable, Prediction]] = []

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, stream: Hashable) -> bool:
        return stream in self._streams

    @property
    def bytes_per_stream(self) -> int:
        """Bytes of samples and state that the pool holds for each stream."""
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
        while len(added):
            if one.filled < 0:
                left_out = min(-one.filled, len(added))
                one.filled += left_out
                added = added[left_out:]
                continue
            taken = min(self._length - one.filled, len(added))
            one.samples[one.filled : one.filled + taken] = added[:taken]
            one.filled += taken
            added = added[taken:]
            if one.filled == self._length:
                self._wait(one)

    def run(self) -> list[tuple[Hashable, Prediction]]:
        """Run what is due, and return all predictions since the last call, each with its stream, oldest first."""
        self._run_waiting()
        done, self._done = self._done, []
        return done

    def drop(self, stream: Hashable) -> None:
        """Forget a stream; predictions of it that are due are kept. Raises KeyError for one that is not there."""
        one = self._streams[stream]
        self._run_waiting()
        del self._streams[stream]
        self._free.append(one.row)

    def _begin(self, name: Hashable) -> _Stream:
        if not self._free:
            room = max(STEP_BATCH, len(self._streams))  # twice as much as there was
            self._free = list(range(len(self._streams), len(self._streams) + room))[::-1]
            more = self._stepper.start(room) if self._stepper else []
            self._states = [np.concatenate(pair) for pair in zip(self._states, more, strict=True)]
        one = _Stream(name, self._free.pop(), np.zeros(self._batch.shape[1:], np.float32))
        for state in self._states:
            state[one.row] = 0
        if self._stepper:
            one.filled = self._stepper.lead
        self._streams[name] = one
        return one

    def _wait(self, one: _Stream) -> None:
        """Put a full buffer into the next run, and keep of it what the next window needs."""
        if one.row in self._waiting:  # its state is not known before the run
            self._run_waiting()
        self._batch[len(self._waiting)] = one.samples
        self._waiting[one.row] = one
        kept = self._length - self.hop
        if kept > 0:
            one.samples[:kept] = one.samples[self.hop :].copy()
        one.filled = kept
        if len(self._waiting) == len(self._batch):
            self._run_waiting()

    def _run_waiting(self) -> None:
        if not self._waiting:
            return
        rows, streams = list(self._waiting), list(self._waiting.values())
        self._waiting = {}
        samples = self._batch[: len(rows)]
        warm_up = 0
        if self._stepper is None:
            answers = self.classifier.model.run(samples)[0]
        else:
            answers, *after = self._stepper.model.run(samples, *(state[rows] for state in self._states))
            for state, new in zip(self._states, after, strict=True):
                state[rows] = new
            warm_up = self._stepper.warm_up
        for one, answer in zip(streams, answers, strict=True):
            one.due += 1
            if one.due > warm_up:
                first = (one.due - 1 - warm_up) * self.hop
                self._done += [(one.name, said) for said in predictions(self.classifier.spec, answer[None], first, 1)]
