"""What a network costs: parameters, multiply-adds, receptive field, memory for the values between its layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

IN_PLACE = frozenset({
    "Activation", "BatchNormalization", "Dropout", "ELU", "Flatten", "LeakyReLU", "Normalization", "PReLU", "ReLU",
    "Reshape", "Softmax", "SpatialDropout1D", "GaussianNoise", "GaussianDropout",
})  # fmt: skip
"""Layers that need no memory of their own: they change values where these lie, or are folded into another layer."""
RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN"})


@dataclass(frozen=True)
class Cost:
    """What one window costs."""

    parameters: int
    multiply_adds: int
    """Of convolutions, dense and recurrent layers, for one window on its own."""
    uncounted: list[str]
    """Layers with weights whose multiply-adds are not known here."""
    receptive_field: int
    """Timesteps that one position sees in front of whatever takes the whole window together."""
    peak_activation_values: int
    """The most values between layers that must be kept at once: as many bytes in int8, four times that in float32."""


def cost(model: Any) -> Cost:
    """Return what a functional or sequential Keras model costs for one window."""
    sizes = [(layer, *_multiply_adds(layer)) for layer in _layers(model)]
    return Cost(
        parameters=int(model.count_params()),
        multiply_adds=sum(count for _, count, _ in sizes),
        uncounted=[layer.name for layer, _, known in sizes if not known],
        receptive_field=_receptive_field(model),
        peak_activation_values=_peak(model),
    )


def _layers(model: Any) -> list[Any]:
    found: list[Any] = []
    for layer in model.layers:
        found += _layers(layer) if hasattr(layer, "layers") and hasattr(layer, "inputs") else [layer]
    return found


def _multiply_adds(layer: Any) -> tuple[int, bool]:
    """Return the multiply-adds of one layer for one window, and whether they are known."""
    kind = type(layer).__name__
    if kind == "InputLayer":
        return 0, True
    given, answered = layer.input, layer.output
    if isinstance(given, list) or isinstance(answered, list):
        return 0, not layer.trainable_weights
    if kind in RECURRENT:
        cell = layer.cell
        return given.shape[1] * (prod(cell.kernel.shape) + prod(cell.recurrent_kernel.shape)), True
    kernels = [getattr(layer, name, None) for name in ("depthwise_kernel", "pointwise_kernel", "kernel")]
    found = [kernel for kernel in kernels if kernel is not None]
    if not found:
        return 0, kind in IN_PLACE or all(len(weight.shape) < 2 for weight in layer.weights)
    # A transposed convolution multiplies at every position of its input, the others at every one of their output.
    positions = prod((given if "Transpose" in kind else answered).shape[1:-1])
    return positions * sum(prod(kernel.shape) for kernel in found), True


def _receptive_field(model: Any) -> int:
    """Return the timesteps that one position of the deepest tensor over time sees."""
    seen: dict[int, tuple[int, int]] = {}  # tensor → timesteps seen, timesteps between positions
    deepest = 1
    for tensor in model.inputs:
        seen[id(tensor)] = (1, 1)
    for operation in _in_order(model):
        inputs = [seen[id(t)] for t in _tensors(operation.input) if id(t) in seen]
        output = operation.output
        if not inputs or isinstance(output, list) or len(output.shape) != 3:
            continue
        field, jump = max(inputs)
        kernel = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None) or 1
        stride = getattr(operation, "strides", None) or 1
        dilation = getattr(operation, "dilation_rate", None) or 1
        kernel, stride, dilation = (v[0] if isinstance(v, tuple | list) else v for v in (kernel, stride, dilation))
        field += (kernel - 1) * dilation * jump
        seen[id(output)] = (field, jump * stride)
        deepest = max(deepest, field)
    return deepest


def _peak(model: Any) -> int:
    """Return the most values that must be kept at once, when the layers run in the model's order."""
    operations = _in_order(model)
    home: dict[int, int] = {}  # tensor → the tensor in whose memory it lies
    size: dict[int, int] = {}
    last: dict[int, int] = {}  # tensor → when it is last used
    kept = []  # so that ids stay unique

    def enter(tensor: Any) -> int:
        kept.append(tensor)
        size[id(tensor)] = prod(tensor.shape[1:])
        return id(tensor)

    for tensor in model.inputs:
        home[id(tensor)] = enter(tensor)
        last[id(tensor)] = 0
    for time, operation in enumerate(operations, start=1):
        sources = [home[id(tensor)] for tensor in _tensors(operation.input)]
        for source in sources:
            last[source] = time
        for tensor in _tensors(operation.output):
            number = enter(tensor)
            in_place = type(operation).__name__ in IN_PLACE
            home[number] = sources[0] if in_place and sources else number
            last[home[number]] = time
    born: dict[int, int] = {id(tensor): 0 for tensor in model.inputs}
    for time, operation in enumerate(operations, start=1):
        for tensor in _tensors(operation.output):
            born.setdefault(home[id(tensor)], time)
    return max(
        sum(size[number] for number in born if born[number] <= time <= last[number])
        for time in range(1, len(operations) + 1)
    )


def _in_order(model: Any) -> list[Any]:
    """Return the model's operations, each behind what it takes its input from."""
    return [operation for operation in model.operations if type(operation).__name__ != "InputLayer"]


def _tensors(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
