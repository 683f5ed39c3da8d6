"""The reader on what PyTorch's two exporters leave (tools/make_torch_models.py wrote the files and the answers)."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.read import read_net
from edgeconv.export.graph.stateful import to_stateful
from edgeconv.export.graph.write import write_dense, write_stateful, write_windowed
from edgeconv.runtime import ConversionError

FOLDER = Path(__file__).parent / "torch_models"
WINDOW, CHANNELS, CLASSES = 40, 3, 4
NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx"))


@pytest.fixture(scope="module")
def answers():
    return dict(np.load(FOLDER / "answers.npz"))


@pytest.fixture(params=NAMES)
def net(request):
    name = request.param.split("_")[0]
    model = (FOLDER / f"{request.param}.onnx").read_bytes()
    return name, read_net(model, channels_first=name != "permuted")


def test_both_exporters_and_every_network_are_there():
    networks = {"flatten", "separable", "padded", "residual", "permuted"}
    assert set(NAMES) == {f"{name}_{exporter}" for name in networks for exporter in ("dynamo", "torchscript")}


@pytest.mark.parametrize("layout", ["1d", "2d"])
def test_the_canonical_graph_answers_as_pytorch_does(net, answers, spec_of, run_graph, layout):
    name, found = net
    canonical = write_windowed(found, spec_of(WINDOW, CHANNELS, CLASSES), layout)
    onnx.checker.check_model(onnx.load_from_string(canonical), full_check=True)
    windows = answers["windows"].transpose(0, 2, 1)
    # probabilities of another engine: float32 sums in another order
    np.testing.assert_allclose(run_graph(canonical, windows), answers[name], atol=1e-6, rtol=0)


def test_the_other_forms_answer_as_the_canonical_graph_or_name_the_layer_that_pads(
    net, spec_of, run_graph, run_stateful
):
    name, found = net
    spec = spec_of(WINDOW, CHANNELS, CLASSES)
    if name == "padded":
        with pytest.raises(ConversionError, match="pads"):
            to_dense(found, 5)
        return
    recording = np.random.default_rng(6).normal(size=(150, CHANNELS)).astype(np.float32)
    for hop in (1, 7, 20, 55):
        windows = np.stack([recording[i : i + WINDOW] for i in range(0, 150 - WINDOW + 1, hop)])
        expected = run_graph(write_windowed(found, spec), windows)
        dense = run_graph(write_dense(to_dense(found, hop), CLASSES, spec), recording)
        stateful = run_stateful(write_stateful(to_stateful(found, hop), spec), recording[None], WINDOW, hop)[0]
        # probabilities: float32 sums in other orders
        np.testing.assert_allclose(dense, expected, atol=1e-6, rtol=0)
        np.testing.assert_allclose(stateful, expected, atol=1e-6, rtol=0)


def test_a_graph_of_unknown_window_is_refused():
    model = onnx.load(FOLDER / "residual_torchscript.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "time"
    with pytest.raises(ConversionError, match="window and channels must be numbers"):
        read_net(model.SerializeToString(), channels_first=True)
