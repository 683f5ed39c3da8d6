"""Open an ONNX file on a device, and refuse one that is not what its spec says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import Device, create_session
from .errors import ArtefactError, DeviceError, MissingFileError, UsageError
from .spec import METADATA_KEY, ModelSpec

Shape = tuple[str | int, ...]
"""Sizes of a tensor; a name stands for a size that is free."""
Shapes = tuple[tuple[str, Shape], tuple[str, Shape]]
"""What a graph's only input and only output are called in messages, and their shapes."""


@dataclass(frozen=True)
class OpenModel:
    """A session whose one input and one output are those that the spec promises."""

    session: Any
    input_name: str
    spec: ModelSpec
    device: str
    """The device that runs, read back from the session: `cpu` or `cuda:0`."""

    def run(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output for a float32 input, which need not be contiguous."""
        answer: NDArray[np.float32] = self.session.run(None, {self.input_name: np.ascontiguousarray(array)})[0]
        return answer


def open_model(file: Path, device: str, threads: int, spin: bool, shapes: Callable[[ModelSpec], Shapes]) -> OpenModel:
    """Open a file on a device and check it against the spec that it carries.

    shapes: what the graph's input and output must be for a spec
    Raises MissingFileError, ArtefactError (damaged, or not an edgeconv model), DeviceError, UsageError.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}; give a whole number from 1")
    wanted = Device.parse(device)
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
    check_shapes(session, file, shapes(spec))
    return OpenModel(session, session.get_inputs()[0].name, spec, str(used))


def read_spec(session: Any, file: Path) -> ModelSpec:
    """Return the spec that the ONNX file carries; raises ArtefactError where it has none or a broken one."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtefactError(
            f"{file} has no {METADATA_KEY!r} in its metadata, so its units, channels and labels are not known; "
            "export it with `edgeconv export`"
        )
    return ModelSpec.from_json(text, str(file))


def check_shapes(session: Any, file: Path, shapes: Shapes) -> None:
    """Raise ArtefactError where the graph's input and output are not those that the spec promises."""
    ends = [*session.get_inputs(), *session.get_outputs()]
    promised = [shape for _, shape in shapes]
    if (
        len(session.get_inputs()) == len(session.get_outputs()) == 1
        and all(end.type == "tensor(float)" for end in ends)
        and all(_matches(end.shape, shape) for end, shape in zip(ends, promised, strict=True))
    ):
        return
    seen = ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)
    wanted = " to ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in shapes)
    raise ArtefactError(
        f"{file} disagrees with its spec: the graph has {seen}; the spec says {wanted}; export it again"
    )


def _matches(shape: list[Any], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        not isinstance(size, int) if isinstance(wanted, str) else size == wanted
        for size, wanted in zip(shape, expected, strict=True)
    )
