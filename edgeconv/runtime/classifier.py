"""Windows or recordings in, probabilities out: an exported model on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .artefact import Precision
from .errors import InputError
from .forms import Forms, open_forms
from .model_file import TOKENS, Ends, OpenModel, Shape, file_of, open_model
from .spec import ModelSpec, require_signal
from .windows import SlidingWindow, as_float32, as_tokens, require_finite

BATCH = 32
"""Windows per run: the activations of more no longer fit a processor's cache, and each window takes longer."""


class Classifier:
    """A model that is loaded and ready; it keeps no state between calls and can be shared."""

    def __init__(
        self,
        model: OpenModel,
        folder: Path | None = None,
        *,
        device: str = "cpu",
        threads: int = 1,
        spin: bool = False,
        precision: Precision = "float32",
    ) -> None:
        """Wrap an open model, and the folder whose other forms may answer in its place; use `load`."""
        self.model = model
        self.spec = model.spec
        self.device = model.device
        """The device that runs, read back from the session: `cpu` or `cuda:0`."""
        self.precision = precision
        """Of the folder's files that answer."""
        self._folder = folder
        self._options = (device, threads, spin)
        self._forms: dict[int, Forms] = {}

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "cpu",
        *,
        threads: int = 1,
        spin: bool = False,
        precision: Precision = "float32",
    ) -> Classifier:
        """Load an exported model from its folder, or the windowed form alone from an ONNX file.

        device: `cpu`, `cuda`, `cuda:1` or `auto`; what is asked for is what runs, only `auto` may choose
        threads: processor threads within one run; spin: let them wait busily (faster, at the cost of neighbours)
        precision: which of a folder's files, `float32` or `int8` (on the processor only); a file is what it is
        Raises MissingFileError, ArtefactError (damaged, or not an edgeconv model), DeviceError, UsageError.
        """
        path = Path(path)
        folder = path if path.is_dir() else None
        file = file_of(path, "windowed", precision)
        model = open_model(file, device, threads, spin, _ends)
        return cls(model, folder, device=device, threads=threads, spin=spin, precision=precision)

    def forms(self, hop: int | None = None) -> Forms:
        """Return what answers at a hop, by default the spec's, besides the windowed form; opened once.

        Raises ArtefactError where a file in the folder cannot be used.
        """
        hop = self.spec.hop if hop is None else hop
        if hop not in self._forms:
            options = self._options
            found = open_forms(self._folder, self.model, hop, self.precision, *options) if self._folder else Forms()
            self._forms[hop] = found
        return self._forms[hop]

    def score(self, samples: ArrayLike, hop: int | None = None) -> NDArray[np.float32]:
        """Return the probabilities of every window of a recording: by the dense form, or window by window without one.

        samples: any real dtype [n, channels], in the spec's units and channel order
        hop: timesteps between windows, by default the spec's
        returns: float32 [predictions, classes]; row i is the window that starts at sample i · hop, and a recording
            shorter than a window has none
        Raises InputError for another shape, and for values that are NaN or infinite; UsageError for a hop below 1;
        ConversionError for a model that reads tokens.
        """
        require_signal(self.spec, "the score of a recording")
        windows = SlidingWindow(self.spec.window, self.spec.hop if hop is None else hop, len(self.spec.channels))
        dense = self.forms(windows.hop).dense
        return self.predict(windows.push(samples)) if dense is None else dense.score(samples)

    def predict(self, windows: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of each window.

        windows: any real dtype [n, window, channels], in the spec's units and channel order; for a model that reads
            tokens any integer dtype [n, window], ids of its vocabulary
        returns: float32 [n, classes]
        Raises InputError for another shape, for values that are NaN or infinite, and for ids out of the vocabulary.
        """
        if self.spec.input == "tokens":
            tokens = as_tokens(windows, self.spec.window, self.spec.vocabulary or 0)
            runs = [self.model.run(tokens[i : i + BATCH])[0] for i in range(0, len(tokens), BATCH)]
            return np.concatenate([np.empty((0, len(self.spec.labels)), np.float32), *runs])
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
        return self.model.run(np.ascontiguousarray(windows))[0]


def _ends(spec: ModelSpec, _metadata: Mapping[str, str]) -> Ends:
    shape: Shape = ("batch", *spec.window_shape)
    windows = (TOKENS if spec.input == "tokens" else "windows", shape)
    return (windows,), (("probabilities", ("batch", len(spec.labels))),)


def _shape_error(shape: tuple[int, ...], expected: tuple[int, int]) -> InputError:
    hint = ""
    if shape == expected:
        hint = "; for one window use windows[None]"
    elif len(shape) == 3 and shape[:0:-1] == expected:
        hint = "; the axes are swapped: use windows.transpose(0, 2, 1)"
    return InputError(f"windows have shape {list(shape)}; expected [n, {expected[0]}, {expected[1]}]{hint}")
