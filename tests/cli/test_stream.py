"""`edgeconv stream`: what it answers."""

from __future__ import annotations

import csv
import gzip
import io
import re
import wave

import numpy as np
import pytest

from edgeconv.runtime import Classifier

FIELDS = ["recording", "start_s", "end_s", "label", "confidence", "probabilities"]
LABELS = ["still", "walk", "run"]


@pytest.fixture
def walk(write, samples):
    return write("walk.csv", samples)


def cut(samples, hop):
    """The windows of the tiny model, cut by the definition: window i starts at sample i · hop."""
    return np.stack([samples[i : i + 4] for i in range(0, len(samples) - 3, hop)])


def expected(model, samples, hop=2):
    return Classifier.load(model).predict(cut(samples, hop))


def probabilities(outcome):
    return np.array([list(prediction["probabilities"].values()) for prediction in outcome.predictions])


def test_a_pipe_gets_one_json_object_a_line_with_its_fields_in_order(run, model, walk):
    outcome = run("stream", model, walk)
    assert outcome.code == 0
    assert len(outcome.predictions) == 19
    for prediction in outcome.predictions:
        assert list(prediction) == FIELDS
        assert list(prediction["probabilities"]) == LABELS
        assert prediction["label"] == max(LABELS, key=prediction["probabilities"].get)
        assert prediction["confidence"] == prediction["probabilities"][prediction["label"]]
        assert prediction["recording"] == "walk"
    assert {prediction["label"] for prediction in outcome.predictions} == set(LABELS)


@pytest.mark.parametrize("hop", [None, 1, 3, 4, 7, 50])
def test_the_answers_are_those_of_the_classifier_on_the_same_windows(run, model, walk, samples, hop):
    outcome = run("stream", model, walk, *(() if hop is None else ("--hop", hop)))
    hop = hop or 2
    np.testing.assert_allclose(probabilities(outcome), expected(model, samples, hop), rtol=0, atol=1e-6)
    starts = [prediction["start_s"] for prediction in outcome.predictions]
    assert starts == pytest.approx([i * hop / 10 for i in range(len(starts))], abs=1e-6)
    ends = [prediction["end_s"] for prediction in outcome.predictions]
    assert ends == pytest.approx([start + 0.4 for start in starts], abs=1e-6)


def test_csv_has_a_header_and_the_same_answers(run, model, walk):
    rows = list(csv.reader(io.StringIO(run("stream", model, walk, "--format", "csv").out)))
    assert rows[0] == [*FIELDS[:-1], *(f"probability_{label}" for label in LABELS)]
    predictions = run("stream", model, walk).predictions
    assert [(row[0], row[3]) for row in rows[1:]] == [(p["recording"], p["label"]) for p in predictions]
    numbers = [[float(row[i]) for i in (1, 2, 4, 5, 6, 7)] for row in rows[1:]]
    assert numbers == [[p["start_s"], p["end_s"], p["confidence"], *p["probabilities"].values()] for p in predictions]


def test_a_table_can_be_asked_for_in_a_pipe_and_says_the_same(run, model, walk):
    lines = run("stream", model, walk, "--format", "table").out.splitlines()
    assert lines[0].split() == ["recording", "start_s", "end_s", "label", "conf", "runner-up"]
    for line, prediction in zip(lines[1:], run("stream", model, walk).predictions, strict=True):
        name, start, end, label, percent, *_ = line.split()
        assert (name, label) == ("walk", prediction["label"])
        assert (float(start), float(end)) == (prediction["start_s"], prediction["end_s"])
        assert percent == f"{prediction['confidence']:.0%}"


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_stdout_holds_results_only_and_the_summary_is_on_stderr(run, model, walk, form):
    outcome = run("stream", model, walk, "--format", form)
    assert "edgeconv:" not in outcome.out
    assert len(outcome.out.splitlines()) == 19 + (form != "jsonl")
    begin, summary = outcome.notes
    assert begin.startswith("tiny version 1, trained on nothing: weights chosen by hand (synthetic)")
    assert begin.endswith("; on cpu")
    assert re.fullmatch(r"19 windows of 1 recording in \d+\.\d\d s: \d+ windows per second on cpu", summary)


