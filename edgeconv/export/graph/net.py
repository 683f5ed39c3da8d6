"""The canonical form of a network: a short list of steps over [batch, channels, time].

Layout is gone from it: transposes, squeezes and reshapes are the reader's business and the writers'. A dense layer over
the flattened window is a convolution as long as its input, and a global pooling a pooling as long as its input, so that
time has one meaning everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution over time."""

    weight: Floats
    """float32 [out, in / groups, kernel]"""
    bias: Floats
    """float32 [out]"""
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    padding: tuple[int, int] = (0, 0)
    """Zeros before and after."""

    @property
    def kernel(self) -> int:
        """Timesteps that it weighs."""
        return int(self.weight.shape[2])

    @property
    def input_channels(self) -> NDArray[np.int64]:
        """The channel of the input that each of its weights meets: int64 [out, in / groups]."""
        out, per_group, _ = self.weight.shape
        group: NDArray[np.int64] = np.arange(out) * self.groups // out
        return np.asarray(group[:, None] * per_group + np.arange(per_group))


@dataclass(frozen=True)
class Pool:
    """The largest or the mean value of neighbours in time."""

    kind: Literal["max", "average"]
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    """Timesteps before and after that do not count."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Each channel times a factor plus a shift."""

    factor: Floats
    """float32 [channels]"""
    shift: Floats
    """float32 [channels]"""


@dataclass(frozen=True)
class Activation:
    """A function of each value by itself, as the ONNX operator of that name; `Clip` has its bounds as attributes."""

    op_type: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pad:
    """Zeros before and after in time."""

    before: int
    after: int


@dataclass(frozen=True)
class Crop:
    """Leave out timesteps at the beginning and at the end, and keep every `stride`-th of the others."""

    before: int
    after: int
    stride: int = 1


@dataclass(frozen=True)
class Combine:
    """Several values into one: their sum or product, or their channels one after another."""

    op_type: Literal["Add", "Mul", "Concat"]


@dataclass(frozen=True)
class Softmax:
    """Over the channels, at each time."""


Operation = Conv | Pool | Scale | Activation | Pad | Crop | Combine | Softmax


@dataclass(frozen=True)
class Step:
    """One operation on values computed before it."""

    operation: Operation
    inputs: tuple[int, ...]
    """0 is the network's input, i the result of step i, counted from 1."""
    name: str
    """Name of the layer, or of the node that it came from, for messages."""


@dataclass(frozen=True)
class Net:
    """A network from windows [batch, channels, window] to its last step's value, which is one timestep long."""

    window: int
    channels: int
    steps: tuple[Step, ...]

    def shapes(self) -> list[tuple[int, int]]:
        """Return channels and timesteps of the input and of each step's value.

        Raises ConversionError that names a step that does not fit.
        """
        found = [(self.channels, self.window)]
        for step in self.steps:
            found.append(shape_of(step, [found[i] for i in step.inputs]))
        return found

    @property
    def classes(self) -> int:
        """Channels of the last value."""
        return self.shapes()[-1][0]


def digest(net: Net) -> str:
    """Return the SHA-256, as hexadecimal text, of what a network computes: its operations, weights and connections."""
    summed = hashlib.sha256(f"{net.window} {net.channels}".encode())
    for step in net.steps:
        summed.update(f"{type(step.operation).__name__} {step.inputs}".encode())
        for part in fields(step.operation):
            value = getattr(step.operation, part.name)
            summed.update(part.name.encode())
            summed.update(
                f"{value.shape}".encode() + value.tobytes() if isinstance(value, np.ndarray) else f"{value}".encode()
            )
    return summed.hexdigest()


def extent(operation: Conv | Pool) -> int:
    """Return how many timesteps one value of a convolution or pooling looks at."""
    return (operation.kernel - 1) * operation.dilation + 1


