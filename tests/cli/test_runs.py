"""edgeconv runs, on two trainings of one epoch and what is unfinished of a third."""

from __future__ import annotations

import json

import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.runs.record import FitName, find_run
from edgeconv.train.config import TrainConfig
from edgeconv.train.protocol import run_protocol


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small = synthetic_har(train_subjects=2, test_subjects=2)
    config = {"network": "tiny", "epochs": 1, "repeats": 2}
    run_protocol(small, TrainConfig(**config, options={"filters": (4, 4)}), folder)
    run_protocol(small, TrainConfig(**config, options={"filters": (4, 6)}), folder)
    return folder


@pytest.fixture
def ids(runs, run):
    return [line["id"] for line in json.loads(run("runs", "list", "--json", "--runs", runs).out)]


def test_the_list_has_a_line_for_every_run(run, runs, ids):
    outcome = run("runs", "list", "--runs", runs)
    assert (outcome.code, outcome.err) == (0, "")
    head, *lines = outcome.out.splitlines()
    assert head.split()[:6] == ["id", "created", "network", "split", "data", "fits"]
    assert [line.split()[0] for line in lines] == ids
    assert all("2/2" in line and " ± " in line for line in lines)


def test_no_runs_is_a_note_and_not_an_error(run, tmp_path):
    outcome = run("runs", "list", "--runs", tmp_path)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.notes == [f"no runs in {tmp_path}; `edgeconv train` makes one"]


def test_show_prints_settings_fits_and_the_summary_of_train(run, runs, ids):
    outcome = run("runs", "show", ids[0], "--runs", runs)
    assert outcome.code == 0
    said = json.loads(run("runs", "show", ids[0], "--json", "--runs", runs).out)
    for words in (
        f"run {ids[0]}", "network tiny: ", said["run"]["data"]["content_hash"], "versions edgeconv ", "fitted on ",
        "options.filters        [4, 4]", "official     1", "Accuracy: ", "lowest subject ", "Repeat ",
    ):  # fmt: skip
        assert words in outcome.out, words
    assert [fit["seed"] for fit in said["fits"]] == [1, 2]
    assert said["summary"]["accuracy_mean"] == pytest.approx(sum(fit["accuracy"] for fit in said["fits"]) / 2)


def test_an_unfinished_fit_is_shown_with_its_last_epoch(run, runs, ids):
    record = find_run(runs, ids[0]).plan([FitName("official", 9)])[0]
    try:
        outcome = run("runs", "show", ids[0], "--runs", runs)
        assert "not begun" in outcome.out
        record.begin()
        record.add_metrics({"epoch": 1, "loss": 2.0})
        outcome = run("runs", "show", ids[0], "--runs", runs)
        assert "epoch 1 of 1" in outcome.out
        assert outcome.notes == ["1 of 3 fits not finished; what follows is of the others"]
        assert "2/3" in run("runs", "list", "--runs", runs).out
    finally:
        for path in record.folder.iterdir():
            path.unlink()
        record.folder.rmdir()


def test_compare_prints_a_verdict_tables_and_what_differs(run, runs, ids):
    outcome = run("runs", "compare", *ids, "--runs", runs)
    assert outcome.code == 0
    for words in ("95 % interval", "over 2 repeats and 2 subjects", "A accuracy %", "options.filters", "[4, 6]"):
        assert words in outcome.out, words
    said = json.loads(run("runs", "compare", *ids, "--json", "--runs", runs).out)
    assert said["verdict"] in ("better", "worse", "not resolvable")
    assert said["changed"]["options.filters"] == [[4, 4], [4, 6]]
    same = run("runs", "compare", ids[0], ids[0], "--runs", runs)
    assert "not resolvable" in same.out
    assert "Nothing differs between their settings." in same.out


def test_a_run_that_is_not_there_and_one_that_is_not_clear_are_errors(run, runs):
    outcome = run("runs", "show", "gone", "--runs", runs)
    assert outcome.code == 3
    assert "no run 'gone'" in outcome.error
    outcome = run("runs", "compare", "tiny", "tiny", "--runs", runs)
    assert outcome.code == 2
    assert "fits several runs" in outcome.error


def test_plot_writes_the_picture_it_names(run, runs, ids, tmp_path):
    outcome = run("runs", "plot", *ids, "--runs", runs, "--out", tmp_path / "runs.svg")
    assert outcome.notes == [f"{tmp_path / 'runs.svg'} is written"]
    assert ids[1] in (tmp_path / "runs.svg").read_text()


def test_a_tracker_without_its_server_is_one_line_and_no_traceback(run, runs, ids, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    outcome = run("runs", "track", ids[0], "--runs", runs)
    assert outcome.code == 4
    assert "MLflow at http://127.0.0.1:9 does not take it" in outcome.error


def test_a_search_on_the_official_split_is_refused_with_the_reason(run, tmp_path):
    space = tmp_path / "space.toml"
    space.write_text('split = "official"\n[space]\nlearning_rate = {low = 0.001, high = 0.01}\n')
    outcome = run("search", space, "--trials", 1, "--runs", tmp_path / "runs")
    assert outcome.code == 2
    assert "test subjects" in outcome.error
    assert not (tmp_path / "runs").exists()
