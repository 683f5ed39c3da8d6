"""`edgeconv stream` as a process: terminals, pipes that close, Ctrl-C, sources that are still being written."""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and terminals as POSIX has them")

PATIENCE_S = 20.0


@pytest.fixture
def long(write):
    """A recording whose predictions are many times what a pipe holds."""
    rng = np.random.default_rng(2)
    return write("long.csv", rng.normal(size=(60_000, 2)).astype(np.float32))


def read_lines(process, count):
    """The next lines of stdout; fails instead of waiting for ever."""
    deadline, data = time.monotonic() + PATIENCE_S, b""
    while data.count(b"\n") < count:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"only {data!r} came"
        # One byte at a time, so that what follows stays in the pipe.
        byte = os.read(process.stdout.fileno(), 1)
        assert byte, f"stdout ended after {data!r}"
        data += byte
    return [json.loads(line) for line in data.decode().splitlines()]


def text_of(samples):
    return "".join(f"{x},{y}\n" for x, y in samples.tolist()).encode()


@pytest.fixture
def fifo(tmp_path):
    """A recording that is still being written: its path, and what takes the bytes."""
    path = tmp_path / "live.csv"
    os.mkfifo(path)
    # Opened for both directions, so that nobody waits for the other side.
    descriptor = os.open(path, os.O_RDWR)
    yield path, lambda data: os.write(descriptor, data)
    os.close(descriptor)


def test_the_command_in_a_pipe_gives_what_it_gives_in_this_process(start, finish, run, model, write, samples):
    path = write("walk.csv", samples)
    outcome = finish(start("stream", model, path))
    assert outcome.code == 0
    assert outcome.out == run("stream", model, path).out
    assert len(outcome.notes) == 2


def test_a_terminal_gets_a_table(start, model, write, samples):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = start("stream", model, write("walk.csv", samples), stdout=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], PATIENCE_S)[0]:
        try:
            data = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    lines = shown.decode().splitlines()
    assert lines[0].split() == ["recording", "start_s", "end_s", "label", "conf", "runner-up"]
    assert len(lines) == 1 + 19
    assert all(len(line) <= 80 and "{" not in line for line in lines)
    assert "windows per second" in process.stderr.read()


def test_a_terminal_gets_json_lines_where_they_are_asked_for(start, finish, model, write, samples):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = start("stream", model, write("walk.csv", samples[:4]), "--format", "jsonl", stdout=theirs)
    assert process.wait(PATIENCE_S) == 0
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert json.loads(shown)["recording"] == "walk"


def test_a_source_that_is_still_being_written_is_answered_as_its_samples_come(start, model, fifo, samples):
    path, send = fifo
    process = start("stream", model, path)
    send(b"acc_x,acc_y\n" + text_of(samples[:6]))
    assert [prediction["start_s"] for prediction in read_lines(process, 2)] == [0, 0.2]
    send(text_of(samples[6:8]))
    assert [prediction["start_s"] for prediction in read_lines(process, 1)] == [0.4]


def test_ctrl_c_while_waiting_for_samples_ends_with_130_and_whole_lines(start, finish, model, fifo, samples):
    path, send = fifo
    process = start("stream", model, path)
    send(b"acc_x,acc_y\n" + text_of(samples) + b"1.5,")
    assert [prediction["start_s"] for prediction in read_lines(process, 19)] == [round(i / 5, 6) for i in range(19)]
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.out == ""
    assert any("interrupted" in note for note in outcome.notes)
    assert any(note.startswith("19 windows of 1 recording in ") for note in outcome.notes)


@pytest.mark.parametrize("buffering", ["buffered", "unbuffered"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_ctrl_c_while_the_reader_lags_behind_leaves_whole_lines_without_a_gap(
    start, finish, model, long, form, buffering
):
    env = {"PYTHONUNBUFFERED": "1" if buffering == "unbuffered" else ""}
    process = start("stream", model, long, "--hop", 1, "--format", form, env=env)
    header = b""
    while not header.endswith(b"\n"):
        header += os.read(process.stdout.fileno(), 1)
    # The pipe is full long before the recording ends; from then on the command waits inside a write.
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert any("interrupted" in note for note in outcome.notes)
    lines = outcome.out.splitlines()
    assert outcome.out.endswith("\n")
    first = 1 if form == "jsonl" else 0
    starts = [json.loads(line)["start_s"] if form == "jsonl" else float(line.split(",")[1]) for line in lines]
    assert starts == [round(i / 10, 6) for i in range(first, first + len(lines))]
    assert 1 < len(lines) < 59_000
    (summary,) = [note for note in outcome.notes if "windows per second" in note]
    # The one that was being written when Ctrl-C came may have got out before it was counted.
    assert first + len(lines) - int(summary.split()[0]) in (0, 1)


def test_a_second_ctrl_c_ends_it_although_the_reader_never_goes_on(start, model, long):
    process = start("stream", model, long, "--hop", 1)
    assert len(read_lines(process, 1)) == 1
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == -signal.SIGINT  # which a shell shows as 130


def test_ctrl_c_before_the_first_verb_is_known_leaves_no_traceback(start, finish, tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    outcome = finish(start("--help", env={"PYTHONPATH": str(tmp_path)}))
    assert outcome.code == 130
    assert len(outcome.notes) == 1
    assert "interrupted" in outcome.notes[0]


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_a_reader_that_closes_after_one_line_ends_it_quietly(start, model, long, form):
    process = start("stream", model, long, "--hop", 1, "--format", form)
    assert process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(PATIENCE_S) == 0
    assert all(line.startswith("edgeconv: ") for line in said.splitlines()), said
    assert "error" not in said.lower()


def test_a_reader_of_both_outputs_that_closes_ends_it_quietly(start, model, long):
    process = start("stream", model, long, "--hop", 1, stderr=subprocess.STDOUT)
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 0


def test_a_reader_that_closes_before_a_small_answer_is_written_ends_it_quietly(start, model, fifo, samples):
    path, send = fifo
    process = start("stream", model, path)
    process.stdout.close()
    send(b"acc_x,acc_y\n" + text_of(samples))
    assert process.wait(PATIENCE_S) == 0
    assert "Error" not in process.stderr.read()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux's")
def test_a_full_disk_is_said_to_be_full(start, finish, model, write, samples):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        outcome = finish(start("stream", model, write("walk.csv", samples), stdout=full))
    assert outcome.code == 3
    assert f"the results cannot be written ({os.strerror(errno.ENOSPC)})" in outcome.error


MEMORY = """
import re, sys
sys.argv = ["edgeconv", *sys.argv[1:]]
from edgeconv.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        print(re.search(r"VmHWM:\\s*(\\d+) kB", status.read())[1], file=sys.stderr)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of its memory from /proc")
@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_memory_does_not_grow_with_the_recording(start, finish, model, tmp_path, ending):
    def peak_kib(timesteps):
        path = tmp_path / f"{timesteps}.{ending}"
        if ending == "npy":
            np.save(path, np.zeros((timesteps, 2), np.float32))
        else:
            path.write_text("acc_x,acc_y\n" + "0.25,0.5\n" * timesteps)
        outcome = finish(start("stream", model, path, "--hop", 1000, code=MEMORY))
        assert outcome.code == 0
        path.unlink()
        return int(re.fullmatch(r"\d+", outcome.err.splitlines()[-1])[0])

    # The longer ones take 64 MB on disk as float32, and 13 MB as text (some 60 MB as numbers in Python).
    longer = 8_000_000 if ending == "npy" else 1_500_000
    assert peak_kib(longer) < peak_kib(2000) + 16 * 1024
