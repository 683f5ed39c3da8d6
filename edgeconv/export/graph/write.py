"""The canonical form as ONNX graphs: windowed in either layout, or dense over a whole recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from edgeconv.runtime.spec import ModelSpec

from .dense import DenseNet
from .net import Activation, Combine, Conv, Crop, Net, Operation, Pad, Pool, Scale, Softmax, Step

Layout = Literal["1d", "2d"]
"""`1d`: convolutions over [batch, channels, time]; `2d`: over [batch, channels, 1, time]."""
DEFAULT_LAYOUT: Layout = "2d"
"""The one whose convolutions ONNX Runtime's blocked kernels take; which is faster differs from machine to machine."""
IR_VERSION = 8
OPSET = 17


class _Writer:
    """Adds nodes one after another, named after what they are and where: the same net gives the same file."""

    def __init__(self, layout: Layout) -> None:
        import onnx_ir as ir

        self.ir = ir
        self.layout = layout
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any) -> Any:
        """Return an initializer, made once for each name."""
        if name not in self.constants:
            tensor = self.ir.tensor(np.ascontiguousarray(value), name=name)
            self.constants[name] = self.ir.Value(name=name, const_value=tensor)
        return self.constants[name]

    def add(self, op_type: str, inputs: list[Any], name: str, **attributes: Any) -> Any:
        """Add a node and return its value."""
        node = self.ir.node(op_type, inputs, attributes or None, name=name)
        node.outputs[0].name = name
        self.nodes.append(node)
        return node.outputs[0]

    def ints(self, *values: int) -> Any:
        """Return an int64 constant [n]."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def window_op(self, operation: Conv | Pool, value: Any, name: str) -> Any:
        """Add a convolution or pooling over time."""
        flat = self.layout == "1d"
        before, after = operation.padding
        attributes: dict[str, Any] = {
            "kernel_shape": [operation.kernel] if flat else [1, operation.kernel],
            "strides": [operation.stride] if flat else [1, operation.stride],
            "pads": [before, after] if flat else [0, before, 0, after],
        }
        if isinstance(operation, Conv):
            weight = operation.weight if flat else operation.weight[:, :, None, :]
            inputs = [value, self.constant(f"{name}_weight", weight), self.constant(f"{name}_bias", operation.bias)]
            dilations = [operation.dilation] if flat else [1, operation.dilation]
            return self.add("Conv", inputs, name, dilations=dilations, group=operation.groups, **attributes)
        if operation.kind == "average":
            return self.add("AveragePool", [value], name, **attributes)
        dilations = [operation.dilation] if flat else [1, operation.dilation]
        return self.add("MaxPool", [value], name, dilations=dilations, **attributes)

    def step(self, operation: Operation, inputs: list[Any], name: str, time_axis: int) -> Any:
        """Add one step on values that have a time axis."""
        value = inputs[0]
        ones = (1,) * (time_axis - 1)
        if isinstance(operation, Conv | Pool):
            return self.window_op(operation, value, name)
        if isinstance(operation, Scale):
            scaled = value
            if (operation.factor != 1).any():
                factor = self.constant(f"{name}_factor", operation.factor.reshape(-1, *ones))
                scaled = self.add("Mul", [scaled, factor], f"{name}_scaled")
            shift = self.constant(f"{name}_shift", operation.shift.reshape(-1, *ones))
            return self.add("Add", [scaled, shift], name)
        if isinstance(operation, Activation):
            return self.add(operation.op_type, [value], name, **operation.attributes)
        if isinstance(operation, Softmax):
            return self.add("Softmax", [value], name, axis=1)
        if isinstance(operation, Combine):
            attributes = {"axis": 1} if operation.op_type == "Concat" else {}
            return self.add(operation.op_type, inputs, name, **attributes)
        if isinstance(operation, Pad):
            pads = [0] * time_axis + [operation.before] + [0] * time_axis + [operation.after]
            return self.add("Pad", [value, self.ints(*pads)], name)
        return self.crop(value, operation, time_axis, name)

    def crop(self, value: Any, crop: Crop, axis: int, name: str) -> Any:
        """Leave out timesteps at both ends of an axis."""
        end = -crop.after if crop.after else np.iinfo(np.int64).max
        bounds = [self.ints(number) for number in (crop.before, end, axis, crop.stride)]
        return self.add("Slice", [value, *bounds], name)

    def model(self, source: Any, result: Any, spec: ModelSpec, opset: int) -> bytes:
        """Return the bytes of the ONNX file with the spec in its metadata."""
        from edgeconv.runtime.spec import METADATA_KEY

        graph = self.ir.Graph(
            [source], [result], nodes=self.nodes, initializers=list(self.constants.values()),
            opset_imports={"": opset}, name=spec.name,
        )  # fmt: skip
        model = self.ir.Model(graph, ir_version=IR_VERSION, producer_name="edgeconv")
        model.metadata_props[METADATA_KEY] = spec.to_json()
        proto = self.ir.to_proto(model)
        return bytes(proto.SerializeToString(deterministic=True))

    def named(self, name: str, shape: list[str | int]) -> Any:
        """Return a float32 input."""
        ir = self.ir
        return ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))


def write_windowed(net: Net, spec: ModelSpec, layout: Layout = DEFAULT_LAYOUT, opset: int = OPSET) -> bytes:
    """Return an ONNX file: windows [batch, window, channels] → probabilities [batch, classes].

    Where the time has shrunk to one step the values are [batch, channels] and the layers matrix products, so that a
    batch is one product.
    """
    writer = _Writer(layout)
    source = writer.named("windows", ["batch", net.window, net.channels])
    time_axis = 2 if layout == "1d" else 3
    value = writer.add("Transpose", [source], "channels_first", perm=[0, 2, 1])
    if layout == "2d":
        value = writer.add("Unsqueeze", [value, writer.ints(2)], "height_one")
    values = _Windowed(writer, value, time_axis)
    lengths = [time for _, time in net.shapes()]
    for number, step in enumerate(net.steps, 1):
        name, operation, first = _name(number, step), step.operation, step.inputs[0]
        if isinstance(operation, Conv) and _spans(operation, lengths[first]):
            weight = writer.constant(f"{name}_weight", operation.weight.reshape(len(operation.weight), -1))
            inputs = [values.flat(first), weight, writer.constant(f"{name}_bias", operation.bias)]
            values.append(writer.add("Gemm", inputs, name, transB=1), flat=True)
        elif isinstance(operation, Scale | Activation | Combine | Softmax) and any(map(values.is_flat, step.inputs)):
            values.append(writer.step(operation, [values.flat(i) for i in step.inputs], name, 1), flat=True)
        else:
            values.append(
                writer.step(operation, [values.over_time(i) for i in step.inputs], name, time_axis), flat=False
            )
    return _finish(writer, source, values.flat(len(net.steps)), "probabilities", ["batch", net.classes], spec, opset)


class _Windowed:
    """The values of a windowed graph: over time in the layout, or [batch, channels] where one timestep is left."""

    def __init__(self, writer: _Writer, source: Any, time_axis: int) -> None:
        self._writer, self._time_axis = writer, time_axis
        self._over_time: list[Any] = [source]
        self._flat: list[Any] = [None]

    def append(self, value: Any, *, flat: bool) -> None:
        """Keep the next step's value in the form that it was computed in."""
        self._over_time.append(None if flat else value)
        self._flat.append(value if flat else None)

    def is_flat(self, number: int) -> bool:
        """Whether the value was computed as, or brought to, [batch, channels]."""
        return self._flat[number] is not None

    def flat(self, number: int) -> Any:
        """Return a value with all behind the batch flattened."""
        if self._flat[number] is None:
            self._flat[number] = self._writer.add("Flatten", [self._over_time[number]], f"flat_{number}", axis=1)
        return self._flat[number]

    def over_time(self, number: int) -> Any:
        """Return a value with its axes of time."""
        if self._over_time[number] is None:
            axes = self._writer.ints(*range(2, self._time_axis + 1))
            self._over_time[number] = self._writer.add("Unsqueeze", [self._flat[number], axes], f"over_time_{number}")
        return self._over_time[number]


