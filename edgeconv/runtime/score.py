"""A whole recording in, one row of probabilities per hop out: the dense form, which computes each convolution once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .artefact import Precision
from .errors import InputError
from .model_file import Ends, OpenModel, file_of, open_model
from .spec import ModelSpec
from .windows import as_float32, require_finite

CHUNK = 16_384
"""Samples per run, or `CHUNK_WINDOWS` windows where that is more: so what neighbouring runs compute twice, which is one
window less one hop, hardly counts, and memory is bounded."""
CHUNK_WINDOWS = 16


class Scorer:
    """A dense model that is loaded and ready; it keeps no state between calls and can be shared."""

    def __init__(self, model: OpenModel) -> None:
        """Wrap an open model; use `load`."""
        self.model = model
        self.spec = model.spec
        """The signal contract; its `hop` is the one that this file answers at."""
        self.device = model.device
        """The device that runs, read back from the session: `cpu` or `cuda:0`."""

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        *,
        threads: int = 1,
        spin: bool = False,
        precision: Precision = "float32",
    ) -> Scorer:
        """Load a dense model from its folder or from an ONNX file; arguments and errors as `Classifier.load`."""
        return cls(open_model(file_of(Path(path), "dense", precision), device, threads, spin, _ends))

    def score(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of every window of a recording.

        samples: any real dtype [n, channels], in the spec's units and channel order
        returns: float32 [predictions, classes]; row i is the window that starts at sample i · hop, and a recording
            shorter than a window has none
        Raises InputError for another shape, and for values that are NaN or infinite.
        """
        array = np.ascontiguousarray(as_float32(samples, "samples"))
        window, hop = self.spec.window, self.spec.hop
        if array.ndim != 2 or array.shape[1] != len(self.spec.channels):
            raise InputError(f"samples have shape {list(array.shape)}; expected [n, {len(self.spec.channels)}]")
        require_finite(array, "samples")
        predictions = max(0, (len(array) - window) // hop + 1)
        if predictions == 0:
            return np.empty((0, len(self.spec.labels)), np.float32)
        at_once = (chunk_of(window) - window) // hop + 1
        starts = range(0, predictions, at_once)
        ends = (min(start + at_once, predictions) for start in starts)
        return np.concatenate(
            [self.model.run(array[i * hop : (j - 1) * hop + window])[0] for i, j in zip(starts, ends, strict=True)]
        )


def chunk_of(window: int) -> int:
    """Return how many samples one run takes at most, for windows of this many timesteps."""
    return max(CHUNK, CHUNK_WINDOWS * window)


def _ends(spec: ModelSpec, _metadata: Mapping[str, str]) -> Ends:
    return (("samples", ("time", len(spec.channels))),), (("probabilities", ("predictions", len(spec.labels))),)
