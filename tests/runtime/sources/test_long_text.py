"""Long files, read ahead by whichever engine: the same samples and the same errors as a pipe gives, and a clean end."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources import lines, read_recording, text
from edgeconv.runtime.sources.lines import BLOCK_BYTES, LINE_LIMIT_BYTES
from edgeconv.runtime.sources.text import LONG_BYTES, gather, read_text

XY = ("x", "y")


@contextmanager
def small_blocks(engine, block_bytes=64):
    """Read and parse very little at a time, so that short texts have many blocks and batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block_bytes)
        patch.setattr(text, "BLOCK_BYTES", block_bytes)
        patch.setattr(text, "choose_engine", lambda _: replace(engine, block_bytes=4 * block_bytes))
        yield


def read(data: bytes, size_bytes: int) -> tuple[bytes, str | None]:
    """Return the samples before the first error, and its message."""
    read_back, message = [], None
    try:
        for samples in read_text(io.BufferedReader(io.BytesIO(data)), "walk.csv", XY, size_bytes):
            assert len(samples)
            read_back.append(samples.tobytes())
    except InputError as error:
        message = str(error)
    return b"".join(read_back), message


def assert_same_as_a_pipe(data, engine):
    with small_blocks(engine):
        assert read(data, LONG_BYTES) == read(data, 0)


plain_line = st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)).map("{0[0]!r},{0[1]:.4f}".format)
odd_line = st.sampled_from(
    ["", " ", "1,2,3", "1", "1,", ",", "1,nan", "1,1e39", '"1","2"', '"1,2', " 1 , 2 ", "1;2", "1,2\r", "1\r,2", "1,\0"]
) | st.text('0123456789+-.eE, "x\r\0½', max_size=12)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    st.sampled_from(["x,y\n", "y,x\r\n", "\ufeffx,y\n", "\n\ny,x\n", "", "x,z\n"]),
    st.lists(plain_line, max_size=40),
    st.dictionaries(st.integers(0, 40), odd_line, max_size=2),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.booleans(),
)
def test_samples_and_errors_are_those_of_a_pipe(engine, header, plain, odd, line_end, ended):
    rows = list(plain)
    for at, line in sorted(odd.items()):
        rows.insert(at, line)
    assert_same_as_a_pipe((header + line_end.join(rows) + line_end * ended).encode(), engine)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"x,y\n", b"1,2\n" * 40, b"x,y\r\n1,2\r\n"]))
@example(b"1,2\n" * 100 + b"\xff\n", b"x,y\n")
def test_any_bytes_are_read_as_from_a_pipe(engine, data, start):
    assert_same_as_a_pipe(start + data, engine)


@pytest.mark.parametrize("odd", [b"1,a\n", b"1\n", b"1,2\xff\n", b"1,\n", b"1,inf\n", b"1\r,2\n", b"\n", b'"1","2"\n'])
@pytest.mark.parametrize("at", [0, 1, 50, 199])
def test_an_error_names_its_line_after_all_samples_of_earlier_blocks(engine, odd, at):
    rows = [f"{i},{i / 3}\n".encode() for i in range(200)]
    data = b"x,y\n" + b"".join([*rows[:at], odd, *rows[at:]])
    assert_same_as_a_pipe(data, engine)
    with small_blocks(engine):
        samples, message = read(data, LONG_BYTES)
    assert message is None or f"line {at + 2}" in message
    # What is lost are the rows of the error's own block.
    assert len(samples) // 8 > (at if message else 200) - 20


def test_a_line_that_is_too_long_is_refused_after_the_samples_before_it(engine):
    data = b"x,y\n" + b"1,2\n" * 1000 + b"3," + b"0" * (2 * LINE_LIMIT_BYTES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "choose_engine", lambda _: engine)
        samples, message = read(data, LONG_BYTES)
    assert "line 1002 is longer than 1 MiB" in message
    assert len(samples) == 8000


