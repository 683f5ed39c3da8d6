"""The source of our ONNX files, read from an `.onnx` file made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from edgeconv.evaluate.original import OriginalModel, Reading
from edgeconv.runtime.errors import ArtefactError, ConversionError, UsageError
from edgeconv.runtime.spec import ModelSpec, require_signal

from .foreign_onnx import parse_graph, sizes_of
from .graph.net import Activation, Conv, Net, Operation, Softmax, Step
from .graph.read import read_net
from .onnx import BATCH, INPUT, OPSETS, OUTPUT, TOKENS, Source, write_spec

PREFIX = "original/"
"""In front of every name inside a graph that stays as it came, so that none is one of ours."""
NEWER = {"HardSwish": 14, "Mish": 18}
"""Operators of the canonical form that an older opset does not have."""


def read_original(model: OriginalModel, opset: int) -> Source:
    """Return what the ONNX files are written from: the canonical form, or the graph as it came with our ends.

    Raises UsageError for an opset that is not written here, ConversionError where the graph, besides having no
    canonical form, cannot take any number of windows at once.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} cannot be written; choose {OPSETS.start} to {OPSETS.stop - 1}")
    spec, reading = model.spec, model.reading
    proto = prepared(parse_graph(model.content, "the original"), spec, reading)
    answers = model.answers(np.zeros((1, *spec.window_shape), np.int32 if spec.input == "tokens" else np.float32))
    one_number = answers.shape[1] == 1
    converted = with_our_ends(proto, spec, reading, one_number=one_number)
    try:
        require_signal(spec, "this form")
        net = read_net(proto.SerializeToString(), channels_first=reading.channels_first)
    except ConversionError as error:
        _require_free_batch(converted, spec, model)
        return Source(spec, opset, converted, None, str(error))
    net = ending(net, reading, one_number=one_number)
    kinds = [step.operation.op_type for step in net.steps if isinstance(step.operation, Activation)]
    return Source(spec, max(opset, *(NEWER.get(kind, 0) for kind in kinds), 0), converted, net)


def prepared(proto: Any, spec: ModelSpec, reading: Reading) -> Any:
    """Return the graph with one output and what leads to it, a free batch, and the window's sizes as numbers."""
    import onnx
    from onnx import inliner, numpy_helper

    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    keep(graph.output, [value for value in graph.output if value.name == reading.output])
    keep(graph.input, [value for value in graph.input if value.name not in weights])
    needed, nodes = {reading.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(_names_read(node))
    keep(graph.node, nodes[::-1])
    keep(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed])
    del graph.value_info[:]
    sizes = spec.window_shape[::-1] if reading.channels_first else spec.window_shape
    fixed = sizes_of(graph.input[0])[0]
    _set_shape(graph.input[0], sizes)
    if fixed is not None:  # sizes that the exporter wrote down of the batch that it saw
        targets = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
        constants = [node for node in graph.node if node.op_type == "Constant" and node.output[0] in targets]
        held = [tensor for tensor in graph.initializer if tensor.name in targets]
        held += [attribute.t for node in constants for attribute in node.attribute if attribute.name == "value"]
        for tensor in held:
            target = numpy_helper.to_array(tensor).copy()
            if target.ndim == 1 and len(target) > 1 and target[0] == fixed:
                target[0] = 0  # the size that comes in
                tensor.CopyFrom(numpy_helper.from_array(target, tensor.name))
    kind = graph.output[0].type.tensor_type.elem_type or onnx.TensorProto.FLOAT
    if kind != onnx.TensorProto.FLOAT:
        raise ConversionError(
            f"the output {reading.output} is {onnx.TensorProto.DataType.Name(kind).lower()}; probabilities are float"
        )
    graph.output[0].type.tensor_type.ClearField("shape")
    return proto


