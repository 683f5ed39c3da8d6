"""Which files are recordings, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources.found import bare_name, find_recordings
from edgeconv.runtime.sources.joined import join_files

FILES = (
    "walk10.csv", "walk2.csv.gz", "walk1.TXT", "a.npy.zst", "b.parquet", "c.feather", "d.npz", "e.wav",
    "notes.md", "dataset.toml", "b.parquet.gz", ".hidden.csv", "day/walk3.csv", "day/.cache/walk4.csv", ".x/y.csv",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    return tmp_path


def names(root, *given, join=()):
    return [path.relative_to(root).as_posix() for path in find_recordings([root / each for each in given], join)]


def test_a_folder_is_its_recordings_in_the_order_of_their_numbers(folder):
    expected = ["a.npy.zst", "b.parquet", "c.feather", "d.npz", "e.wav", "walk1.TXT", "walk2.csv.gz", "walk10.csv"]
    assert names(folder, ".") == expected
    assert names(folder, "day", "walk10.csv", "gone.csv") == ["day/walk3.csv", "walk10.csv", "gone.csv"]


def test_a_glob_is_what_it_names_below_only_with_two_stars(folder):
    assert names(folder, "walk*") == ["walk1.TXT", "walk2.csv.gz", "walk10.csv"]
    assert names(folder, "**/*.csv") == ["day/walk3.csv", "walk10.csv"]
    assert names(folder, "*.m?") == ["notes.md"]


def test_a_file_with_the_characters_of_a_glob_in_its_name_is_that_file(folder):
    (folder / "walk[1].csv").touch()
    assert names(folder, "walk[1].csv") == ["walk[1].csv"]


def test_standard_input_is_no_file():
    assert find_recordings([Path("-")]) == [Path("-")]


def test_nothing_found_says_what_was_looked_for(folder):
    with pytest.raises(InputError, match=r"\.x/\*\.wav fits no file; expected a glob of recordings"):
        find_recordings([folder / ".x" / "*.wav"])
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"no recordings in this folder; looked for files that end in \.csv, .*\.zst"):
        find_recordings([folder / "empty"])
    with pytest.raises(InputError, match=r"no file in this folder fits acc_\*\.csv"):
        find_recordings([folder], ["acc_*.csv", "gyro_*.csv"])


def test_with_joined_files_a_folder_is_what_fits_their_names(folder):
    for name in ("acc_10.txt", "acc_9.txt", "gyro_9.txt", "gyro_10.txt", "labels.txt"):
        (folder / name).touch()
    join = ("acc_*.txt", "gyro_*.txt")
    assert names(folder, ".", join=join) == ["acc_9.txt", "acc_10.txt"]
    assert [each.name for each in join_files(find_recordings([folder], join), join)] == ["9", "10"]


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("walk.csv", "walk"), ("walk.csv.gz", "walk"), ("day/walk.npy.zst", "day/walk"), ("walk.gz", "walk"),
        ("walk.v2.csv", "walk.v2"), ("walk", "walk"), ("day.1/walk", "day.1/walk"),
    ],
)  # fmt: skip
def test_a_recording_is_called_after_its_file(name, bare):
    assert bare_name(name) == bare
    (found,) = join_files([Path(name)], ())
    assert found.name == Path(bare).name
