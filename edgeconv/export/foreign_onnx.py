"""An `.onnx` file made elsewhere: whether it can be taken, and what it says of its ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeconv.runtime.errors import ArtefactError, ConversionError, DependencyError, MissingFileError

from .foreign import LAYOUTS, ModelEnds, choose_output


def load_graph(path: Path) -> Any:
    """Return the ONNX model of a file; raises MissingFileError or ArtefactError."""
    try:
        content = path.read_bytes()
    except OSError:
        raise MissingFileError(f"{path} is not a file that can be read; give a .keras or .onnx file") from None
    return parse_graph(content, path)


def parse_graph(content: bytes, where: Path | str) -> Any:
    """Return the ONNX model of a file's bytes; raises ArtefactError where it is damaged or lacks its weights."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise DependencyError(f'{error.name} is not installed; `pip install "edgeconv[train]"` brings it') from None
    try:
        proto = onnx.load_from_string(content)
    except Exception as error:  # protobuf's errors differ between its versions
        reason = " ".join(str(error).split())[:120]
        raise ArtefactError(f"{where} is not an ONNX file, or a damaged one ({reason})") from None
    if not proto.graph.node:
        raise ArtefactError(f"{where} is not an ONNX file, or one without any operation")
    apart = [t.name for t in proto.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if apart:
        raise ArtefactError(
            f"{where} keeps its weights in other files ({apart[0]} …); write it as one file, with "
            "`onnx.save(onnx.load('net.onnx'), 'whole.onnx')`, and export that"
        )
    return proto


def ends_of_graph(proto: Any, wanted: str | None, where: Path | str) -> tuple[ModelEnds, str]:
    """Return what a graph says of its input and of the output that is wanted, and that output's name.

    Raises ConversionError for other inputs or answers than windows and classes, UsageError that lists the outputs.
    """
    import onnx

    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ConversionError(
            f"{where}: the graph has {len(inputs)} inputs ({', '.join(value.name for value in inputs)}); it must take "
            "one, windows; let it take all channels together and split them inside"
        )
    output = proto.graph.output[choose_output([value.name for value in proto.graph.output], wanted, where)]
    kind = inputs[0].type.tensor_type
    sizes = sizes_of(inputs[0])
    of_type = onnx.TensorProto.DataType.Name(kind.elem_type)
    if not (of_type == "FLOAT" and len(sizes) == 3) and not (of_type in ("INT32", "INT64") and len(sizes) == 2):
        raise ConversionError(
            f"{where}: the input {inputs[0].name} is {of_type.lower()} {_words(sizes)}; it must be float "
            "[batch, window, channels] or [batch, channels, window], or int [batch, timesteps] for tokens"
        )
    answer = sizes_of(output)
    if answer and len(answer) != 2:
        raise ConversionError(
            f"{where}: the output {output.name} is {_words(answer)}; it must be [batch, classes], one answer for a "
            "window"
        )
    classes = answer[1] if answer else None
    if of_type != "FLOAT":
        return ModelEnds("tokens", sizes[1:], classes, vocabulary=_vocabulary(proto, inputs[0].name)), output.name
    return ModelEnds("signal", sizes[1:], classes, LAYOUTS), output.name


def _vocabulary(proto: Any, source: str) -> int | None:
    """Return the rows of the one table that the input's ids are looked up in; None where that is not to be seen."""
    same = {source}
    for node in proto.graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in same:
            same.add(node.output[0])
    tables = {n.input[0] for n in proto.graph.node if n.op_type == "Gather" and n.input[1] in same}
    rows = [tensor.dims[0] for tensor in proto.graph.initializer if tensor.name in tables]
    return int(rows[0]) if len(rows) == 1 else None


def sizes_of(value: Any) -> tuple[int | None, ...]:
    """Return the sizes of an end of a graph; None for one that is free."""
    if not value.type.tensor_type.HasField("shape"):
        return ()
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)


def _words(sizes: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"
