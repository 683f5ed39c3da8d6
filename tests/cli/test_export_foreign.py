"""`edgeconv export FILE --out FOLDER`: a model made elsewhere, from its file to predictions, and every refusal."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

TORCH = Path(__file__).parents[1] / "export" / "graph" / "torch_models"
NET = TORCH / "residual_torchscript.onnx"
WORDS = ["--channels", "acc_x:g,acc_y:g,acc_z:g", "--sampling-rate", "50", "--hop", "20", "--labels", "a,b,c,d"]


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(30, 40, 3)).astype(np.float32)
    np.savez(
        tmp_path / "own.npz", test_windows=windows, test_class_ids=np.arange(30) % 4, test_subjects=np.ones(30, int)
    )
    return tmp_path / "own.npz"


@pytest.fixture
def adopted(run, data, tmp_path):
    outcome = run("export", NET, "--out", tmp_path / "net", "--data", data, *WORDS)
    assert outcome.code == 0, outcome.err
    return tmp_path / "net", outcome


def test_an_onnx_file_is_exported_verified_streamed_inspected_and_timed(adopted, run, data, tmp_path):
    folder, outcome = adopted
    head, columns, *rows = outcome.out.splitlines()
    assert head == "Compared with original.onnx on 30 test windows of own:"
    assert "reference %" in columns
    assert [row.split()[0] for row in rows] == 2 * ["model.onnx", "dense.onnx", "stateful.onnx"]
    assert any(note.startswith("no model.tflite: TFLite is made of Keras layers") for note in outcome.notes)
    assert outcome.notes[-1].endswith(f"next: edgeconv stream {folder} RECORDING.csv")
    verified = run("verify", folder, "--data", data)
    assert verified.code == 0, verified.err
    assert verified.out.startswith("Compared with original.onnx on 30 test windows of own:")
    again = run("export", folder, "--data", data, "--format", "onnx,dense", "--hops", "8")
    assert again.code == 0, again.err
    assert (folder / "dense.hop8.onnx").exists()
    np.savetxt(tmp_path / "walk.csv", np.zeros((100, 3)), delimiter=",", header="acc_x,acc_y,acc_z", comments="")
    streamed = run("stream", folder, tmp_path / "walk.csv")
    assert [line["start_s"] for line in streamed.predictions] == [0.0, 0.4, 0.8, 1.2]
    inspected = run("inspect", folder)
    assert "original.onnx" not in inspected.out
    assert inspected.out.startswith("net version 1, trained on data that are not stated")
    timed = run("bench", folder, "--scenario", "offline", "--rounds", "3", "--windows", "64")
    assert timed.code == 0, timed.err
    assert {"windows", "dense"} <= {line.split()[0] for line in timed.out.splitlines() if line.strip()}


def test_spec_and_options_are_put_together_and_options_come_first(run, data, tmp_path):
    spec = {"name": "theirs", "channels": [{"name": n, "unit": "g"} for n in "xyz"], "sampling_rate_hz": 25.0, "hop": 5,
            "labels": ["a", "b", "c", "d"], "trained_on": "their walks"}  # fmt: skip
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    outcome = run("export", NET, "--out", tmp_path / "net", "--data", data, "--spec", tmp_path / "spec.json",
                  "--hop", "10", "--model-version", "7", "--format", "onnx")  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "net" / "spec.json").read_text())
    assert (found["name"], found["version"], found["hop"], found["sampling_rate_hz"]) == ("theirs", "7", 10, 25.0)
    assert (
        "trained is not known here**; whoever brought it says: on their walks"
        in (tmp_path / "net" / "README.md").read_text()
    )


def test_everything_that_is_missing_is_one_error(run):
    outcome = run("export", NET)
    assert outcome.code == 2
    for option in ("--channels", "--sampling-rate", "--hop", "--labels", "--spec", "--out", "--data"):
        assert option in outcome.error


@pytest.mark.parametrize(
    ("change", "code", "telling"),
    [
        (["--channels", "acc_x:g,acc_y"], 2, "'acc_y'; each is a name and a unit"),
        (["--channels", "x:g,y:g"], 3, "input is [batch, 3, 40]; the spec says 2 channels"),
        (["--labels", "a,b"], 3, "answers 4 classes, the spec has 2 labels (a, b)"),
        (["--window", "41"], 3, "a window of 41 timesteps"),
        (["--hop", "0"], 2, "hop must be at least 1"),
        (["--labels", "a,b,c,a"], 2, "needs two or more different labels"),
        (["--channels", "x:g,x:g,y:g"], 2, "channel names repeat: x, x, y"),
        (["--layout", "channels-last"], 3, "no [batch, window, channels]"),
        (["--output", "mood"], 2, "choose one with --output: probabilities"),
        (["--logits"], 2, "probabilities already; leave --logits out"),
        (["--data", "none.npz"], 3, "none.npz is not there"),
        (["--spec", "none.json"], 3, "none.json is not there"),
    ],
)
def test_what_disagrees_has_an_exit_code_and_says_both_sides(run, data, tmp_path, change, code, telling):
    outcome = run("export", NET, "--out", tmp_path / "net", "--data", data, *WORDS, *change)
    assert outcome.code == code, outcome.err
    assert telling in outcome.error
    assert not (tmp_path / "net" / "spec.json").exists()


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("no", "is not JSON"),
        ("[]", "is not a spec of version 1"),
        ('{"spec_version": 2}', "is not a spec of version 1"),
        ('{"rate": 50}', "says rate, which is not known; a spec says name"),
        ('{"window": "40"}', "window is '40' (str); int is expected"),
        ('{"channels": ["x"]}', "channel 'x' needs a name and a unit"),
    ],
)
def test_a_spec_that_cannot_be_read_says_why(run, data, tmp_path, text, telling):
    (tmp_path / "spec.json").write_text(text)
    outcome = run("export", NET, "--out", tmp_path / "net", "--data", data, "--spec", tmp_path / "spec.json")
    assert outcome.code == 6
    assert telling in outcome.error


def test_logits_end_with_a_failed_check_that_names_the_option(run, data, tmp_path):
    model = onnx.load(NET)
    last = model.graph.node[-1]
    assert last.op_type == "Softmax"
    last.op_type = "Identity"
    del last.attribute[:]
    onnx.save(model, tmp_path / "logits.onnx")
    outcome = run("export", tmp_path / "logits.onnx", "--out", tmp_path / "net", "--data", data, *WORDS)
    assert outcome.code == 4
    assert "--logits" in outcome.error
    outcome = run("export", tmp_path / "logits.onnx", "--out", tmp_path / "net", "--data", data, *WORDS, "--logits")
    assert outcome.code == 0, outcome.err


def test_other_files_are_refused_with_their_exit_code_and_the_way_out(run, data, tmp_path):
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "broken.onnx").write_bytes(b"rubbish")
    for name, telling in (("old.h5", "HDF5"), ("graph", "tf2onnx.convert"), ("broken.onnx", "not an ONNX file")):
        outcome = run("export", tmp_path / name, "--out", tmp_path / "net", "--data", data, *WORDS)
        assert outcome.code == 6
        assert telling in outcome.error
    for name in ("none.onnx", "none.keras"):
        outcome = run("export", tmp_path / name, "--out", tmp_path / "net", "--data", data, *WORDS)
        assert outcome.code == 3
        assert f"{name} is not a file" in outcome.error
    model = onnx.load(NET)
    model.graph.input.append(onnx.helper.make_tensor_value_info("age", onnx.TensorProto.FLOAT, ["batch", 1]))
    onnx.save(model, tmp_path / "two.onnx")
    assert run("export", tmp_path / "two.onnx", "--out", tmp_path / "net", "--data", data, *WORDS).code == 7


def test_a_folder_in_use_needs_overwrite_and_a_folder_takes_no_options_of_a_file(adopted, run, data):
    folder, _ = adopted
    again = ["export", NET, "--out", folder, "--data", data, *WORDS]
    outcome = run(*again)
    assert outcome.code == 2
    assert "already holds a model (original.onnx)" in outcome.error
    assert run(*again, "--overwrite", "--format", "onnx").code == 0
    outcome = run("export", folder, "--data", data, "--sampling-rate", "50", "--logits")
    assert outcome.code == 2
    assert "--sampling-rate, --logits: for a .keras or .onnx file only" in outcome.error


def test_the_data_of_a_model_made_elsewhere_must_be_given(adopted, run):
    for verb in ("export", "verify"):
        outcome = run(verb, adopted[0])
        assert outcome.code == 3
        assert "made elsewhere, and its data are not known here; give them with --data" in outcome.error


def test_training_does_not_take_windows_whose_meaning_it_does_not_know(run, data, tmp_path):
    outcome = run("train", "--out", tmp_path / "net", "--data", data)
    assert outcome.code == 3
    assert "labels, channel_names, units, sampling_rate_hz, hop are missing, and no model is given" in outcome.error


def test_a_model_that_reads_tokens_is_refused_by_what_needs_samples(run, models, tmp_path):
    np.savetxt(tmp_path / "walk.csv", np.zeros((9, 1)), header="x", comments="")
    for verb in (["stream", models / "tokens.onnx", tmp_path / "walk.csv"], ["bench", models / "tokens.onnx"]):
        outcome = run(*verb)
        assert outcome.code == 7
        assert "is for signals, and model 'tokens' reads texts of 4 tokens" in outcome.error
    inspected = run("inspect", models / "tokens.onnx")
    assert inspected.code == 0, inspected.err
    assert "texts of 4 token ids from 0 to 7" in inspected.out
    assert run("inspect", models / "tokens.onnx", "--hop", "2").code == 7
    assert json.loads(run("inspect", models / "tokens.onnx", "--json").out)["spec"]["vocabulary"] == 8
