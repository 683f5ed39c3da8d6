"""Write the tiny ONNX models of the runtime's tests.

They are committed, so that the runtime's tests need nothing but numpy, onnxruntime and the test tools. Their answer can
be worked out by hand: softmax(flatten(window) · WEIGHTS). The weights differ by place in the window, so a window that
is cut one sample too early or too late gives another answer.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.int8 import Int8Net, quantised
from edgeconv.export.graph.net import Activation, Conv, Net, Pool, Softmax, Step, digest
from edgeconv.export.graph.read import read_net
from edgeconv.export.graph.stateful import to_stateful
from edgeconv.export.graph.write import write_dense, write_stateful, write_windowed
from edgeconv.export.onnx import write_spec
from edgeconv.export.ranges import activations, ranges_of
from edgeconv.runtime import Channel, ModelSpec, Triad
from edgeconv.runtime.forms import form_file
from edgeconv.runtime.spec import NETWORK_KEY

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "runtime" / "models"
SPEC = ModelSpec(
    name="tiny",
    version="1",
    channels=(Channel("acc_x", "g"), Channel("acc_y", "g")),
    sampling_rate_hz=10.0,
    window=4,
    hop=2,
    labels=("still", "walk", "run"),
    triads=(Triad("acc", 1.0),),
    trained_on="nothing: weights chosen by hand (synthetic)",
)
WEIGHTS = np.array(
    [[1, 0, -1], [0, 1, 0], [-1, 0, 2], [0, -2, 1], [2, 0, 0], [0, 1, -1], [0, 0, 1], [1, -1, 0]], np.float32
)


def make(window: int = 4, classes: int = 3, batch: str | int = "batch") -> ModelProto:
    """Return windows [batch, window, 2] → probabilities [batch, classes]."""
    weights = np.resize(WEIGHTS[:, :classes], (window * 2, classes))
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["windows"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, [batch, window, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="edgeconv")


def make_tokens(size: int = 8) -> ModelProto:
    """Return tokens [batch, 4], ids of a vocabulary → probabilities [batch, 3]: softmax of the sum of their WEIGHTS."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "tokens"], ["rows"]),
            helper.make_node("ReduceSum", ["rows", "time"], ["logits"], keepdims=0),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tokens",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHTS[:size], "weights"), numpy_helper.from_array(np.array([1]), "time")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="edgeconv")


def write_forms(folder: Path) -> None:
    """Write a network of window 12 in all its forms, at its hop 4 and at 1, 5 and 15; at 4 and 1 in int8, too."""
    rng = np.random.default_rng(0)
    first = Conv(rng.normal(size=(3, 2, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    last = Conv(rng.normal(size=(3, 3, 5)).astype(np.float32), np.zeros(3, np.float32))
    layers = [first, Activation("Relu"), Pool("max", 2, 2), last, Softmax()]
    net = Net(12, 2, tuple(Step(layer, (i,), f"layer {i + 1}") for i, layer in enumerate(layers)))
    spec = replace(SPEC, name="forms", window=12, hop=4)
    folder.mkdir(parents=True, exist_ok=True)
    windows = np.random.default_rng(1).normal(size=(64, 12, 2)).astype(np.float32)
    int8 = Int8Net(net, ranges_of(net, activations(net, spec, windows), "minmax"))
    (folder / "model.onnx").write_bytes(write_windowed(net, spec))
    (folder / "model.int8.onnx").write_bytes(quantised(write_windowed(net, spec), int8))
    for hop in (4, 1, 5, 15):
        at_hop = replace(spec, hop=hop)
        dense, stateful = write_dense(to_dense(net, hop), 3, at_hop), write_stateful(to_stateful(net, hop), at_hop)
        for form, content in (("dense", dense), ("stateful", stateful)):
            (folder / form_file(form, hop, spec)).write_bytes(content)
            if hop in (4, 1):
                (folder / form_file(form, hop, spec, "int8")).write_bytes(quantised(content, int8))


def main() -> None:
    """Write the good model and the broken ones."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    variants = {
        "tiny": make(),
        "other_window": make(window=5),
        "other_classes": make(classes=2),
        "fixed_batch": make(batch=1),
        "no_spec": make(),
    }
    net = read_net(make().SerializeToString())
    (FOLDER / "dense.onnx").write_bytes(write_dense(to_dense(net, SPEC.hop), 3, SPEC))
    (FOLDER / "stateful.onnx").write_bytes(write_stateful(to_stateful(net, SPEC.hop), SPEC))
    for name, model in variants.items():
        if name != "no_spec":
            write_spec(model, SPEC)
        if name == "tiny":  # the windowed form of the network that dense.onnx is
            model.metadata_props.add(key=NETWORK_KEY, value=digest(net))
        (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    write_forms(FOLDER / "forms")
    tokens = make_tokens()
    write_spec(tokens, replace(SPEC, name="tokens", channels=(), triads=(), input="tokens", vocabulary=len(WEIGHTS)))
    (FOLDER / "tokens.onnx").write_bytes(tokens.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
