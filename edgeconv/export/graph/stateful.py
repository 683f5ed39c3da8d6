"""A stream one hop at a time: what the next hops still need of each value is kept, and nothing is computed twice.

A value of the dense form has `hop / grid` new positions per hop. A layer whose results of this hop look further back
than that takes the rest from what was kept. Where two branches meet, the shorter one waits: it keeps positions until
the longer one has what belongs to them.

Tom Le Paine et al. Fast Wavenet Generation Algorithm. arXiv:1611.09482 (2016), for the queues of one sample a step.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeconv.runtime.errors import ConversionError

from .dense import DenseNet, to_dense
from .net import Conv, Crop, Net, Operation, Pool, extent


@dataclass(frozen=True)
class Cut:
    """Which positions of a value's held and new ones a step looks at."""

    start: int
    stop: int


@dataclass(frozen=True)
class StatefulNet:
    """The dense form as a step over [streams, channels, new positions] and what is held of each value."""

    dense: DenseNet
    channels: tuple[int, ...]
    """Of the input and of each step's value."""
    held: tuple[int, ...]
    """Positions of each value that are kept from the hops before."""
    cuts: tuple[tuple[Cut, ...], ...]
    """For each step, what it takes of each of its inputs."""

    @property
    def new(self) -> tuple[int, ...]:
        """Positions of each value that a hop adds."""
        return self.dense.new

    @property
    def warm_up(self) -> int:
        """Steps before the one that completes the first window: their answers mean nothing."""
        return -(-self.dense.window // self.dense.hop) - 1


def to_stateful(net: Net, hop: int) -> StatefulNet:
    """Return the step that gives, for each hop of samples, the answer for the window that ends with them.

    Raises ConversionError that names the layer and the reason where that cannot be exact.
    """
    dense = to_dense(net, hop)
    new = dense.new
    # The newest position of each value that this hop's answer needs, counted from the start of its window.
    newest = [0] * len(new)
    for number, step in reversed(list(enumerate(dense.steps, 1))):
        stride, first, span = _taps(step.operation)
        for i in step.inputs:
            newest[i] = max(newest[i], newest[number] * stride + first + span - 1)
    newest[0] = dense.window - 1
    held = [0] * len(new)
    ends: list[tuple[tuple[int, int], ...]] = []
    """How far behind the newest position a step's cut ends, and how long it is."""
    for number, step in enumerate(dense.steps, 1):
        stride, first, span = _taps(step.operation)
        length = (new[number] - 1) * stride + span
        behind = [newest[i] - (newest[number] * stride + first + span - 1) for i in step.inputs]
        for i, late in zip(step.inputs, behind, strict=True):
            held[i] = max(held[i], late + length - new[i])
        ends.append(tuple((late, length) for late in behind))
    cuts = tuple(
        tuple(
            Cut(held[i] + new[i] - late - length, held[i] + new[i] - late)
            for i, (late, length) in zip(step.inputs, wanted, strict=True)
        )
        for step, wanted in zip(dense.steps, ends, strict=True)
    )
    if new[-1] != 1 or held[-1] != 0:
        raise ConversionError("the network does not end in one answer per hop")
    channels = tuple(count for count, _ in net.shapes())
    return StatefulNet(dense, channels, tuple(held), cuts)


def _taps(operation: Operation) -> tuple[int, int, int]:
    """Return stride, first position and number of positions that one result looks at."""
    if isinstance(operation, Conv | Pool):
        return operation.stride, 0, extent(operation)
    if isinstance(operation, Crop):
        return operation.stride, operation.before, 1
    return 1, 0, 1
