"""Keras → ONNX: windows in physical units in, probabilities out, the spec inside."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeconv.evaluate.channels_last import with_channels_last
from edgeconv.evaluate.keras_model import held_back_stderr, import_keras
from edgeconv.runtime.errors import ConversionError, DependencyError, UsageError
from edgeconv.runtime.spec import METADATA_KEY, ModelSpec, require_signal

from .graph.dense import to_dense
from .graph.net import Net
from .graph.read import read_net
from .graph.stateful import to_stateful
from .graph.write import write_dense, write_stateful, write_windowed
from .graph.writer import DEFAULT_LAYOUT, Layout
from .normalisation import make_normalisation_constant
from .prefixes import failing_layer

INPUT, TOKENS, OUTPUT, BATCH = "windows", "tokens", "probabilities", "batch"
OPSETS = range(13, 19)
"""Opsets that the converter writes and that are tested here."""
DEFAULT_OPSET = 17


@dataclass(frozen=True)
class Source:
    """What one reading of a model gives to write its ONNX files from."""

    spec: ModelSpec
    opset: int
    converted: bytes
    """The graph as the converter, or whoever made it, left it, with our names at its ends and the spec inside."""
    net: Net | None
    """Its canonical form, if it has one."""
    refusal: str = ""
    """Why it has none: the layer and the reason."""


def read_model(model: Any, spec: ModelSpec, opset: int = DEFAULT_OPSET) -> Source:
    """Convert a Keras model once, for all its ONNX files.

    Raises UsageError for an opset that the converter cannot write, ConversionError where the model cannot be converted.
    """
    converted = convert(model, spec, opset)
    try:
        require_signal(spec, "this form")
        return Source(spec, opset, converted, read_net(converted))
    except ConversionError as error:
        return Source(spec, opset, converted, None, str(error))


def write_form(source: Source, form: str, hop: int, layout: Layout = DEFAULT_LAYOUT) -> bytes:
    """Return the bytes of an ONNX file: the form `onnx` (windowed), `dense` or `stateful` at a hop.

    Two conversions of one model give the same bytes where it has a canonical form; a network that has none (a recurrent
    one, say) has the windowed form only, as the converter left it. Raises ConversionError that names the layer where a
    form cannot be exact.
    """
    net = source.net
    if net is None:
        if form == "onnx":
            return source.converted
        raise ConversionError(source.refusal)
    spec = replace(source.spec, hop=hop)
    if form == "onnx":
        return write_windowed(net, spec, layout, source.opset)
    if form == "dense":
        return write_dense(to_dense(net, hop), net.classes, spec, layout, source.opset)
    return write_stateful(to_stateful(net, hop), spec, layout, source.opset)


def to_onnx(model: Any, spec: ModelSpec, opset: int = DEFAULT_OPSET) -> bytes:
    """Convert a Keras model and return the bytes of its windowed ONNX file.

    Its input `windows` is float32 [batch, window, channels] in the spec's units, its output `probabilities` float32
    [batch, classes]. Raises what `read_model` raises.
    """
    return write_form(read_model(model, spec, opset), "onnx", spec.hop)


def convert(model: Any, spec: ModelSpec, opset: int = DEFAULT_OPSET) -> bytes:
    """Convert a Keras model with tf2onnx and return the bytes of the ONNX file as the converter lays it out.

    Ends, metadata and errors are those of `to_onnx`.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} cannot be written; choose {OPSETS.start} to {OPSETS.stop - 1}")
    import_keras()
    try:
        import onnx
        import tensorflow as tf
        import tf2onnx
    except ModuleNotFoundError as error:
        raise DependencyError(f'{error.name} is not installed; `pip install "edgeconv[train]"` brings it') from None
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it logs as an error is raised here
    model = with_channels_last(model)
    make_normalisation_constant(model)
    forget_activity(model)

    def graph_of(network: Any) -> Any:
        # tf2onnx's Keras entry point fails on Keras 3; a traced function with a named, typed input does not.
        traced = tf.function(lambda windows: network(windows, training=False))
        name, kind = (TOKENS, tf.int32) if spec.input == "tokens" else (INPUT, tf.float32)
        signature = [tf.TensorSpec((None, *spec.window_shape), kind, name=name)]
        with held_back_stderr():
            proto, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=opset)
        spell_out(proto.graph)
        # Operators that the converter does not know stay TensorFlow's.
        foreign = {node.op_type for node in proto.graph.node if not (node.domain or onnx.defs.has(node.op_type))}
        if foreign:
            raise ValueError(f"ONNX has no operator {', '.join(sorted(foreign))}")
        return proto

    eager_before = tf.config.functions_run_eagerly()
    # Keras compiles grouped convolutions as functions of their own, which the converter cannot see into: this makes the
    # trace run through them.
    tf.config.run_functions_eagerly(True)
    try:
        proto = graph_of(model)
    except Exception as error:  # the converter raises many kinds
        layer = failing_layer(model, graph_of)
        raise ConversionError(
            f"{layer or 'the model'} cannot be converted to ONNX: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        tf.config.run_functions_eagerly(eager_before)
    name_ends(proto.graph, spec)
    write_spec(proto, spec)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converter wrote an invalid graph: {' '.join(str(error).split())[:300]}") from error
    return bytes(proto.SerializeToString())


def spell_out(graph: Any) -> None:
    """Write TensorFlow's operators that ONNX does not have, and that the converter leaves as they are, in ONNX's."""
    from onnx import helper, numpy_helper

    in_onnx = {"Erfc": "Erf", "Expm1": "Exp"}  # 1 - erf(x), which exact gelu has, and exp(x) - 1, which celu has
    if any(node.op_type in in_onnx for node in graph.node):
        graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "edgeconv_one"))
    for at, node in reversed(list(enumerate(graph.node))):
        if node.op_type in in_onnx:
            inner = f"{node.output[0]}_{in_onnx[node.op_type]}"
            terms = ["edgeconv_one", inner] if node.op_type == "Erfc" else [inner, "edgeconv_one"]
            outer = helper.make_node("Sub", terms, list(node.output), name=node.name)
            first = helper.make_node(in_onnx[node.op_type], list(node.input), [inner], name=f"{node.name}_inner")
            node.CopyFrom(first)
            graph.node.insert(at + 1, outer)


