"""Ways to damage a TFLite file in place: what stands around the damaged numbers, metadata included, stays as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Edit = Callable[["Graph"], None]


class Graph:
    """A TFLite file whose numbers can be written through views."""

    def __init__(self, content: bytearray) -> None:
        from tensorflow.lite.python import schema_py_generated as schema

        self.schema = schema
        self.content = content
        self.model = schema.Model.GetRootAs(content, 0)
        self.graph = self.model.Subgraphs(0)

    def code(self, operator: Any) -> int:
        """Return the builtin operator's number."""
        found = self.model.OperatorCodes(operator.OpcodeIndex())
        return max(found.BuiltinCode(), found.DeprecatedBuiltinCode())

    def operators(self, *names: str) -> list[Any]:
        """Return the operators of some kinds, in their order."""
        codes = {getattr(self.schema.BuiltinOperator, name) for name in names}
        found = (self.graph.Operators(i) for i in range(self.graph.OperatorsLength()))
        return [operator for operator in found if self.code(operator) in codes]

    def layers(self) -> list[Any]:
        """Return the operators that have trained weights."""
        return self.operators("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")

    def values(self, tensor: Any) -> Any:
        """Return a view of a tensor's numbers in its shape."""
        types = self.schema.TensorType
        dtype = {types.FLOAT32: "<f4", types.INT8: "<i1", types.INT32: "<i4", types.FLOAT16: "<f2"}[tensor.Type()]
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        return data.view(dtype).reshape(tensor.ShapeAsNumpy())

    def weights(self, layer: int) -> Any:
        """Return a view of a layer's weights [out, …]."""
        return self.values(self.graph.Tensors(self.layers()[layer].Inputs(1)))

    def bias(self, layer: int) -> Any:
        """Return a view of a layer's bias [out]."""
        return self.values(self.graph.Tensors(self.layers()[layer].Inputs(2)))

    def largest(self, type_name: str) -> Any:
        """Return the numbers of the largest constant of a type."""
        wanted = getattr(self.schema.TensorType, type_name)
        tensors = (self.graph.Tensors(i) for i in range(self.graph.TensorsLength()))
        constants = [t for t in tensors if t.Type() == wanted and self.model.Buffers(t.Buffer()).DataLength()]
        return self.values(max(constants, key=lambda t: self.model.Buffers(t.Buffer()).DataLength()))

    def quantisation(self, tensor: Any) -> tuple[Any, Any]:
        """Return views of a tensor's scales and zero points."""
        found = tensor.Quantization()
        return found.ScaleAsNumpy(), found.ZeroPointAsNumpy()

    def write_scalar(self, table: Any, slot: int, value: int) -> None:
        """Write a one-byte field of a table that is not at its default."""
        offset = table._tab.Offset(slot)
        if offset == 0:
            raise ValueError("the field is at its default, and not in the file")
        self.content[table._tab.Pos + offset] = value & 0xFF

    def options(self, operator: Any, name: str) -> Any:
        """Return the options of an operator as a table of that name."""
        found = getattr(self.schema, name)()
        table = operator.BuiltinOptions()
        found.Init(table.Bytes, table.Pos)
        return found


def edit(path: Path, change: Edit) -> None:
    """Change a TFLite file in place."""
    content = bytearray(path.read_bytes())
    change(Graph(content))
    path.write_bytes(content)


def write(view: Any, change: Callable[[Any], Any]) -> None:
    """Write what a function makes of some numbers."""
    view[...] = change(view.copy())


def no_activation(layer: int) -> Edit:
    """Leave out the activation that is fused into a layer."""

    def edited(graph: Graph) -> None:
        operator = graph.layers()[layer]
        code = graph.code(operator)
        convolution = code == graph.schema.BuiltinOperator.CONV_2D
        name, slot = ("Conv2DOptions", 10) if convolution else ("FullyConnectedOptions", 4)
        graph.write_scalar(graph.options(operator, name), slot, 0)

    return edited


def other_pool(graph: Graph) -> None:
    """Average where the largest was taken."""
    operator = graph.operators("MAX_POOL_2D")[0]
    code = graph.model.OperatorCodes(operator.OpcodeIndex())
    average = graph.schema.BuiltinOperator.AVERAGE_POOL_2D
    for slot in (4, 10):  # the old field and the new one
        if code._tab.Offset(slot):
            graph.write_scalar(code, slot, average)
