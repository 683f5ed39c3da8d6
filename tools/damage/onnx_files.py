"""Ways to damage an ONNX file so that it still loads and runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Edit = Callable[[Any], None]
"""Changes a ModelProto."""


def edit(path: Path, change: Edit) -> None:
    """Change an ONNX file in place."""
    proto = onnx.load_from_string(path.read_bytes())
    change(proto)
    path.write_bytes(proto.SerializeToString())


def initializer(proto: Any, name: str) -> Any:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def nodes(proto: Any, *op_types: str) -> list[Any]:
    return [node for node in proto.graph.node if node.op_type in op_types]


def layers(proto: Any) -> list[Any]:
    """Return the nodes that have trained weights, in their order."""
    names = {tensor.name for tensor in proto.graph.initializer}
    found = nodes(proto, "Conv", "Gemm", "MatMul", "QLinearConv", "QGemm")
    return [node for node in found if set(node.input) & names or node.op_type.startswith("Q")]


def change_tensor(proto: Any, name: str, change: Callable[[Any], Any]) -> None:
    tensor = initializer(proto, name)
    values = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))


def weight(layer: int, change: Callable[[Any], Any]) -> Edit:
    """Change a layer's weights [out, in, …]."""
    return lambda proto: change_tensor(proto, layers(proto)[layer].input[1], change)


def bias(layer: int, change: Callable[[Any], Any]) -> Edit:
    """Change a layer's bias [out]."""
    return lambda proto: change_tensor(proto, layers(proto)[layer].input[2], change)


def one_more(amount: float) -> Callable[[Any], Any]:
    """Move the largest value by a part of it."""

    def change(values: Any) -> Any:
        at = np.abs(values).argmax()
        values.flat[at] += amount * values.flat[at]
        return values

    return change


def other_sign(values: Any) -> Any:
    """Turn the sign of the largest value."""
    at = np.abs(values).argmax()
    values.flat[at] = -values.flat[at]
    return values


def swap(axis: int, a: int = 0, b: int = 1) -> Callable[[Any], Any]:
    """Let two places of an axis change places."""

    def change(values: Any) -> Any:
        order = list(range(values.shape[axis]))
        order[a], order[b] = order[b], order[a]
        return values.take(order, axis=axis)

    return change


def zero(axis: int, at: int) -> Callable[[Any], Any]:
    """Set one place of an axis to zero."""

    def change(values: Any) -> Any:
        np.moveaxis(values, axis, 0)[at] = 0
        return values

    return change


def through(dtype: str) -> Callable[[Any], Any]:
    """Round values to another type and back."""

    def change(values: Any) -> Any:
        if dtype == "bfloat16":
            return (values.view(np.uint32) & 0xFFFF0000).view(np.float32)
        if dtype == "int8":
            scale = np.abs(values).max() / 127
            return (np.round(values / scale) * scale).astype(np.float32)
        return values.astype(dtype).astype(np.float32)

    return change


def all_weights(change: Callable[[Any], Any]) -> Edit:
    """Change the weights of every layer."""

    def edited(proto: Any) -> None:
        for node in layers(proto):
            change_tensor(proto, node.input[1], change)

    return edited


def remove(op_type: str, which: int = 0) -> Edit:
    """Leave a node with one input out."""

    def edited(proto: Any) -> None:
        gone = nodes(proto, op_type)[which]
        source, result = gone.input[0], gone.output[0]
        if result in {value.name for value in proto.graph.output}:
            before = next(node for node in proto.graph.node if source in node.output)
            before.output[list(before.output).index(source)] = result
        for node in proto.graph.node:
            for i, name in enumerate(node.input):
                if name == result:
                    node.input[i] = source
        proto.graph.node.remove(gone)

    return edited


def retype(op_type: str, other: str, which: int = 0, drop: tuple[str, ...] = (), **attributes: Any) -> Edit:
    """Make a node of one type one of another."""

    def edited(proto: Any) -> None:
        node = nodes(proto, op_type)[which]
        node.op_type = other
        for attribute in [attribute for attribute in node.attribute if attribute.name in drop]:
            node.attribute.remove(attribute)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())

    return edited


def attribute(op_type: str, name: str, change: Callable[[list[int]], list[int]], which: int = 0) -> Edit:
    """Change a list of whole numbers of a node."""

    def edited(proto: Any) -> None:
        node = nodes(proto, op_type)[which]
        found = next(each for each in node.attribute if each.name == name)
        found.CopyFrom(helper.make_attribute(name, change(list(found.ints))))

    return edited


def constant(proto: Any, name: str, values: Any) -> str:
    if name not in {tensor.name for tensor in proto.graph.initializer}:
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def before_input(make: Callable[[Any, str, str], list[Any]]) -> Edit:
    """Put nodes between the first input and what reads it; `make` gets the model and both names."""

    def edited(proto: Any) -> None:
        source = proto.graph.input[0].name
        for node in proto.graph.node:
            for i, name in enumerate(node.input):
                if name == source:
                    node.input[i] = "damaged_input"
        for at, node in enumerate(make(proto, source, "damaged_input")):
            proto.graph.node.insert(at, node)

    return edited


def after_output(make: Callable[[Any, str, str], list[Any]]) -> Edit:
    """Put nodes behind the first output."""

    def edited(proto: Any) -> None:
        result = proto.graph.output[0].name
        for node in proto.graph.node:
            for i, name in enumerate(node.output):
                if name == result:
                    node.output[i] = "undamaged_output"
        proto.graph.node.extend(make(proto, "undamaged_output", result))

    return edited