def test_every_recording_starts_anew_at_0_s_and_has_its_name(run, model, write, samples):
    parts = {"one": samples[:9], "two": samples[9:20], "three": samples[20:]}
    outcome = run("stream", model, *(write(f"{name}.csv", part) for name, part in parts.items()))
    for name, part in parts.items():
        mine = [prediction for prediction in outcome.predictions if prediction["recording"] == name]
        assert mine[0]["start_s"] == 0
        answers = np.array([list(prediction["probabilities"].values()) for prediction in mine])
        np.testing.assert_allclose(answers, expected(model, part), rtol=0, atol=1e-6)
    assert list(dict.fromkeys(p["recording"] for p in outcome.predictions)) == list(parts)
    assert " windows of 3 recordings in " in outcome.notes[-1]


def test_recordings_with_the_same_file_name_are_told_apart_by_their_paths(run, model, write, samples):
    paths = [write(f"{folder}/walk.csv", samples) for folder in ("left", "right")]
    names = dict.fromkeys(prediction["recording"] for prediction in run("stream", model, *paths).predictions)
    assert list(names) == [str(path) for path in paths]


FORMS = {
    "columns in another order": {"columns": ("acc_y", "acc_x"), "order": (1, 0)},
    "other columns between": {"columns": ("time_s", "acc_y", "note", "acc_x"), "order": (0, 1, 1, 0)},
    "no header": {"columns": None},
    "tabs": {"separator": "\t"},
    "semicolons": {"separator": ";"},
    "white space": {"separator": "   "},
    "white space without a header": {"separator": " ", "columns": None},
    "line ends and mark of Windows": {"line_end": "\r\n", "mark": "\ufeff"},
    "quoted names": {"columns": ('"acc_x"', '"acc_y"')},
}


