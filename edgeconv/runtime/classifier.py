"""Windows in, probabilities out: an exported model on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .devices import Device, create_session
from .errors import ArtefactError, DeviceError, InputError, MissingFileError, UsageError
from .spec import METADATA_KEY, ModelSpec
from .windows import as_float32, require_finite

MODEL_FILE = "model.onnx"
BATCH = 32
"""Windows per run: the activations of more no longer fit a processor's cache, and each window takes longer."""


class Classifier:
    """A model that is loaded and ready; it keeps no state between calls and can be shared."""

    def __init__(self, session: Any, spec: ModelSpec, device: str) -> None:
        """Wrap a session whose input and output were checked against the spec; use `load`."""
        self._session = session
        self._input: str = session.get_inputs()[0].name
        self._output: str = session.get_outputs()[0].name
        self.spec = spec
        self.device = device
        """The device that runs, read back from the session: `cpu` or `cuda:0`."""

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", *, threads: int = 1, spin: bool = False) -> Classifier:
        """Load an exported model from its folder or from an ONNX file.

        device: `cpu`, `cuda`, `cuda:1` or `auto`; what is asked for is what runs, only `auto` may choose
        threads: processor threads within one run; spin: let them wait busily (faster, at the cost of neighbours)
        Raises MissingFileError, ArtefactError (damaged, or not an edgeconv model), DeviceError, UsageError.
        """
        if threads < 1:
            raise UsageError(f"threads is {threads}; give a whole number from 1")
        wanted = Device.parse(device)
        file = Path(path)
        if file.is_dir():
            file = file / MODEL_FILE
        try:
            # From bytes, so that a file cannot make ONNX Runtime read other files as external data.
            model = file.read_bytes()
        except FileNotFoundError:
            raise MissingFileError(
                f"{file} is not there; give an exported model: `edgeconv export MODEL_DIR` writes it"
            ) from None
        except OSError as error:
            raise MissingFileError(f"{file} cannot be read ({error.strerror}); give an ONNX file") from None
        try:
            session, used = create_session(model, wanted, threads, spin)
        except DeviceError:
            raise
        except Exception as error:  # ONNX Runtime's own errors have no common base
            reason = " ".join(str(error).split())[:200]
            raise ArtefactError(
                f"{file} is not a model that ONNX Runtime can load ({len(model)} bytes: {reason}); export it again"
            ) from None
        spec = read_spec(session, file)
        check_shapes(session, spec, file)
        return cls(session, spec, str(used))

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
        probabilities: NDArray[np.float32] = self._session.run(
            [self._output], {self._input: np.ascontiguousarray(windows)}
        )[0]
        return probabilities


def read_spec(session: Any, file: Path) -> ModelSpec:
    """Return the spec that the ONNX file carries; raises ArtefactError where it has none or a broken one."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtefactError(
            f"{file} has no {METADATA_KEY!r} in its metadata, so its units, channels and labels are not known; "
            "export it with `edgeconv export`"
        )
    return ModelSpec.from_json(text, str(file))


def check_shapes(session: Any, spec: ModelSpec, file: Path) -> None:
    """Raise ArtefactError where the graph's input and output are not those that the spec promises."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    seen = [f"{value.name} {value.type} {value.shape}" for value in (*inputs, *outputs)]
    shapes_agree = (
        len(inputs) == len(outputs) == 1
        and inputs[0].type == outputs[0].type == "tensor(float)"
        and _matches(inputs[0].shape, (None, spec.window, len(spec.channels)))
        and _matches(outputs[0].shape, (None, len(spec.labels)))
    )
    if not shapes_agree:
        raise ArtefactError(
            f"{file} disagrees with its spec: the graph has {', '.join(seen)}; the spec says windows "
            f"[batch, {spec.window}, {len(spec.channels)}] to probabilities [batch, {len(spec.labels)}]; "
            "export it again"
        )


def _matches(shape: list[Any], expected: tuple[int | None, ...]) -> bool:
    """Whether a graph's shape is the expected one, with a free batch dimension where that is None."""
    return len(shape) == len(expected) and all(
        not isinstance(size, int) if wanted is None else size == wanted
        for size, wanted in zip(shape, expected, strict=True)
    )


def _shape_error(shape: tuple[int, ...], expected: tuple[int, int]) -> InputError:
    hint = ""
    if shape == expected:
        hint = "; for one window use windows[None]"
    elif len(shape) == 3 and shape[:0:-1] == expected:
        hint = "; the axes are swapped: use windows.transpose(0, 2, 1)"
    return InputError(f"windows have shape {list(shape)}; expected [n, {expected[0]}, {expected[1]}]{hint}")
