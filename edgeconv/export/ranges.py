"""The range of each value inside a network over calibration windows, by ONNX Runtime's collectors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.devices import Device, create_session
from edgeconv.runtime.spec import ModelSpec

from .graph.equalise import ChannelRange
from .graph.int8 import Range, tied
from .graph.net import Net
from .graph.write import write_windowed
from .graph.writer import node_name

Rule = Literal["minmax", "percentile", "entropy", "99.9 %"]
"""What ends a range: the furthest values, all but 1 in 100 000 or in 1000, or the cut that loses least (KL)."""
RULES: tuple[Rule, ...] = ("minmax", "percentile", "entropy")
"""For values as a whole."""
TAILS: Mapping[Rule, float] = {"minmax": 0.0, "99.9 %": 0.001}
"""Rules for the ranges of single channels → part of the values left out at either end."""
OUTPUT = "probabilities"
BATCH = 32
DIGITS = 3
"""Digits behind the first that a range keeps, so that the order in which another processor adds up float32 numbers does
not change the file."""


def activations(net: Net, spec: ModelSpec, windows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the input and each step's value for windows, float32, whatever axes the windowed file gives them.

    windows: float32 [n, window, channels], in the spec's units
    """
    names = [node_name(number, step) for number, step in enumerate(net.steps, 1)]
    names[-1] = OUTPUT
    found = run_with_outputs(with_outputs(write_windowed(net, spec), names), windows, names)
    return [windows, *(found[name] for name in names)]


def with_outputs(model: bytes, names: list[str]) -> bytes:
    """Return an ONNX file that also answers with values inside it, by name."""
    import onnx

    proto = onnx.load_from_string(model)
    there = {value.name for value in proto.graph.output}
    for name in names:
        if name not in there:
            proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return bytes(proto.SerializeToString())


def run_with_outputs(model: bytes, windows: NDArray[np.float32], names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return some of the outputs of a windowed file by name, float32, each for all windows."""
    session, _ = create_session(model, Device("cpu"), threads=1, spin=False)
    batches = [windows[i : i + BATCH] for i in range(0, len(windows), BATCH)]
    rows = [session.run(names, {"windows": np.ascontiguousarray(batch)}) for batch in batches]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def probabilities(model: bytes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the answers of a windowed file, float32 [n, classes]."""
    return run_with_outputs(model, windows, [OUTPUT])[OUTPUT]


def ranges_of(net: Net, values: list[NDArray[np.float32]], rule: Rule) -> tuple[Range, ...]:
    """Return lowest and highest of the input and of each step's value, as `activations` gave them, by a rule."""
    seen = [(float(value.min()), float(value.max())) for value in values]
    if rule != "minmax":
        from onnxruntime.quantization.calibrate import HistogramCollector

        bins = 2048 if rule == "percentile" else 128  # ONNX Runtime's own choices
        with contextlib.redirect_stdout(io.StringIO()):  # it tells stdout what it does
            collector = HistogramCollector(rule, False, bins, 128, 99.999, "same")
            collector.collect({str(number): value for number, value in enumerate(values)})
            found = collector.compute_collection_result()
        seen = [(float(found[str(number)][0]), float(found[str(number)][1])) for number in range(len(values))]
    return tied(net, [(_rounded(low), _rounded(high)) for low, high in seen])


def ranges_over(net: Net, channels: Sequence[ChannelRange]) -> tuple[Range, ...]:
    """Return lowest and highest of the input and of each step's value, from those of their channels."""
    return tied(net, [(_rounded(float(low.min())), _rounded(float(high.max()))) for low, high in channels])


def channel_ranges(values: Sequence[NDArray[np.float32]], rule: Rule) -> list[ChannelRange]:
    """Return lowest and highest of each channel of the values that `activations` gave, without a part at the ends."""
    part = TAILS[rule]
    ranges = []
    for channels in _by_channel(values):
        if part:
            low, high = np.quantile(channels, (part, 1 - part), axis=1).astype(np.float32)
        else:
            low, high = channels.min(axis=1), channels.max(axis=1)
        ranges.append((low, high))
    return ranges


def channel_means(values: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    """Return the mean of each channel of the values that `activations` gave, float64 [channels] each."""
    return [channels.mean(axis=1, dtype=np.float64) for channels in _by_channel(values)]


def _by_channel(values: Sequence[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield each value as [channels, …]: the windows have their channels last, values inside second."""
    for number, value in enumerate(values):
        axis = 1 if number else 2
        yield np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)


def _rounded(bound: float) -> float:
    return float(f"{bound:.{DIGITS}e}")