@pytest.mark.parametrize("form", FORMS)
def test_however_the_text_is_laid_out_the_answers_are_the_same(run, model, write, samples, form):
    layout = dict(FORMS[form])
    path = write("walk.txt", samples[:, list(layout.pop("order", (0, 1)))], **layout)
    outcome = run("stream", model, path)
    assert outcome.code == 0, outcome.err
    np.testing.assert_allclose(probabilities(outcome), expected(model, samples), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_an_npy_file_gives_the_same_answers(run, model, tmp_path, walk, samples, dtype):
    np.save(tmp_path / "walk.npy", samples.astype(dtype))
    assert run("stream", model, tmp_path / "walk.npy").out == run("stream", model, walk).out


def test_whole_numbers_in_an_npy_file_are_samples_too(run, model, tmp_path):
    whole = np.arange(40).reshape(20, 2) % 7
    np.save(tmp_path / "steps.npy", whole)
    outcome = run("stream", model, tmp_path / "steps.npy")
    np.testing.assert_allclose(probabilities(outcome), expected(model, whole.astype(np.float32)), rtol=0, atol=1e-6)


def test_a_recording_longer_than_the_reader_s_pieces_has_no_seams(run, model, write):
    long = np.random.default_rng(1).normal(size=(9000, 2)).astype(np.float32)
    outcome = run("stream", model, write("long.csv", long), "--hop", 3)
    np.testing.assert_allclose(probabilities(outcome), expected(model, long, 3), rtol=0, atol=1e-6)


def test_a_model_folder_is_as_good_as_its_file(run, model, walk, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(model.read_bytes())
    assert run("stream", tmp_path / "model", walk).out == run("stream", model, walk).out


def test_more_threads_change_nothing_in_the_answers(run, model, walk):
    assert run("stream", model, walk, "--threads", 2).out == run("stream", model, walk).out


def test_a_device_chosen_by_auto_is_named(run, model, walk):
    outcome = run("stream", model, walk, "--device", "auto")
    assert outcome.code == 0
    assert re.search(r"; on (cpu|cuda:0) \(asked for: auto\)$", outcome.notes[0])


def test_a_recording_of_exactly_one_window_gives_one_prediction(run, model, write, samples):
    (prediction,) = run("stream", model, write("one.csv", samples[:4])).predictions
    assert (prediction["start_s"], prediction["end_s"]) == (0, 0.4)


@pytest.mark.parametrize(("form", "lines"), [("jsonl", 0), ("csv", 1), ("table", 1)])
def test_a_recording_shorter_than_one_window_is_said_to_be_and_is_no_error(run, model, write, samples, form, lines):
    short = write("short.csv", samples[:3])
    outcome = run("stream", model, short, "--format", form)
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == lines
    assert f"{short}: 3 samples are less than one window of 4; no predictions" in outcome.notes
    assert outcome.notes[-1].startswith("0 windows of 1 recording in")


def test_a_short_recording_does_not_keep_the_next_one_from_its_answers(run, model, write, samples, walk):
    outcome = run("stream", model, write("short.csv", samples[:3]), walk)
    assert outcome.predictions == run("stream", model, walk).predictions


def test_names_of_any_script_are_written_as_they_are(run, model, write, samples):
    outcome = run("stream", model, write("Spaß 走る, «1».csv", samples[:4]))
    assert outcome.predictions[0]["recording"] == "Spaß 走る, «1»"


def test_the_labels_that_lie_beside_recordings_are_left_out_and_said_to_be(run, model, walk, write):
    labels = walk.parent / "labels.csv"
    labels.write_text("recording,start_s,end_s,label\nwalk,0,4,run\n")
    outcome = run("stream", model, labels, walk)
    assert outcome.code == 0
    assert outcome.notes[1] == f"{labels} holds labels, not samples, and is left out"
    assert {prediction["recording"] for prediction in outcome.predictions} == {"walk"}
    assert "19 windows of 1 recording in" in outcome.notes[-1]


def test_a_folder_or_a_glob_stands_for_its_recordings(run, model, write, samples, tmp_path):
    for number in (10, 9):
        write(f"rec/walk{number}.csv", samples[number:])
    (tmp_path / "rec" / "walk2.csv.gz").write_bytes(gzip.compress((tmp_path / "rec" / "walk9.csv").read_bytes()))
    (tmp_path / "rec" / "labels.csv").write_text("recording,start_s,end_s,label\n")
    (tmp_path / "rec" / "dataset.toml").write_text("")
    one_by_one = []
    for name in ("walk2.csv.gz", "walk9.csv", "walk10.csv"):
        one_by_one += run("stream", model, tmp_path / "rec" / name).predictions
    outcome = run("stream", model, tmp_path / "rec")
    assert outcome.predictions == one_by_one
    assert list(dict.fromkeys(each["recording"] for each in one_by_one)) == ["walk2", "walk9", "walk10"]
    assert outcome.notes[1] == f"{tmp_path}/rec/labels.csv holds labels, not samples, and is left out"
    assert "of 3 recordings in" in outcome.notes[-1]
    everything = run("stream", model, tmp_path / "**" / "*.*")
    assert everything.predictions == one_by_one
    assert f"{tmp_path}/rec/dataset.toml describes a data set, holds no samples, and is left out" in everything.notes


def test_what_a_cut_off_file_held_is_answered_before_the_error(run, model, write, samples, tmp_path):
    many = np.tile(samples, (200, 1))
    plain = write("walk.csv", many)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(plain.read_bytes())[:-9])
    whole, cut = run("stream", model, plain).predictions, run("stream", model, tmp_path / "cut.csv.gz")
    assert cut.code == 3
    assert f"{tmp_path}/cut.csv.gz: the file, compressed with gzip, ends in the middle: it is cut off" in cut.error
    assert len(cut.predictions) > 0.9 * len(whole)
    for mine, its in zip(cut.predictions, whole, strict=False):
        assert {**mine, "recording": "walk"} == its


def test_a_recording_that_is_called_labels_is_a_recording(run, model, samples, write):
    outcome = run("stream", model, write("labels.csv", samples))
    assert {prediction["recording"] for prediction in outcome.predictions} == {"labels"}


def test_a_label_that_the_terminal_cannot_show_ends_no_run(model, tmp_path):
    import os
    import subprocess
    import sys

    path = tmp_path / "größe.csv"
    path.write_text("acc_x,acc_y\n" + "0,0\n" * 4)
    done = subprocess.run(
        [sys.executable, "-m", "edgeconv", "stream", str(model), str(path), "--format", "csv"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(b"gr\\xf6\\xdfe,0,0.4,")


@pytest.mark.parametrize("rate_hz", [10, 16])
def test_a_wav_file_is_streamed_and_one_of_another_rate_is_resampled(run, model, tmp_path, samples, rate_hz):
    steps = np.clip(np.rint(samples * 8192), -32768, 32767).astype("<i2")
    with wave.open(str(tmp_path / "walk.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(steps.tobytes())
    outcome = run("stream", model, tmp_path / "walk.wav")
    assert outcome.code == 0
    if rate_hz == 16:
        assert "walk: resampled from 16 Hz to 10 Hz, 4.3 s late; 41 samples in, 26 out" in outcome.notes
        assert len(outcome.predictions) == 12
    else:
        np.testing.assert_allclose(probabilities(outcome), expected(model, steps / np.float32(32768)), atol=1e-6)
