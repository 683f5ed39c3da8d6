"""`edgeconv stream --checkpoint`: stopped in any way, the same command goes on to the same bytes, or says why not."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgeconv.cli.pace import Pace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits as POSIX has them")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


@pytest.fixture
def long(write):
    return write("long.csv", np.random.default_rng(2).normal(size=(60_000, 2)).astype(np.float32))


@pytest.fixture
def kept(tmp_path):
    """The options, and the two files."""
    out, checkpoint = tmp_path / "out.jsonl", tmp_path / "walk.ckpt"
    return ("--out", out, "--checkpoint", checkpoint, "--checkpoint-every", 0), out, checkpoint


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def lines_in(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_a_file_gets_what_stdout_gets(run, model, write, samples, tmp_path, form):
    path, out = write("walk.csv", samples), tmp_path / "out"
    checkpoint = ("--checkpoint", tmp_path / "walk.ckpt")
    expected = run("stream", model, path, "--format", form).out
    for more in ((), checkpoint):
        outcome = run("stream", model, path, "--format", form, "--out", out, *more)
        assert (outcome.code, outcome.out) == (0, "")
        assert out.read_text() == expected


def test_the_ending_of_the_file_says_the_format(run, model, write, samples, tmp_path):
    path = write("walk.csv", samples)
    run("stream", model, path, "--out", tmp_path / "a.csv")
    run("stream", model, path, "--out", tmp_path / "a.jsonl")
    assert (tmp_path / "a.csv").read_text().startswith("recording,start_s,")
    assert json.loads(lines_in(tmp_path / "a.jsonl")[0])["recording"] == "walk"


def test_a_run_that_came_to_its_end_is_not_done_again(run, model, write, samples, kept):
    options, out, _ = kept
    path = write("walk.csv", samples)
    run("stream", model, path, *options)
    before = out.stat().st_mtime_ns, out.read_bytes()
    outcome = run("stream", model, path, *options)
    assert outcome.code == 0
    assert outcome.notes[-1].endswith(f"says that all is done: 19 windows in {out}; remove it to do it again")
    assert (out.stat().st_mtime_ns, out.read_bytes()) == before


def test_another_command_another_file_and_another_output_are_refused(run, model, write, samples, kept):
    options, out, checkpoint = kept
    path = write("walk.csv", samples)
    run("stream", model, path, *options)
    whole = out.read_bytes()
    for more, words in (
        (("--hop", 1), "hop is 1, there 2"),
        (("--map", "acc_x=acc_y", "--map", "acc_y=acc_x"), "signal is "),
        (("--format", "csv"), 'format is "csv", there "jsonl"'),
        (("--pace", "real-time"), 'pace is "real-time", there "max"'),
        ((write("other.csv", samples),), "recordings is "),
    ):
        outcome = run("stream", model, path, *more, *options)
        assert outcome.code == 3
        assert words in outcome.error
        assert "Give the command that began it" in outcome.error
    write("walk.csv", samples[:30])
    outcome = run("stream", model, path, *options)
    assert outcome.code == 3
    assert f"{path} is " in outcome.error
    assert out.read_bytes() == whole
    write("walk.csv", samples)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    outcome = run("stream", model, path, *options)
    assert outcome.code == 6
    assert "the checkpoint is damaged" in outcome.error
    assert "remove it, and its output, to begin anew" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["walk.csv", "--checkpoint", "a.ckpt"], "give --out FILE, too"),
        (["walk.csv", "--out", "walk.csv"], "walk.csv is one of the recordings"),
        (["-", "--out", "a.jsonl", "--checkpoint", "a.ckpt"], "cannot be read a second time"),
        (["pipe", "--out", "a.jsonl", "--checkpoint", "a.ckpt"], "cannot be read a second time"),
    ],
)
def test_what_makes_no_sense_is_refused(run, model, write, samples, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    before = write("walk.csv", samples).read_bytes()
    os.mkfifo("pipe")
    outcome = run("stream", model, *arguments)
    assert outcome.code == 2
    assert words in outcome.error
    assert (tmp_path / "walk.csv").read_bytes() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_stopped_in_the_middle_it_goes_on_to_the_same_bytes(start, finish, run, model, long, kept, number, code):
    options, out, checkpoint = kept
    options = (*options, "--hop", 1, "--format", "csv")
    process = start("stream", model, long, *options)
    wait_for(lambda: len(lines_in(out)) > 5000, "windows")
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == code
    begun = lines_in(out)
    assert len(begun) < 59_000
    if number != signal.SIGKILL:
        (said,) = [note for note in outcome.notes if note.startswith("stopped behind ")]
        assert said == f"stopped behind {len(begun) - 1} windows; the same command goes on from {checkpoint}"
    outcome = run("stream", model, long, *options)
    assert outcome.code == 0
    assert any("goes on behind " in note for note in outcome.notes)
    assert out.read_text() == run("stream", model, long, "--hop", 1, "--format", "csv").out


def test_an_output_that_is_not_the_one_that_was_committed_stays_as_it_is(start, finish, run, model, long, kept):
    options, out, _ = kept
    process = start("stream", model, long, "--hop", 1, *options)
    wait_for(lambda: len(lines_in(out)) > 5000, "windows")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0
    for content, words in ((b"mine\n", "has 5 bytes"), (b"mine\n" * 10**6, "holds something else")):
        out.write_bytes(content)
        outcome = run("stream", model, long, "--hop", 1, *options)
        assert outcome.code == 3
        assert words in outcome.error
        assert out.read_bytes() == content


def test_two_processes_do_not_write_to_one_output(start, run, model, write, samples, kept):
    options, out, _ = kept
    path = write("walk.csv", samples)
    start("stream", model, path, "--follow", *options)
    wait_for(lambda: len(lines_in(out)) == 19, "windows")
    outcome = run("stream", model, path, "--follow", *options)
    assert outcome.code == 3
    assert "is being written by another process" in outcome.error


def test_a_followed_file_is_gone_on_with_however_its_bytes_came(start, finish, model, write, samples, kept):
    options, out, _ = kept
    path = write("walk.csv", samples)
    whole = path.read_bytes()
    peaceful = ("--out", out.with_name("peace"), "--checkpoint", out.with_name("peace.ckpt"))
    expected = start("stream", model, path, "--follow", *peaceful)
    wait_for(lambda: len(lines_in(out.with_name("peace"))) == 19, "windows")
    expected.send_signal(signal.SIGTERM)
    assert finish(expected).code == 0
    path.write_bytes(whole[:300])
    for end, number in ((500, signal.SIGKILL), (len(whole), signal.SIGTERM)):
        process = start("stream", model, path, "--follow", *options)
        before = len(lines_in(out))
        with path.open("ab", buffering=0) as file:
            for at in range(path.stat().st_size, end, 7):
                file.write(whole[at : min(at + 7, end)])
                time.sleep(0.002)
        wait_for(lambda before=before, end=end: len(lines_in(out)) > before and (
            end < len(whole) or len(lines_in(out)) == 19), "windows")  # fmt: skip
        process.send_signal(number)
        finish(process)
    assert out.read_bytes() == out.with_name("peace").read_bytes()


def test_where_the_disk_is_full_what_was_committed_stays(start, finish, run, model, long, kept):
    options, out, checkpoint = kept

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    program = [sys.executable, "-m", "edgeconv", "stream", model, long, "--hop", 1, *options]
    done = subprocess.run([*map(str, program)], preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    notes = done.stderr.splitlines()
    assert "cannot be written (File too large)" in notes[-1]
    assert any(f"{checkpoint} keeps what was written down before this" in note for note in notes)
    outcome = run("stream", model, long, "--hop", 1, *options)
    assert outcome.code == 0
    assert out.read_text() == run("stream", model, long, "--hop", 1).out


def test_a_file_that_is_gone_or_changed_is_said_and_nothing_is_lost(start, finish, run, model, long, kept):
    options, out, _ = kept
    process = start("stream", model, long, "--hop", 1, *options)
    wait_for(lambda: len(lines_in(out)) > 5000, "windows")
    process.send_signal(signal.SIGTERM)
    finish(process)
    before = out.read_bytes()
    away = long.rename(long.with_name("away.csv"))
    outcome = run("stream", model, long, "--hop", 1, *options)
    assert outcome.code == 3
    assert "there is no such file" in outcome.error
    assert out.read_bytes() == before
    away.rename(long)
    assert run("stream", model, long, "--hop", 1, *options).code == 0


def test_ten_random_kills_change_nothing():
    program = [sys.executable, ROOT / "tools" / "kill.py", "--kills", "10", "--samples", "120000"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    total = [cell.strip() for cell in done.stdout.splitlines()[-3].strip("|").split("|")]
    assert (total[0], total[1], total[4]) == ("together", "10", "0"), done.stdout + done.stderr


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


def test_the_pace_is_the_sensor_s_and_late_answers_are_counted():
    clock = Clock()
    pace = Pace(0.5, lambda: False, clock=clock, sleep=clock.sleep)
    for end_s, work_s in ((1.0, 0.1), (1.5, 0.7), (2.0, 0.1), (2.5, 0.0)):
        pace.wait(end_s)
        clock.now_s += work_s
        pace.answered(1)
    # The second one takes until 2.2 s, which is behind the next one's samples; the sensor does not wait for it.
    assert (pace.windows, pace.late) == (4, 1)
    assert pace.latest_s == pytest.approx(0.7)
    assert clock.now_s == pytest.approx(101.5)
    assert (
        "1 of 4 windows answered later than the next hop's samples came (500 ms), at the latest 700 ms" in pace.words()
    )


def test_real_time_takes_as_long_as_the_recording_and_says_how_it_went(run, model, write, samples):
    path = write("walk.csv", samples[:12])
    began = time.monotonic()
    outcome = run("stream", model, path, "--pace", "real-time")
    # The first window is there at once, and the last samples come 0.8 s later.
    assert 0.75 < time.monotonic() - began < 10
    assert outcome.code == 0
    assert len(outcome.predictions) == 5
    assert outcome.notes[-1].startswith("at the sensor's pace: 0 of 5 windows answered later than")


def test_a_replay_that_is_ended_goes_on(start, finish, run, model, write, samples, kept):
    options, out, _ = kept
    path = write("walk.csv", samples[:30])
    process = start("stream", model, path, "--pace", "real-time", *options)
    wait_for(lambda: len(lines_in(out)) >= 2, "windows")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0
    assert 2 <= len(lines_in(out)) < 14
    run("stream", model, path, "--pace", "real-time", *options)
    assert [json.loads(line)["start_s"] for line in lines_in(out)] == [round(i / 5, 6) for i in range(14)]


def test_nothing_is_cut_off_an_output_before_it_is_certain_that_the_recording_is_the_same(
    run, start, finish, model, long, kept
):
    options, out, checkpoint = kept
    process = start("stream", model, long, *options, "--hop", 1)
    wait_for(lambda: len(lines_in(out)) > 20_000, "windows")
    process.kill()
    finish(process)
    out.write_text(out.read_text() + "written, and not committed\n")
    before = out.read_bytes(), checkpoint.read_bytes()
    text = bytearray(long.read_bytes())  # behind what it is known by, in front of what was answered
    at = text.index(b"1", 100_000)
    text[at : at + 1] = b"2"
    long.write_bytes(text)
    outcome = run("stream", model, long, *options, "--hop", 1)
    assert outcome.code == 3
    assert "rows are not those that were there when the checkpoint was written" in outcome.error
    assert (out.read_bytes(), checkpoint.read_bytes()) == before
