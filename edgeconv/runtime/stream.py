"""Samples in, predictions out: one stream of one sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import Classifier
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


class StreamClassifier:
    """Classify a stream, pushed in pieces of any size.

    Holds the samples of the window that is not yet full; give each sensor one of its own, over a shared `Classifier`.
    """

    def __init__(self, classifier: Classifier, hop: int | None = None) -> None:
        """Predict every `hop` timesteps, by default as often as the model's spec says.

        Raises UsageError for a hop below 1.
        """
        spec = classifier.spec
        self.classifier = classifier
        self._windows = SlidingWindow(spec.window, spec.hop if hop is None else hop, len(spec.channels))

    @property
    def hop(self) -> int:
        """Timesteps between the starts of two windows."""
        return self._windows.hop

    def reset(self) -> None:
        """Forget all samples; the next push starts a new recording at 0 s."""
        self._windows.reset()

    def push(self, samples: ArrayLike) -> list[Prediction]:
        """Take the next samples and return one prediction for each window that they complete.

        samples: any real dtype [n, channels], any n from 0, in the spec's units and channel order
        Raises InputError for another shape, or for values that are NaN or infinite; the stream is then as before.
        """
        spec = self.classifier.spec
        added = as_float32(samples, "samples")
        require_finite(added, "samples")
        first = self._windows.start
        windows = self._windows.push(added)
        if len(windows) == 0:
            return []
        probabilities = self.classifier.predict(windows)
        class_ids = probabilities.argmax(axis=1)
        return [
            Prediction(
                start_s=start / spec.sampling_rate_hz,
                end_s=(start + spec.window) / spec.sampling_rate_hz,
                class_id=(class_id := int(class_ids[i])),
                label=spec.labels[class_id],
                confidence=float(probabilities[i, class_id]),
                probabilities=probabilities[i],
            )
            for i, start in enumerate(range(first, first + len(windows) * self.hop, self.hop))
        ]
