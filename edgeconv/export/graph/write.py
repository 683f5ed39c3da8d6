"""The canonical form as ONNX files: windowed, dense over a whole recording, and stateful for a stream."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edgeconv.runtime.spec import COST_KEY, NETWORK_KEY, STATE_KEY, ModelSpec

from .dense import DenseNet
from .net import Activation, Combine, Conv, Crop, Net, Pool, Scale, Softmax, digest, multiply_adds
from .stateful import Cut, StatefulNet
from .writer import DEFAULT_LAYOUT, END, OPSET, Layout, Values, Writer, node_name


def write_windowed(net: Net, spec: ModelSpec, layout: Layout = DEFAULT_LAYOUT, opset: int = OPSET) -> bytes:
    """Return an ONNX file: windows [batch, window, channels] → probabilities [batch, classes].

    Where the time has shrunk to one step the values are [batch, channels] and the layers matrix products, so that a
    batch is one product.
    """
    writer = Writer(layout)
    source = writer.named("windows", ["batch", net.window, net.channels])
    value = writer.add("Transpose", [source], "channels_first", perm=[0, 2, 1])
    if layout == "2d":
        value = writer.add("Unsqueeze", [value, writer.ints(2)], "height_one")
    values = Values(writer, value)
    lengths = [time for _, time in net.shapes()]
    for number, step in enumerate(net.steps, 1):
        name, operation, first = node_name(number, step), step.operation, step.inputs[0]
        if isinstance(operation, Conv) and _spans(operation, lengths[first]):
            values.append(_product(writer, operation, values.flat(first), name), flat=True)
        elif isinstance(operation, Scale | Activation | Combine | Softmax) and any(map(values.is_flat, step.inputs)):
            values.append(writer.step(operation, [values.flat(i) for i in step.inputs], name, flat=True), flat=True)
        else:
            values.append(writer.step(operation, [values.over_time(i) for i in step.inputs], name), flat=False)
    answer = writer.result(values.flat(len(net.steps)), "probabilities", ["batch", net.classes])
    return writer.model([source], [answer], spec, opset, _about(digest(net), multiply_adds(net.steps, lengths[1:])))


def write_dense(
    dense: DenseNet, classes: int, spec: ModelSpec, layout: Layout = DEFAULT_LAYOUT, opset: int = OPSET
) -> bytes:
    """Return an ONNX file: samples [time, channels] → probabilities [predictions, classes], one row per hop.

    Row i is the windowed network's answer for the window that starts at sample i · hop; a recording needs a window.
    """
    writer = Writer(layout)
    source = writer.named("samples", ["time", dense.channels])
    value = writer.add("Transpose", [source], "channels_first", perm=[1, 0])
    value = writer.add("Unsqueeze", [value, writer.ints(*((0,) if layout == "1d" else (0, 2)))], "batch_one")
    unused = dense.window - dense.receptive_field
    if unused:  # the last samples of a window that no layer looks at
        value = writer.crop(value, Crop(0, unused), "looked_at")
    values = [value]
    for number, step in enumerate(dense.steps, 1):
        inputs = [values[i] for i in step.inputs]
        if isinstance(step.operation, Combine):
            inputs = _equally_long(writer, inputs, node_name(number, step))
        values.append(writer.step(step.operation, inputs, node_name(number, step)))
    value = writer.add("Squeeze", [values[-1], writer.ints(*((0,) if layout == "1d" else (0, 2)))], "rows")
    value = writer.add("Transpose", [value], "row_per_hop", perm=[1, 0])
    answer = writer.result(value, "probabilities", ["predictions", classes])
    return writer.model(
        [source], [answer], spec, opset, _about(dense.network, multiply_adds(dense.steps, dense.new[1:]))
    )


def write_stateful(net: StatefulNet, spec: ModelSpec, layout: Layout = DEFAULT_LAYOUT, opset: int = OPSET) -> bytes:
    """Return an ONNX file: samples [streams, hop, channels] and states → probabilities [streams, classes] and states.

    The answer is the windowed network's for the window that ends with these samples. The metadata entry
    `edgeconv.state` says how the states are called, their shapes, and how many answers at the beginning mean nothing
    because the first window is not yet full. All states start as zeros.
    """
    writer = Writer(layout)
    source = writer.named("samples", ["streams", net.dense.hop, net.dense.channels])
    value = writer.add("Transpose", [source], "channels_first", perm=[0, 2, 1])
    if layout == "2d":
        value = writer.add("Unsqueeze", [value, writer.ints(2)], "height_one")
    values = Values(writer, value)
    held = _Held(writer, net, values)
    for number, step in enumerate(net.dense.steps, 1):
        name, operation, cuts = node_name(number, step), step.operation, net.cuts[number - 1]
        one_result = net.new[number] == 1
        if isinstance(operation, Crop):
            values.append(held.cut(step.inputs[0], cuts[0], operation.stride, name), flat=False)
        elif isinstance(operation, Conv | Pool) and one_result:
            # Its taps are cut out of the value one by one where they lie apart, so that it needs no dilation.
            taps = step.inputs[0], cuts[0], operation.dilation, f"{name}_taps"
            if isinstance(operation, Conv) and operation.groups == 1:
                values.append(_product(writer, operation, held.flat(*taps), name), flat=True)
            else:
                alone = replace(operation, stride=1, dilation=1)
                values.append(writer.step(alone, [held.cut(*taps)], name), flat=False)
        elif not isinstance(operation, Conv | Pool) and any(map(values.is_flat, step.inputs)):
            inputs = [
                held.flat(i, cut, 1, f"{name}_cut{n}") for n, (i, cut) in enumerate(zip(step.inputs, cuts, strict=True))
            ]
            values.append(writer.step(operation, inputs, name, flat=True), flat=True)
        else:
            inputs = [
                held.cut(i, cut, 1, f"{name}_cut{n}") for n, (i, cut) in enumerate(zip(step.inputs, cuts, strict=True))
            ]
            values.append(writer.step(operation, inputs, name), flat=False)
    answer = writer.result(values.flat(len(net.dense.steps)), "probabilities", ["streams", net.channels[-1]])
    state = {"warm_up": net.warm_up, "tensors": held.tensors}
    return writer.model(
        [source, *held.sources], [answer, *held.results], spec, opset,
        _about(net.dense.network, multiply_adds(net.dense.steps, net.new[1:])) | {STATE_KEY: json.dumps(state)},
    )  # fmt: skip


class _Held:
    """What a stateful graph keeps of its values: a state tensor that goes in, and one that comes out, for each."""

    def __init__(self, writer: Writer, net: StatefulNet, values: Values) -> None:
        self._writer, self._net, self._values = writer, net, values
        self._joined: dict[int, Any] = {}
        self.sources: list[Any] = []
        self.results: list[Any] = []
        self.tensors: list[dict[str, Any]] = []
        """Names and shapes for the metadata."""

    def joined(self, number: int) -> Any:
        """Return a value's held positions followed by its new ones; the last of both are held for the next hop."""
        length = self._net.held[number]
        if length == 0:
            return self._values.over_time(number)
        if number not in self._joined:
            writer = self._writer
            shape = ["streams", self._net.channels[number], *((length,) if writer.layout == "1d" else (1, length))]
            source = writer.named(f"state_{number}", shape)
            both = writer.add("Concat", [source, self._values.over_time(number)], f"joined_{number}", axis=-1)
            kept = writer.cut(both, -length, END, 1, f"kept_{number}")
            self.sources.append(source)
            self.results.append(writer.result(kept, f"next_state_{number}", shape))
            self.tensors.append({"input": source.name, "output": kept.name, "shape": shape, "start": 0})
            self._joined[number] = both
        return self._joined[number]

    def cut(self, number: int, cut: Cut, step: int, name: str) -> Any:
        """Return the positions that a layer looks at, every `step`-th of them."""
        value = self.joined(number)
        whole = self._is_whole(number, cut, step)
        return value if whole else self._writer.cut(value, cut.start, cut.stop, step, name)

    def flat(self, number: int, cut: Cut, step: int, name: str) -> Any:
        """Return the positions that a layer looks at as [streams, channels · positions]."""
        if self._net.held[number] == 0 and self._is_whole(number, cut, step):
            return self._values.flat(number)
        return self._writer.flatten(self.cut(number, cut, step, name), f"{name}_flat")

    def _is_whole(self, number: int, cut: Cut, step: int) -> bool:
        return step == 1 and cut == Cut(0, self._net.held[number] + self._net.new[number])


