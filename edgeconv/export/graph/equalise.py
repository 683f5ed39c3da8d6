"""Channels made to reach equally far, so that the one int8 range of a value fits all of them.

What a layer gives in one channel may be divided by any factor, and moved, where the next layer multiplies its weights
by the factor and takes the move into its biases. What lies between must let both through: ReLU lets factors through,
poolings both. A separable convolution has nothing between its two halves, and a normalisation nothing behind it. The
network computes what it did before, but for float32 rounding.

Markus Nagel et al. Data-Free Quantization Through Weight Equalization and Bias Correction. ICCV 2019, for the factors
(there from weights alone). Guangxuan Xiao et al. SmoothQuant. ICML 2023, for factors from values, balanced with the
weights that meet them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .int8 import integer_layers, result_of
from .net import Activation, Combine, Conv, Crop, Net, Operation, Pad, Pool, Scale, Step

Doubles = NDArray[np.float64]
ChannelRange = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Lowest and highest of each channel: float32 [channels] each."""
LEAST = 1e-4
"""A channel that reaches less far than this part of the furthest beside it is stretched no more: it may be empty."""
DIGITS = 3
"""Digits behind the first that a factor keeps: the order of float32 sums differs from processor to processor."""


@dataclass(frozen=True, eq=False)
class Sharing:
    """Which channels of which values must have one factor and one move: each has the number of its group."""

    groups: tuple[NDArray[np.int64], ...]
    """Of the input and of each step's value: int64 [channels]."""
    fixed: frozenset[int]
    """Groups that stay as they are: the network's ends, and what goes through a function that is not linear."""
    unmoved: frozenset[int]
    """Groups whose zero must stay zero: those of ReLUs, sums and padding."""

    @property
    def count(self) -> int:
        """How many numbers groups have."""
        return 1 + max(int(groups.max()) for groups in self.groups)


def equalised(net: Net, ranges: Sequence[ChannelRange]) -> Net:
    """Return the same network with channels that reach equally far, but less where weights hardly look at them.

    ranges: of the input and of each step's value. The input itself stays as it is: a `Scale` in front is what can
        change it.
    """
    share = sharing(net)
    moves, reach = _spread(net, share, ranges)
    factors = _rounded(reach / np.sqrt(_weighed(net, share, reach)))
    factors[list(share.fixed)] = 1
    by_value = [(factors[groups], moves[groups]) for groups in share.groups]
    return replace(
        net,
        steps=tuple(
            _changed(step, *by_value[step.inputs[0]], *by_value[number]) for number, step in enumerate(net.steps, 1)
        ),
    )


def sharing(net: Net) -> Sharing:
    """Return which channels go together: layers with weights part them, all else keeps them."""
    groups: list[NDArray[np.int64]] = [np.arange(net.channels)]
    fixed, unmoved = set(groups[0].tolist()), set[int]()
    count = net.channels
    for step, (channels, _) in zip(net.steps, net.shapes()[1:], strict=True):
        operation, inputs = step.operation, [groups[i] for i in step.inputs]
        if isinstance(operation, Conv | Scale):
            groups.append(np.arange(count, count + channels))
            count += channels
            if isinstance(operation, Conv) and operation.padding != (0, 0):
                unmoved.update(inputs[0].tolist())
            continue
        if isinstance(operation, Combine) and operation.op_type == "Concat":
            groups.append(np.concatenate(inputs))
            continue
        if isinstance(operation, Combine) and operation.op_type == "Add":
            for channel in range(channels):
                one, other = (int(channel_groups[channel]) for channel_groups in inputs)
                for known in groups:
                    known[known == other] = one
                fixed.update({one} if other in fixed else ())
        elif not isinstance(operation, Pool | Crop | Pad) and not lets_factors_through(operation):
            fixed.update(*(one.tolist() for one in inputs))
        if not isinstance(operation, Pool | Crop):
            unmoved.update(*(one.tolist() for one in inputs))
        groups.append(inputs[0].copy())
    fixed.update(groups[-1].tolist())
    return Sharing(tuple(groups), frozenset(fixed), frozenset(unmoved))


def lets_factors_through(operation: Operation) -> bool:
    """Whether a function of each value gives s · f(x) for s · x, with any s above zero."""
    if not isinstance(operation, Activation):
        return False
    if operation.op_type == "Clip":
        return operation.attributes.get("max") is None and operation.attributes.get("min") in (None, 0)
    return operation.op_type in ("Relu", "LeakyRelu", "Abs", "Neg")


def _spread(net: Net, share: Sharing, ranges: Sequence[ChannelRange]) -> tuple[Doubles, Doubles]:
    """Return the middle of each group, 0 where it cannot move, and how far it reaches from there."""
    low, high = np.full(share.count, np.inf), np.full(share.count, -np.inf)
    for number, (groups, (lowest, highest)) in enumerate(zip(share.groups, ranges, strict=True)):
        if number == 0 or result_of(net, number) == number:  # what stands before a ReLU has no range of its own
            np.minimum.at(low, groups, lowest)
            np.maximum.at(high, groups, highest)
    seen = np.isfinite(low)
    low, high = np.where(seen, low, 0.0), np.where(seen, high, 0.0)
    moves = _rounded((low + high) / 2)
    moves[list(share.fixed | share.unmoved)] = 0
    reach = np.maximum(high - moves, moves - low)
    least = np.zeros(share.count)
    for groups in share.groups:
        least[groups] = np.maximum(least[groups], LEAST * reach[groups].max())
    reach = np.maximum(reach, least)
    return moves, np.where(reach > 0, reach, 1.0)


def _weighed(net: Net, share: Sharing, reach: Doubles) -> Doubles:
    """Return the largest part that each group has in any result behind it, 0–1; 1 where weights are of one channel.

    Stretched to a full reach, a channel that hardly counts would have weights that seven bits round to nothing.
    """
    part = np.zeros(share.count)
    for number in integer_layers(net):
        step = net.steps[number - 1]
        assert isinstance(step.operation, Conv)
        groups = share.groups[step.inputs[0]][step.operation.input_channels]
        size = np.abs(step.operation.weight).max(axis=2) * reach[groups]
        largest = size.max(axis=1, keepdims=True)
        np.maximum.at(part, groups, size / np.where(largest > 0, largest, 1))
    return np.where(part > LEAST, part, 1.0)


def _changed(step: Step, factor_in: Doubles, move_in: Doubles, factor: Doubles, move: Doubles) -> Step:
    """Return a step that takes values moved and divided, and gives them so; only one with weights changes."""
    operation = step.operation
    if isinstance(operation, Conv):
        seen, weight = operation.input_channels, operation.weight.astype(np.float64)
        bias = (operation.bias + (weight.sum(axis=2) * move_in[seen]).sum(axis=1) - move) / factor
        weight = weight * factor_in[seen][:, :, None] / factor[:, None, None]
        return replace(
            step, operation=replace(operation, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
        )
    if isinstance(operation, Scale):
        slope = operation.factor * factor_in / factor
        shift = (operation.shift + operation.factor * move_in - move) / factor
        return replace(step, operation=Scale(slope.astype(np.float32), shift.astype(np.float32)))
    return step


def _rounded(values: Doubles) -> Doubles:
    return np.array([float(f"{value:.{DIGITS}e}") for value in values])