def with_our_ends(proto: Any, spec: ModelSpec, reading: Reading, *, one_number: bool) -> bytes:
    """Return the bytes of a graph that takes and answers what the spec says, by our names, and is else as it came."""
    import onnx
    from onnx import helper, numpy_helper

    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    source, result = PREFIX + whole.graph.input[0].name, PREFIX + whole.graph.output[0].name
    kind = whole.graph.input[0].type.tensor_type.elem_type
    onnx.compose.add_prefix(whole, PREFIX, inplace=True)
    graph = whole.graph
    tokens = spec.input == "tokens"
    name = TOKENS if tokens else INPUT
    if tokens:
        first = helper.make_node("Cast", [name], [source], "edgeconv_ids", to=kind)
    elif reading.channels_first:
        first = helper.make_node("Transpose", [name], [source], "edgeconv_channels_first", perm=[0, 2, 1])
    else:
        first = helper.make_node("Identity", [name], [source], "edgeconv_windows")
    last: list[Any] = []
    value = result
    if reading.logits:
        op_type = "Sigmoid" if one_number else "Softmax"
        attributes = {} if one_number else {"axis": 1}
        last.append(helper.make_node(op_type, [value], ["edgeconv_answer"], "edgeconv_answer", **attributes))
        value = "edgeconv_answer"
    if one_number:
        graph.initializer.append(numpy_helper.from_array(np.array([[-1, 1]], np.float32), "edgeconv_signs"))
        graph.initializer.append(numpy_helper.from_array(np.array([1, 0], np.float32), "edgeconv_one"))
        inputs = [value, "edgeconv_signs", "edgeconv_one"]
        last.append(helper.make_node("Gemm", inputs, [OUTPUT], "edgeconv_two_classes"))
    elif last:
        last[-1].output[0] = OUTPUT
    else:
        last.append(helper.make_node("Identity", [value], [OUTPUT], "edgeconv_probabilities"))
    nodes = [first, *graph.node, *last]
    keep(graph.node, nodes)
    for end, called, shape in (
        (graph.input[0], name, spec.window_shape),
        (graph.output[0], OUTPUT, (len(spec.labels),)),
    ):
        end.name = called
        _set_shape(end, shape)
    if tokens:
        graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    write_spec(whole, spec)
    return bytes(whole.SerializeToString(deterministic=True))


def ending(net: Net, reading: Reading, *, one_number: bool) -> Net:
    """Return the network with what makes probabilities of its last value."""
    added: list[tuple[Operation, str]] = []
    if reading.logits:
        added.append((Activation("Sigmoid") if one_number else Softmax(), "edgeconv_probabilities"))
    if one_number:
        weight = np.array([-1, 1], np.float32).reshape(2, 1, 1)
        added.append((Conv(weight, np.array([1, 0], np.float32)), "edgeconv_two_classes"))
    for operation, name in added:
        net = replace(net, steps=(*net.steps, Step(operation, (len(net.steps),), name)))
    return net


def _require_free_batch(converted: bytes, spec: ModelSpec, model: OriginalModel) -> None:
    """Raise ConversionError where the graph as it came, with a free batch, does not answer two windows as the original.

    An exporter that saw a batch of one may have written that size down anywhere.
    """
    rng = np.random.default_rng(0)
    windows: Any = rng.normal(size=(3, *spec.window_shape)).astype(np.float32)
    if spec.input == "tokens":
        windows = rng.integers(0, spec.vocabulary or 1, (3, *spec.window_shape)).astype(np.int32)
    try:
        answers = OriginalModel(converted, spec, Reading(OUTPUT)).answers(windows)
        same = np.allclose(answers, model.predict(windows), atol=1e-4, equal_nan=True)
    except ArtefactError:
        same = False
    if not same:
        raise ConversionError(
            f"the graph was made for batches of {model.batch}, has no canonical form and cannot take others; export it "
            "again with a free batch (in PyTorch dynamic_shapes, or dynamic_axes for the older exporter)"
        )


def keep(field: Any, kept: list[Any]) -> None:
    """Leave these items, in this order, in a repeated field of a protobuf message."""
    copies = [type(item).FromString(item.SerializeToString()) for item in kept]
    del field[:]
    field.extend(copies)


def _names_read(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, and those that graphs inside it (of an If or a Loop) may read from outside."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _names_read(inner)
            yield from (value.name for value in graph.output)


def _set_shape(value: Any, sizes: tuple[int, ...]) -> None:
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    shape.dim.add().dim_param = BATCH
    for size in sizes:
        shape.dim.add().dim_value = size