def forget_activity(layer: Any) -> None:
    """Take the activity regularisers out of a model, or a layer: losses of training, which the trace would compute."""
    for inner in (*getattr(layer, "layers", ()), getattr(layer, "layer", None)):
        if inner is not None:
            forget_activity(inner)
    if getattr(layer, "activity_regularizer", None) is not None:
        layer.activity_regularizer = None


def name_ends(graph: Any, spec: ModelSpec) -> None:
    """Give the graph's only input and output the names and shapes that users see, the batch dimension by name.

    Raises ConversionError where the graph has another number of inputs or outputs.
    """
    if len(graph.input) != 1 or len(graph.output) != 1:
        ends = [value.name for value in (*graph.input, *graph.output)]
        raise ConversionError(f"the converted graph needs one input and one output, and has {', '.join(ends)}")
    for value, name, sizes in (
        (graph.input[0], TOKENS if spec.input == "tokens" else INPUT, spec.window_shape),
        (graph.output[0], OUTPUT, (len(spec.labels),)),
    ):
        _rename(graph, value.name, name)
        value.name = name
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.dim.add().dim_param = BATCH
        for size in sizes:
            shape.dim.add().dim_value = size
    # Shapes that the converter noted inside the graph call the batch dimension by other names.
    del graph.value_info[:]


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


def write_spec(proto: Any, spec: ModelSpec) -> None:
    """Write the spec into the ONNX metadata, in place of one that is there."""
    others = [entry for entry in proto.metadata_props if entry.key != METADATA_KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(others)
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