def _equally_long(writer: Writer, inputs: list[Any], name: str) -> list[Any]:
    """Cut values over a recording to the shortest: what looks at less has answers where none are needed."""
    shapes = [writer.add("Shape", [value], f"{name}_shape{i}") for i, value in enumerate(inputs)]
    axis = writer.time_axis
    bounds = [writer.ints(axis), writer.ints(axis + 1)]
    lengths = [writer.add("Slice", [shape, *bounds], f"{name}_length{i}") for i, shape in enumerate(shapes)]
    shortest = writer.add("Min", lengths, f"{name}_shortest")
    return [
        writer.add("Slice", [value, writer.ints(0), shortest, writer.ints(axis)], f"{name}_cut{i}")
        for i, value in enumerate(inputs)
    ]


def _about(network: str, cost: int) -> dict[str, str]:
    """Return the metadata that every form has: which network it is, and its multiply-adds for one answer."""
    return {NETWORK_KEY: network, COST_KEY: str(cost)}


def _product(writer: Writer, operation: Conv, flat: Any, name: str) -> Any:
    """Add a convolution that weighs each value of [batch, channels · positions] as a matrix product."""
    weight = writer.constant(f"{name}_weight", operation.weight.reshape(len(operation.weight), -1))
    return writer.add("Gemm", [flat, weight, writer.constant(f"{name}_bias", operation.bias)], name, transB=1)


def _spans(operation: Conv, length: int) -> bool:
    """Whether a convolution weighs its whole input at once, each timestep by itself."""
    return operation.kernel == length and operation.padding == (0, 0) and operation.groups == 1