def affine(factor: Any, shift: Any) -> Edit:
    """Multiply the input by a factor and add a shift."""

    def make(proto: Any, source: str, result: str) -> list[Any]:
        f = constant(proto, "damage_factor", np.asarray(factor, np.float32))
        s = constant(proto, "damage_shift", np.asarray(shift, np.float32))
        return [
            helper.make_node("Mul", [source, f], ["damage_scaled"]),
            helper.make_node("Add", ["damage_scaled", s], [result]),
        ]

    return before_input(make)


def clip_input(low: float, high: float) -> Edit:
    """Cut the input off at two bounds."""

    def make(proto: Any, source: str, result: str) -> list[Any]:
        bounds = [constant(proto, f"damage_{i}", np.float32(value)) for i, value in enumerate((low, high))]
        return [helper.make_node("Clip", [source, *bounds], [result])]

    return before_input(make)


def take(axis: int, order: Callable[[int], list[int]], size: int) -> Edit:
    """Take other places of an axis of the input."""

    def make(proto: Any, source: str, result: str) -> list[Any]:
        places = constant(proto, "damage_places", np.array(order(size), np.int64))
        return [helper.make_node("Gather", [source, places], [result], axis=axis)]

    return before_input(make)


def roll_rows() -> Edit:
    """Give each row of the answers to the next row."""

    def make(proto: Any, source: str, result: str) -> list[Any]:
        ends = {
            name: constant(proto, f"damage_{name}", np.array([value], np.int64))
            for name, value in (("zero", 0), ("minus_one", -1), ("end", 2**62))
        }
        return [
            helper.make_node("Slice", [source, ends["minus_one"], ends["end"], ends["zero"]], ["damage_last"]),
            helper.make_node("Slice", [source, ends["zero"], ends["minus_one"], ends["zero"]], ["damage_others"]),
            helper.make_node("Concat", ["damage_last", "damage_others"], [result], axis=0),
        ]

    return after_output(make)


def rounded(step: float) -> Edit:
    """Round the answers."""

    def make(proto: Any, source: str, result: str) -> list[Any]:
        by = constant(proto, "damage_step", np.float32(1 / step))
        return [
            helper.make_node("Mul", [source, by], ["damage_many"]),
            helper.make_node("Round", ["damage_many"], ["damage_whole"]),
            helper.make_node("Div", ["damage_whole", by], [result]),
        ]

    return after_output(make)


def softmax_again(proto: Any) -> None:
    """Take the softmax of the answers once more."""
    after_output(lambda _, source, result: [helper.make_node("Softmax", [source], [result], axis=1)])(proto)


def temperature(factor: float) -> Edit:
    """Multiply the logits."""

    def edited(proto: Any) -> None:
        node = nodes(proto, "Softmax")[-1]
        by = constant(proto, "damage_temperature", np.float32(factor))
        made = helper.make_node("Mul", [node.input[0], by], ["damage_logits"])
        node.input[0] = "damage_logits"
        proto.graph.node.insert(list(proto.graph.node).index(node), made)

    return edited


def stale_state(proto: Any) -> None:
    """Give a state back as it came."""
    state = proto.graph.input[1].name
    after = proto.graph.output[1].name
    for node in proto.graph.node:
        for i, name in enumerate(node.output):
            if name == after:
                node.output[i] = "damaged_state"
    proto.graph.node.append(helper.make_node("Identity", [state], [after]))


def forgotten_state(proto: Any) -> None:
    """Give zeros back in place of a state."""
    state, after = proto.graph.input[1].name, proto.graph.output[1].name
    for node in proto.graph.node:
        for i, name in enumerate(node.output):
            if name == after:
                node.output[i] = "damaged_state"
    zero_name = constant(proto, "damage_zero", np.float32(0))
    proto.graph.node.append(helper.make_node("Mul", [state, zero_name], [after]))


def late_state(proto: Any) -> None:
    """Keep what is one position older than it should be."""
    after = proto.graph.output[1].name
    node = next(node for node in proto.graph.node if after in node.output)  # a slice that keeps the last positions
    for place, move in ((1, -1), (2, None)):
        values = numpy_helper.to_array(initializer(proto, node.input[place])).copy()
        values[0] = values[0] + move if move is not None else -1
        node.input[place] = constant(proto, f"damage_late_{place}", values)


def metadata(key: str, change: Callable[[str], str]) -> Edit:
    """Change an entry of the metadata."""

    def edited(proto: Any) -> None:
        entry = next(entry for entry in proto.metadata_props if entry.key == key)
        entry.value = change(entry.value)

    return edited


def quantised(kind: str, change: Callable[[Any], Any], which: int = 0) -> Edit:
    """Change an int8 weight, a scale or a zero point: the tensors that are quantised, in the order of the file."""

    def edited(proto: Any) -> None:
        integer = (TensorProto.INT8, TensorProto.UINT8)
        scales = [t for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT and t.name.endswith("_scale")]
        choices = {
            "weight": lambda t: t.data_type in integer and len(t.dims) > 1,
            "scale": lambda t: t in scales and len(t.dims) == 0,
            "weight scale": lambda t: t in scales and len(t.dims) == 1,
            "zero point": lambda t: t.data_type in integer and len(t.dims) == 0,
            "bias": lambda t: t.data_type == TensorProto.INT32 and len(t.dims) == 1,
        }  # fmt: skip
        found = [tensor.name for tensor in proto.graph.initializer if choices[kind](tensor)]
        change_tensor(proto, found[which], change)

    return edited
