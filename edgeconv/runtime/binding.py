"""Run a session with inputs and outputs bound to its device, so that what need not leave the device stays there."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import Device
from .errors import DeviceError

GRAPHS = 8
"""Shapes that get a CUDA graph; each holds its buffers for as long as the session lives."""

OnDevice = Any
"""A tensor in the device's memory, an onnxruntime.OrtValue; `numpy()` copies it to an array."""
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class _Recorded:
    """Buffers at fixed addresses for one shape of inputs, and what runs over them."""

    binding: Any
    inputs: dict[str, OnDevice]
    outputs: dict[str, OnDevice]
    options: Any


class Bound:
    """A session over values that may stay on its device from one run to the next.

    With a CUDA graph (`Device.graph`) a shape that comes again gets buffers of its own; ONNX Runtime records what their
    first run launches, and the runs that follow replay it. Other shapes run as without. May be shared by threads; with
    a CUDA graph they take turns.
    """

    def __init__(self, session: Any, device: Device) -> None:
        """Bind a session that `create_session` made on this device."""
        self._session = session
        self._device = device
        self._outputs = [output.name for output in session.get_outputs()]
        self._recorded: dict[Shapes, _Recorded] = {}
        self._seen: deque[Shapes] = deque(maxlen=GRAPHS)
        self._turn = threading.Lock()
        self._unrecorded = _graph_options(-1) if device.graph else None

    def put(self, array: NDArray[np.float32]) -> OnDevice:
        """Copy an array to the device, for use as an input of any number of runs.

        array: float32, any shape
        """
        return self._value(np.array(array, np.float32, order="C"))

    def run(
        self, inputs: Mapping[str, NDArray[np.float32] | OnDevice], keep: Collection[str] = ()
    ) -> dict[str, NDArray[np.float32] | OnDevice]:
        """Return every output by its name.

        inputs: by name, float32 arrays (also not contiguous) or values of this device, from `put` or kept from a run
        keep: names of the outputs that stay on the device; they hold their values however many runs follow
        Raises DeviceError where CUDA fails in the run (out of memory, or a GPU that the build does not know).
        """
        if not self._device.graph:
            return self._run_free(inputs, keep)
        with self._turn:
            return self._run_graph(inputs, keep)

    def _run_free(self, inputs: Mapping[str, Any], keep: Collection[str]) -> dict[str, Any]:
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, self._value(value) if isinstance(value, np.ndarray) else value)
        for name in self._outputs:
            if name in keep:
                binding.bind_output(name, self._device.kind, self._device.index)
            else:
                binding.bind_output(name, "cpu")
        self._start(binding, self._unrecorded)
        outputs = zip(self._outputs, binding.get_outputs(), strict=True)
        return {name: value if name in keep else value.numpy() for name, value in outputs}

    def _run_graph(self, inputs: Mapping[str, Any], keep: Collection[str]) -> dict[str, Any]:
        shapes = tuple((name, _shape(value)) for name, value in inputs.items())
        recorded = self._recorded.get(shapes)
        if recorded is None:
            answer = self._run_free(inputs, ())
            if shapes not in self._seen:
                self._seen.append(shapes)
            elif len(self._recorded) < GRAPHS:
                self._recorded[shapes] = self._record(inputs, answer)
            # What is kept must lie outside the session's own memory, in which a replay writes its intermediate values.
            return {name: self.put(value) if name in keep else value for name, value in answer.items()}
        for name, value in inputs.items():
            _copy(value, recorded.inputs[name])
        self._start(recorded.binding, recorded.options)
        return {
            name: self._copy_of(value) if name in keep else np.array(value.numpy())
            for name, value in recorded.outputs.items()
        }

    def _record(self, inputs: Mapping[str, Any], answer: Mapping[str, NDArray[np.float32]]) -> _Recorded:
        recorded = _Recorded(
            binding=self._session.io_binding(),
            inputs={name: self._value(np.array(_array(value), order="C")) for name, value in inputs.items()},
            outputs={name: self.put(value) for name, value in answer.items()},
            options=_graph_options(len(self._recorded) + 1),  # ONNX Runtime keeps 0 for itself
        )
        for name, value in recorded.inputs.items():
            recorded.binding.bind_ortvalue_input(name, value)
        for name, value in recorded.outputs.items():
            recorded.binding.bind_ortvalue_output(name, value)
        return recorded

    def _start(self, binding: Any, options: Any) -> None:
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:  # ONNX Runtime's own errors have no common base
            if self._device.kind == "cpu":
                raise
            reason = " ".join(str(error).split())[:300]
            raise DeviceError(
                f"device {self._device} failed in a run ({reason}); "
                "`edgeconv doctor --device cuda` tries it with a tiny model, --device cpu runs on the processor"
            ) from error

    def _value(self, array: NDArray[np.float32]) -> OnDevice:
        """Return a value of the device that may share the array's memory."""
        import onnxruntime

        contiguous = np.ascontiguousarray(array)
        return onnxruntime.OrtValue.ortvalue_from_numpy(contiguous, self._device.kind, self._device.index)

    def _copy_of(self, value: OnDevice) -> OnDevice:
        import onnxruntime

        copy = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            value.shape(), np.float32, self._device.kind, self._device.index
        )
        _copy(value, copy)
        return copy


def _shape(value: Any) -> tuple[int, ...]:
    return value.shape if isinstance(value, np.ndarray) else tuple(value.shape())


def _array(value: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value if isinstance(value, np.ndarray) else value.numpy()
    return array


def _copy(source: Any, target: OnDevice) -> None:
    if isinstance(source, np.ndarray):
        target.update_inplace(np.ascontiguousarray(source))
        return
    try:
        target.update_inplace(source)
    except TypeError:  # older ONNX Runtime copies from arrays only
        target.update_inplace(_array(source))


def _graph_options(number: int) -> Any:
    """Return the options of a run that records and replays the graph of this number; −1 runs without one."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(number))
    return options
