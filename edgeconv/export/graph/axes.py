"""Following what the axes of a graph's tensors mean, and the operators that change nothing else.

Every tensor carries what its axes mean: batch, channels, time, one (of size 1), or several flattened into one.
Transposes, squeezes, unsqueezes and reshapes then only change that note and vanish. An axis of size 1 may be a single
channel, or a single timestep: it is taken for what the operator that meets it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError

from .net import Operation, Step, shape_of

BATCH, CHANNELS, TIME, ONE = "batch", "channels", "time", "one"
Axis = str | tuple[str, ...]
"""What an axis of a tensor means; a tuple for several flattened into one, the slowest first."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: which value of the canonical form it is, and what its axes mean."""

    number: int
    axes: tuple[Axis, ...]


class Follower:
    """Follows a graph node by node: the layout operators here, the layers in the class that extends it."""

    def __init__(self, window: int, channels: int) -> None:
        self.shapes = [(channels, window)]
        self.steps: list[Step] = []
        self.values: dict[Any, Value] = {}
        self.sizes: dict[Any, NDArray[np.int64]] = {}
        """Sizes that the graph computes from a tensor's shape; the batch is -1, as a reshape writes it."""

    # what the reader asks of a node

    def _tensor(self, node: Any, name: str, position: int = 0) -> Value:
        value = self.values.get(node.inputs[position])
        if value is None:
            raise ConversionError(f"{name}: {node.op_type} of constants cannot be brought into canonical form")
        return value

    def _constant(self, value: Any) -> NDArray[Any] | None:
        import onnx_ir as ir

        if value in self.sizes:
            return self.sizes[value]
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

    def _size(self, value: Value, axis: Axis) -> int:
        channels, time = self.shapes[value.number]
        return {CHANNELS: channels, TIME: time, ONE: 1, BATCH: -1}[axis] if isinstance(axis, str) else channels * time

    # axes of size 1

    def _settled(self, value: Value, wanted: Mapping[int, str]) -> Value:
        """Return the value with axes of size 1 taken for what is wanted of them, where nothing else is that."""
        channels, time = self.shapes[value.number]
        axes = list(value.axes)
        for at, meaning in wanted.items():
            if axes[at] == ONE and meaning not in axes and {CHANNELS: channels, TIME: time}[meaning] == 1:
                axes[at] = meaning
        return Value(value.number, tuple(axes))

    def _common_axes(self, values: Sequence[Value]) -> tuple[Axis, ...] | None:
        """Return what the axes of values mean that are put together; None where they do not fit."""
        if len({len(value.axes) for value in values}) > 1:
            return None
        found: list[Axis] = []
        for axes in zip(*(value.axes for value in values), strict=True):
            known = [(value, axis) for value, axis in zip(values, axes, strict=True) if axis != ONE]
            meanings = {axis for _, axis in known}
            broadcast = len(known) < len(values) and any(self._size(value, axis) != 1 for value, axis in known)
            if len(meanings) > 1 or broadcast:
                return None
            found.append(meanings.pop() if meanings else ONE)
        return tuple(found)

    # sizes computed in the graph

    def read_sizes(self, node: Any) -> bool:
        """Compute a node that turns a shape into sizes; returns whether it was one."""
        if node.op_type == "Shape" and node.inputs[0] in self.values:
            value = self.values[node.inputs[0]]
            sizes = np.array([self._size(value, axis) for axis in value.axes], np.int64)
            start, end = self._attribute(node, "start", 0), self._attribute(node, "end", None)
            self.sizes[node.outputs[0]] = sizes[start:end]
            return True
        inputs = [self._constant(value) for value in node.inputs]
        if not any(value in self.sizes for value in node.inputs) or any(found is None for found in inputs):
            return False
        first, *others = (np.asarray(found) for found in inputs)
        if node.op_type == "Cast":
            result = first
        elif node.op_type == "Gather" and self._attribute(node, "axis", 0) == 0:
            result = first[others[0]]
        elif node.op_type == "Concat":
            result = np.concatenate([first, *others])
        elif node.op_type == "ReduceProd" and first.ndim == 1:
            result = np.prod(first, keepdims=bool(self._attribute(node, "keepdims", 1)))
        elif node.op_type == "Slice":
            start, end = (int(bound.ravel()[0]) for bound in others[:2])
            result = first[start : end : int(others[3].ravel()[0]) if len(others) > 3 else 1]
        elif node.op_type in ("Squeeze", "Unsqueeze"):
            result = first.reshape(() if node.op_type == "Squeeze" else (1,))
        else:
            return False
        self.sizes[node.outputs[0]] = result.astype(np.int64)
        return True

    # layout: changes the note and nothing else

    def _on_identity(self, node: Any, name: str) -> Value:
        return self._tensor(node, name)

    _on_dropout = _on_identity

    def _on_cast(self, node: Any, name: str) -> Value:
        if self._attribute(node, "to", 1) != 1:
            raise ConversionError(f"{name}: casts to another type than float32")
        return self._tensor(node, name)

    def _on_constant(self, _node: Any, _name: str) -> None:
        return None

    def _on_transpose(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        order = self._attribute(node, "perm", list(range(len(value.axes)))[::-1])
        return Value(value.number, tuple(value.axes[i] for i in order))

    def _on_unsqueeze(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        positions = self._axes_argument(node, name) or []
        rank = len(value.axes) + len(positions)
        axes = list(value.axes)
        for position in sorted(p % rank for p in positions):
            axes.insert(position, ONE)
        return Value(value.number, tuple(axes))

    def _on_squeeze(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        chosen = self._axes_argument(node, name)
        gone = {p % len(value.axes) for p in chosen} if chosen is not None else {
            i for i, axis in enumerate(value.axes) if axis != BATCH and self._size(value, axis) == 1
        }  # fmt: skip
        if any(self._size(value, value.axes[i]) != 1 for i in gone):
            raise ConversionError(f"{name}: squeezes an axis that is not of size 1")
        return Value(value.number, tuple(axis for i, axis in enumerate(value.axes) if i not in gone))

    def _on_reshape(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        if value.axes[0] == (BATCH, TIME):
            value = Value(value.number, (BATCH, TIME, *value.axes[1:]))
        target = [int(size) for size in self._needed_constant(node, name, 1)]
        target = [self._size(value, value.axes[i]) if size == 0 else size for i, size in enumerate(target)]
        wide = [axis for axis in value.axes if axis == BATCH or self._size(value, axis) > 1]
        sizes = [self._size(value, axis) for axis in wide]
        kept = [size for size in target if size != 1]
        if len(kept) == len(sizes) and all(k in (-1, s) or s == -1 for k, s in zip(kept, sizes, strict=True)):
            rest = iter(wide)
            return Value(value.number, tuple(ONE if size == 1 else next(rest) for size in target))
        if len(target) == 2 and value.axes[0] == BATCH and target[1] in (-1, math.prod(sizes[1:])):
            return self._flattened(value, wide[1:])
        if len(target) == 2 and value.axes[:2] == (BATCH, TIME) and kept[1:] == sizes[2:] and len(sizes) == 3:
            # The timesteps of all windows one after another: each is for itself until the next reshape.
            return Value(value.number, ((BATCH, TIME), *value.axes[2:]))
        raise ConversionError(f"{name}: a reshape to {target} mixes the axes {value.axes}")

    def _on_flatten(self, node: Any, name: str) -> Value:
        value = self._tensor(node, name)
        if self._attribute(node, "axis", 1) != 1 or value.axes[0] != BATCH:
            raise ConversionError(f"{name}: flattens other axes than all behind the batch")
        return self._flattened(value, [axis for axis in value.axes[1:] if self._size(value, axis) > 1])

    def _flattened(self, value: Value, axes: list[Axis]) -> Value:
        if len(axes) > 1:
            return Value(value.number, (BATCH, tuple(str(axis) for axis in axes)))
        # Only one axis is left to flatten: the channels, or, of a single channel, the time.
        return Value(value.number, (BATCH, TIME if axes == [TIME] else CHANNELS))
