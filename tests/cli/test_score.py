"""edgeconv score: one file of answers for each recording, whatever happens in between."""

import gzip
import importlib.util
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runs import scored_folder
from edgeconv.runs.engine import InProcess, Processes
from edgeconv.runs.scored_folder import ScoredFolder, find_recordings
from edgeconv.runs.scoring import Model


@pytest.fixture
def folder(write, samples, tmp_path):
    """Three recordings, two of which share a name but for the ending, and one shorter than a window."""
    write("rec/walk.csv", samples)
    write("rec/day2/walk.csv", samples[::-1])
    write("rec/short.csv", samples[:3])
    np.save(tmp_path / "rec/walk.npy", samples[5:])
    (tmp_path / "rec/notes.md").write_text("no recording")
    (tmp_path / "rec/.hidden.csv").write_text("no recording")
    return tmp_path / "rec"


HAR = Path(__file__).resolve().parents[2] / "models" / "har_raw"


@pytest.fixture
def worn_folder(tmp_path):
    """Three recordings of somebody who moves: one as the model wants it, two with acceleration in m/s²."""
    place = Path(__file__).resolve().parents[1] / "runtime" / "worn.py"
    made = importlib.util.module_from_spec(found := importlib.util.spec_from_file_location("worn", place))
    found.loader.exec_module(made)
    (tmp_path / "worn").mkdir()
    for name, factor, seconds in (("right", 1.0, 20.0), ("wrong", 9.80665, 20.0), ("brief", 9.80665, 4.0)):
        np.save(tmp_path / "worn" / f"{name}.npy", made.worn(11, seconds) * np.float32([factor] * 3 + [1.0] * 3))
    return tmp_path / "worn"


NAMES = ["day2/walk.csv", "short.csv", "walk.csv", "walk.npy"]


def files_of(out):
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert not any(".csv." in name and name.split("/")[-1].startswith(".") for name in found)
    return {name: data for name, data in found.items() if name != scored_folder.MANIFEST}


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_each_file_holds_what_streaming_the_recording_prints(run, folder, model, tmp_path, format_):
    outcome = run("score", folder, "--model", model, "--out", tmp_path / "out", "--format", format_, "--workers", 2)
    assert outcome.code == 0, outcome.err
    found = files_of(tmp_path / "out")
    assert sorted(found) == [f"{name}.{format_}" for name in NAMES]
    for name in ("short.csv", "walk.csv", "walk.npy"):
        assert run("stream", model, folder / name, "--format", format_).out.encode() == found[f"{name}.{format_}"]
    first = found[f"day2/walk.csv.{format_}"].decode().splitlines()[1]
    assert first.startswith("day2/walk," if format_ == "csv" else '{"recording": "day2/walk",')


def test_the_summary_counts_what_is_in_the_files(run, folder, model, tmp_path):
    outcome = run("score", folder, "--model", model, "--out", tmp_path / "out", "--format", "jsonl", "--workers", 1)
    summary = json.loads(outcome.out)
    lines = [json.loads(line) for data in files_of(tmp_path / "out").values() for line in data.splitlines()]
    assert summary["recordings"] == summary["scored"] == 4
    assert summary["windows"] == len(lines) == 19 + 19 + 17
    assert summary["without_windows"] == 1
    assert summary["signal_s"] == pytest.approx((41 + 41 + 3 + 36) / 10)
    labels = [line["label"] for line in lines]
    assert summary["labels"] == {label: labels.count(label) for label in sorted(set(labels))}
    assert summary["recordings_per_s"] > 0
    assert outcome.notes[-3].startswith("4 recordings: 4 scored, 0 not readable, 1 shorter than a window; 55 windows")


