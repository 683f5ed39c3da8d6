"""`edgeconv stream --smooth`: events in place of windows, in every format, and however often a run is stopped."""

from __future__ import annotations

import csv
import json
import os
import signal

import numpy as np
import pytest

SMOOTHING = "exponential:1s,hold=1s,unknown=0.4"


@pytest.fixture
def walk(write):
    rng = np.random.default_rng(3)
    levels = np.repeat(rng.normal(scale=2, size=(60, 2)), 100, axis=0)
    return write("walk.csv", (levels + 0.1 * rng.normal(size=(6000, 2))).astype(np.float32))


def test_events_are_those_that_evaluate_scores(run, model, walk, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("recording,start_s,end_s,label\nwalk,0,20,run\n")
    found = run("stream", model, walk, "--smooth", SMOOTHING).predictions
    run("evaluate", model, walk, "--labels", labels, "--smooth", SMOOTHING, "--json", tmp_path / "scores.json")
    scored = json.loads((tmp_path / "scores.json").read_text())["recordings"]["walk"]["smoothed"]
    assert len(found) > 10
    for event, other in zip(found, scored, strict=True):
        for name in ("label", "windows", "confidence"):
            assert event[name] == other[name]
        for name in ("start_s", "end_s", "known_s"):
            assert event[name] == pytest.approx(other[name], abs=1e-6)  # written with six decimals


def test_csv_begins_as_a_table_of_labels_does_and_evaluate_takes_it(run, model, walk, tmp_path):
    out = tmp_path / "labels.csv"
    outcome = run("stream", model, walk, "--smooth", "none", "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0])[:4] == ["recording", "start_s", "end_s", "label"]
    assert f", {len(rows)} events in " in outcome.notes[-1]
    scores = run("evaluate", model, walk, "--labels", out, "--smooth", "none", "--json", tmp_path / "scores.json")
    assert scores.code == 0
    time = json.loads((tmp_path / "scores.json").read_text())["raw"]["time"]
    assert time["accuracy"] == 1.0


def test_no_event_reaches_over_a_gap(run, model, tmp_path):
    times = np.arange(200) / 10
    times[100:] += 5
    rows = np.column_stack([times, np.ones((200, 2))])
    path = tmp_path / "gap.csv"
    np.savetxt(path, rows, fmt="%.3f", delimiter=",", header="t,acc_x,acc_y", comments="")
    spans = [
        (event["start_s"], event["end_s"])
        for event in run("stream", model, path, "--time-column", "t:s", "--smooth", "majority:3").predictions
    ]
    assert [end for _, end in spans if end < 15] == [pytest.approx(10.0)]
    assert min(start for start, _ in spans if start > 0) == pytest.approx(15.0)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_run_that_is_stopped_twice_has_the_same_bytes(run, start, finish, model, write, tmp_path, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    path = write("long.csv", np.random.default_rng(2).normal(size=(40_000, 2)).astype(np.float32))
    whole, cut = tmp_path / f"whole.{form}", tmp_path / f"cut.{form}"
    options = ("--smooth", SMOOTHING, "--hop", 1)
    run("stream", model, path, *options, "--out", whole)
    options += ("--out", cut, "--checkpoint", tmp_path / "cut.ckpt", "--checkpoint-every", 0)
    for time in range(2):
        process = start("stream", model, path, *options)
        while time and "goes on behind" not in process.stderr.readline():
            assert process.poll() is None
        while not (tmp_path / "cut.ckpt").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 0
        assert cut.exists() == (form != "parquet")  # whose rows are beside it until all are there
    outcome = run("stream", model, path, *options)
    assert outcome.code == 0
    assert cut.read_bytes() == whole.read_bytes()
    again = run("stream", model, path, *options)
    assert "says that all is done" in again.notes[-1]
    assert sorted(each.name for each in tmp_path.glob("cut*")) == ["cut.ckpt", f"cut.{form}"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_report_says_what_was_done_to_each_recording_however_often_a_run_is_stopped(
    run, start, finish, model, tmp_path
):
    times = np.arange(40_000) / 20.0
    times[20_000:] += 5
    rows = np.column_stack([times, np.random.default_rng(2).normal(size=(40_000, 2))])
    for name in ("a", "b"):
        np.savetxt(tmp_path / f"{name}.csv", rows, fmt="%.4f", delimiter=",", header="t,acc_x,acc_y", comments="")
    (tmp_path / "c.csv").write_text("t,acc_x,acc_y\n0,1,2\n0.1,spam,3\n")
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    options = ("--time-column", "t:s", "--out", tmp_path / "out.csv")
    whole = run("stream", model, *files, *options, "--report", tmp_path / "whole.jsonl")
    assert whole.code == 3
    lines = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    assert [line["recording"] for line in lines] == ["a", "b", "c"]
    for line in lines[:2]:
        assert (line["signal"]["gaps"], line["signal"]["source_hz"]) == (1, pytest.approx(20.0))
        assert line["signal"]["samples_out"] == line["samples"]
        assert (line["error"], line["findings"]) == (None, [])
        assert line["windows"] == (tmp_path / "out.csv").read_text().count(f"\n{line['recording']},")
    assert whole.error.endswith(lines[2]["error"])
    options += ("--report", tmp_path / "cut.jsonl", "--checkpoint", tmp_path / "c.ckpt", "--checkpoint-every", 0)
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = start("stream", model, *files, *options)
        while not (tmp_path / "cut.jsonl").exists() or not (tmp_path / "cut.jsonl").read_text():
            assert process.poll() is None
        process.send_signal(how)
        finish(process)
    run("stream", model, *files, *options)
    assert (tmp_path / "cut.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_another_smoothing_does_not_go_on_with_a_checkpoint(run, model, walk, tmp_path):
    options = ("--out", tmp_path / "out.csv", "--checkpoint", tmp_path / "a.ckpt")
    run("stream", model, walk, "--smooth", "none", *options)
    outcome = run("stream", model, walk, "--smooth", "majority:3", *options)
    assert outcome.code == 3
    assert "smooth" in outcome.error


def test_windows_in_parquet_with_a_checkpoint_are_those_without(run, model, walk, tmp_path):
    pytest.importorskip("pyarrow")
    run("stream", model, walk, "--out", tmp_path / "a.parquet")
    run("stream", model, walk, "--out", tmp_path / "b.parquet", "--checkpoint", tmp_path / "b.ckpt")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_is_no_smoothing_is_refused_before_anything_is_read(run, model, tmp_path):
    outcome = run("stream", model, tmp_path / "none.csv", "--smooth", "median:3")
    assert outcome.code == 2
    assert "smoothing is 'median:3'" in outcome.error
