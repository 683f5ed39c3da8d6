"""The ways in which a network is brought into int8: what is done to its input and channels, and what ends a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError
from edgeconv.runtime.spec import ModelSpec

from .graph.equalise import equalised
from .graph.int8 import Int8Net, with_input_scale
from .graph.net import Net, Scale
from .graph.precision import bias_corrections, with_input_twice
from .ranges import RULES, TAILS, Rule, activations, channel_means, channel_ranges, ranges_of, ranges_over

Channels = Literal["as they are", "equalised"]
"""`equalised`: they reach equally far, and biases take back the mean error of rounded weights."""
Input = Literal["as it is", "by channel", "twice"]
"""`by channel`: each channel divided by its largest value in the calibration windows, in float, and the first weights
times it; for networks that do not normalise. `twice`: two copies, half an int8 step apart."""


@dataclass(frozen=True)
class Way:
    """One of them."""

    channels: Channels
    input: Input
    ranges: Rule

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Way:
        """Return what an entry of `calibration.json` says; raises ConversionError where that is not known."""
        # Entries from before channels could be equalised do not say.
        way = cls(entry.get("channels", "as they are"), entry["input"], entry["ranges"])
        if way not in WAYS:
            raise ConversionError("the record is of another way to quantise")
        return way


WAYS = (
    *(Way("as they are", "as it is", rule) for rule in RULES),
    *(Way("as they are", "by channel", rule) for rule in RULES),
    *(Way("equalised", "as it is", rule) for rule in TAILS),
    *(Way("equalised", "twice", rule) for rule in TAILS),
)
"""Those that are tried, where a network can have them."""


def int8_by(way: Way, net: Net, spec: ModelSpec, windows: NDArray[np.float32]) -> Int8Net:
    """Return what all int8 forms of a network share, from calibration windows alone.

    net: as `int8_source` gives it; windows: float32 [n, window, channels], in the spec's units
    Raises ConversionError where the network cannot have its input this way.
    """
    if way.channels == "as they are":
        net = with_input(net, way.input, windows)
        return Int8Net(net, ranges_of(net, activations(net, spec, windows), way.ranges))
    if not isinstance(net.steps[0].operation, Scale):  # channels of the input need one to differ in
        net = with_input_scale(net, np.ones(net.channels, np.float32)) or net
    net = equalised(net, channel_ranges(activations(net, spec, windows), way.ranges))
    if way.input == "twice":
        net = _twice(net, activations(net, spec, windows), way)
    values = activations(net, spec, windows)
    ranges = ranges_over(net, channel_ranges(values, way.ranges))
    return Int8Net(net, ranges, corrections=bias_corrections(net, channel_means(values)))


def _twice(net: Net, values: list[NDArray[np.float32]], way: Way) -> Net:
    low, high = channel_ranges(values[:2], way.ranges)[1]
    twice = with_input_twice(net, (float(low.min()), float(high.max())))
    if twice is None:
        raise ConversionError("the network cannot take its input twice: something else than a convolution takes it")
    return twice


def with_input(net: Net, input_: Input, windows: NDArray[np.float32]) -> Net:
    """Return the network with its input as it is, or each channel divided by its largest value in some windows.

    windows: float32 [n, window, channels]
    """
    if input_ == "as it is":
        return net
    largest = np.abs(windows).max(axis=(0, 1))
    scaled = with_input_scale(net, (1 / np.where(largest > 0, largest, 1)).astype(np.float32))
    if scaled is None:
        raise ConversionError("the network's input cannot be scaled: something else than a convolution takes it")
    return scaled


def may_scale_input(net: Net) -> bool:
    """Whether each input channel can have a scale of its own in front: convolutions take it as it is."""
    return with_input_scale(net, np.ones(net.channels, np.float32)) is not None