def shape_of(step: Step, inputs: list[tuple[int, int]]) -> tuple[int, int]:
    """Return channels and timesteps of a step's value; raises ConversionError where its inputs do not fit."""
    operation = step.operation
    channels, time = inputs[0]
    if isinstance(operation, Conv | Pool):
        time = (time + sum(operation.padding) - extent(operation)) // operation.stride + 1
        if isinstance(operation, Conv):
            if operation.weight.shape[1] * operation.groups != channels:
                raise ConversionError(f"{step.name}: weights {operation.weight.shape} do not fit {channels} channels")
            channels = int(operation.weight.shape[0])
    elif isinstance(operation, Pad):
        time += operation.before + operation.after
    elif isinstance(operation, Crop):
        time = -(-(time - operation.before - operation.after) // operation.stride)
    elif isinstance(operation, Combine):
        if operation.op_type == "Concat":
            channels = sum(c for c, _ in inputs)
        if len({t for _, t in inputs}) > 1 or (operation.op_type != "Concat" and len({c for c, _ in inputs}) > 1):
            raise ConversionError(f"{step.name}: combines values of different shapes {inputs}")
    if time < 1:
        raise ConversionError(f"{step.name}: its input of {inputs[0][1]} timesteps is too short")
    return channels, time


def multiply_adds(steps: Sequence[Step], positions: Sequence[int]) -> int:
    """Return how many products of a weight and a value the convolutions take for so many results of each step."""
    return sum(
        operation.weight.size * count
        for operation, count in zip((step.operation for step in steps), positions, strict=True)
        if isinstance(operation, Conv)
    )


def leading_to(net: Net, last: int) -> Net:
    """Return the network that ends in a step, with the steps that lead to it only, in an order of their connections.

    A converter's order differs from run to run where there are branches; this one does not.
    """
    order: list[int] = []
    waiting = [(last, False)]
    while waiting:
        number, inputs_done = waiting.pop()
        if inputs_done:
            order.append(number)
        elif number and number not in order and (number, True) not in waiting:
            waiting.append((number, True))
            waiting += [(i, False) for i in reversed(net.steps[number - 1].inputs)]
    place = {0: 0} | {number: at for at, number in enumerate(order, 1)}
    steps = (net.steps[number - 1] for number in order)
    return replace(net, steps=tuple(replace(step, inputs=tuple(place[i] for i in step.inputs)) for step in steps))


def fold_scales(net: Net, *, keep_first: bool = False) -> Net:
    """Return the same network with each `Scale` folded into the convolution before or behind it, where there is one.

    A scale in front of a convolution that pads stays: the zeros would be scaled, too. Biases and batch normalisation
    are scales, so this fuses both. With `keep_first` the one that takes the network's input stays, too.
    """
    while True:
        folded = _fold_one(net, keep_first)
        if folded is None:
            return net
        net = folded


def _fold_one(net: Net, keep_first: bool) -> Net | None:
    uses = [0] * (len(net.steps) + 1)
    for step in net.steps:
        for i in step.inputs:
            uses[i] += 1
    for number, step in enumerate(net.steps, 1):
        before = step.inputs[0]
        if before == 0 or uses[before] != 1:
            continue
        first, second = net.steps[before - 1].operation, step.operation
        if keep_first and net.steps[before - 1].inputs == (0,) and isinstance(second, Conv):
            continue
        merged = _merge(first, second)
        if merged is not None:
            kept = replace(net.steps[before - 1], operation=merged)
            return _without(net, number, before, kept)
    return None


def _merge(first: Operation, second: Operation) -> Operation | None:
    if isinstance(first, Conv) and isinstance(second, Scale):
        weight = first.weight.astype(np.float64) * second.factor[:, None, None]
        bias = first.bias.astype(np.float64) * second.factor + second.shift
        return replace(first, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
    if isinstance(first, Scale) and isinstance(second, Scale):
        factor = first.factor.astype(np.float64) * second.factor
        shift = first.shift.astype(np.float64) * second.factor + second.shift
        return Scale(factor.astype(np.float32), shift.astype(np.float32))
    if isinstance(first, Scale) and isinstance(second, Conv) and second.padding == (0, 0):
        # Output channels of group g see the input channels of group g.
        shape = (second.groups, -1, second.weight.shape[1], second.kernel)
        weight = second.weight.astype(np.float64).reshape(shape)
        by_group = (second.groups, 1, second.weight.shape[1], 1)
        bias = second.bias + (weight * first.shift.reshape(by_group)).sum(axis=(2, 3)).ravel()
        weight = (weight * first.factor.reshape(by_group)).reshape(second.weight.shape)
        return replace(second, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
    return None


def _without(net: Net, number: int, before: int, merged: Step) -> Net:
    """Return the net where step `before` does both, and step `number` is gone."""

    def renumbered(i: int) -> int:
        return before if i == number else i - (i > number)

    steps = [merged if n == before else s for n, s in enumerate(net.steps, 1) if n != number]
    return replace(net, steps=tuple(replace(s, inputs=tuple(map(renumbered, s.inputs))) for s in steps))
