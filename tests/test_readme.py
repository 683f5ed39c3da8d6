"""The README is short and every word of it is true: its lines are run, its figures looked up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODEL = ROOT / "models" / "har_conv1d"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_the_verbs_run_as_they_stand(tmp_path):
    lines, _ = [block for block in blocks("sh") if "edgeconv" in block]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^>#1: \d\d\.\d{3}$", done.stdout, flags=re.M)
    assert re.search(r"^Accuracy: \d\d\.\d{3}% \(one run\)$", done.stdout, flags=re.M)
    assert "synthetic" in done.stdout
    assert "synthetic" in done.stderr
    assert "what was certified, and keeps its limits" in done.stderr
    head, *rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert head.startswith("recording,start_s,end_s,label,confidence,probability_WALKING")
    assert len(rows) > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.csv", "recordings", "walk"]


def test_make_has_every_target_that_is_named():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = set(re.findall(r"make ([a-z-]+)", README))
    assert {"demo", "test", "setup", "reproduce"} <= named <= targets


def test_the_embedding_example_is_the_file_and_the_file_works():
    (shown,) = blocks("python")
    file = ROOT / "deploy" / "python" / "classify_lines.py"
    assert f"This is `{file.relative_to(ROOT)}`" in README
    _, code = file.read_text().split('"""\n\n', 1)
    assert code == shown
    lines = "1.0,0,0,0,0,0,0,0,0\n" * 192
    done = subprocess.run(
        [sys.executable, str(file), str(MODEL)], input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    times = [line.split()[0] for line in done.stdout.splitlines()]
    assert times == ["2.56", "3.20", "3.84"], "one window of 128 samples, then one every 32, at 50 Hz"
    assert re.fullmatch(r"   2.56 s  [A-Z_]+  \d+%", done.stdout.splitlines()[0])


def test_its_figures_are_those_of_the_committed_model():
    training = json.loads((MODEL / "training.json").read_text())
    artefacts = json.loads((MODEL / "certificate.json").read_text())["artefacts"]
    subjects = training["repeats"][0]["per_subject"]
    means = {s: sum(r["per_subject"][s] for r in training["repeats"]) / len(training["repeats"]) for s in subjects}
    worst = min(means, key=means.get)
    int8 = artefacts["model.int8.tflite"]
    for row in (
        f"| accuracy of 10 repeats | {100 * training['accuracy_mean']:.2f} % ± {100 * training['accuracy_sd']:.2f} |",
        f"| lowest subject, mean of repeats | subject {worst}: {100 * means[worst]:.2f} % |",
        f"| `model.onnx` against Keras, 2947 windows | largest abs. Δp {artefacts['model.onnx']['max_abs_diff']:.1e} |",
        f"| `model.tflite` against Keras | largest abs. Δp {artefacts['model.tflite']['max_abs_diff']:.1e} |",
        f"| `model.int8.onnx`, and dense and stateful in int8 | accuracy "
        f"{100 * artefacts['model.int8.onnx']['accuracy']:.2f} %, "
        f"same top class on {100 * artefacts['model.int8.onnx']['top1_agreement']:.2f} % |",
        f"| `model.int8.tflite` | accuracy {100 * int8['accuracy']:.2f} %, "
        f"Keras {100 * int8['reference_accuracy']:.2f} %, same top class on {100 * int8['top1_agreement']:.2f} % |",
    ):
        assert row in README


@pytest.mark.parametrize("name", ["har_edge", "har_raw"])
def test_the_row_of_each_small_model_is_what_its_folder_says(name):
    folder = ROOT / "models" / name
    training, certificate, spec = (
        json.loads((folder / f"{file}.json").read_text()) for file in ("training", "certificate", "spec")
    )
    worst, int8 = training["worst_subject"], certificate["artefacts"]["model.int8.tflite"]
    accuracies = [repeat["accuracy"] for repeat in training["repeats"]]
    mean = sum(accuracies) / len(accuracies)
    row = (
        f"| `{name}` | {training['data']['name']}, {len(spec['channels'])} channels | "
        f"{training['network']['parameters']:,} | {training['network']['multiply_adds'] / 1e6:.2f} M | "
        f"{100 * mean:.2f} % ± {100 * training['accuracy_sd']:.2f} ({len(accuracies)}) | "
        f"{100 * worst['accuracy']:.2f} % ({worst['subject']}) | "
        f"{100 * int8['reference_accuracy']:.2f} % → {100 * int8['accuracy']:.2f} % |"
    )
    assert row in README
    assert set(training["data"]["train"]["subjects"]).isdisjoint(training["data"]["test"]["subjects"])


@pytest.mark.parametrize("code", ["2", "3", "4", "5", "6", "7", "130"])
def test_every_exit_code_is_listed(code):
    assert re.search(rf"\b{code}\b", README.split("Exit codes:")[1].split("\n\n")[0])
