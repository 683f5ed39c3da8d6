"""Opening recordings: which reader, which errors, how much memory, and that files are closed."""

import os
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime.errors import InputError, MissingFileError, UsageError
from edgeconv.runtime.sources import engines, read_recording

XY = ("x", "y")


@pytest.fixture
def opened(monkeypatch):
    """Every file that is opened through a path."""
    files = []
    open_path = Path.open

    def remember(*arguments, **options):
        files.append(open_path(*arguments, **options))
        return files[-1]

    monkeypatch.setattr(Path, "open", remember)
    return files


def test_the_content_decides_how_a_file_is_read_and_not_its_name(tmp_path):
    with (tmp_path / "array.csv").open("wb") as file:
        np.save(file, np.ones((2, 2)))
    (tmp_path / "text.npy").write_text("x,y\n1,1\n1,1\n")
    for name in ("array.csv", "text.npy"):
        np.testing.assert_array_equal(np.concatenate(list(read_recording(tmp_path / name, XY))), np.ones((2, 2)))


def test_a_path_may_be_a_string(tmp_path):
    (tmp_path / "walk.csv").write_text("1,2\n")
    assert len(list(read_recording(str(tmp_path / "walk.csv"), XY))) == 1


def test_a_file_that_is_not_there_is_a_missing_file():
    with pytest.raises(MissingFileError, match=r"^no/walk\.csv: there is no such file; expected a recording"):
        next(read_recording("no/walk.csv", XY))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="this is a folder; expected one recording"):
        next(read_recording(tmp_path, XY))


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "walk.csv").touch()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"walk\.csv: cannot be opened \(Permission denied\); expected a file that"):
        next(read_recording(tmp_path / "walk.csv", XY))


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "walk.csv").touch()
    with pytest.raises(InputError, match="cannot be opened"):
        next(read_recording(tmp_path / "walk.csv" / "x.csv", XY))


def test_a_chunk_below_one_is_a_usage_error():
    with pytest.raises(UsageError, match="chunk is 0; expected 1 or more"):
        next(read_recording("walk.csv", XY, 0))


@pytest.mark.parametrize("content", ["x,y\n1,2\n", "x,y\n1,a\n", "", "PK\x03\x04"])
def test_the_file_is_closed_after_reading_and_after_errors(tmp_path, opened, content):
    (tmp_path / "walk.csv").write_bytes(content.encode())
    opened.clear()
    with suppress(InputError):
        list(read_recording(tmp_path / "walk.csv", XY))
    assert [file.closed for file in opened] == [True]


def test_the_file_is_closed_when_the_reader_stops_early(tmp_path, opened):
    np.save(tmp_path / "walk.npy", np.ones((9, 2)))
    opened.clear()
    pieces = read_recording(tmp_path / "walk.npy", XY, 1)
    next(pieces)
    assert [file.closed for file in opened] == [False]
    pieces.close()
    assert [file.closed for file in opened] == [True]


def test_chunks_are_the_callers_to_change(tmp_path):
    np.save(tmp_path / "walk.npy", np.ones((9, 2), np.float32))
    (tmp_path / "walk.csv").write_text("1,1\n" * 9)
    for name in ("walk.npy", "walk.csv"):
        for piece in read_recording(tmp_path / name, XY, 4):
            piece *= 2
            assert piece.flags.c_contiguous
            assert (piece == 2).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_as_its_samples_come(tmp_path):
    pipe = tmp_path / "sensor"
    os.mkfifo(pipe)
    received = threading.Event()
    waited = []

    def send():
        with pipe.open("wb", buffering=0) as stream:
            stream.write(b"x,y\n1,2\n3,")
            waited.append(received.wait(10))
            stream.write(b"4\n")

    sender = threading.Thread(target=send)
    sender.start()
    pieces = read_recording(pipe, XY)
    np.testing.assert_array_equal(next(pieces), [[1, 2]])
    received.set()
    np.testing.assert_array_equal(next(pieces), [[3, 4]])
    sender.join()
    assert waited == [True]


def peak_of_reading(path, channels) -> tuple[int, int]:
    """Return the timesteps of a recording, and the bytes that reading it held at most."""
    tracemalloc.start()
    try:
        timesteps = sum(len(piece) for piece in read_recording(path, channels))
        return timesteps, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["numpy", "pyarrow", "polars"])
def test_long_recordings_need_little_memory(tmp_path, monkeypatch, name):
    if name != "numpy":
        pytest.importorskip(name)  # imported before memory is traced, so that it is chosen and does not count
    packages = tuple(package for package in engines.PACKAGES if package[0] == name)
    monkeypatch.setattr(engines, "PACKAGES", packages)
    samples = np.random.default_rng(0).normal(size=(5000, 9)).astype(np.float32)
    block = "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in samples).encode()
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        for _ in range(90):
            file.write(block)
    assert path.stat().st_size > 48e6
    timesteps, peak = peak_of_reading(path, "abcdefghi")
    assert timesteps == 450_000
    # The packages are given 2 MiB at a time: read, joined, and what is left of it without digits; then the samples.
    assert peak < (5e6 if name == "numpy" else 10e6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_long_arrays_need_little_memory(tmp_path, order):
    np.save(tmp_path / "long.npy", np.ones((400_000, 9), np.float32, order=order))
    timesteps, peak = peak_of_reading(tmp_path / "long.npy", "abcdefghi")
    assert timesteps == 400_000
    assert peak < 5e6


def test_short_lines_need_little_memory(tmp_path):
    (tmp_path / "long.csv").write_text("-1\n" * 1_000_000)
    timesteps, peak = peak_of_reading(tmp_path / "long.csv", "x")
    assert timesteps == 1_000_000
    assert peak < 12e6
