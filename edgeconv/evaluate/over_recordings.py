"""Forms that take recordings, compared on windows: consecutive windows that overlap are one recording to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Split
from edgeconv.data.stitch import stitch
from edgeconv.runtime.score import Scorer
from edgeconv.runtime.stateful import Stepper

STREAMS = 256
"""Recordings that a stateful model steps through at once."""


class OverRecordings:
    """A dense or stateful model as something that predicts windows."""

    def __init__(self, model: Scorer | Stepper, hop: int) -> None:
        """Wrap a model; `hop` is that of the windows, which may be another than the model's."""
        self.model, self.hop = model, hop

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stitch the windows into recordings as far as they agree, and return the answers, one for each window.

        windows: float32 [n, window, channels], in the spec's units
        returns: float32 [n, classes]
        """
        unknown = np.zeros(len(windows), np.int64)
        recordings = [found.samples for found in stitch(Split(windows, unknown, unknown), "", self.hop)]
        hop, window = self.model.spec.hop, windows.shape[1]
        answers = np.empty((len(windows), len(self.model.spec.labels)), np.float32)
        # A window that the model's hop does not reach from the recording's start is reached from a later sample.
        runs: list[tuple[NDArray[np.float32], list[int], list[int]]] = []
        row = 0
        for samples in recordings:
            starts = range(0, len(samples) - window + 1, self.hop)
            for first in sorted({start % hop for start in starts}):
                reached = [i for i, start in enumerate(starts) if start % hop == first]
                runs.append(
                    (samples[first:], [(starts[i] - first) // hop for i in reached], [row + i for i in reached])
                )
            row += len(starts)
        for (_, at, rows), answer in zip(runs, self.over([samples for samples, _, _ in runs]), strict=True):
            answers[rows] = answer[at]
        return answers

    def over(self, recordings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return what the model says of whole recordings at its own hop: float32 [predictions, classes] for each."""
        if isinstance(self.model, Scorer):
            return [self.model.score(samples) for samples in recordings]
        found = []
        for at in range(0, len(recordings), STREAMS):
            found += step_through(self.model, recordings[at : at + STREAMS])
        return found


def step_through(stepper: Stepper, recordings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return the probabilities of every window of some recordings, each a stream: float32 [predictions, classes]."""
    hop, window = stepper.spec.hop, stepper.spec.window
    counts = [max(0, (len(samples) - window) // hop + 1) for samples in recordings]
    steps = stepper.warm_up + max(counts)
    streams = np.zeros((len(recordings), steps * hop, recordings[0].shape[1]), np.float32)
    for stream, samples in zip(streams, recordings, strict=True):
        used = min(len(samples), steps * hop - stepper.lead)
        stream[stepper.lead : stepper.lead + used] = samples[:used]
    state = stepper.start(len(recordings))
    rows = []
    for at in range(0, steps * hop, hop):
        answer, state = stepper.step(streams[:, at : at + hop], state)
        rows.append(answer)
    answers = np.stack(rows[stepper.warm_up :], axis=1)
    return [answer[:count] for answer, count in zip(answers, counts, strict=True)]
