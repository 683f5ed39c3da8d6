"""tools/check_cuda.py, tried on the processor: the whole program runs before a GPU sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "tests" / "runtime" / "models"
FORMS = ["dense.onnx", "model.onnx"]
WAYS = ["cpu, 1 thread", "cpu, 2 threads", "cpu", "cpu, bound", "cpu, graph", "cpu, graph, tf32"]


@pytest.fixture
def folder(tmp_path):
    """A model folder of the tiny models."""
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(MODELS / "tiny.onnx", model / "model.onnx")
    shutil.copy(MODELS / "dense.onnx", model)
    return model


def check(*arguments):
    program = [sys.executable, str(REPOSITORY / "tools" / "check_cuda.py"), *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, cwd=REPOSITORY)


def test_tried_on_the_processor_it_compares_and_times_every_form_and_says_what_it_is(folder, tmp_path):
    files = ("--json", tmp_path / "cuda.json", "--markdown", tmp_path / "cuda.md")
    done = check(folder, "--second-device", "cpu", "--sizes", "3,1", "--rounds", 2, "--threads", 2, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Both sides ran on the processor, to try this program out")
    report = json.loads((tmp_path / "cuda.json").read_text())
    assert report["trial"] is True
    assert [form["file"] for form in report["forms"]] == FORMS
    for form in report["forms"]:
        # The same session on the same device: the same bits.
        assert form["max_abs_diff"] == dict.fromkeys(WAYS[2:], 0.0)
        assert list(form["timings"]) == list(form["first_s"]) == ["1", "3"]
        for seen in form["timings"].values():
            assert list(seen) == WAYS
            assert all(0 < time["low_s"] <= time["median_s"] <= time["high_s"] for time in seen.values())
    page = (tmp_path / "cuda.md").read_text()
    assert "nothing here is about CUDA" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == (2 + 2 * 4) + 2 * 2 * (2 + 2)
    assert {line.replace(r"\|", "").count("|") for line in rows} == {4, 8}


def test_without_cuda_it_is_one_line_and_exit_code_5(folder):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    done = check(folder)
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("check_cuda: error: device cuda:0 is not available")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--second-device", "auto"], 2, "is cuda or cuda:1"),
        (["--second-device", "cuda,tf32"], 2, "tf32 and graph are tried in any case"),
        (["--sizes", "0"], 2, "--sizes"),
        (["--second-device", "cpu", "--threads", "0"], 2, "--threads"),
        (["--second-device", "cpu", "--rounds", "0"], 2, "--rounds"),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, arguments, code, words):
    done = check(folder, *arguments)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]


def test_a_folder_without_a_model_is_refused(tmp_path):
    done = check(tmp_path, "--second-device", "cpu")
    assert done.returncode == 3
    assert "holds no ONNX file" in done.stderr
