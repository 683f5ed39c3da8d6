"""Make the models that show whether a device runs: the one built into the doctor, and one with a state for the tests.

`edgeconv/runtime/doctor.py` holds the first as text, which this prints; the second is committed beside the other tiny
models of the tests.
"""

import base64
import textwrap
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

STATEFUL = Path(__file__).resolve().parents[1] / "tests" / "runtime" / "models" / "running_sum.onnx"
KERNEL = np.array([1, 2, 3], np.float32).reshape(1, 1, 1, 3)
WEIGHTS = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]], np.float32)


def probe() -> ModelProto:
    """Return MatMul(Flatten(Conv(x))) with small whole numbers: x [1, 1, 1, 8] → y [1, 2]."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"]),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["y"]),
    ]
    weights = {"kernel": KERNEL, "weights": WEIGHTS}
    return _model("probe", nodes, [_value("x", 1, 1, 1, 8)], [_value("y", 1, 2)], weights)


def running_sum() -> ModelProto:
    """Return state_out = state + x and answer = 2 · state_out, all [batch, 2]."""
    nodes = [
        helper.make_node("Add", ["state", "x"], ["state_out"]),
        helper.make_node("Mul", ["state_out", "two"], ["answer"]),
    ]
    inputs = [_value("x", "batch", 2), _value("state", "batch", 2)]
    outputs = [_value("answer", "batch", 2), _value("state_out", "batch", 2)]
    return _model("running_sum", nodes, inputs, outputs, {"two": np.array(2, np.float32)})


def _value(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _model(
    name: str,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    weights: dict[str, np.ndarray],
) -> ModelProto:
    constants = [numpy_helper.from_array(value, key) for key, value in weights.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def main() -> None:
    for line in textwrap.wrap(base64.b64encode(probe().SerializeToString(deterministic=True)).decode(), 100):
        print(f'    "{line}"')
    STATEFUL.write_bytes(running_sum().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
