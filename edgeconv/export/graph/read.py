"""ONNX → canonical form: what a converter leaves, read by the meaning of its axes.

Every value is followed with what its axes mean: batch, channels, time, one (of size 1), or several flattened into one.
Transposes, squeezes, unsqueezes and reshapes then only change that note and vanish; convolutions, matrix products and
sums say what they do to channels and time. What cannot be read this way is refused with the name of its layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError

from .net import Activation, Combine, Conv, Crop, Net, Operation, Pad, Pool, Scale, Softmax, Step, fold_scales, shape_of

BATCH, CHANNELS, TIME, ONE = "batch", "channels", "time", "one"
Axis = str | tuple[str, ...]
"""What an axis of a tensor means; a tuple for several flattened into one, the slowest first."""

ELEMENTWISE = frozenset(
    (
        "Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu",
        "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh",
    )
)  # fmt: skip
"""Operators of one input that treat each value by itself."""


@dataclass(frozen=True)
class _Value:
    """A tensor of the graph: which value of the canonical form it is, and what its axes mean."""

    number: int
    axes: tuple[Axis, ...]


def read_net(model: bytes) -> Net:
    """Return the canonical form of an ONNX file that maps windows [batch, window, channels] to [batch, classes].

    Raises ConversionError that names the layer which cannot be read.
    """
    import onnx_ir as ir
    from onnx import load_from_string

    graph = ir.from_proto(load_from_string(model)).graph
    source = graph.inputs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or source.shape is None or len(source.shape) != 3:
        raise ConversionError("the graph needs one input, windows [batch, window, channels], and one output")
    window, channels = int(source.shape[1]), int(source.shape[2])
    reader = _Reader(window, channels)
    reader.values[source] = _Value(0, (BATCH, TIME, CHANNELS))
    for node in graph:
        reader.read(node)
    last = reader.values.get(graph.outputs[0])
    if last is None or last.number != len(reader.steps) or set(last.axes) - {BATCH, CHANNELS, ONE}:
        raise ConversionError("the graph does not end in [batch, classes]")
    return fold_scales(Net(window, channels, tuple(reader.steps)))


class _Reader:
    def __init__(self, window: int, channels: int) -> None:
        self.shapes = [(channels, window)]
        self.steps: list[Step] = []
        self.values: dict[Any, _Value] = {}

    def read(self, node: Any) -> None:
        """Follow one node."""
        handler = getattr(self, f"on_{node.op_type.lower()}", None)
        name = node.name or node.op_type
        if node.domain not in ("", "ai.onnx"):
            raise ConversionError(f"{name}: operator {node.domain}.{node.op_type} is not known")
        if handler is not None:
            result = handler(node, name)
        elif node.op_type in ELEMENTWISE:
            result = self._elementwise(node, name)
        else:
            raise ConversionError(f"{name}: operator {node.op_type} cannot be brought into canonical form")
        if result is not None:
            self.values[node.outputs[0]] = result

    # what the reader asks of a node

    def _tensor(self, node: Any, name: str, position: int = 0) -> _Value:
        value = self.values.get(node.inputs[position])
        if value is None:
            raise ConversionError(f"{name}: {node.op_type} of constants cannot be brought into canonical form")
        return value

    def _constant(self, value: Any) -> NDArray[Any] | None:
        import onnx_ir as ir

        found = None if value is None else ir.convenience.get_const_tensor(value)
        return None if found is None else np.asarray(found.numpy())

    def _needed_constant(self, node: Any, name: str, position: int) -> NDArray[Any]:
        value = node.inputs[position] if position < len(node.inputs) else None
        found = self._constant(value)
        if found is None:
            raise ConversionError(f"{name}: input {position} of {node.op_type} is computed, a constant is needed")
        return found

    def _attribute(self, node: Any, key: str, default: Any) -> Any:
        attribute = node.attributes.get(key)
        return default if attribute is None else attribute.value

    def _axes_argument(self, node: Any, name: str) -> list[int] | None:
        """Return the axes of a node, which older opsets have as an attribute and newer ones as an input."""
        if "axes" in node.attributes:
            return [int(a) for a in node.attributes["axes"].value]
        if len(node.inputs) > 1 and node.inputs[1] is not None:
            return [int(a) for a in self._needed_constant(node, name, 1)]
        return None

    def _add_step(self, operation: Operation, inputs: tuple[int, ...], name: str) -> int:
        step = Step(operation, inputs, name)
        self.steps.append(step)
        self.shapes.append(shape_of(step, [self.shapes[i] for i in inputs]))
        return len(self.steps)

    def _size(self, value: _Value, axis: Axis) -> int:
        channels, time = self.shapes[value.number]
        return {CHANNELS: channels, TIME: time, ONE: 1, BATCH: -1}[axis] if isinstance(axis, str) else channels * time

    # layout: changes the note and nothing else

    def on_identity(self, node: Any, name: str) -> _Value:
        return self._tensor(node, name)

    on_dropout = on_identity

    def on_cast(self, node: Any, name: str) -> _Value:
        if self._attribute(node, "to", 1) != 1:
            raise ConversionError(f"{name}: casts to another type than float32")
        return self._tensor(node, name)

    def on_constant(self, _node: Any, _name: str) -> None:
        return None

    def on_transpose(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        order = self._attribute(node, "perm", list(range(len(value.axes)))[::-1])
        return _Value(value.number, tuple(value.axes[i] for i in order))

    def on_unsqueeze(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        positions = self._axes_argument(node, name) or []
        rank = len(value.axes) + len(positions)
        axes = list(value.axes)
        for position in sorted(p % rank for p in positions):
            axes.insert(position, ONE)
        return _Value(value.number, tuple(axes))

    def on_squeeze(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        chosen = self._axes_argument(node, name)
        gone = {p % len(value.axes) for p in chosen} if chosen is not None else {
            i for i, axis in enumerate(value.axes) if axis != BATCH and self._size(value, axis) == 1
        }  # fmt: skip
        if any(self._size(value, value.axes[i]) != 1 for i in gone):
            raise ConversionError(f"{name}: squeezes an axis that is not of size 1")
        return _Value(value.number, tuple(axis for i, axis in enumerate(value.axes) if i not in gone))

    def on_reshape(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        target = [int(size) for size in self._needed_constant(node, name, 1)]
        target = [self._size(value, value.axes[i]) if size == 0 else size for i, size in enumerate(target)]
        wide = [axis for axis in value.axes if axis == BATCH or self._size(value, axis) > 1]
        sizes = [self._size(value, axis) for axis in wide]
        kept = [size for size in target if size != 1]
        if len(kept) == len(sizes) and all(k in (-1, s) or s == -1 for k, s in zip(kept, sizes, strict=True)):
            rest = iter(wide)
            return _Value(value.number, tuple(ONE if size == 1 else next(rest) for size in target))
        if len(target) == 2 and value.axes[0] == BATCH and wide[:1] == [BATCH]:
            return self._flattened(value, wide[1:])
        raise ConversionError(f"{name}: a reshape to {target} mixes the axes {value.axes}")

    def on_flatten(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        if self._attribute(node, "axis", 1) != 1 or value.axes[0] != BATCH:
            raise ConversionError(f"{name}: flattens other axes than all behind the batch")
        return self._flattened(value, [axis for axis in value.axes[1:] if self._size(value, axis) > 1])

    def _flattened(self, value: _Value, axes: list[Axis]) -> _Value:
        if len(axes) > 1:
            return _Value(value.number, (BATCH, tuple(str(axis) for axis in axes)))
        # Only one axis is left to flatten: the channels, or, of a single channel, the time.
        return _Value(value.number, (BATCH, TIME if axes == [TIME] else CHANNELS))

    # layers

    def on_conv(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        weight = self._needed_constant(node, name, 1)
        bias = self._needed_constant(node, name, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        at, weight = self._time_axis(value, name), self._over_time(weight, value, name)
        stride, dilation = (int(self._spatial(node, key, at, 1)) for key in ("strides", "dilations"))
        padding = self._padding(node, value, at, (weight.shape[2] - 1) * dilation + 1, stride)
        conv = Conv(
            weight.astype(np.float32), np.zeros(len(weight), np.float32) if bias is None else bias.astype(np.float32),
            stride, dilation, int(self._attribute(node, "group", 1)), padding,
        )  # fmt: skip
        return _Value(self._add_step(conv, (value.number,), name), value.axes)

    def _pool(self, node: Any, name: str, kind: Any) -> _Value:
        value = self._tensor(node, name)
        at = self._time_axis(value, name)
        kernel, stride = int(self._spatial(node, "kernel_shape", at, 1)), int(self._spatial(node, "strides", at, 1))
        dilation = int(self._spatial(node, "dilations", at, 1))
        if self._attribute(node, "ceil_mode", 0) or self._attribute(node, "count_include_pad", 0):
            raise ConversionError(f"{name}: pools with ceil_mode or counts its padding")
        padding = self._padding(node, value, at, (kernel - 1) * dilation + 1, stride)
        pool = Pool(kind, kernel, stride, dilation, padding)
        return _Value(self._add_step(pool, (value.number,), name), value.axes)

    def on_maxpool(self, node: Any, name: str) -> _Value:
        return self._pool(node, name, "max")

    def on_averagepool(self, node: Any, name: str) -> _Value:
        return self._pool(node, name, "average")

    def _global(self, node: Any, name: str, kind: Any, gone: set[int] | None) -> _Value:
        """Pool over all timesteps; `gone` are the axes that leave the tensor, None keeps them as ones."""
        value = self._tensor(node, name)
        pool = Pool(kind, self._size(value, TIME))
        number = self._add_step(pool, (value.number,), name)
        if gone is None:
            return _Value(number, tuple(ONE if axis == TIME else axis for axis in value.axes))
        return _Value(number, tuple(axis for i, axis in enumerate(value.axes) if i not in gone))

    def on_globalaveragepool(self, node: Any, name: str) -> _Value:
        self._time_axis(self._tensor(node, name), name)
        return self._global(node, name, "average", None)

    def on_globalmaxpool(self, node: Any, name: str) -> _Value:
        self._time_axis(self._tensor(node, name), name)
        return self._global(node, name, "max", None)

    def _reduce(self, node: Any, name: str, kind: Any) -> _Value:
        value = self._tensor(node, name)
        axes = {a % len(value.axes) for a in self._axes_argument(node, name) or []}
        if {value.axes[i] for i in axes} - {ONE} != {TIME}:
            raise ConversionError(f"{name}: reduces other axes than time")
        return self._global(node, name, kind, None if self._attribute(node, "keepdims", 1) else axes)

    def on_reducemean(self, node: Any, name: str) -> _Value:
        return self._reduce(node, name, "average")

    def on_reducemax(self, node: Any, name: str) -> _Value:
        return self._reduce(node, name, "max")

    def on_matmul(self, node: Any, name: str) -> _Value:
        return self._dense(node, name, self._needed_constant(node, name, 1), None)

    def on_gemm(self, node: Any, name: str) -> _Value:
        factors = [self._attribute(node, key, 1.0) for key in ("alpha", "beta")]
        if factors != [1.0, 1.0] or self._attribute(node, "transA", 0):
            raise ConversionError(f"{name}: Gemm with factors or a transposed input")
        weight = self._needed_constant(node, name, 1)
        bias = self._needed_constant(node, name, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        return self._dense(node, name, weight.T if self._attribute(node, "transB", 0) else weight, bias)

    def _dense(self, node: Any, name: str, weight: NDArray[Any], bias: NDArray[Any] | None) -> _Value:
        """Read a product over the last axis: a convolution of one timestep, or of all where time was flattened."""
        value = self._tensor(node, name)
        last = value.axes[-1]
        channels, time = self.shapes[value.number]
        out = weight.shape[-1]
        one_channel = last == TIME and CHANNELS not in value.axes
        if weight.ndim != 2 or last in (BATCH, ONE) or (last == TIME and not one_channel):
            raise ConversionError(f"{name}: a matrix product over {last}")
        if last == CHANNELS:
            kernel = weight.T[:, :, None]
        elif last == (TIME, CHANNELS):
            kernel = weight.reshape(time, channels, out).transpose(2, 1, 0)
        elif last == (CHANNELS, TIME):
            kernel = weight.reshape(channels, time, out).transpose(2, 0, 1)
        else:  # the time of a single channel
            kernel = weight.reshape(time, 1, out).transpose(2, 1, 0)
        shift = np.zeros(out) if bias is None else np.broadcast_to(bias, (1, out)).ravel()
        conv = Conv(np.ascontiguousarray(kernel, np.float32), shift.astype(np.float32))
        return _Value(self._add_step(conv, (value.number,), name), (*value.axes[:-1], CHANNELS))

    def on_batchnormalization(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        if len(value.axes) < 2 or value.axes[1] != CHANNELS:
            raise ConversionError(f"{name}: normalises another axis than the channels")
        gamma, beta, mean, variance = (self._needed_constant(node, name, i).astype(np.float64) for i in range(1, 5))
        factor = gamma / np.sqrt(variance + self._attribute(node, "epsilon", 1e-5))
        scale = Scale(factor.astype(np.float32), (beta - mean * factor).astype(np.float32))
        return _Value(self._add_step(scale, (value.number,), name), value.axes)

    def on_softmax(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        if value.axes[self._attribute(node, "axis", -1)] != CHANNELS:
            raise ConversionError(f"{name}: a softmax over another axis than the channels")
        return _Value(self._add_step(Softmax(), (value.number,), name), value.axes)

    def _elementwise(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        attributes = {key: attribute.value for key, attribute in node.attributes.items()}
        return _Value(self._add_step(Activation(node.op_type, attributes), (value.number,), name), value.axes)

    def on_add(self, node: Any, name: str) -> _Value:
        return self._arithmetic(node, name, lambda c, _: (np.ones_like(c), c), "Add")

    def on_sub(self, node: Any, name: str) -> _Value:
        return self._arithmetic(
            node, name, lambda c, x_first: (np.ones_like(c), -c) if x_first else (-np.ones_like(c), c), None
        )

    def on_mul(self, node: Any, name: str) -> _Value:
        return self._arithmetic(node, name, lambda c, _: (c, np.zeros_like(c)), "Mul")

    def on_div(self, node: Any, name: str) -> _Value:
        return self._arithmetic(node, name, lambda c, x_first: (1 / c, np.zeros_like(c)) if x_first else None, None)

    def _arithmetic(self, node: Any, name: str, scale: Any, combine: Any) -> _Value:
        """Read a sum or product with a constant per channel, or of two values."""
        constants = [self._constant(value) for value in node.inputs]
        if constants[0] is None and constants[1] is None:
            one, other = self._tensor(node, name, 0), self._tensor(node, name, 1)
            if combine is None or one.axes != other.axes:
                raise ConversionError(f"{name}: {node.op_type} of {one.axes} and {other.axes}")
            return _Value(self._add_step(Combine(combine), (one.number, other.number), name), one.axes)
        x_first = constants[0] is None
        constant = constants[1 if x_first else 0]
        value = self._tensor(node, name, 0 if x_first else 1)
        factor_shift = scale(self._per_channel(constant, value, name), x_first)
        if factor_shift is None:
            raise ConversionError(f"{name}: a constant divided by a value")
        factor, shift = (np.ascontiguousarray(part, np.float32) for part in factor_shift)
        return _Value(self._add_step(Scale(factor, shift), (value.number,), name), value.axes)

    def on_concat(self, node: Any, name: str) -> _Value:
        values = [self._tensor(node, name, i) for i in range(len(node.inputs))]
        axes = values[0].axes
        if any(value.axes != axes for value in values) or axes[self._attribute(node, "axis", 0)] != CHANNELS:
            raise ConversionError(f"{name}: concatenates another axis than the channels")
        return _Value(self._add_step(Combine("Concat"), tuple(value.number for value in values), name), axes)

    def on_pad(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        pads = [int(p) for p in self._needed_constant(node, name, 1)]
        fill = self._constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if self._attribute(node, "mode", "constant") != "constant" or (fill is not None and float(fill) != 0):
            raise ConversionError(f"{name}: pads with something else than zeros")
        half = len(value.axes)
        if any((pads[i] or pads[i + half]) and axis != TIME for i, axis in enumerate(value.axes)):
            raise ConversionError(f"{name}: pads another axis than time")
        at = value.axes.index(TIME)
        return _Value(self._add_step(Pad(pads[at], pads[at + half]), (value.number,), name), value.axes)

    def on_slice(self, node: Any, name: str) -> _Value:
        value = self._tensor(node, name)
        starts, ends = (self._needed_constant(node, name, i).tolist() for i in (1, 2))
        axes = self._needed_constant(node, name, 3).tolist() if len(node.inputs) > 3 else list(range(len(starts)))
        steps = self._needed_constant(node, name, 4).tolist() if len(node.inputs) > 4 else [1] * len(starts)
        before = after = 0
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            meaning = value.axes[axis]
            whole = np.iinfo(np.int32).max if meaning == BATCH else self._size(value, meaning)
            if step != 1 or (meaning != TIME and (start != 0 or end < whole)):
                raise ConversionError(f"{name}: slices another axis than time, or with steps")
            if meaning == TIME:
                kept = range(whole)[start:end]
                before, after = kept.start, whole - kept.stop
        return _Value(self._add_step(Crop(before, after), (value.number,), name), value.axes)

    # constants and attributes by the meaning of axes

    def _time_axis(self, value: _Value, name: str) -> int:
        """Return which spatial axis is time, for a layer over [batch, channels, spatial …]."""
        if value.axes[:2] != (BATCH, CHANNELS) or TIME not in value.axes or set(value.axes[2:]) - {TIME, ONE}:
            raise ConversionError(f"{name}: works on the axes {value.axes}, [batch, channels, time] is needed")
        return value.axes.index(TIME) - 2

    def _over_time(self, weight: NDArray[Any], value: _Value, name: str) -> NDArray[Any]:
        others = [i for i, axis in enumerate(value.axes) if axis == ONE]
        if any(weight.shape[i] != 1 for i in others):
            raise ConversionError(f"{name}: has a kernel over an axis of size 1")
        squeezed: NDArray[Any] = weight.squeeze(tuple(others)) if others else weight
        return squeezed

    def _spatial(self, node: Any, key: str, at: int, default: int) -> int:
        values = self._attribute(node, key, None)
        return default if values is None else int(values[at])

    def _padding(self, node: Any, value: _Value, at: int, extent: int, stride: int) -> tuple[int, int]:
        auto = self._attribute(node, "auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            size = self._size(value, TIME)
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            small, large = total // 2, total - total // 2
            return (small, large) if auto == "SAME_UPPER" else (large, small)
        pads = self._attribute(node, "pads", None)
        if auto == "VALID" or pads is None:
            return (0, 0)
        return int(pads[at]), int(pads[at + len(pads) // 2])

    def _per_channel(self, constant: Any, value: _Value, name: str) -> NDArray[np.float64]:
        """Return a constant that is broadcast against a tensor as float64 [channels]."""
        shape = (1,) * (len(value.axes) - constant.ndim) + constant.shape
        if len(shape) > len(value.axes) or any(
            size > 1 and axis != CHANNELS for size, axis in zip(shape, value.axes, strict=True)
        ):
            raise ConversionError(f"{name}: a constant {list(constant.shape)} that is not one number per channel")
        flat = constant.astype(np.float64).ravel()
        return np.broadcast_to(flat, (self.shapes[value.number][0],)).copy()
