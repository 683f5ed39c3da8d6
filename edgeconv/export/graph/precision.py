"""What int8 costs, taken back where it costs nothing to: a finer input, and the mean error of rounded weights.

Markus Nagel et al. Data-Free Quantization Through Weight Equalization and Bias Correction. ICCV 2019, for the latter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .int8 import WEIGHT_BITS, Range, integer_layers
from .net import Combine, Conv, Floats, Net, Scale, Step

STEPS = 255
"""Steps of an int8 range."""
DIGITS = 3
"""Digits behind the first that a correction keeps, so that other processors find the same one."""


def with_input_twice(net: Net, seen: Range) -> Net | None:
    """Return the same network that takes its normalised input twice, half an int8 step apart, each with half weights.

    The two roundings together tell the value twice as finely. Where a signal hardly changes, as that of a sensor at
    rest, the rounding of one is an offset that no later layer averages out.

    seen: lowest and highest of the normalised input
    None where something else than a scale takes the input, or than convolutions of all channels what that gives.
    """
    scale = net.steps[0].operation
    users = [step.operation for step in net.steps if 1 in step.inputs]
    if (
        not isinstance(scale, Scale)
        or sum(0 in step.inputs for step in net.steps) > 1
        or not all(isinstance(user, Conv) and user.groups == 1 and user.padding == (0, 0) for user in users)
    ):
        return None
    half = np.repeat([0.0, (seen[1] - seen[0]) / STEPS / 2], net.channels)
    twice = Scale(np.tile(scale.factor, 2), (np.tile(scale.shift, 2) + half).astype(np.float32))

    def moved(step: Step) -> Step:
        inputs, operation = tuple(i + 1 for i in step.inputs), step.operation
        if 1 not in step.inputs or not isinstance(operation, Conv):
            return replace(step, inputs=inputs)
        weight = np.tile(operation.weight, (1, 2, 1)) / np.float32(2)
        bias = operation.bias - (weight.astype(np.float64).sum(axis=2) * half).sum(axis=1)
        return Step(replace(operation, weight=weight, bias=bias.astype(np.float32)), inputs, step.name)

    first = Step(Combine("Concat"), (0, 0), "input twice"), replace(net.steps[0], operation=twice, inputs=(1,))
    return replace(net, steps=(*first, *map(moved, net.steps[1:])))


def bias_corrections(net: Net, means: Sequence[NDArray[np.float64]]) -> Mapping[int, Floats]:
    """Return what to add to the bias of each layer, so that rounding its weights leaves the mean of its values.

    means: of the input's and each step's channels, float64 [channels]
    returns: step → float32 [out]
    """
    found = {}
    for number in integer_layers(net):
        step = net.steps[number - 1]
        assert isinstance(step.operation, Conv)
        error = (rounded_weights(step.operation) - step.operation.weight).sum(axis=2)
        offset = (error * means[step.inputs[0]][step.operation.input_channels]).sum(axis=1)
        found[number] = np.array([float(f"{-one:.{DIGITS}e}") for one in offset], np.float32)
    return found


def rounded_weights(conv: Conv) -> NDArray[np.float64]:
    """Return a layer's weights as int8 has them: whole steps, one size for each output channel."""
    weight = conv.weight.astype(np.float64)
    largest = np.abs(weight).max(axis=(1, 2), keepdims=True)
    step = np.where(largest > 0, largest, 1) / 2 ** (WEIGHT_BITS - 1)
    return np.asarray(np.round(weight / step) * step)
