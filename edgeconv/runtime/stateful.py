"""One hop of samples and a state in, probabilities and the next state out: the stateful form, for streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artefact import Precision
from .errors import ArtefactError
from .model_file import Ends, OpenModel, Shape, file_of, open_model
from .spec import STATE_KEY, ModelSpec

State = list[Any]
"""What some streams remember: float32 tensors with the streams as first axis, arrays or values of the device."""


class Stepper:
    """A stateful model that is loaded and ready; it keeps no state itself and can be shared."""

    def __init__(self, model: OpenModel) -> None:
        """Wrap an open model; use `load`."""
        self.model = model
        self.spec = model.spec
        """The signal contract; its `hop` is the one that this file steps by."""
        self.device = model.device
        """The device that runs, read back from the session: `cpu` or `cuda:0`."""
        self.warm_up, tensors = _read_state(model.metadata)
        """Steps of a new state whose answers mean nothing, because the first window is not yet full."""
        self.state_shapes = tuple(shape for _, _, shape in tensors)
        """Shape of each state tensor of one stream."""

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        *,
        threads: int = 1,
        spin: bool = False,
        precision: Precision = "float32",
    ) -> Stepper:
        """Load a stateful model from its folder or from an ONNX file; arguments and errors as `Classifier.load`."""
        return cls(open_model(file_of(Path(path), "stateful", precision), device, threads, spin, _ends))

    @property
    def lead(self) -> int:
        """Samples that a stream's first step lacks, where the window is no multiple of the hop; they may be anything.

        With them in front, the step number `warm_up` (from 0) ends where the first window ends.
        """
        return (self.warm_up + 1) * self.spec.hop - self.spec.window

    @property
    def state_bytes(self) -> int:
        """Bytes that one stream's state takes."""
        return sum(4 * int(np.prod(shape)) for shape in self.state_shapes)

    def start(self, streams: int = 1) -> list[NDArray[np.float32]]:
        """Return the state of streams that begin, as arrays."""
        return [np.zeros((streams, *shape), np.float32) for shape in self.state_shapes]

    def step(self, samples: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Return the probabilities for the windows that end with these samples, and the state after them.

        samples: float32 [streams, hop, channels], finite, in the spec's units and channel order
        state: of `start` or of the step before, for the same streams
        returns: float32 [streams, classes], and the next state
        """
        return self.model.run_keeping(np.ascontiguousarray(samples), state)


def _ends(spec: ModelSpec, metadata: Mapping[str, str]) -> Ends:
    needed = -(-spec.window // spec.hop) - 1
    warm_up, tensors = _read_state(metadata) if STATE_KEY in metadata else (needed, [("states", "states", ())])
    if warm_up != needed:
        raise ArtefactError(
            f"the metadata say that {warm_up} answers come before the first full window, and window {spec.window} at "
            f"hop {spec.hop} has {needed}; export the model again"
        )
    before: list[tuple[str, Shape]] = [(name, ("streams", *shape)) for name, _, shape in tensors]
    after: list[tuple[str, Shape]] = [(name, ("streams", *shape)) for _, name, shape in tensors]
    samples = ("samples", ("streams", spec.hop, len(spec.channels)))
    return (samples, *before), (("probabilities", ("streams", len(spec.labels))), *after)


def _read_state(metadata: Mapping[str, str]) -> tuple[int, list[tuple[str, str, tuple[int, ...]]]]:
    """Return the warm-up, and of each state tensor the names going in and coming out and the shape for one stream."""
    try:
        state = json.loads(metadata[STATE_KEY])
        return int(state["warm_up"]), [
            (str(tensor["input"]), str(tensor["output"]), tuple(int(size) for size in tensor["shape"][1:]))
            for tensor in state["tensors"]
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise ArtefactError(
            f"the metadata entry {STATE_KEY!r} is broken ({type(error).__name__}: {error}); export the model again"
        ) from None
