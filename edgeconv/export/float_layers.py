"""Which layers int8 hurts most, and the fewest that must stay in float32."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.spec import ModelSpec

from .graph.int8 import Int8Net, integer_layers, quantised, result_of
from .graph.write import write_windowed
from .graph.writer import node_name
from .ranges import run_with_outputs, with_outputs

WINDOWS = 256
"""Windows on which layers are ranked."""


@dataclass(frozen=True)
class Ranked:
    """What int8 does to one layer while all others stay in float32."""

    number: int
    layer: str
    """Name of the layer that it came from."""
    sqnr_db: float
    """Signal to quantisation noise of its values, in dB, as the mean over its channels: small ones count as much."""


def ranked(int8: Int8Net, spec: ModelSpec, windows: NDArray[np.float32]) -> list[Ranked]:
    """Return the layers that can be int8, the one that suffers most first.

    windows: float32 [n, window, channels]. The values of the float and the int8 network are looked at side by side,
    each layer on the exact values of those before it, so that none answers for another.
    """
    windows = windows[:: max(1, len(windows) // WINDOWS)]
    net, layers = int8.net, integer_layers(int8.net)
    results = {number: result_of(net, number) for number in layers}
    names = [node_name(number, net.steps[number - 1]) for number in results.values()]
    model = with_outputs(write_windowed(net, spec), names)
    exact = run_with_outputs(model, windows, names)
    found = []
    for number, name in zip(layers, names, strict=True):
        alone = replace(int8, float_layers=frozenset(layers) - {number})
        rounded = run_with_outputs(quantised(model, alone), windows, [name])[name]
        found.append(Ranked(number, net.steps[number - 1].name, sqnr_db(exact[name], rounded)))
    return sorted(found, key=lambda one: (one.sqnr_db, one.number))


def sqnr_db(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> float:
    """Return the signal to noise ratio of rounded values in dB, as the mean over the channels.

    exact, rounded: float32 [n, channels, …]. Silent channels do not count; exact ones count as 100 dB.
    """
    axes = (0, *range(2, exact.ndim))
    signal = (exact.astype(np.float64) ** 2).mean(axis=axes)
    noise = ((exact.astype(np.float64) - rounded) ** 2).mean(axis=axes)
    heard = signal > 0
    if not heard.any():
        return 100.0
    ratio = signal[heard] / np.maximum(noise[heard], 1e-10 * signal[heard])
    return float(np.mean(10 * np.log10(ratio)))


def fewest(order: Sequence[int], keeps: Callable[[Collection[int]], bool]) -> frozenset[int]:
    """Return layers that must stay in float32: those of an order until the limits are kept, without those not needed.

    order: the ones that suffer most first; keeps: whether the limits are kept with these in float32
    All of them are returned where nothing less keeps the limits.
    """
    chosen: list[int] = []
    for number in order:
        chosen.append(number)
        if keeps(chosen):
            break
    # The one that suffers least first: what it was needed for may have been another one.
    for number in reversed(chosen[:-1]):
        without = [other for other in chosen if other != number]
        if keeps(without):
            chosen = without
    return frozenset(chosen)
