"""Open an ONNX file on a device, and refuse one that is not what its spec says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artefact import Artefact, Form, Precision
from .binding import Bound
from .devices import Device, create_session
from .errors import ArtefactError, DeviceError, MissingFileError, UsageError
from .spec import COST_KEY, METADATA_KEY, NETWORK_KEY, ModelSpec

PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
Shape = tuple[str | int, ...]
"""Sizes of a tensor; a name stands for a size that is free."""
Ends = tuple[tuple[tuple[str, Shape], ...], tuple[tuple[str, Shape], ...]]
"""What a graph's inputs and outputs are called in messages, and their shapes, in the order of the graph."""
TOKENS = "tokens"
"""The end of this name holds int32 ids; all others hold float32 values."""


@dataclass(frozen=True)
class OpenModel:
    """A session whose inputs and outputs are those that the spec promises."""

    session: Any
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    spec: ModelSpec
    device: str
    """The device that runs, read back from the session: `cpu` or `cuda:0`."""
    metadata: Mapping[str, str]
    """All entries of the file."""
    bound: Bound | None = None
    """What runs the session where tensors can stay on the device; on the processor a plain run is faster."""

    def run(self, *arrays: NDArray[np.float32] | NDArray[np.int32]) -> list[NDArray[np.float32]]:
        """Return the outputs for contiguous inputs, both in the order of the graph."""
        inputs = dict(zip(self.input_names, arrays, strict=True))
        if self.bound is None:
            answers: list[NDArray[np.float32]] = self.session.run(None, inputs)
            return answers
        return list(self.bound.run(inputs).values())

    def run_keeping(self, array: NDArray[np.float32], state: list[Any]) -> tuple[NDArray[np.float32], list[Any]]:
        """Return the first output, and the others as they may go into the next run: they stay on the device."""
        if self.bound is None:
            answer, *after = self.run(array, *state)
            return answer, after
        first, *names = self.output_names
        found = self.bound.run(dict(zip(self.input_names, (array, *state), strict=True)), keep=names)
        return found[first], [found[name] for name in names]

    @property
    def network(self) -> str | None:
        """Digest of the network, the same in all its forms; None in a file that has no canonical form."""
        return self.metadata.get(NETWORK_KEY)

    @property
    def multiply_adds(self) -> int | None:
        """What one more answer takes; None where the file does not say."""
        text = self.metadata.get(COST_KEY, "")
        return int(text) if text.isdecimal() else None


def file_of(path: Path, form: Form, precision: Precision) -> Path:
    """Return the file of a form at the spec's hop in a folder; a path that is no folder is the file itself.

    Raises UsageError for a precision that no ONNX file has, MissingFileError where the folder has no int8 file.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision is {precision!r}; ONNX files are {' or '.join(PRECISIONS)}")
    if not path.is_dir():
        return path
    file = path / Artefact(form, precision).name
    if precision == "int8" and not file.exists():
        named = "onnx" if form == "windowed" else form
        raise MissingFileError(f"{file} is not there; `edgeconv export {path} --format {named}-int8` writes it")
    return file


def _on_processor(wanted: Device, file: Path) -> Device:
    """Return the processor for what may run there; raises DeviceError where another device was asked for."""
    if wanted.kind == "cuda":
        raise DeviceError(
            f"{file} is int8 and runs on the processor only: ONNX Runtime's CUDA provider has no integer convolutions "
            "and would leave them to the processor; use --device cpu, or the float32 file"
        )
    return Device("cpu")


def open_model(
    file: Path, device: str, threads: int, spin: bool, ends: Callable[[ModelSpec, Mapping[str, str]], Ends]
) -> OpenModel:
    """Open a file on a device and check it against the spec that it carries.

    ends: what the graph's inputs and outputs must be for a spec and the other metadata
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
    if b"QuantizeLinear" in model:  # an operator of every int8 file, whatever the file is called
        wanted = _on_processor(wanted, file)
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
    metadata = session.get_modelmeta().custom_metadata_map
    try:
        promised = ends(spec, metadata)
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from None
    check_ends(session, file, promised)
    inputs, outputs = (tuple(end.name for end in ends) for ends in (session.get_inputs(), session.get_outputs()))
    bound = None if used.kind == "cpu" else Bound(session, used)
    return OpenModel(session, inputs, outputs, spec, str(used), metadata, bound)


def read_spec(session: Any, file: Path) -> ModelSpec:
    """Return the spec that the ONNX file carries; raises ArtefactError where it has none or a broken one."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtefactError(
            f"{file} has no {METADATA_KEY!r} in its metadata, so its units, channels and labels are not known; "
            "export it with `edgeconv export`"
        )
    return ModelSpec.from_json(text, str(file))


def check_ends(session: Any, file: Path, promised: Ends) -> None:
    """Raise ArtefactError where the graph's inputs and outputs are not those that the spec promises."""
    seen = session.get_inputs(), session.get_outputs()
    if all(
        len(ends) == len(wanted)
        and all(
            end.type == ("tensor(int32)" if name == TOKENS else "tensor(float)") and _matches(end.shape, shape)
            for end, (name, shape) in zip(ends, wanted, strict=True)
        )
        for ends, wanted in zip(seen, promised, strict=True)
    ):
        return
    has = ", ".join(f"{end.name} {end.type} {end.shape}" for ends in seen for end in ends)
    says = " to ".join(
        ", ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in wanted) for wanted in promised
    )
    raise ArtefactError(f"{file} disagrees with its spec: the graph has {has}; the spec says {says}; export it again")


def _matches(shape: list[Any], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        not isinstance(size, int) if isinstance(wanted, str) else size == wanted
        for size, wanted in zip(shape, expected, strict=True)
    )