def write_dense(
    dense: DenseNet, classes: int, spec: ModelSpec, layout: Layout = DEFAULT_LAYOUT, opset: int = OPSET
) -> bytes:
    """Return an ONNX file: samples [time, channels] → probabilities [predictions, classes], one row per hop.

    Row i is the windowed network's answer for the window that starts at sample i · hop; a recording needs a window.
    """
    writer = _Writer(layout)
    source = writer.named("samples", ["time", dense.channels])
    time_axis = 2 if layout == "1d" else 3
    value = writer.add("Transpose", [source], "channels_first", perm=[1, 0])
    value = writer.add("Unsqueeze", [value, writer.ints(*((0,) if layout == "1d" else (0, 2)))], "batch_one")
    unused = dense.window - dense.receptive_field
    if unused:  # the last samples of a window that no layer looks at
        value = writer.crop(value, Crop(0, unused), time_axis, "looked_at")
    values = [value]
    for number, step in enumerate(dense.steps, 1):
        inputs = [values[i] for i in step.inputs]
        if isinstance(step.operation, Combine):
            inputs = _equally_long(writer, inputs, time_axis, _name(number, step))
        values.append(writer.step(step.operation, inputs, _name(number, step), time_axis))
    value = writer.add("Squeeze", [values[-1], writer.ints(*((0,) if layout == "1d" else (0, 2)))], "rows")
    value = writer.add("Transpose", [value], "row_per_hop", perm=[1, 0])
    return _finish(writer, source, value, "probabilities", ["predictions", classes], spec, opset)


def _equally_long(writer: _Writer, inputs: list[Any], axis: int, name: str) -> list[Any]:
    """Cut values over a recording to the shortest: what looks at less has answers where none are needed."""
    shapes = [writer.add("Shape", [value], f"{name}_shape{i}") for i, value in enumerate(inputs)]
    bounds = [writer.ints(axis), writer.ints(axis + 1)]
    lengths = [writer.add("Slice", [shape, *bounds], f"{name}_length{i}") for i, shape in enumerate(shapes)]
    shortest = writer.add("Min", lengths, f"{name}_shortest")
    return [
        writer.add("Slice", [value, writer.ints(0), shortest, writer.ints(axis)], f"{name}_cut{i}")
        for i, value in enumerate(inputs)
    ]


def _finish(
    writer: _Writer, source: Any, value: Any, name: str, shape: list[str | int], spec: ModelSpec, opset: int
) -> bytes:
    value.name = name
    value.type, value.shape = writer.ir.TensorType(writer.ir.DataType.FLOAT), writer.ir.Shape(shape)
    return writer.model(source, value, spec, opset)


def _spans(operation: Conv, length: int) -> bool:
    """Whether a convolution weighs its whole input at once, each timestep by itself."""
    return operation.kernel == length and operation.padding == (0, 0) and operation.groups == 1


def _name(number: int, step: Step) -> str:
    kinds: dict[type, Callable[[Any], str]] = {
        Activation: lambda o: o.op_type.lower(),
        Combine: lambda o: o.op_type.lower(),
        Pool: lambda o: f"{o.kind}_pool",
    }
    kind = type(step.operation)
    return f"{kinds[kind](step.operation) if kind in kinds else kind.__name__.lower()}_{number}"
