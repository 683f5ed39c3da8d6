from __future__ import annotations

import csv
import tempfile
import wave
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeconv.data import Dataset, Recording, Segment, Split, write_recordings
from edgeconv.data.write import time_decimals
from edgeconv.runtime.errors import InputError, UsageError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.spec import Channel

RECORDING = Recording(
    "walk",
    np.array([[0.1, -2], [1e-8, 2.5], [1 / 3, -0.0], [1.04122, 5]], dtype=np.float32),
    2,
    (Segment(0, 3, 1), Segment(3, 4, 0)),
)


@pytest.fixture
def dataset(make_dataset):
    return make_dataset()


def test_files_have_a_header_times_and_shortest_values(dataset, tmp_path):
    (path,) = write_recordings(dataset, [RECORDING], tmp_path / "out")
    assert path == (tmp_path / "out" / "walk.csv").resolve()
    assert path.read_bytes().decode() == (
        "time_s,a,b\n0.00,0.1,-2.0\n0.02,1e-08,2.5\n0.04,0.33333334,-0.0\n0.06,1.04122,5.0\n"
    )


def test_labels_give_recording_start_end_and_name(dataset, tmp_path):
    write_recordings(dataset, [RECORDING, replace(RECORDING, name="other", segments=())], tmp_path / "out")
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["recording", "start_s", "end_s", "label", "subject"],
            ["walk", "0.00", "0.06", "GAIT", "2"],
            ["walk", "0.06", "0.08", "REST", "2"],
        ]


@settings(derandomize=True, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.just(9)), elements=st.floats(width=32, allow_nan=False)))
def test_values_read_back_bit_for_bit(samples):
    split = Split(np.zeros((1, 2, 9), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    channels = tuple(Channel(f"c{i}", "g") for i in range(9))
    dataset = Dataset("x", True, "none", ("A", "B"), channels, 50.0, 1, split, split, "none")
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_recordings(dataset, [replace(RECORDING, samples=samples)], folder)
        again = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32, ndmin=2)
    assert again[:, 1:].tobytes() == samples.tobytes()


@pytest.mark.parametrize(
    ("rate", "decimals"), [(1, 0), (2, 1), (50, 2), (100, 2), (64, 6), (12.5, 2), (0.1, 0), (30, 5), (44_100, 8)]
)
def test_times_have_just_enough_decimals(rate, decimals):
    assert time_decimals(rate) == decimals
    # Close enough to tell which sample it is, at any place.
    assert abs(round(1e4 / rate, decimals) * rate - 1e4) < 0.01


def test_a_folder_that_holds_something_is_refused(dataset, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_recordings(dataset, [RECORDING], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("names", [["note.txt"], ["walk.csv", "labels.csv", "note.txt"], ["table.csv"], ["sub.csv/x"]])
def test_overwriting_spares_what_edgeconv_did_not_write(dataset, tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="not written by edgeconv"):
        write_recordings(dataset, [RECORDING], tmp_path, overwrite=True)
    assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_a_description_by_hand_is_not_overwritten(dataset, tmp_path):
    write_recordings(dataset, [RECORDING], tmp_path / "out")
    by_hand = (tmp_path / "out" / "dataset.toml").read_text().partition("\n")[2]
    (tmp_path / "out" / "dataset.toml").write_text(by_hand)
    with pytest.raises(UsageError, match=r"also holds dataset\.toml"):
        write_recordings(dataset, [RECORDING], tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "dataset.toml").read_text() == by_hand


def test_overwriting_replaces_the_whole_folder(dataset, tmp_path):
    out = tmp_path / "out"
    write_recordings(dataset, [RECORDING], out)
    write_recordings(dataset, [replace(RECORDING, name="run")], out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["dataset.toml", "labels.csv", "run.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_used_and_parents_are_made(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    write_recordings(dataset, [RECORDING], tmp_path / "out")
    write_recordings(dataset, [RECORDING], tmp_path / "deep" / "er" / "out")
    assert (tmp_path / "out" / "walk.csv").read_text() == (tmp_path / "deep" / "er" / "out" / "walk.csv").read_text()


def test_a_file_in_the_place_of_the_folder_is_refused(dataset, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write_recordings(dataset, [RECORDING], tmp_path / "out", overwrite=True)


def test_a_place_that_cannot_be_written_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        write_recordings(dataset, [RECORDING], tmp_path / "file" / "out")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("before", [False, True], ids=["new", "overwriting"])
def test_an_interruption_leaves_all_as_it_was(dataset, tmp_path, error, before):
    def stop(done, total):
        assert (done, total) == (1, 2)
        raise error

    out = tmp_path / "out"
    if before:
        write_recordings(dataset, [RECORDING], out)
    two = [replace(RECORDING, name=name) for name in ("one", "two")]
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else InputError):
        write_recordings(dataset, two, out, overwrite=True, progress=stop)
    there = sorted(path.name for path in tmp_path.rglob("*"))
    assert there == (["dataset.toml", "labels.csv", "out", "walk.csv"] if before else [])


def test_progress_is_told_how_many_are_written(dataset, tmp_path):
    told = []
    two = [replace(RECORDING, name=name) for name in ("one", "two")]
    write_recordings(dataset, two, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", ["", "a/b", "..", "..\\a", "C:x", "labels", "Labels", "a\0", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(dataset, tmp_path, name):
    with pytest.raises(InputError, match="is called"):
        write_recordings(dataset, [replace(RECORDING, name=name)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_two_recordings_of_one_name_are_refused(dataset, tmp_path):
    with pytest.raises(InputError, match="'Walk'"):
        write_recordings(dataset, [RECORDING, replace(RECORDING, name="Walk")], tmp_path / "out")


def test_a_recording_of_other_channels_is_refused(dataset, tmp_path):
    with pytest.raises(InputError, match="walk has the shape"):
        write_recordings(dataset, [replace(RECORDING, samples=np.zeros((4, 3), np.float32))], tmp_path / "out")


@pytest.mark.parametrize(("bits", "width"), [(16, 2), (17, 3), (24, 3), (30, 4)])
def test_a_wav_file_has_as_few_bits_as_give_the_values_back(tmp_path, dataset, bits, width):
    steps = np.array([[-1, 1], [0, 1 << (bits - 2)], [3, 0]])
    samples = (steps / 2.0 ** (bits - 1)).astype(np.float32)
    (path,) = write_recordings(dataset, [replace(RECORDING, samples=samples)], tmp_path / "out", file_format="wav")
    assert path == (tmp_path / "out" / "walk.wav").resolve()
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == width
    read_back = np.concatenate(list(read_recording(path, ["a", "b"], sampling_rate_hz=dataset.sampling_rate_hz)))
    np.testing.assert_array_equal(read_back, samples)


@pytest.mark.parametrize(("value", "rate_hz", "words"), [(1.0, 50, "to 1 that no PCM holds"), (0, 12.5, "not 12.5")])
def test_what_a_wav_file_cannot_hold_is_refused(tmp_path, dataset, value, rate_hz, words):
    wrong = replace(RECORDING, samples=np.full((2, 2), value, np.float32))
    with pytest.raises(InputError, match=words):
        write_recordings(replace(dataset, sampling_rate_hz=rate_hz), [wrong], tmp_path / "out", file_format="wav")
    assert list(tmp_path.iterdir()) == []
