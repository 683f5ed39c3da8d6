"""Steps of the canonical form as nodes of an ONNX graph, in either layout of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from edgeconv.runtime.spec import METADATA_KEY, ModelSpec

from .net import Activation, Combine, Conv, Crop, Operation, Pad, Pool, Scale, Softmax, Step

Layout = Literal["1d", "2d"]
"""`1d`: convolutions over [batch, channels, time]; `2d`: over [batch, channels, 1, time]."""
DEFAULT_LAYOUT: Layout = "2d"
"""The one whose convolutions ONNX Runtime's blocked kernels take; which is faster differs from machine to machine."""
IR_VERSION = 8
OPSET = 17
END = np.iinfo(np.int64).max
"""The end of a slice that takes all that is there."""


class Writer:
    """Adds nodes one after another, named after what they are and where: the same net gives the same file."""

    def __init__(self, layout: Layout) -> None:
        import onnx_ir as ir

        self.ir = ir
        self.layout = layout
        self.time_axis = 2 if layout == "1d" else 3
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

    def step(self, operation: Operation, inputs: list[Any], name: str, *, flat: bool = False) -> Any:
        """Add one step, on values over time or, where it treats each time alike, on flat ones."""
        value = inputs[0]
        ones = () if flat else (1,) * (self.time_axis - 1)
        if isinstance(operation, Conv | Pool):
            return self.window_op(operation, value, name)
        if isinstance(operation, Scale):
            scaled = value
            if (operation.factor != 1).any():
                factor = self.constant(f"{name}_factor", operation.factor.reshape(-1, *ones))
                scaled = self.add("Mul", [scaled, factor], f"{name}_scaled")
            shift = self.constant(f"{name}_shift", operation.shift.reshape(-1, *ones))
            return self.add("Add", [scaled, shift], name)
        if isinstance(operation, Activation) and operation.op_type == "Clip":
            bounds = [(key, operation.attributes[key]) for key in ("min", "max")]
            given = [
                None if bound is None else self.constant(f"{name}_{key}", np.array(bound, np.float32))
                for key, bound in bounds
            ]
            return self.add("Clip", [value, *given], name)
        if isinstance(operation, Activation):
            return self.add(operation.op_type, [value], name, **operation.attributes)
        if isinstance(operation, Softmax):
            return self.add("Softmax", [value], name, axis=1)
        if isinstance(operation, Combine):
            attributes = {"axis": 1} if operation.op_type == "Concat" else {}
            return self.add(operation.op_type, inputs, name, **attributes)
        if isinstance(operation, Pad):
            pads = [0] * self.time_axis + [operation.before] + [0] * self.time_axis + [operation.after]
            return self.add("Pad", [value, self.ints(*pads)], name)
        return self.crop(value, operation, name)

    def crop(self, value: Any, crop: Crop, name: str) -> Any:
        """Leave out timesteps at both ends."""
        return self.cut(value, crop.before, -crop.after if crop.after else END, crop.stride, name)

    def cut(self, value: Any, start: int, stop: int, step: int, name: str) -> Any:
        """Take some positions of time."""
        return self.add("Slice", [value, *(self.ints(n) for n in (start, stop, self.time_axis, step))], name)

    def flatten(self, value: Any, name: str) -> Any:
        """Flatten all behind the batch."""
        return self.add("Flatten", [value], name, axis=1)

    def named(self, name: str, shape: list[str | int]) -> Any:
        """Return a float32 input."""
        ir = self.ir
        return ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))

    def result(self, value: Any, name: str, shape: list[str | int]) -> Any:
        """Return a value as a float32 output of that name."""
        value.name = name
        value.type, value.shape = self.ir.TensorType(self.ir.DataType.FLOAT), self.ir.Shape(shape)
        return value

    def model(self, sources: list[Any], results: list[Any], spec: ModelSpec, opset: int, more: dict[str, str]) -> bytes:
        """Return the bytes of the ONNX file with the spec, and more entries, in its metadata."""
        graph = self.ir.Graph(
            sources, results, nodes=self.nodes, initializers=list(self.constants.values()),
            opset_imports={"": opset}, name=spec.name,
        )  # fmt: skip
        model = self.ir.Model(graph, ir_version=IR_VERSION, producer_name="edgeconv")
        model.metadata_props[METADATA_KEY] = spec.to_json()
        model.metadata_props.update(more)
        proto = self.ir.to_proto(model)
        return bytes(proto.SerializeToString(deterministic=True))


class Values:
    """The values of a graph: over time in the layout, or [batch, channels] where one timestep is left."""

    def __init__(self, writer: Writer, source: Any) -> None:
        self._writer = writer
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
            self._flat[number] = self._writer.flatten(self._over_time[number], f"flat_{number}")
        return self._flat[number]

    def over_time(self, number: int) -> Any:
        """Return a value with its axes of time."""
        if self._over_time[number] is None:
            axes = self._writer.ints(*range(2, self._writer.time_axis + 1))
            self._over_time[number] = self._writer.add("Unsqueeze", [self._flat[number], axes], f"over_time_{number}")
        return self._over_time[number]


def node_name(number: int, step: Step) -> str:
    """Return a name made of what a step does and where: the same net gives the same names."""
    kinds: dict[type, Callable[[Any], str]] = {
        Activation: lambda o: o.op_type.lower(),
        Combine: lambda o: o.op_type.lower(),
        Pool: lambda o: f"{o.kind}_pool",
    }
    kind = type(step.operation)
    return f"{kinds[kind](step.operation) if kind in kinds else kind.__name__.lower()}_{number}"
