"""Windows in, probabilities out: an exported model on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .model_file import OpenModel, Shapes, open_model
from .spec import ModelSpec
from .windows import as_float32, require_finite

MODEL_FILE = "model.onnx"
BATCH = 32
"""Windows per run: the activations of more no longer fit a processor's cache, and each window takes longer."""


class Classifier:
    """A model that is loaded and ready; it keeps no state between calls and can be shared."""

    def __init__(self, model: OpenModel) -> None:
        """Wrap an open model; use `load`."""
        self._model = model
        self.spec = model.spec
        self.device = model.device
        """The device that runs, read back from the session: `cpu` or `cuda:0`."""

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", *, threads: int = 1, spin: bool = False) -> Classifier:
        """Load an exported model from its folder or from an ONNX file.

        device: `cpu`, `cuda`, `cuda:1` or `auto`; what is asked for is what runs, only `auto` may choose
        threads: processor threads within one run; spin: let them wait busily (faster, at the cost of neighbours)
        Raises MissingFileError, ArtefactError (damaged, or not an edgeconv model), DeviceError, UsageError.
        """
        file = Path(path)
        if file.is_dir():
            file = file / MODEL_FILE
        return cls(open_model(file, device, threads, spin, _shapes))

    def predict(self, windows: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of each window.

        windows: any real dtype [n, window, channels], in the spec's units and channel order
        returns: float32 [n, classes]
        Raises InputError for another shape, and for values that are NaN or infinite.
        """
        array = as_float32(windows, "windows")
        expected = (self.spec.window, len(self.spec.channels))
        if array.ndim != 3 or array.shape[1:] != expected:
            raise _shape_error(array.shape, expected)
        if len(array) == 0:
            return np.empty((0, len(self.spec.labels)), np.float32)
        return np.concatenate([self._run(array[i : i + BATCH], i) for i in range(0, len(array), BATCH)])

    def _run(self, windows: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        # Batch by batch, since the windows of a long recording may be views that would fill the memory as copies.
        require_finite(windows, "windows", first)
        return self._model.run(windows)


def _shapes(spec: ModelSpec) -> Shapes:
    return ("windows", ("batch", spec.window, len(spec.channels))), ("probabilities", ("batch", len(spec.labels)))


def _shape_error(shape: tuple[int, ...], expected: tuple[int, int]) -> InputError:
    hint = ""
    if shape == expected:
        hint = "; for one window use windows[None]"
    elif len(shape) == 3 and shape[:0:-1] == expected:
        hint = "; the axes are swapped: use windows.transpose(0, 2, 1)"
    return InputError(f"windows have shape {list(shape)}; expected [n, {expected[0]}, {expected[1]}]{hint}")