def test_parquet_holds_the_same_answers(run, folder, model, tmp_path):
    from pyarrow import parquet

    for format_ in ("parquet", "jsonl"):
        run("score", folder, "--model", model, "--out", tmp_path / "out", "--format", format_, "--workers", 1)
    out = tmp_path / "out"
    rows = parquet.read_table(out / "walk.npy.parquet").to_pylist()
    lines = [json.loads(line) for line in (out / "walk.npy.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [line["label"] for line in lines]
    assert [np.float32(row["probability_walk"]) for row in rows] == [
        np.float32(line["probabilities"]["walk"]) for line in lines
    ]
    assert parquet.read_table(out / "short.csv.parquet").num_rows == 0


def test_compressed_recordings_are_scored_under_their_names_without_ending(run, model, write, samples, tmp_path):
    plain = write("rec/walk.csv", samples)
    (tmp_path / "rec/run.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    outcome = run("score", tmp_path / "rec", "--model", model, "--out", tmp_path / "out", "--workers", 1)
    assert outcome.code == 0, outcome.err
    found = files_of(tmp_path / "out")
    assert sorted(found) == ["run.csv.gz.csv", "walk.csv.csv"]
    assert found["run.csv.gz.csv"].replace(b"\nrun,", b"\nwalk,") == found["walk.csv.csv"]


def test_what_is_done_is_not_done_again_until_recording_model_or_setting_is_another(
    run, folder, model, write, samples, tmp_path
):
    def again(*options, model=model):
        outcome = run("score", folder, "--model", model, "--out", tmp_path / "out", "--workers", 1, *options)
        summary = json.loads(outcome.out)
        return summary["scored"], summary["done_before"], summary["windows"]

    other = tmp_path / "other" / "model.onnx"
    other.parent.mkdir()
    shutil.copy(model, other)
    assert again() == (4, 0, 55)
    assert again() == (0, 4, 55)
    os.utime(folder / "walk.csv", ns=(1, 1))
    assert again() == (1, 3, 55)
    write("rec/short.csv", samples[:8])
    assert again() == (1, 3, 58)
    (tmp_path / "out/walk.npy.csv").unlink()
    assert again() == (1, 3, 58)
    assert again("--hop", 1)[0] == 4
    assert again("--hop", 1)[0] == 0
    assert again("--hop", 1, model=other)[0] == 4
    assert again("--hop", 1, "--overwrite", model=other)[0] == 4


def test_a_recording_that_cannot_be_read_is_named_at_the_end_and_stops_no_other(run, folder, model, tmp_path):
    arguments = ("score", folder, "--model", model, "--out", tmp_path / "out", "--workers", 2)
    run(*arguments)
    (folder / "walk.csv").write_text("acc_x,acc_y\n0.5,spam\n")
    (folder / "empty.wav").write_bytes(b"")
    outcome = run(*arguments)
    assert outcome.code == 3
    assert "2 recordings of 5 could not be scored" in outcome.error
    assert [note.split(":")[1].strip() for note in outcome.notes if note.startswith("not scored")] == [
        "empty.wav",
        "walk.csv",
    ]
    summary = json.loads(outcome.out)
    assert (summary["failed"], summary["done_before"]) == (2, 3)
    assert "spam" in summary["errors"]["walk.csv"]
    assert not (tmp_path / "out/walk.csv.csv").exists(), "answers to what the recording held before are gone"
    (folder / "walk.csv").write_text("acc_x,acc_y\n" + "0.5,1\n" * 4)
    (folder / "empty.wav").unlink()
    assert run(*arguments).code == 0


class Interrupted(InProcess):
    """Presses Ctrl-C after two recordings."""

    def run(self, work, shared, tasks, on_event):
        for count, answer in enumerate(super().run(work, shared, tasks, on_event)):
            if count == 2:
                raise KeyboardInterrupt
            yield answer


@pytest.mark.parametrize("cut", [0, 20], ids=["whole", "with a line that a crash cut off"])
def test_a_stopped_run_goes_on_and_gives_the_files_of_an_undisturbed_one(folder, model, tmp_path, cut):
    read = Model.read(model, precision="float32", hop=None, format_="csv")
    found = find_recordings(str(folder), tmp_path)
    stopped, whole = ScoredFolder(tmp_path / "stopped"), ScoredFolder(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        stopped.score(found, read, Interrupted())
    assert len(files_of(stopped.folder)) == 2
    manifest = stopped.folder / scored_folder.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[: -cut or None])
    totals = stopped.score(found, read, InProcess())
    assert (totals.done_before, totals.scored) == ((1, 3) if cut else (2, 2))
    assert whole.score(found, read, Processes(2)).windows == totals.windows == 55
    assert files_of(stopped.folder) == files_of(whole.folder)
    assert stopped.score(found, read, InProcess()).scored == 0


def test_a_killed_command_goes_on_where_it_was(start, finish, folder, model, samples, tmp_path):
    for number in range(300):
        np.save(folder / f"r{number:03d}.npy", samples)
    out = tmp_path / "out"
    arguments = ("score", folder, "--model", model, "--out", out, "--workers", 1)
    process = start(*arguments)
    while not (out / "r050.npy.csv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    outcome = finish(start(*arguments))
    assert outcome.code == 0, outcome.err
    summary = json.loads(outcome.out)
    assert summary["done_before"] >= 50
    assert summary["done_before"] + summary["scored"] == summary["recordings"] == 304
    assert len(files_of(out)) == 304


def test_what_a_kill_left_half_written_goes_and_is_never_an_answer(folder, model, tmp_path):
    read = Model.read(model, precision="float32", hop=None, format_="csv")
    scored = ScoredFolder(tmp_path / "out")
    left = [".walk.csv.csv.4711", "day2/.walk.csv.csv.1", ".manifest.jsonl.77"]
    kept = [".notes.csv", ".walk.csv.csv.old"]
    for name in [*left, *kept]:
        path = scored.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("recording,start_s")
    found = find_recordings(str(folder), tmp_path)
    assert scored.score(found, read, InProcess()).scored == 4
    assert [name for name in [*left, *kept] if (scored.folder / name).exists()] == kept


def test_a_glob_names_recordings_and_what_was_written_is_not_taken_for_one(run, folder, model):
    out = folder / "scored"
    pattern = f"{folder}/**/walk.*"
    for _ in range(2):
        outcome = run("score", pattern, "--model", model, "--out", out, "--workers", 1)
        assert json.loads(outcome.out)["recordings"] == 3
    assert sorted(files_of(out)) == ["day2/walk.csv.csv", "walk.csv.csv", "walk.npy.csv"]
    assert json.loads(run("score", folder, "--model", model, "--out", out, "--workers", 1).out)["recordings"] == 4


def test_bytes_are_the_same_through_ray_which_is_not_heard(run, start, finish, worn_folder, tmp_path):
    arguments = ("score", worn_folder, "--model", HAR, "--allow-implausible", "--workers")
    local = run(*arguments, 2, "--out", tmp_path / "local")
    assert local.code == 0
    outcome = finish(start(*arguments, 2, "--out", tmp_path / "ray", "--engine", "ray"), timeout_s=90)
    assert outcome.code == 0, outcome.err
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")
    assert json.loads(outcome.out)["implausible"] == json.loads(local.out)["implausible"]
    assert list(json.loads(outcome.out)["implausible"]) == ["wrong.npy"]
    assert len(outcome.notes) == 5, outcome.err


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_a_recording_that_is_not_plausible_is_scored_and_marked_where_that_is_allowed(
    run, worn_folder, tmp_path, format_
):
    arguments = ("score", worn_folder, "--model", HAR, "--out", tmp_path / "out", "--format", format_, "--workers", 1)
    refused = run(*arguments)
    assert refused.code == 3
    assert list(json.loads(refused.out)["errors"]) == ["wrong.npy"]
    assert "these are probably m/s^2; give --unit acc=m/s^2, or --allow-implausible" in refused.err
    marked = run(*arguments, "--allow-implausible")
    assert marked.code == 0, marked.err
    summary = json.loads(marked.out)
    assert (summary["scored"], summary["done_before"], summary["failed"]) == (3, 0, 0)  # other files than before
    assert list(summary["implausible"]) == ["wrong.npy"]  # what is shorter than the check is not judged
    assert "m/s^2" in summary["implausible"]["wrong.npy"]["unit"]
    assert f"marked: wrong.npy: {summary['implausible']['wrong.npy']['unit']}" in marked.notes
    assert "3 scored, 0 not readable, 1 marked as implausible" in marked.err
    manifest = map(json.loads, (tmp_path / "out" / scored_folder.MANIFEST).read_text().splitlines())
    marks = {line["recording"]: line.get("implausible") for line in manifest}
    assert marks == {"right.npy": {}, "brief.npy": {}, "wrong.npy": summary["implausible"]["wrong.npy"]}
    for name in ("right", "wrong", "brief"):
        found = (tmp_path / "out" / f"{name}.npy.{format_}").read_bytes()
        if format_ == "parquet":
            from pyarrow import parquet

            column = parquet.read_table(tmp_path / "out" / f"{name}.npy.{format_}").column("implausible").to_pylist()
            assert set(column) == {"unit" if name == "wrong" else ""}
        else:
            path = worn_folder / f"{name}.npy"
            streamed = run("stream", HAR, path, "--format", format_, "--allow-implausible").out
            assert found == streamed.encode()
            assert ("unit" in streamed) == (name == "wrong")
    told = run(*arguments, "--unit", "acc=m/s^2")  # as the refusal said
    assert list(json.loads(told.out)["errors"]) == ["right.npy"]
    run(*arguments, "--allow-implausible")
    again = run(*arguments, "--allow-implausible")
    assert json.loads(again.out)["implausible"] == summary["implausible"]
    assert json.loads(again.out)["done_before"] == 3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("nowhere", "--model", "{model}"), 3, "nowhere names no recordings"),
        (("{folder}/walk.csv", "--model", "{model}"), 3, "is one file"),
        (("{folder}", "--model", "{model}", "--out", "{folder}"), 2, "where the recordings are"),
        (("{folder}", "--model", "gone.onnx"), 3, "gone.onnx is not there"),
        (("{folder}", "--model", "{model}", "--workers", "0"), 2, "workers is 0"),
        (("{folder}", "--model", "{model}", "--hop", "0"), 2, "--hop is 0"),
        (("{folder}", "--model", "{model}", "--address", "auto"), 2, "add --engine ray"),
    ],
)
def test_wrong_use_is_one_line_before_anything_is_written(run, folder, model, tmp_path, options, code, message):
    arguments = [option.format(folder=folder, model=model) for option in options]
    outcome = run("score", "--out", tmp_path / "out", *arguments)
    assert outcome.code == code
    assert message in outcome.error
    assert not (tmp_path / "out").exists()
