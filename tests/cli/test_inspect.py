"""`edgeconv inspect`, and what `edgeconv stream` says about the form that it runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from edgeconv.folder import file_sha256


@pytest.fixture
def folder(models, tmp_path):
    """A folder with every form at the hops 4, 1, 5 and 15; the window is 12. Its certificate covers two files."""
    folder = shutil.copytree(models / "forms", tmp_path / "model")
    entries = {
        name: {"sha256": file_sha256(folder / name), "max_abs_diff": 2.5e-7} for name in ("model.onnx", "dense.onnx")
    }
    entries["dense.onnx"]["sha256"] = "0" * 64
    (folder / "certificate.json").write_text(json.dumps({"artefacts": entries, "left_out": {}}))
    return folder


@pytest.fixture
def padded(folder):
    """A folder whose network has no other form than the windowed one."""
    for path in folder.glob("*e*.onnx"):
        if path.name != "model.onnx":
            path.unlink()
    reason = "conv1d_1 pads: at the edge of every window it sees zeros"
    certificate = {"artefacts": {}, "left_out": {"dense.onnx": reason, "stateful.onnx": reason}}
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder


def test_every_file_stands_with_its_form_cost_and_certificate(run, folder):
    outcome = run("inspect", folder)
    assert outcome.code == 0
    assert outcome.err == ""
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if ".onnx " in line and "hop " not in line}
    assert "certified, largest |Δp| 2.5e-07" in lines["model.onnx"]
    assert "changed since it was certified" in lines["dense.onnx"]
    assert "not certified" in lines["dense.hop1.onnx"]
    assert "window 12 samples (1.2 s), hop 4 (0.4 s), 10 samples a second" in outcome.out
    assert "labels still, walk, run" in outcome.out


def test_what_runs_and_why_depends_on_the_hop(run, folder):
    found = json.loads(run("inspect", folder, "--json").out)
    assert [found["runs"][use]["file"] for use in ("recordings", "one stream", "many streams")] == [
        "dense.onnx", "model.onnx", "stateful.onnx",
    ]  # fmt: skip
    assert found["runs"]["recordings"]["why"].endswith("117 multiply-adds a window, 52 % of 225")
    assert "pays where it saves 1,500,000 or more" in found["runs"]["one stream"]["why"]
    other = json.loads(run("inspect", folder, "--json", "--hop", "3").out)["runs"]
    assert {use["file"] for use in other.values()} == {"model.onnx"}
    assert f"`edgeconv export {folder} --format dense,stateful --hops 3` writes it" in other["recordings"]["why"]
    beyond = json.loads(run("inspect", folder, "--json", "--hop", "15").out)["runs"]["many streams"]
    assert beyond == {"file": "model.onnx", "why": "the windows do not overlap"}


def test_int8_files_are_listed_with_their_cost_and_say_what_runs_in_int8(run, folder):
    found = json.loads(run("inspect", folder, "--json", "--precision", "int8").out)
    assert [found["runs"][use]["file"] for use in ("recordings", "one stream", "many streams")] == [
        "dense.int8.onnx", "model.int8.onnx", "stateful.int8.onnx",
    ]  # fmt: skip
    rows = {row["file"]: row for row in found["files"]}
    for name in ("model", "dense", "stateful", "dense.hop1"):
        exact, int8 = rows[f"{name}.onnx"], rows[f"{name}.int8.onnx"]
        assert (exact["precision"], int8["precision"]) == ("float32", "int8")
        assert all(exact[key] == int8[key] for key in ("form", "hop", "multiply_adds"))
    other = json.loads(run("inspect", folder, "--json", "--precision", "int8", "--hop", "5").out)["runs"]
    assert other["recordings"]["file"] == "model.int8.onnx"
    assert (
        f"`edgeconv export {folder} --format dense-int8,stateful-int8 --hops 5` writes it" in other["recordings"]["why"]
    )


def test_streaming_in_int8_says_so_and_without_the_file_names_the_command(run, folder, tmp_path):
    recording = tmp_path / "walk.csv"
    samples = np.random.default_rng(0).normal(size=(60, 2))
    np.savetxt(recording, samples, delimiter=",", header="acc_x,acc_y", comments="")
    exact, int8 = (run("stream", folder, recording, "--precision", name) for name in ("float32", "int8"))
    assert (exact.code, int8.code) == (0, 0)
    assert "on cpu in int8" in int8.err
    assert "int8" not in exact.err
    assert exact.out.count("\n") == int8.out.count("\n") > 0
    assert exact.out != int8.out
    (folder / "model.int8.onnx").unlink()
    outcome = run("stream", folder, recording, "--precision", "int8")
    assert outcome.code == 3
    assert f"`edgeconv export {folder} --format onnx-int8` writes it" in outcome.err


def test_a_network_that_pads_says_which_layer(run, padded):
    found = json.loads(run("inspect", padded, "--json", "--hop", "7").out)["runs"]
    assert found["recordings"] == {
        "file": "model.onnx",
        "why": "there can be no dense.hop7.onnx: conv1d_1 pads: at the edge of every window it sees zeros",
    }
    assert "there can be no stateful.hop7.onnx: conv1d_1 pads" in found["one stream"]["why"]


def test_a_file_alone_is_windowed(run, folder):
    outcome = run("inspect", folder / "model.onnx")
    assert outcome.code == 0
    assert "model.onnx is one file; its folder may have dense.onnx" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "telling"),
    [
        (["{folder}", "--hop", "0"], 2, "hop is 0"),
        (["{folder}/nothing"], 3, "is not there"),
        (["{folder}/certificate.json"], 6, "is not a model that ONNX Runtime can load"),
    ],
)
def test_what_cannot_be_inspected_has_its_exit_code(run, folder, arguments, code, telling):
    outcome = run("inspect", *(argument.format(folder=folder) for argument in arguments))
    assert (outcome.code, outcome.out) == (code, "")
    assert telling in outcome.error


@pytest.fixture
def walk(write):
    return write("walk.csv", np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))


@pytest.mark.parametrize("hop", [4, 1, 5, 3, 15])
def test_stream_answers_the_same_by_every_form(run, folder, walk, hop):
    by_forms = run("stream", folder, walk, "--hop", hop)
    windowed = run("stream", folder / "model.onnx", walk, "--hop", hop)
    assert len(by_forms.predictions) == len(windowed.predictions) == (50 - 12) // hop + 1
    for one, other in zip(by_forms.predictions, windowed.predictions, strict=True):
        assert (one["start_s"], one["label"]) == (other["start_s"], other["label"])
        # float32 sums of a network of 63 weights in two orders
        np.testing.assert_allclose(
            list(one["probabilities"].values()), list(other["probabilities"].values()), atol=1e-6
        )


@pytest.mark.parametrize(
    ("hop", "said"),
    [
        (4, None),
        (3, "window by window, because there is no dense.hop3.onnx; `edgeconv export {folder} --format dense,stateful"
            " --hops 3` writes it"),
        (20, None),  # windows that do not overlap have nothing in common
    ],
)  # fmt: skip
def test_stream_says_how_to_get_the_faster_form(run, folder, walk, hop, said):
    notes = [note for note in run("stream", folder, walk, "--hop", hop).notes if "window by window" in note]
    assert notes == ([] if said is None else [said.format(folder=folder)])


def test_stream_says_why_there_can_be_no_faster_form(run, padded, walk):
    notes = run("stream", padded, walk).notes
    assert any("there can be no dense.onnx: conv1d_1 pads" in note for note in notes)


def test_stream_refuses_a_form_of_another_network(run, folder, walk, models):
    shutil.copy(models / "dense.onnx", folder / "dense.onnx")
    outcome = run("stream", folder, walk)
    assert outcome.code == 6
    assert "dense.onnx is of another network than the windowed model beside it" in outcome.error
