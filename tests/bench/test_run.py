"""The benchmark as a whole, with sizes so small that the figures mean nothing."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys

import pytest

from edgeconv.bench import Settings, bench, read_result
from edgeconv.bench.compare import compare
from edgeconv.runtime import ArtefactError, CheckError, MissingFileError, UsageError

TINY = {"rounds": 2, "round_s": 0.001, "warm_up_s": 0.001, "windows": 20, "streams": 3}


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def test_all_scenarios_give_figures_that_rest_on_what_they_say(model, tmp_path):
    began, finished = [], []
    result = bench(model, Settings(**TINY), began.append, lambda name, so_far: finished.append((name, so_far)))
    names = ["single-stream", "offline", "multi-stream", "paced", "cold-start"]
    assert list(result.scenarios) == began == [name for name, _ in finished] == names
    assert finished[-1][1] == result
    assert [len(so_far.scenarios) for _, so_far in finished] == [1, 2, 3, 4, 5]

    assert list(result.scenarios["single-stream"]) == ["predict", "push", "dense", "step"]
    assert list(result.scenarios["multi-stream"]) == ["push", "pool"]
    assert list(result.scenarios["offline"]) == ["windows", "dense"]
    for rows in result.scenarios.values():
        for row in rows.values():
            assert row.problem == ""
            assert row.facts.get("provider", "CPUExecutionProvider") == "CPUExecutionProvider"
            assert row.file_bytes == (model / row.file).stat().st_size
            for figure in row.figures.values():
                assert len(figure.rounds) == 2
                assert figure.low <= figure.median <= figure.high
    for row in result.scenarios["single-stream"].values():
        values = [row.figures[name].median for name in ("p50_us", "p90_us", "p95_us", "p99_us")]
        assert values == sorted(values)
        assert row.details["worst_us"] >= values[-1]
        assert row.runs_per_round >= 100
    windows = result.scenarios["offline"]["windows"]
    assert windows.details["predictions_per_s"] == pytest.approx(1e6 / windows.figures["us_per_prediction"].median)
    assert windows.units_per_run == 20
    dense = result.scenarios["offline"]["dense"]
    assert dense.relative["to"] == "windows"
    assert dense.relative["low"] <= dense.relative["ratio"] <= dense.relative["high"]
    many = result.scenarios["multi-stream"]["push"]
    assert many.units_per_run == 3 * 32 / 2
    paced = result.scenarios["paced"]["push"].details
    assert (paced["answers"], paced["deadline_ms"]) == (20, pytest.approx(200))
    assert 0 <= paced["missed"] <= 20

    assert result.settings["hop"] == 2
    assert set(result.model["files"]) == {"model.onnx", "dense.onnx", "stateful.onnx"}
    assert result.left_out == {}
    result.write(tmp_path / "a.json")
    again = read_result(tmp_path / "a.json")
    assert json.dumps(again.to_json()) == json.dumps(result.to_json())
    verdicts = {change.verdict for change in compare(again, again).changes}
    assert verdicts == {"not resolvable"}


def test_at_another_hop_the_form_that_is_not_there_is_left_out(model):
    result = bench(model, Settings(scenarios=("offline",), hop=3, **TINY))
    assert list(result.scenarios["offline"]) == ["windows"]
    assert result.left_out == {
        "dense": "dense.hop3.onnx is not there", "stateful": "stateful.hop3.onnx is not there",
    }  # fmt: skip
    assert result.settings["hop"] == 3


def test_a_file_instead_of_a_folder_is_one_form(model):
    result = bench(model / "model.onnx", Settings(scenarios=("offline",), **TINY))
    assert list(result.scenarios["offline"]) == ["windows"]
    assert result.left_out == {}


def test_a_form_that_answers_otherwise_is_not_timed(model):
    data = (model / "dense.onnx").read_bytes()
    two, three = b"\x00\x00\x00\x40", b"\x00\x00\x40\x40"
    assert two in data
    (model / "dense.onnx").write_bytes(data.replace(two, three))
    rows = bench(model, Settings(scenarios=("offline",), **TINY)).scenarios["offline"]
    assert rows["dense"].verdict == "wrong"
    assert "the answers differ from those of windows by up to" in rows["dense"].problem
    assert rows["dense"].figures == {}
    assert rows["dense"].relative is None
    assert rows["windows"].figures


def test_a_damaged_form_is_an_error_and_leaves_no_process(model):
    (model / "dense.onnx").write_bytes(b"not a model")
    with pytest.raises(ArtefactError, match=r"dense.onnx is not a model"):
        bench(model, Settings(scenarios=("offline",), **TINY))


def test_a_folder_without_files_says_what_writes_them(tmp_path):
    with pytest.raises(MissingFileError, match=r"model.onnx is not there.*edgeconv export"):
        bench(tmp_path)


def test_the_command_that_cannot_start_is_an_error(model, monkeypatch, tmp_path):
    # As on a device without the extra: the typer that is found there cannot be imported.
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CheckError, match=r'the command line needs `pip install "edgeconv\[cli\]"`'):
        bench(model, Settings(scenarios=("cold-start",), **TINY))


@pytest.mark.parametrize(
    ("wrong", "telling"),
    [
        ({"scenarios": ("offline", "server")}, "scenario 'server' is not known; choose from single-stream, offline"),
        ({"scenarios": ()}, "no scenario is named"),
        ({"rounds": 1}, "rounds is 1; give a whole number from 2"),
        ({"hop": 0}, "hop is 0; give a whole number from 1"),
        ({"threads": 0}, "threads is 0"),
        ({"streams": -1}, "streams is -1"),
        ({"packet": 0}, "packet is 0"),
        ({"device": "gpu"}, "device 'gpu' is not known"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_runs(wrong, telling):
    with pytest.raises(UsageError, match=telling):
        Settings(**wrong)


def test_it_needs_no_more_than_a_device_has():
    code = (
        "import sys\nimport edgeconv.bench, edgeconv.bench.compare\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'typer', 'rich', 'tensorflow', 'onnx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
