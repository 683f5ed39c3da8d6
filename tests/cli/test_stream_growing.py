"""`edgeconv stream` on standard input, and on a file to which somebody still writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def read_lines(process, count):
    """The next lines of stdout; the process is killed, and so the test fails, where they do not come."""
    watch = threading.Timer(20.0, process.kill)
    watch.start()
    lines = [json.loads(process.stdout.readline()) for _ in range(count)]
    watch.cancel()
    return lines


def text_of(samples):
    return "".join(f"{x},{y}\n" for x, y in samples.tolist())


def test_standard_input_gives_what_a_file_gives(start, run, model, write, samples):
    path = write("walk.csv", samples)
    process = start("stream", model, "-", stdin=subprocess.PIPE)
    out, _ = process.communicate(path.read_text(), timeout=20)
    assert process.returncode == 0
    assert out == run("stream", model, path).out.replace('"recording": "walk"', '"recording": "-"')


def test_standard_input_is_answered_as_its_samples_come(start, model, samples):
    process = start("stream", model, "-", stdin=subprocess.PIPE)
    process.stdin.write("acc_x,acc_y\n" + text_of(samples[:6]))
    process.stdin.flush()
    assert [prediction["start_s"] for prediction in read_lines(process, 2)] == [0, 0.2]
    process.stdin.write(text_of(samples[6:8]))
    process.stdin.flush()
    assert [prediction["start_s"] for prediction in read_lines(process, 1)] == [0.4]


def test_a_growing_file_is_followed_until_ctrl_c(start, finish, model, write, samples):
    path = write("walk.csv", samples[:6])
    process = start("stream", model, path, "--follow")
    assert [prediction["start_s"] for prediction in read_lines(process, 2)] == [0, 0.2]
    with path.open("a") as file:
        file.write(text_of(samples[6:10]) + "0.5,")
    assert [prediction["start_s"] for prediction in read_lines(process, 2)] == [0.4, 0.6]
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert any(note.startswith("4 windows of 1 recording") for note in outcome.notes)


def test_a_growing_file_that_becomes_shorter_is_an_error(start, finish, model, write, samples):
    path = write("walk.csv", samples)
    process = start("stream", model, path, "--follow")
    assert len(read_lines(process, 19)) == 19
    shutil.copy(path, path.with_suffix(".1"))  # as logrotate's copytruncate does
    os.truncate(path, 0)
    outcome = finish(process)
    assert outcome.code == 3
    assert "has become shorter while it was followed" in outcome.error


def test_a_growing_file_that_is_rotated_is_answered_to_its_end(start, finish, run, model, write, samples, tmp_path):
    expected = run("stream", model, write("walk.csv", samples)).out
    path = write("walk.csv", samples[:6])
    process = start("stream", model, path, "--follow")
    assert len(read_lines(process, 2)) == 2
    path.rename(tmp_path / "walk.csv.1")
    with (tmp_path / "walk.csv.1").open("a") as file:  # who writes notices a little later
        write("walk.csv", samples)
        for start_ in range(6, len(samples), 5):
            file.write(text_of(samples[start_ : start_ + 5]))
            file.flush()
    outcome = finish(process)
    assert outcome.code == 3
    assert [line["start_s"] for line in outcome.predictions] == [round(0.2 * i, 1) for i in range(2, 19)]
    assert outcome.predictions == [json.loads(line) for line in expected.splitlines()[2:]]
    assert outcome.error == (
        f"{path} was replaced by another file while it was followed; what was read before is answered: begin anew with "
        "what is there now, as a recording of its own"
    )
    assert any(note.startswith("19 windows of 1 recording") for note in outcome.notes)


def test_one_recording_can_be_followed_and_no_more(run, model, write, samples):
    outcome = run("stream", model, write("a.csv", samples), write("b.csv", samples), "--follow")
    assert outcome.code == 2
    assert "give one recording" in outcome.error
