"""`edgeconv stream` on standard input, and on a file to which somebody still writes."""

from __future__ import annotations

import json
import os
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
    read_lines(process, 19)
    write("walk.csv", samples[:4])
    outcome = finish(process)
    assert outcome.code == 3
    assert "has become shorter while it was followed" in outcome.error


def test_one_recording_can_be_followed_and_no_more(run, model, write, samples):
    outcome = run("stream", model, write("a.csv", samples), write("b.csv", samples), "--follow")
    assert outcome.code == 2
    assert "give one recording" in outcome.error