@pytest.fixture
def long(tmp_path):
    """A file that is read ahead, in many blocks, and its samples."""
    samples = np.random.default_rng(3).normal(size=(60_000, 2)).astype(np.float32)
    path = tmp_path / "long.csv"
    path.write_text("x,y\n" + "".join(f"{x:.9g},{y:.9g}\n" for x, y in samples.tolist()))
    assert path.stat().st_size > LONG_BYTES
    return path, samples


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgeconv")]


@pytest.fixture
def chosen(monkeypatch, engine):
    monkeypatch.setattr(text, "choose_engine", lambda _: engine)


@pytest.mark.usefixtures("chosen")
def test_a_long_file_is_read_whole_and_in_order(long):
    path, samples = long
    pieces = list(read_recording(path, XY))
    assert all(1 <= len(piece) <= 4096 for piece in pieces)
    assert np.concatenate(pieces).tobytes() == samples.tobytes()
    assert threads() == []


@pytest.mark.usefixtures("chosen")
def test_the_first_piece_is_a_small_one_that_waits_for_no_thread(long):
    pieces = read_recording(long[0], XY, chunk=1_000_000)
    assert len(next(pieces)) * 15 < BLOCK_BYTES
    assert threads() == []
    pieces.close()


@pytest.mark.usefixtures("chosen")
def test_closing_early_ends_the_thread_and_then_closes_the_file(long, monkeypatch):
    threads_at_close = []

    class File(io.BufferedReader):
        def close(self):
            if not self.closed:
                threads_at_close.append(threads())
            super().close()

    monkeypatch.setattr(Path, "open", lambda path, _: File(io.FileIO(path)))
    pieces = read_recording(long[0], XY)
    for _ in range(4):
        next(pieces)
    assert len(threads()) == 1
    pieces.close()
    assert threads() == []
    assert threads_at_close == [[]]


@pytest.mark.usefixtures("chosen")
def test_an_error_late_in_the_file_comes_when_all_before_it_was_read(long):
    path, samples = long
    with path.open("a") as file:
        file.write("1,?\n")
    pieces = []
    with pytest.raises(InputError, match="line 60002, column 'y': '\\?' is not a number"):
        pieces.extend(read_recording(path, XY))
    read_back = np.concatenate(pieces)
    assert 50_000 < len(read_back) < 60_000
    np.testing.assert_array_equal(read_back, samples[: len(read_back)])
    assert threads() == []


def test_blocks_before_a_read_error_are_handed_on():
    def blocks():
        yield from (b"1", b"2", b"3")
        raise OSError(5, "Input/output error")

    batches = gather(blocks(), 2)
    assert [next(batches), next(batches)] == [[b"1", b"2"], [b"3"]]
    with pytest.raises(OSError, match="Input/output error"):
        next(batches)


STOP_EARLY = """
import os, signal, sys, threading
if sys.argv[3] != "numpy":
    __import__(sys.argv[3])
from edgeconv.runtime.sources import read_recording
pieces = read_recording(sys.argv[1], ("x", "y"))
try:
    for count, piece in enumerate(pieces):
        if count == 2:
            if sys.argv[2] == "exit":
                sys.exit(7)
            if sys.argv[2] == "error":
                raise RuntimeError("the consumer's own")
            os.kill(os.getpid(), signal.SIGINT)
finally:
    print(count)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("name", ["numpy", "pyarrow", "polars"])
@pytest.mark.parametrize(("how", "code"), [("exit", 7), ("error", 1), ("interrupt", -signal.SIGINT)])
def test_a_process_that_stops_early_ends(long, name, how, code):
    if name != "numpy":
        pytest.importorskip(name)
    done = subprocess.run(
        [sys.executable, "-c", STOP_EARLY, str(long[0]), how, name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stdout == "2\n"
    assert done.stderr.count("Traceback") == (how != "exit")
