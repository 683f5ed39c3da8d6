"""ONNX files made elsewhere (PyTorch's in graph/torch_models, and graphs made here): the original is the reference."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeconv import folder as files
from edgeconv.data.dataset import Split
from edgeconv.evaluate.limits import UserLimits
from edgeconv.evaluate.reference import load_reference, reference_file
from edgeconv.export.adopt import adopt, open_foreign
from edgeconv.export.pipeline import export
from edgeconv.export.said import complete_spec
from edgeconv.export.verify import verify
from edgeconv.runtime import (
    ArtefactError,
    CheckError,
    Classifier,
    ConversionError,
    InputError,
    MissingFileError,
    ModelSpec,
    UsageError,
)

TORCH = Path(__file__).parent / "graph" / "torch_models"
WINDOW, CHANNELS, CLASSES = 40, 3, 4
SAID = {
    "channels": [{"name": f"acc_{axis}", "unit": "g"} for axis in "xyz"],
    "sampling_rate_hz": 50,
    "hop": 20,
    "labels": list("abcd"),
}
ONNX_FORMS = [files.ONNX, files.DENSE, files.STATEFUL]


@pytest.fixture
def write(tmp_path):
    """Write a graph made here: what a node is, its inputs and output, and weights by name."""

    def write(nodes, weights, sizes=("batch", CHANNELS, WINDOW), outputs=(("answer", ("batch", CLASSES)),),
              kind=TensorProto.FLOAT, opset=17):  # fmt: skip
        graph = helper.make_graph(
            [helper.make_node(op, given, [made], name=f"{op}_{made}", **more) for op, given, made, more in nodes],
            "theirs",
            [helper.make_tensor_value_info("signal", kind, sizes)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.save(model, tmp_path / "theirs.onnx")
        return tmp_path / "theirs.onnx"

    return write


def dense_layers(classes=CLASSES, batch=0):
    """A flattening by Reshape, as exporters leave it, and a matrix product: logits of `classes`."""
    rng = np.random.default_rng(0)
    weights = {
        "filters": rng.normal(0, 0.5, (4, CHANNELS, 5)).astype(np.float32),
        "flat_size": np.array([batch, 4 * 36], np.int64),
        "matrix": rng.normal(0, 0.5, (4 * 36, classes)).astype(np.float32),
    }
    nodes = [
        ("Conv", ["signal", "filters"], "filtered", {}),
        ("Relu", ["filtered"], "kept", {}),
        ("Reshape", ["kept", "flat_size"], "flat", {}),
        ("MatMul", ["flat", "matrix"], "answer", {}),
    ]
    return nodes, weights


def with_softmax(nodes, op="Softmax"):
    return [*nodes[:-1], (*nodes[-1][:2], "logits", {}), (op, ["logits"], "answer", {})]


def adopted(path, folder, windows, said=SAID, **options):
    layout = options.get("layout")
    foreign = open_foreign(path, options.pop("output", None))
    spec = complete_spec(foreign.ends, said, "net", layout)
    return adopt(foreign, spec, folder, windows=windows, **options)


@pytest.mark.parametrize("name", sorted(path.stem for path in TORCH.glob("*.onnx")))
def test_what_pytorch_s_exporters_write_is_exported_in_every_onnx_form(name, tmp_path, proof, windows):
    folder, answers = tmp_path / "net", np.load(TORCH / "answers.npz")
    spec = adopted(TORCH / f"{name}.onnx", folder, windows)
    assert (folder / files.ORIGINAL).read_bytes() == (TORCH / f"{name}.onnx").read_bytes()
    assert spec.window == WINDOW
    found = load_reference(folder).predict(answers["windows"].transpose(0, 2, 1))
    # probabilities of another engine: float32 sums in another order
    np.testing.assert_allclose(found, answers[name.split("_")[0]], atol=1e-6)
    dataset = proof(spec)
    certificate = export(folder, dataset)
    made = [files.ONNX] if name.startswith("padded") else ONNX_FORMS
    assert [file for file in ONNX_FORMS if file in certificate["artefacts"]] == made
    reference = certificate["reference"]
    assert (reference["file"], reference["sha256"]) == (files.ORIGINAL, files.file_sha256(TORCH / f"{name}.onnx"))
    for file in (files.TFLITE, files.INT8_TFLITE):
        assert "TFLite is made of Keras layers, and this model is original.onnx" in certificate["left_out"][file]
    assert verify(folder, dataset).problems == ()
    card = (folder / files.CARD).read_text()
    assert "Each was compared with `original.onnx`" in card
    assert ("[batch, channels, window]" in card) is not name.startswith("permuted")
    assert json.loads((folder / files.ORIGIN).read_text())["file"] == f"{name}.onnx"


def test_a_changed_original_is_seen(tmp_path, proof, windows):
    folder = tmp_path / "net"
    spec = adopted(TORCH / "residual_dynamo.onnx", folder, windows)
    export(folder, proof(spec), formats=["onnx"])
    (folder / files.ORIGINAL).write_bytes((TORCH / "permuted_dynamo.onnx").read_bytes())
    with pytest.raises(ArtefactError, match=r"original.onnx is not the file that was certified"):
        verify(folder, proof(spec))
    origin = json.loads((folder / files.ORIGIN).read_text())
    for broken in ({}, origin | {"schema": "edgeconv.origin/9"}, origin | {"reading": {"turned": True}}):
        files.write_json(folder / files.ORIGIN, broken)
        with pytest.raises(ArtefactError, match=r"origin.json(: schema is| is not complete)"):
            load_reference(folder)
    (folder / files.ORIGIN).unlink()
    with pytest.raises(MissingFileError, match=r"origin.json is not there"):
        load_reference(folder)
    assert reference_file(folder) == files.ORIGINAL
    assert reference_file(tmp_path) == files.KERAS


# layout


@pytest.mark.parametrize(
    ("sizes", "channels", "window", "asked", "expected"),
    [
        (("batch", 3, 40), 3, None, None, ("channels-first", 40)),
        (("batch", 40, 3), 3, None, None, ("channels-last", 40)),
        (("batch", "time", 3), 3, 50, None, ("channels-last", 50)),
        (("batch", 3, "time"), 3, 50, None, ("channels-first", 50)),
        ((1, 3, 40), 40, 3, None, ("channels-last", 3)),
        (("batch", 3, 3), 3, None, "channels-first", ("channels-first", 3)),
        (("batch", 3, 3), 3, None, "channels-last", ("channels-last", 3)),
    ],
)
def test_the_layout_follows_from_sizes_and_spec(write, sizes, channels, window, asked, expected):
    ends = open_foreign(write(*dense_layers(), sizes=sizes)).ends
    said = SAID | {"channels": [{"name": f"c{i}", "unit": "1"} for i in range(channels)], "window": window}
    spec = complete_spec(ends, said, "net", asked)
    assert (ends.require_fit(spec, asked), spec.window) == expected


@pytest.mark.parametrize(
    ("sizes", "more", "asked", "error", "telling"),
    [
        (("batch", 3, 3), {}, None, UsageError, r"\[batch, 3, 3\] can be .*--layout channels-last or channels-first"),
        (("batch", 5, 40), {}, None, InputError, r"input is \[batch, 5, 40\]; the spec says 3 channels, which is no"),
        (("batch", 3, 40), {"window": 41}, None, InputError, r"says 3 channels and a window of 41 timesteps"),
        (("batch", 3, 40), {}, "channels-last", InputError, r"no \[batch, window, channels\]"),
        (("batch", 3, 40), {}, "nchw", UsageError, "layout 'nchw' is not known"),
        (("batch", 3, "time"), {}, None, UsageError, "give --window"),
        (("batch", "a", "b"), {"window": 40}, None, UsageError, "--layout"),
    ],
)
def test_a_layout_that_cannot_be_or_is_not_clear_is_said(write, sizes, more, asked, error, telling):
    ends = open_foreign(write(*dense_layers(), sizes=sizes)).ends
    with pytest.raises(error, match=telling):
        complete_spec(ends, SAID | more, "net", asked)


# answers


def test_logits_get_a_softmax_on_request_only(write, tmp_path, proof, windows):
    path, folder = write(*dense_layers()), tmp_path / "net"
    with pytest.raises(CheckError, match=r"no probabilities.*--logits"):
        adopted(path, folder, windows)
    spec = adopted(path, folder, windows, logits=True)
    certificate = export(folder, proof(spec), formats=["onnx", "dense", "stateful"])
    assert list(certificate["artefacts"]) == ONNX_FORMS
    np.testing.assert_allclose(Classifier.load(folder).predict(windows).sum(axis=1), 1, atol=1e-6)
    assert "its answers are logits" in (folder / files.CARD).read_text()
    nodes, weights = dense_layers()
    with pytest.raises(UsageError, match="probabilities already"):
        adopted(write(with_softmax(nodes), weights), tmp_path / "other", windows, logits=True)


@pytest.mark.parametrize("logits", [False, True])
def test_a_sigmoid_for_each_class_is_no_choice_and_gets_no_softmax(write, tmp_path, windows, logits):
    nodes, weights = dense_layers()
    with pytest.raises(CheckError, match="a sigmoid for each class gives them"):
        adopted(write(with_softmax(nodes, "Sigmoid"), weights), tmp_path / "net", windows, logits=logits)


@pytest.mark.parametrize("logits", [False, True])
def test_one_number_becomes_the_probabilities_of_two_classes(write, tmp_path, proof, windows, logits):
    nodes, weights = dense_layers(1)
    nodes = nodes if logits else with_softmax(nodes, "Sigmoid")
    path = write(nodes, weights, outputs=[("answer", ("batch", 1))])
    spec = adopted(path, tmp_path / "net", windows, SAID | {"labels": ["rest", "move"]}, logits=logits)
    certificate = export(tmp_path / "net", proof(spec), formats=["onnx", "dense", "stateful"])
    assert list(certificate["artefacts"]) == ONNX_FORMS
    second = load_reference(tmp_path / "net").predict(windows)[:, 1]
    session = load_reference(tmp_path / "net")
    plain = session.answers(windows)[:, 0]
    np.testing.assert_allclose(second, 1 / (1 + np.exp(-plain)) if logits else plain, atol=1e-6)  # float32 sigmoid


def test_one_of_several_outputs_is_taken_and_what_only_others_need_is_left_out(write, tmp_path, proof, windows):
    nodes, weights = dense_layers()
    # An operator without a canonical form, on the way to the other output only.
    nodes = [*with_softmax(nodes), ("Cos", ["kept"], "wave", {}), ("ReduceMean", ["wave"], "mood", {"axes": [2]})]
    outputs = [("mood", ("batch", 4)), ("answer", ("batch", CLASSES))]
    path = write(nodes, weights, outputs=outputs)
    with pytest.raises(UsageError, match="choose one with --output: mood, answer"):
        open_foreign(path)
    spec = adopted(path, tmp_path / "net", windows, output="answer")
    certificate = export(tmp_path / "net", proof(spec), formats=["onnx", "dense", "stateful"])
    assert list(certificate["artefacts"]) == ONNX_FORMS


def test_answers_of_another_size_than_the_labels_are_seen_where_the_graph_does_not_declare_it(write, tmp_path, windows):
    nodes, weights = dense_layers(5)
    path = write(with_softmax(nodes), weights, outputs=[("answer", None)])
    with pytest.raises(ConversionError, match=r"answers two windows with \[2, 5\]; \[2, 4\] is needed"):
        adopted(path, tmp_path / "net", windows)


# fixed batches, and graphs without a canonical form


@pytest.mark.parametrize("batch", [1, 7])
def test_a_graph_of_a_fixed_batch_is_run_so_many_at_a_time_and_exported_with_a_free_one(
    write, tmp_path, proof, windows, batch
):
    nodes, weights = dense_layers(batch=batch)
    sizes, outputs = (batch, CHANNELS, WINDOW), [("answer", (batch, CLASSES))]
    path = write(with_softmax(nodes), weights, sizes=sizes, outputs=outputs)
    spec = adopted(path, tmp_path / "net", windows)
    certificate = export(tmp_path / "net", proof(spec), formats=["onnx", "dense", "stateful"])
    assert list(certificate["artefacts"]) == ONNX_FORMS
    free = adopted(write(with_softmax(nodes), dense_layers()[1]), tmp_path / "free", windows)
    found = [load_reference(tmp_path / name).predict(windows) for name in ("net", "free")]
    assert free.window == spec.window
    np.testing.assert_allclose(*found, atol=1e-6)  # other batches, other order of sums


def without_canonical_form(nodes):
    return [("Cos", ["signal"], "wave", {}), ("Conv", ["wave", "filters"], "filtered", {}), *with_softmax(nodes)[1:]]


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("last", [False, True])
def test_a_graph_without_canonical_form_stays_as_it_came_behind_our_ends(write, tmp_path, proof, windows, batch, last):
    nodes, weights = dense_layers(batch=0 if batch == "batch" else 1)
    nodes = without_canonical_form(nodes)
    sizes = (batch, CHANNELS, WINDOW)
    if last:
        nodes = [("Transpose", ["signal"], "turned", {"perm": [0, 2, 1]}), ("Cos", ["turned"], "wave", {}), *nodes[1:]]
        sizes = (batch, WINDOW, CHANNELS)
    path = write(nodes, weights, sizes=sizes, outputs=[("answer", (batch, CLASSES))])
    spec = adopted(path, tmp_path / "net", windows)
    certificate = export(tmp_path / "net", proof(spec))
    assert files.ONNX in certificate["artefacts"]
    for name in (files.DENSE, files.STATEFUL):
        assert "operator Cos cannot be brought into canonical form" in certificate["left_out"][name]
    classifier = Classifier.load(tmp_path / "net")
    assert classifier.spec == spec
    assert [end.name for end in classifier.model.session.get_inputs()] == ["windows"]
    np.testing.assert_allclose(
        classifier.predict(windows), load_reference(tmp_path / "net").predict(windows), atol=1e-6
    )
    onnx.checker.check_model(onnx.load(tmp_path / "net" / files.ONNX), full_check=True)


def test_graphs_inside_a_graph_read_values_of_ours_under_their_new_names(write, tmp_path, proof, windows):
    branches = [
        helper.make_graph([helper.make_node(op, ["signal"], [name])], name, [],
                          [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for op, name in (("Cos", "then"), ("Sin", "else"))
    ]  # fmt: skip
    nodes, weights = dense_layers()
    chosen = ("If", ["flag"], "wave", {"then_branch": branches[0], "else_branch": branches[1]})
    nodes = [chosen, ("Conv", ["wave", "filters"], "filtered", {}), *with_softmax(nodes)[1:]]
    spec = adopted(write(nodes, weights | {"flag": np.array(True)}), tmp_path / "net", windows)
    certificate = export(tmp_path / "net", proof(spec))
    assert "operator If cannot be brought" in certificate["left_out"][files.DENSE]
    assert certificate["artefacts"][files.ONNX]["max_abs_diff"] <= 1e-5


def test_a_fixed_batch_that_cannot_be_freed_is_refused_with_the_way_out(write, tmp_path, proof, windows):
    nodes, weights = dense_layers(batch=1)
    nodes = without_canonical_form(nodes)
    weights["whole_shape"] = np.array([CHANNELS, WINDOW], np.int64)  # the batch of one is lost on the way
    weights["back"] = np.array([1, CHANNELS, WINDOW], np.int64)
    nodes = [("Reshape", ["signal", "whole_shape"], "alone", {}), ("Cos", ["alone"], "turned", {}),
             ("Reshape", ["turned", "back"], "wave", {}), *nodes[1:]]  # fmt: skip
    path = write(nodes, weights, sizes=(1, CHANNELS, WINDOW), outputs=[("answer", (1, CLASSES))])
    spec = adopted(path, tmp_path / "net", windows)
    with pytest.raises(ConversionError, match=r"nothing can be exported.*made for batches of 1.*free batch"):
        export(tmp_path / "net", proof(spec))
    assert not (tmp_path / "net" / files.CERTIFICATE).exists()


def test_newer_operators_get_the_opset_that_has_them(write, tmp_path, proof, windows):
    nodes, weights = dense_layers()
    nodes = [nodes[0], ("Mish", ["filtered"], "kept", {}), *with_softmax(nodes)[2:]]
    spec = adopted(write(nodes, weights, opset=18), tmp_path / "net", windows)
    export(tmp_path / "net", proof(spec), formats=["onnx"])
    assert onnx.load(tmp_path / "net" / files.ONNX).opset_import[0].version == 18
    with pytest.raises(UsageError, match="opset 25 cannot be written"):
        export(tmp_path / "net", proof(spec), formats=["onnx"], opset=25)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_token_ids_are_taken_in_int32_whatever_the_graph_has(write, tmp_path, proof, kind):
    table = np.random.default_rng(1).normal(size=(11, CLASSES)).astype(np.float32)
    nodes = [
        ("Gather", ["table", "signal"], "rows", {}),
        ("ReduceMean", ["rows"], "logits", {"axes": [1], "keepdims": 0}),
        ("Softmax", ["logits"], "answer", {}),
    ]
    path = write(nodes, {"table": table}, sizes=("batch", 6), kind=kind)
    foreign = open_foreign(path)
    assert (foreign.ends.input, foreign.ends.vocabulary) == ("tokens", 11)
    spec = complete_spec(foreign.ends, {"labels": list("abcd")}, "texts")
    dataset = proof(spec)
    adopt(foreign, spec, tmp_path / "net", windows=dataset.test.windows)
    certificate = export(tmp_path / "net", dataset)
    assert files.ONNX in certificate["artefacts"]
    assert "reads texts of 6 tokens" in certificate["left_out"][files.DENSE]
    (end,) = Classifier.load(tmp_path / "net").model.session.get_inputs()
    assert (end.name, end.type) == ("tokens", "tensor(int32)")


# refusals


def test_what_is_no_whole_onnx_file_is_refused(write, tmp_path):
    for content in (b"", b"rubbish", write(*dense_layers()).read_bytes()[:300]):
        (tmp_path / "broken.onnx").write_bytes(content)
        with pytest.raises(ArtefactError, match=r"broken.onnx is not an ONNX file"):
            open_foreign(tmp_path / "broken.onnx")
    with pytest.raises(MissingFileError, match=r"none.onnx"):
        open_foreign(tmp_path / "none.onnx")
    whole = onnx.load(write(*dense_layers()))
    onnx.save(whole, tmp_path / "parts.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ArtefactError, match=r"keeps its weights in other files \(filters …\); write it as one file"):
        open_foreign(tmp_path / "parts.onnx")


@pytest.mark.parametrize(
    ("sizes", "kind", "outputs", "telling"),
    [
        (("batch", 3, 4, 5), TensorProto.FLOAT, None, r"signal is float \[\?, 3, 4, 5\]; it must be float"),
        (("batch", 3, 40), TensorProto.FLOAT16, None, r"signal is float16 \[\?, 3, 40\]"),
        (("batch", 40), TensorProto.FLOAT, None, r"signal is float \[\?, 40\]"),
        (("batch", 3, 40), TensorProto.FLOAT, [("answer", ("batch", 4, 36))], r"answer is \[\?, 4, 36\]; it must be"),
    ],
)
def test_other_ends_than_windows_and_classes_are_refused(write, sizes, kind, outputs, telling):
    given = {} if outputs is None else {"outputs": outputs}
    with pytest.raises(ConversionError, match=telling):
        open_foreign(write(*dense_layers(), sizes=sizes, kind=kind, **given))


def test_several_inputs_are_refused_by_name(write, tmp_path):
    model = onnx.load(write(*dense_layers()))
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["batch", 1]))
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(ConversionError, match=r"has 2 inputs \(signal, age\); it must take one"):
        open_foreign(tmp_path / "two.onnx")
    # Older exporters list the weights among the inputs.
    model.graph.input[1].CopyFrom(helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [144, 4]))
    onnx.save(model, tmp_path / "weights.onnx")
    assert open_foreign(tmp_path / "weights.onnx").ends.sizes == (3, 40)


def test_mean_and_deviation_in_the_spec_of_a_graph_are_refused(write, tmp_path, windows):
    nodes, weights = dense_layers()
    said = SAID | {"channels": [{**channel, "std": 2.0} for channel in SAID["channels"]]}
    with pytest.raises(InputError, match="cannot be seen in an ONNX graph; leave mean and std out"):
        adopted(write(with_softmax(nodes), weights), tmp_path / "net", windows, said)


def test_an_operator_that_onnx_runtime_does_not_know_is_refused(write, tmp_path, windows):
    _, weights = dense_layers()
    path = write([("Fancy", ["signal"], "answer", {})], weights)
    with pytest.raises(ArtefactError, match=r"not a model that ONNX Runtime can load \(.*Fancy"):
        adopted(path, tmp_path / "net", windows)
    assert isinstance(complete_spec(open_foreign(path).ends, SAID, "net"), ModelSpec)


def test_an_original_gets_int8_files_where_the_data_have_windows_to_train_on(tmp_path, proof, windows):
    folder = tmp_path / "net"
    spec = adopted(TORCH / "residual_torchscript.onnx", folder, windows)
    tested = proof(spec)
    rng = np.random.default_rng(4)
    # Like the test windows, and of other subjects; the truth is what the network says, which int8 is to say as well.
    near = np.concatenate([windows + rng.normal(0, 0.05, windows.shape).astype(np.float32) for _ in range(4)])
    said = load_reference(folder).predict(near).argmax(axis=1)
    train = Split(near, said, np.repeat(np.arange(2, 10), len(near) // 8))
    truth = load_reference(folder).predict(tested.test.windows).argmax(axis=1)
    dataset = replace(tested, train=train, test=replace(tested.test, class_ids=truth))
    # An untrained network decides by a hair, so its classes flip: what counts is that each file is itself again.
    loose = UserLimits({"int8": {"accuracy_drop": 1.0, "top1_agreement": 0.0}})
    certificate = export(folder, dataset, formats=["onnx", "onnx-int8", "dense-int8", "stateful-int8"], limits=loose)
    int8 = ["model.int8.onnx", "dense.int8.onnx", "stateful.int8.onnx"]
    assert [name for name in certificate["artefacts"] if "int8" in name] == int8
    assert all(certificate["artefacts"][name]["top1_agreement"] > 0.8 for name in int8)
    found = verify(folder, dataset, limits=loose)
    assert found.problems == ()
    assert all(found.examinations[name].same_bytes for name in int8)
