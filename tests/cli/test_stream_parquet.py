"""`edgeconv stream --format parquet`: to a file or a pipe, and readable however it ended."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time

import numpy as np
import pytest

parquet = pytest.importorskip("pyarrow.parquet")


def text_of(samples):
    return "".join(f"{x},{y}\n" for x, y in samples.tolist())


def rows_of(data):
    return parquet.read_table(io.BytesIO(data)).to_pylist()


def test_a_pipe_and_a_file_get_what_json_lines_say(run, start, model, write, samples, tmp_path):
    walk = write("walk.csv", samples)
    lines = run("stream", model, walk).predictions
    process = start("stream", model, walk, "--format", "parquet", text=False, encoding=None)
    piped, _ = process.communicate(timeout=30)
    with (tmp_path / "found.parquet").open("wb") as file:
        assert start("stream", model, walk, "--format", "parquet", stdout=file).wait(timeout=30) == 0
    assert (tmp_path / "found.parquet").read_bytes() == piped
    rows = rows_of(piped)
    assert [(row["recording"], row["label"]) for row in rows] == [(line["recording"], line["label"]) for line in lines]
    for row, line in zip(rows, lines, strict=True):
        assert row["start_s"] == pytest.approx(line["start_s"], abs=1e-6)
        assert np.float32(row["probability_run"]) == np.float32(line["probabilities"]["run"])


@pytest.mark.parametrize("how", ["ctrl-c", "bad line"])
def test_an_interrupted_run_leaves_a_file_that_can_be_read(start, model, samples, tmp_path, how):
    with (tmp_path / "found.parquet").open("wb") as file:
        process = start("stream", model, "-", "--format", "parquet", stdin=subprocess.PIPE, stdout=file)
        process.stdin.write("acc_x,acc_y\n" + text_of(samples))
        process.stdin.flush()
        while "cpu" not in process.stderr.readline():
            pass
        time.sleep(0.5)
        if how == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            process.stdin.write("spam\n")
            process.stdin.flush()
        process.wait(timeout=30)
    assert process.returncode == (130 if how == "ctrl-c" else 3)
    assert len(rows_of((tmp_path / "found.parquet").read_bytes())) == 19


def test_a_terminal_gets_no_binary_file(run, model, write, samples, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    outcome = run("stream", model, write("walk.csv", samples), "--format", "parquet")
    assert outcome.code == 2
    assert "--format parquet is nothing to read on a terminal" in outcome.error
    assert outcome.out == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_full_disk_is_one_line(start, finish, model, write, samples):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        outcome = finish(start("stream", model, write("walk.csv", samples), "--format", "parquet", stdout=full))
    assert outcome.code == 3
    assert "the results cannot be written (No space left on device)" in outcome.error
