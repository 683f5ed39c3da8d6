"""Every exported file as something that answers for windows and for whole recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.classifier import Classifier
from edgeconv.runtime.errors import ArtefactError
from edgeconv.runtime.score import Scorer
from edgeconv.runtime.spec import ModelSpec
from edgeconv.runtime.stateful import Stepper

from .over_recordings import OverRecordings
from .tflite import TfliteModel

Floats = NDArray[np.float32]
AT_ONCE = 64 << 20
"""Bytes of windows that are cut out of recordings at a time."""


class Predictor(Protocol):
    """What everything that predicts looks like."""

    def predict(self, windows: Floats, /) -> Floats:
        """Float32 [n, window, channels] in physical units → probabilities, float32 [n, classes]."""
        ...


def artefact_of(name: str) -> Artefact:
    """Return what a file name says; raises ArtefactError for a name that no exported file has."""
    artefact = Artefact.parse(name)
    if artefact is None:
        raise ArtefactError(f"{name} is not the name of an exported file")
    return artefact


def in_order(names: Iterable[str]) -> list[str]:
    """Return file names in the order in which a certificate lists them, larger hops first."""

    def place(name: str) -> tuple[int, bool, int]:
        artefact = artefact_of(name)
        return files.KINDS.index(artefact.kind), artefact.hop is not None, -(artefact.hop or 0)

    return sorted(names, key=place)


def load_artefact(path: Path, spec: ModelSpec) -> Predictor:
    """Load an exported file by the runtime that will run it; raises ArtefactError where it disagrees with the spec."""
    artefact = artefact_of(path.name)
    if artefact.engine == "tflite":
        return TfliteModel.load(path, spec)
    model: Classifier | Scorer | Stepper
    if artefact.form == "dense":
        model = Scorer.load(path)
    else:
        model = Stepper.load(path) if artefact.form == "stateful" else Classifier.load(path)
    if model.spec != replace(spec, hop=artefact.hop or spec.hop):
        raise ArtefactError(f"{path}: the spec inside differs from {files.SPEC} beside it; export the model again")
    return model if isinstance(model, Classifier) else OverRecordings(model, spec.hop)


def answers_over(model: Predictor, recordings: list[Floats], window: int, hop: int) -> list[Floats]:
    """Return what a model says of each window of some recordings, one float32 [predictions, classes] for each.

    recordings: float32 [timesteps, channels], a window long or longer; a dense or stateful model takes them whole, at
        its own hop, which must be `hop`
    """
    if isinstance(model, OverRecordings):
        return model.over(recordings)
    answers = np.concatenate([model.predict(part) for part in cut(recordings, window, hop)])
    counts = [(len(samples) - window) // hop + 1 for samples in recordings]
    return np.split(answers, np.cumsum(counts)[:-1])


def cut(recordings: list[Floats], window: int, hop: int) -> Iterator[Floats]:
    """Yield the windows of some recordings in order, in batches of bounded size: float32 [n, window, channels]."""
    waiting: list[Floats] = []
    size = 0
    for samples in recordings:
        if samples.ndim == 1:  # a text of token ids is a window by itself
            yield samples[None]
            continue
        views = np.lib.stride_tricks.sliding_window_view(samples, window, axis=0)[::hop].transpose(0, 2, 1)
        at_once = max(1, AT_ONCE // (4 * window * samples.shape[1]))
        for start in range(0, len(views), at_once):
            part = views[start : start + at_once]
            waiting.append(part)
            size += len(part)
            if size >= at_once:
                yield np.concatenate(waiting)
                waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)
