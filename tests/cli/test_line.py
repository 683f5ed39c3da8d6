"""`edgeconv train`, `export` and `verify`: exit codes, what is said, what stays; the README's test runs the verbs."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from edgeconv import folder as files
from edgeconv.export import formats

COMMITTED = Path(__file__).resolve().parents[2] / "models" / "har_conv1d"


@pytest.fixture
def real_model(tmp_path, uci_har):
    """A copy of the committed model with some of its files; the data that it was trained on are in the cache."""
    folder = shutil.copytree(COMMITTED, tmp_path / "har_conv1d")
    certificate = json.loads((folder / files.CERTIFICATE).read_text())
    for name in set(certificate["artefacts"]) - {files.ONNX, files.TFLITE, "model.int8.onnx"}:
        del certificate["artefacts"][name]
        (folder / name).unlink()
    files.write_json(folder / files.CERTIFICATE, certificate)
    return folder


def test_verify_finds_the_data_in_the_cache_and_says_that_the_limits_are_kept(run, real_model):
    outcome = run("verify", real_model)
    assert outcome.code == 0, outcome.err
    assert outcome.notes[0] == "data: UCI HAR from the cache"
    assert outcome.notes[-1] == f"{real_model} is what was certified, and keeps its limits"
    title, head, *rows = outcome.out.splitlines()
    assert title == "Compared with model.keras on 2947 test windows of UCI HAR:"
    assert head.split()[0] == "file"
    entries = json.loads((real_model / files.CERTIFICATE).read_text())["artefacts"]
    figures, verdicts = rows[: len(entries)], rows[len(entries) :]
    assert [row.split()[:2] for row in figures] == [[name, f"{100 * e['accuracy']:.2f}"] for name, e in entries.items()]
    assert [row.split()[0] for row in verdicts] == list(entries)
    assert "equal to the reference on 2947 windows" in verdicts[0]


def test_verify_writes_junit_and_takes_limits(run, real_model, tmp_path):
    limits, report = tmp_path / "limits.toml", tmp_path / "verify.xml"
    limits.write_text("[int8]\naccuracy = 0.99\n")
    outcome = run("verify", real_model, "--limits", limits, "--junit", report)
    assert outcome.code == 4
    entry = json.loads((real_model / files.CERTIFICATE).read_text())["artefacts"]["model.int8.onnx"]
    assert f"model.int8.onnx: accuracy is {100 * entry['accuracy']:.2f} %, at least 99.00 % was asked" in outcome.error
    suites = {suite.get("name"): suite.get("failures") for suite in ET.parse(report).getroot()}
    assert {name for name, failures in suites.items() if failures != "0"} == {name for name in suites if "int8" in name}
    limits.write_text("[int8]\naccuracies = 0.99\n")
    outcome = run("verify", real_model, "--limits", limits)
    assert outcome.code == 2
    assert "has no figure 'accuracies'" in outcome.error


def test_verify_needs_no_record_of_the_training_where_the_data_are_given(run, real_model, uci_har_zip):
    (real_model / files.TRAINING).unlink()
    outcome = run("verify", real_model, "--data", uci_har_zip)
    assert outcome.code == 0, outcome.err


def test_verify_on_other_data_says_so(run, real_model):
    training = json.loads((real_model / files.TRAINING).read_text())
    training["data"]["synthetic"] = True  # as if it had been trained on the generated set
    (real_model / files.TRAINING).write_text(json.dumps(training))
    outcome = run("verify", real_model)
    assert "these are other data than" in outcome.notes[1]
    assert any("not the windows of the certificate" in note for note in outcome.notes)
    assert "1145 test windows of synthetic HAR-like data" in outcome.out


def test_verify_of_a_damaged_artefact_is_exit_code_6(run, real_model):
    content = bytearray((real_model / files.TFLITE).read_bytes())
    content[-1000] ^= 4
    (real_model / files.TFLITE).write_bytes(content)
    outcome = run("verify", real_model)
    assert outcome.code == 6
    assert outcome.out == ""
    assert "model.tflite is not the file that was certified" in outcome.error


def test_export_of_a_file_that_is_not_equivalent_is_exit_code_4_and_changes_nothing(run, real_model, monkeypatch):
    real = formats.write_form

    def with_a_bias_turned_round(*arguments):
        proto = onnx.load_from_string(real(*arguments))
        bias = next(i for i in proto.graph.initializer if list(i.dims) == [100])
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias)[::-1].copy(), bias.name))
        return proto.SerializeToString()

    monkeypatch.setattr(formats, "write_form", with_a_bias_turned_round)
    before = {path.name: path.read_bytes() for path in real_model.iterdir()}
    outcome = run("export", real_model, "--format", "onnx")
    assert outcome.code == 4
    assert re.search(r"model.onnx was not put in place: largest \|Δlogit\| is [\d.e-]+ of the window", outcome.error)
    assert {path.name: path.read_bytes() for path in real_model.iterdir()} == before


def test_a_model_whose_data_are_nowhere_says_to_give_them(run, real_model, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "empty"))
    for verb in ("verify", "export"):
        outcome = run(verb, real_model)
        assert outcome.code == 3
        assert "was trained on UCI HAR" in outcome.error
        assert "give it with --data" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "code", "telling"),
    [
        (["train", "--out", "{new}", "--network", "resnet"], 2, "choose one of audio, edge, seed, tiny"),
        (["train", "--out", "{new}", "--repeats", "0"], 2, "repeats is 0"),
        (["train", "--out", "{model}"], 2, "already holds a trained model"),
        (["train", "--out", "{new}", "--data", "{new}"], 3, "edgeconv data fetch"),
        (["train", "--out", "{new}", "--split", "folds"], 2, "leave --out away"),
        (["train", "--network", "edge", "--option", "depth=3"], 2, "network 'edge' has no option depth"),
        (["train", "--filters", "32,x"], 2, "--filters is '32,x'"),
        (["train", "--config", "{new}"], 3, "give a TOML file"),
        (["export", "{new}"], 3, "`edgeconv train` writes it"),
        (["export", "{model}", "--format", "coreml"], 2, "choose from onnx, onnx-int8, dense, dense-int8, stateful"),
        (["export", "{model}", "--hops", "16,eight"], 2, "give whole numbers separated by commas"),
        (["export", "{model}", "--opset", "99", "--format", "onnx"], 2, "choose 13 to 18"),
        (["verify", "{new}"], 3, "training.json is not there"),
    ],
)
def test_bad_usage_and_missing_things_have_their_exit_codes(run, real_model, tmp_path, arguments, code, telling):
    new = tmp_path / "new"
    outcome = run(*(argument.format(model=real_model, new=new) for argument in arguments))
    assert outcome.code == code
    assert telling in outcome.error
    assert not (new / "model.keras").exists()


def test_an_interrupted_training_keeps_its_fits_and_goes_on(run, tmp_path):
    out, runs = tmp_path / "walk", tmp_path / "runs"
    command = [
        sys.executable, "-m", "edgeconv", "train", "--network", "tiny", "--epochs", "2", "--repeats", "2",
        "--workers", "1", "--out", str(out), "--runs", str(runs),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(runs.glob("*/fits/*/result.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert re.fullmatch(r">#1: \d\d\.\d{3}\n", printed)
    assert said.splitlines()[-1] == "edgeconv: interrupted; what was finished is kept"
    assert "Traceback" not in said
    assert not (out / files.KERAS).exists()

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "edgeconv: 1 of 2 fits finished before" in done.stderr.splitlines()
    lines = done.stdout.splitlines()
    assert f"{lines[0]}\n" == printed, "the first repeat's result is the one that was kept"
    assert lines[1].startswith(">#2: ")
    assert re.fullmatch(r"Accuracy: \d\d\.\d{3}% \(\+/-\d+\.\d{3}\)", lines[2])
    assert (out / files.KERAS).exists()


def test_a_random_split_says_by_how_much_it_flatters(run, tmp_path):
    outcome = run("train", "--network", "tiny", "--filters", "8,8", "--epochs", "1", "--batch-size", "256",
                  "--split", "random", "--folds", "2", "--runs", tmp_path)  # fmt: skip
    assert outcome.code == 0
    warning = next(note for note in outcome.notes if "a random split says" in note)
    found = re.search(r"a random split says (\S+) %.* never saw (\S+) %: (\S+) points", warning)
    random, honest, difference = map(float, found.groups())
    assert difference == pytest.approx(random - honest, abs=0.011), "three figures of two decimals"
    assert len(re.findall("^Accuracy: ", outcome.out, re.M)) == 2
    assert sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir()) == ["tiny-folds", "tiny-random"]
