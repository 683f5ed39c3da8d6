"""ONNX → canonical form: what a converter leaves, read by the meaning of its axes.

Convolutions, matrix products and sums say what they do to channels and time; how a converter lays them out is followed
in `axes.py`. What cannot be read this way is refused with the name of its layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError

from .axes import BATCH, CHANNELS, ONE, TIME, Follower, Value
from .net import Activation, Combine, Conv, Crop, Net, Pad, Pool, Scale, Softmax, fold_scales, leading_to

ELEMENTWISE = frozenset(
    (
        "Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu",
        "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh",
    )
)  # fmt: skip
"""Operators of one input that treat each value by itself."""


def read_net(model: bytes, *, channels_first: bool = False, keep_first_scale: bool = False) -> Net:
    """Return the canonical form of an ONNX file that maps windows to [batch, classes].

    The windows are [batch, window, channels], or [batch, channels, window] with `channels_first`, as PyTorch has them.
    With `keep_first_scale` what normalises the input is a step of its own, as int8 needs it: one scale over channels of
    different ranges would leave the small ones few steps.
    Raises ConversionError that names the layer which cannot be read.
    """
    import onnx_ir as ir
    from onnx import load_from_string

    graph = ir.from_proto(load_from_string(model)).graph
    source = graph.inputs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or source.shape is None or len(source.shape) != 3:
        raise ConversionError("the graph needs one input, windows [batch, window, channels], and one output")
    axes = (BATCH, CHANNELS, TIME) if channels_first else (BATCH, TIME, CHANNELS)
    window, channels = (source.shape[axes.index(axis)] for axis in (TIME, CHANNELS))
    if not (isinstance(window, int) and isinstance(channels, int)):
        raise ConversionError(f"the graph's input has the shape {source.shape}; window and channels must be numbers")
    reader = _Reader(window, channels)
    reader.values[source] = Value(0, axes)
    for node in graph:
        reader.read(node)
    last = reader.values.get(graph.outputs[0])
    if last is None or set(last.axes) - {BATCH, CHANNELS, ONE}:
        raise ConversionError("the graph does not end in [batch, classes]")
    net = leading_to(Net(window, channels, tuple(reader.steps)), last.number)
    return fold_scales(net, keep_first=keep_first_scale)


class _Reader(Follower):
    def read(self, node: Any) -> None:
        """Follow one node."""
        if self.read_sizes(node):
            return
        handler = getattr(self, f"_on_{node.op_type.lower()}", None)
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

    def _on_conv(self, node: Any, name: str) -> Value:
        value, at = self._over_space(node, name)
        weight = self._needed_constant(node, name, 1)
        bias = self._needed_constant(node, name, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        weight = self._over_time(weight, value, name)
        stride, dilation = (int(self._spatial(node, key, at, 1)) for key in ("strides", "dilations"))
        padding = self._padding(node, value, at, (weight.shape[2] - 1) * dilation + 1, stride)
        conv = Conv(
            weight.astype(np.float32), np.zeros(len(weight), np.float32) if bias is None else bias.astype(np.float32),
            stride, dilation, int(self._attribute(node, "group", 1)), padding,
        )  # fmt: skip
        return Value(self._add_step(conv, (value.number,), name), value.axes)

    def _pool(self, node: Any, name: str, kind: Any) -> Value:
        value, at = self._over_space(node, name)
        kernel, stride = int(self._spatial(node, "kernel_shape", at, 1)), int(self._spatial(node, "strides", at, 1))
        dilation = int(self._spatial(node, "dilations", at, 1))
        extent = (kernel - 1) * dilation + 1
        padding = self._padding(node, value, at, extent, stride)
        if self._attribute(node, "ceil_mode", 0) and (self._size(value, TIME) + sum(padding) - extent) % stride:
            raise ConversionError(f"{name}: pools a last group of fewer timesteps than the others (ceil_mode)")
        number = value.number
        if padding != (0, 0) and kind == "average" and self._attribute(node, "count_include_pad", 0):
            number, padding = self._add_step(Pad(*padding), (number,), name), (0, 0)
        return Value(self._add_step(Pool(kind, kernel, stride, dilation, padding), (number,), name), value.axes)

    def _on_maxpool(self, node: Any, name: str) -> Value:
        return self._pool(node, name, "max")

    def _on_averagepool(self, node: Any, name: str) -> Value:
        return self._pool(node, name, "average")

    def _global(self, value: Value, name: str, kind: Any, gone: set[int] | None) -> Value:
        """Pool over all timesteps; `gone` are the axes that leave the tensor, None keeps them as ones."""
        pool = Pool(kind, self._size(value, TIME))
        number = self._add_step(pool, (value.number,), name)
        if gone is None:
            return Value(number, tuple(ONE if axis == TIME else axis for axis in value.axes))
        return Value(number, tuple(axis for i, axis in enumerate(value.axes) if i not in gone))

    def _on_globalaveragepool(self, node: Any, name: str) -> Value:
        return self._global(self._over_space(node, name)[0], name, "average", None)

    def _on_globalmaxpool(self, node: Any, name: str) -> Value:
        return self._global(self._over_space(node, name)[0], name, "max", None)

    def _reduce(self, node: Any, name: str, kind: Any) -> Value:
        value = self._tensor(node, name)
        axes = {a % len(value.axes) for a in self._axes_argument(node, name) or []}
        value = self._settled(value, dict.fromkeys(axes, TIME))
        if {value.axes[i] for i in axes} - {ONE} != {TIME}:
            raise ConversionError(f"{name}: reduces other axes than time")
        return self._global(value, name, kind, None if self._attribute(node, "keepdims", 1) else axes)

    def _on_reducemean(self, node: Any, name: str) -> Value:
        return self._reduce(node, name, "average")

    def _on_reducemax(self, node: Any, name: str) -> Value:
        return self._reduce(node, name, "max")

    def _on_matmul(self, node: Any, name: str) -> Value:
        return self._dense(node, name, self._needed_constant(node, name, 1), None)

    def _on_gemm(self, node: Any, name: str) -> Value:
        factors = [self._attribute(node, key, 1.0) for key in ("alpha", "beta")]
        if factors != [1.0, 1.0] or self._attribute(node, "transA", 0):
            raise ConversionError(f"{name}: Gemm with factors or a transposed input")
        weight = self._needed_constant(node, name, 1)
        bias = self._needed_constant(node, name, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None
        return self._dense(node, name, weight.T if self._attribute(node, "transB", 0) else weight, bias)

    def _dense(self, node: Any, name: str, weight: NDArray[Any], bias: NDArray[Any] | None) -> Value:
        """Read a product over the last axis: a convolution of one timestep, or of all where time was flattened."""
        value = self._tensor(node, name)
        value = self._settled(value, {len(value.axes) - 1: CHANNELS})
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
        return Value(self._add_step(conv, (value.number,), name), (*value.axes[:-1], CHANNELS))

    def _on_batchnormalization(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        if len(value.axes) < 2 or value.axes[1] != CHANNELS:
            raise ConversionError(f"{name}: normalises another axis than the channels")
        gamma, beta, mean, variance = (self._needed_constant(node, name, i).astype(np.float64) for i in range(1, 5))
        factor = gamma / np.sqrt(variance + self._attribute(node, "epsilon", 1e-5))
        scale = Scale(factor.astype(np.float32), (beta - mean * factor).astype(np.float32))
        return Value(self._add_step(scale, (value.number,), name), value.axes)

    def _on_softmax(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        if value.axes[self._attribute(node, "axis", -1)] != CHANNELS:
            raise ConversionError(f"{name}: a softmax over another axis than the channels")
        return Value(self._add_step(Softmax(), (value.number,), name), value.axes)

    def _elementwise(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        attributes = {key: attribute.value for key, attribute in node.attributes.items()}
        return Value(self._add_step(Activation(node.op_type, attributes), (value.number,), name), value.axes)

    def _on_clip(self, node: Any, name: str) -> Value:
        bounds = [self._constant(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 2)]
        if any(bound is None and len(node.inputs) > i and node.inputs[i] for i, bound in enumerate(bounds, 1)):
            raise ConversionError(f"{name}: clips to bounds that are computed")
        low, high = (None if bound is None else float(bound) for bound in bounds)
        return self._clipped(node, name, low, high)

    def _on_min(self, node: Any, name: str) -> Value:
        return self._clipped(node, name, None, self._scalar(node, name))

    def _on_max(self, node: Any, name: str) -> Value:
        return self._clipped(node, name, self._scalar(node, name), None)

    def _scalar(self, node: Any, name: str) -> float:
        constant = self._constant(node.inputs[1]) if len(node.inputs) == 2 else None
        if constant is None or constant.size != 1:
            raise ConversionError(f"{name}: {node.op_type} of something else than a value and a number")
        return float(constant.ravel()[0])

    def _clipped(self, node: Any, name: str, low: float | None, high: float | None) -> Value:
        value = self._tensor(node, name)
        clip = Activation("Clip", {"min": low, "max": high})
        return Value(self._add_step(clip, (value.number,), name), value.axes)

    def _on_add(self, node: Any, name: str) -> Value:
        return self._arithmetic(node, name, lambda c, _: (np.ones_like(c), c), "Add")

    def _on_sub(self, node: Any, name: str) -> Value:
        return self._arithmetic(
            node, name, lambda c, x_first: (np.ones_like(c), -c) if x_first else (-np.ones_like(c), c), None
        )

    def _on_mul(self, node: Any, name: str) -> Value:
        return self._arithmetic(node, name, lambda c, _: (c, np.zeros_like(c)), "Mul")

    def _on_div(self, node: Any, name: str) -> Value:
        return self._arithmetic(node, name, lambda c, x_first: (1 / c, np.zeros_like(c)) if x_first else None, None)

    def _arithmetic(self, node: Any, name: str, scale: Any, combine: Any) -> Value:
        """Read a sum or product with a constant per channel, or of two values."""
        constants = [self._constant(value) for value in node.inputs]
        if constants[0] is None and constants[1] is None:
            one, other = self._tensor(node, name, 0), self._tensor(node, name, 1)
            axes = self._common_axes([one, other])
            if combine is None or axes is None:
                raise ConversionError(f"{name}: {node.op_type} of {one.axes} and {other.axes}")
            return Value(self._add_step(Combine(combine), (one.number, other.number), name), axes)
        x_first = constants[0] is None
        constant = constants[1 if x_first else 0]
        value = self._tensor(node, name, 0 if x_first else 1)
        factor_shift = scale(self._per_channel(constant, value, name), x_first)
        if factor_shift is None:
            raise ConversionError(f"{name}: a constant divided by a value")
        factor, shift = (np.ascontiguousarray(part, np.float32) for part in factor_shift)
        return Value(self._add_step(Scale(factor, shift), (value.number,), name), value.axes)

    def _on_concat(self, node: Any, name: str) -> Value:
        values = [self._tensor(node, name, i) for i in range(len(node.inputs))]
        at = self._attribute(node, "axis", 0) % len(values[0].axes)
        values = [self._settled(value, {at: CHANNELS}) for value in values]
        axes = self._common_axes(values)
        if axes is None or axes[at] != CHANNELS:
            raise ConversionError(f"{name}: concatenates another axis than the channels")
        return Value(self._add_step(Combine("Concat"), tuple(value.number for value in values), name), axes)

    def _on_pad(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        pads = [int(p) for p in self._needed_constant(node, name, 1)]
        fill = self._constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if self._attribute(node, "mode", "constant") != "constant" or (fill is not None and float(fill) != 0):
            raise ConversionError(f"{name}: pads with something else than zeros")
        half = len(value.axes)
        if any((pads[i] or pads[i + half]) and axis != TIME for i, axis in enumerate(value.axes)):
            raise ConversionError(f"{name}: pads another axis than time")
        at = value.axes.index(TIME)
        return Value(self._add_step(Pad(pads[at], pads[at + half]), (value.number,), name), value.axes)

    def _on_slice(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        starts, ends = (self._needed_constant(node, name, i).tolist() for i in (1, 2))
        axes = self._needed_constant(node, name, 3).tolist() if len(node.inputs) > 3 else list(range(len(starts)))
        steps = self._needed_constant(node, name, 4).tolist() if len(node.inputs) > 4 else [1] * len(starts)
        before = after = 0
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            meaning = value.axes[axis]
            whole = np.iinfo(np.int32).max if BATCH in meaning else self._size(value, meaning)
            if step != 1 or (meaning != TIME and (start != 0 or end < whole)):
                raise ConversionError(f"{name}: slices another axis than time, or with steps")
            if meaning == TIME:
                kept = range(whole)[start:end]
                before, after = kept.start, whole - kept.stop
        return Value(self._add_step(Crop(before, after), (value.number,), name), value.axes)

    # constants and attributes by the meaning of axes

    def _over_space(self, node: Any, name: str) -> tuple[Value, int]:
        """Return the input of a layer over [batch, channels, spatial …], and which spatial axis is time."""
        value = self._tensor(node, name)
        value = self._settled(value, {1: CHANNELS, len(value.axes) - 1: TIME})
        if value.axes[:2] != (BATCH, CHANNELS) or TIME not in value.axes or set(value.axes[2:]) - {TIME, ONE}:
            raise ConversionError(f"{name}: works on the axes {value.axes}, [batch, channels, time] is needed")
        return value, value.axes.index(TIME) - 2

    def _over_time(self, weight: NDArray[Any], value: Value, name: str) -> NDArray[Any]:
        others = [i for i, axis in enumerate(value.axes) if axis == ONE]
        if any(weight.shape[i] != 1 for i in others):
            raise ConversionError(f"{name}: has a kernel over an axis of size 1")
        squeezed: NDArray[Any] = weight.squeeze(tuple(others)) if others else weight
        return squeezed

    def _spatial(self, node: Any, key: str, at: int, default: int) -> int:
        values = self._attribute(node, key, None)
        return default if values is None else int(values[at])

    def _padding(self, node: Any, value: Value, at: int, extent: int, stride: int) -> tuple[int, int]:
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

    def _per_channel(self, constant: Any, value: Value, name: str) -> NDArray[np.float64]:
        """Return a constant that is broadcast against a tensor as float64 [channels]."""
        shape = (1,) * (len(value.axes) - constant.ndim) + constant.shape
        if len(shape) > len(value.axes) or any(
            size > 1 and axis != CHANNELS for size, axis in zip(shape, value.axes, strict=True)
        ):
            raise ConversionError(f"{name}: a constant {list(constant.shape)} that is not one number per channel")
        flat = constant.astype(np.float64).ravel()
        return np.broadcast_to(flat, (self.shapes[value.number][0],)).copy()
