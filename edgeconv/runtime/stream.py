"""Samples in, predictions out: one stream of one sensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import Classifier
from .errors import InputError
from .spec import ModelSpec, require_signal
from .stateful import State
from .windows import SlidingWindow, as_float32, require_finite


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the model says of one window."""

    start_s: float
    """Time of the window's first sample, in seconds from the start of the recording."""
    end_s: float
    """Time at which the window ends: that of the first sample after it."""
    class_id: int
    label: str
    """Label of the most probable class."""
    confidence: float
    """Probability of that class."""
    probabilities: NDArray[np.float32]
    """float32 [classes], in the order of the spec's labels."""
    implausible: tuple[str, ...] = ()
    """What was found, until then, in a stream that is not plausible and is answered all the same: codes of findings."""


class StreamClassifier:
    """Classify a stream, pushed in pieces of any size.

    Holds the samples of the window that is not yet full; give each sensor one of its own, over a shared `Classifier`.
    Where the classifier's folder has other forms for the hop, the fastest one for what a push completes is run: the
    dense form for several windows, the stateful or the windowed one for a single window. The answers are the same but
    for the order in which float32 numbers are added up.
    """

    def __init__(self, classifier: Classifier, hop: int | None = None) -> None:
        """Predict every `hop` timesteps, by default as often as the model's spec says.

        Raises UsageError for a hop below 1, ArtefactError where a form of the model cannot be used, ConversionError for
        a model that reads tokens.
        """
        spec = classifier.spec
        require_signal(spec, "a stream")
        self.classifier = classifier
        self._windows = SlidingWindow(spec.window, spec.hop if hop is None else hop, len(spec.channels))
        self._forms = classifier.forms(self._windows.hop)
        self._state: State = []
        self._steps = 0
        self._start_s = 0.0

    @property
    def hop(self) -> int:
        """Timesteps between the starts of two windows."""
        return self._windows.hop

    def reset(self, start_s: float = 0.0) -> None:
        """Forget all samples; the next push starts a new stretch, at this time of the recording."""
        self._windows.reset()
        self._steps = 0
        self._start_s = start_s

    def push(self, samples: ArrayLike) -> list[Prediction]:
        """Take the next samples and return one prediction for each window that they complete.

        samples: any real dtype [n, channels], any n from 0, in the spec's units and channel order
        Raises InputError for another shape, or for values that are NaN or infinite; the stream is then as before.
        """
        spec = self.classifier.spec
        added = as_float32(samples, "samples")
        require_finite(added, "samples")
        first = self._windows.start
        span = self._windows.extend(added)
        if len(span) == 0:
            return []
        return predictions(spec, self._answer(span), first, self.hop, self._start_s)

    def state(self) -> dict[str, Any]:
        """Return a copy of all that `restore` needs to go on: after it, the same pushes give the same bytes."""
        # The tensors of a stateful form may lie on the device; those of a stretch that begins are not looked at.
        tensors = [_on_processor(tensor) for tensor in self._state] if self._steps else []
        return {
            **self._identity(),
            "windows": self._windows.state(),
            "start_s": self._start_s,
            "steps": self._steps,
            "tensors": tensors,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; raises InputError for the state of another model or hop."""
        theirs = {name: state.get(name) for name in self._identity()}
        if theirs != self._identity():
            raise InputError(f"the state is of {theirs}; expected {self._identity()}: begin without it")
        self._windows.restore(state["windows"])
        self._start_s, self._steps = state["start_s"], state["steps"]
        self._state = [tensor.copy() for tensor in state["tensors"]]

    def _identity(self) -> dict[str, Any]:
        return {"model": self.classifier.spec.name, "network": self.classifier.model.network, "hop": self.hop}

    def _answer(self, span: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of the windows that a span covers: float32 [k, classes]."""
        dense, stateful = self._forms.dense, self._forms.stateful
        if len(span) == self.classifier.spec.window:
            if stateful is None or not self._forms.stateful_for_one:
                return self.classifier.model.run(span[None])[0]
            # Until the state has seen a whole window, the windowed form answers beside it.
            if self._steps == 0:
                self._state = stateful.start()
            answer, self._state = stateful.step(span[None, -self.hop :], self._state)
            self._steps += 1
            return answer if self._steps > stateful.warm_up else self.classifier.model.run(span[None])[0]
        self._steps = 0  # the state has not seen these windows
        return self.classifier.predict(self._windows.cut(span)) if dense is None else dense.score(span)


def predictions(
    spec: ModelSpec, probabilities: NDArray[np.float32], first: int, hop: int, start_s: float = 0.0
) -> list[Prediction]:
    """Return what the model says of consecutive windows, the first of which starts at the sample `first`.

    probabilities: float32 [windows, classes]; windows start `hop` samples apart
    start_s: time of sample 0
    """
    class_ids = probabilities.argmax(axis=1).tolist()
    starts = range(first, first + len(class_ids) * hop, hop)
    return [
        Prediction(
            start_s=start_s + start / spec.sampling_rate_hz,
            end_s=start_s + (start + spec.window) / spec.sampling_rate_hz,
            class_id=class_id,
            label=spec.labels[class_id],
            confidence=float(row[class_id]),
            probabilities=row,
        )
        for start, class_id, row in zip(starts, class_ids, probabilities, strict=True)
    ]


def _on_processor(tensor: Any) -> NDArray[np.float32]:
    return np.array(tensor if isinstance(tensor, np.ndarray) else tensor.numpy(), np.float32)
