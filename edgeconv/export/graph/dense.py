"""A whole recording at once: the windowed network at every hop, each convolution computed once.

A window that starts at sample t sees what the window at 0 sees, t samples later. So all windows together need, of each
value inside the network, a grid of positions that is common to them: a value whose neighbours lie S samples apart in a
window is needed every gcd(hop, S) samples. On that grid a layer's taps lie S / gcd steps apart (à trous), and it moves
on by the ratio of the grid behind it to the one in front of it. A value that is one timestep long in the window is
needed once per hop.

Mark J. Shensa. The discrete wavelet transform: wedding the à trous and Mallat algorithms. IEEE Transactions on Signal
Processing 40 (1992); for networks: Pierre Sermanet et al., OverFeat, ICLR 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from edgeconv.runtime.errors import ConversionError

from .net import Combine, Conv, Crop, Net, Operation, Pad, Pool, Step, digest, extent


@dataclass(frozen=True)
class DenseNet:
    """Steps over [1, channels, time] of a whole recording."""

    window: int
    hop: int
    channels: int
    receptive_field: int
    """Samples that one prediction depends on: at most the window."""
    steps: tuple[Step, ...]
    new: tuple[int, ...]
    """Positions of each value that a hop adds; 0 is the input, i the value of step i."""
    network: str
    """Digest of the windowed network that it answers for."""


@dataclass(frozen=True)
class _Grid:
    spacing: int
    """Samples between neighbouring positions of the value in one window."""
    grid: int
    """Samples between neighbouring positions over the recording: a divisor of the hop and of `spacing`."""
    reach: int
    """Samples from a position to the end of what it depends on."""
    length: int
    """Timesteps of the value in one window."""


def to_dense(net: Net, hop: int) -> DenseNet:
    """Return the steps that give, for any recording, what the windowed network gives at every hop.

    Raises ConversionError that names the layer and the reason where that cannot be exact.
    """
    if hop < 1:
        raise ConversionError(f"hop is {hop}; give a whole number from 1")
    shapes = net.shapes()
    lengths = [time for _, time in shapes]
    if lengths[-1] != 1:
        raise ConversionError(
            f"the network ends in {lengths[-1]} timesteps, a dense form needs one prediction a window"
        )
    grids = [_Grid(1, 1, 1, net.window)]
    steps = []
    for number, step in enumerate(net.steps, 1):
        inputs = [grids[i] for i in step.inputs]
        operation, grid = _transform(step, inputs, lengths[number], hop)
        if isinstance(operation, Pool) and operation.kind == "average" and operation.dilation > 1:
            operation = as_convolution(operation, shapes[number][0])
        steps.append(replace(step, operation=operation))
        grids.append(grid)
    if grids[-1].grid != hop:  # a network of one timestep throughout, such as a window of one sample
        raise ConversionError("the network has no layer that spans the window")
    return DenseNet(
        net.window, hop, net.channels, grids[-1].reach, tuple(steps), tuple(hop // g.grid for g in grids), digest(net)
    )


def _transform(step: Step, inputs: list[_Grid], length: int, hop: int) -> tuple[Operation, _Grid]:
    operation, value = step.operation, inputs[0]
    if isinstance(operation, Pad) or (isinstance(operation, Conv | Pool) and operation.padding != (0, 0)):
        raise ConversionError(
            f"{step.name} pads: at the edge of every window it sees zeros where the recording goes on, so one pass "
            "over the recording cannot give the windows' answers; train with padding 'valid' for a dense form"
        )
    if isinstance(operation, Conv | Pool):
        spacing = value.spacing * operation.stride if length > 1 else 0
        grid = hop if length == 1 else gcd(hop, spacing)
        reach = value.reach + (extent(operation) - 1) * value.spacing
        dilation = operation.dilation * value.spacing // value.grid if operation.kernel > 1 else 1
        moved = replace(operation, stride=grid // value.grid, dilation=dilation)
        return moved, _Grid(spacing, grid, reach, length)
    if isinstance(operation, Crop):
        at = operation.before * value.spacing
        spacing, grid = (value.spacing, value.grid) if length > 1 else (0, hop)
        # What is cropped at the end needs no sample; what is cropped at the beginning is a shift.
        return Crop(at // value.grid, 0, grid // value.grid), _Grid(spacing, grid, value.reach + at, length)
    if isinstance(operation, Combine):
        if len({(i.spacing, i.grid) for i in inputs}) > 1:
            raise ConversionError(f"{step.name} combines values of different strides; a dense form cannot align them")
        return operation, replace(value, reach=max(i.reach for i in inputs))
    return operation, value


def as_convolution(pool: Pool, channels: int) -> Conv:
    """Return an average pooling as a convolution of each channel by itself: opset 17 has no dilated AveragePool."""
    weight = np.full((channels, 1, pool.kernel), 1 / pool.kernel, np.float32)
    return Conv(weight, np.zeros(channels, np.float32), pool.stride, pool.dilation, groups=channels)
