from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Recording, Segment, UciHar, cache

SOURCE_HASH = "ab" * 32


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def entry(folder, make_dataset):
    cache.cached(SOURCE_HASH, make_dataset)
    (found,) = cache.entries()
    return found


def never():
    pytest.fail("it was parsed again")


def test_a_second_load_is_the_same_and_parses_nothing(folder, make_dataset):
    first = cache.cached(SOURCE_HASH, make_dataset)
    second = cache.cached(SOURCE_HASH, never)
    assert second.content_hash() == first.content_hash()
    for name in ("name", "labels", "channels", "sampling_rate_hz", "hop", "licence", "source", "synthetic"):
        assert getattr(second, name) == getattr(first, name)
    assert second.test.windows.flags.writeable


@pytest.mark.parametrize("how", ["as_folder", "as_zip", "as_nested_zip"])
def test_a_data_set_is_loaded_from_the_cache_in_every_form(folder, tiny, how, monkeypatch):
    path = getattr(tiny, how)()
    first = UciHar(path).load()
    monkeypatch.setattr("edgeconv.data.uci_har._parse", lambda tree, source: never())
    assert UciHar(path).load().content_hash() == first.content_hash()


def test_a_folder_that_changes_is_parsed_again(folder, tiny):
    first = UciHar(tiny.as_folder()).load()
    tiny.files["test/y_test.txt"] = b"3\n4\n2\n"
    second = UciHar(tiny.as_folder()).load()
    assert list(second.test.class_ids) == [2, 3, 1]
    assert second.content_hash() != first.content_hash()
    assert len(cache.entries()) == 2


def test_an_entry_says_what_it_holds(entry, make_dataset):
    assert entry.name == "tiny"
    assert entry.source == "made for a test"
    assert entry.source_sha256 == SOURCE_HASH == entry.path.name
    assert entry.content_sha256 == make_dataset().content_hash()
    assert entry.size_bytes == sum(file.stat().st_size for file in entry.path.iterdir())
    assert cache.verify(entry)


def test_verify_notices_a_changed_value(entry):
    windows = np.load(entry.path / "test_windows.npy")
    windows[0, 0, 0] += 1
    np.save(entry.path / "test_windows.npy", windows)
    assert not cache.verify(entry)


def shorten(path):
    file = path / "train_windows.npy"
    file.write_bytes(file.read_bytes()[:-4])


def lengthen(path):
    with (path / "train_windows.npy").open("ab") as file:
        file.write(b"more")


def change_type(path):
    file = path / "train_class_ids.npy"
    np.save(file, np.load(file).astype(np.float64))


def change_shape(path):
    file = path / "train_windows.npy"
    np.save(file, np.load(file).reshape(6, 2, 8))


def claim_a_huge_shape(path):
    file = path / "train_windows.npy"
    file.write_bytes(file.read_bytes().replace(b"(6, 8, 2)", b"(6, 8,2000000000)")[: file.stat().st_size])


def flip_a_bit(path):
    file = path / "train_windows.npy"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def remove_an_array(path):
    (path / "test_subjects.npy").unlink()


def remove_meta(path):
    (path / "meta.json").unlink()


def empty_meta(path):
    (path / "meta.json").write_text("[]")


def break_meta(path):
    (path / "meta.json").write_text('{"cache_version": 1, "sou')


def drop_labels(path):
    meta = json.loads((path / "meta.json").read_text())
    del meta["labels"]
    (path / "meta.json").write_text(json.dumps(meta))


def other_version(path):
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | {"cache_version": 0}))


def replace_by_a_file(path):
    shutil.rmtree(path)
    path.write_text("what is this")


@pytest.mark.parametrize(
    "spoil",
    [
        shorten, lengthen, change_type, change_shape, claim_a_huge_shape, flip_a_bit, remove_an_array,
        remove_meta, empty_meta, break_meta, drop_labels, other_version, replace_by_a_file,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_a_damaged_entry_is_made_anew(entry, spoil, make_dataset):
    spoil(entry.path)
    assert not cache.verify(entry)
    calls = []

    def parse():
        calls.append(1)
        return make_dataset()

    dataset = cache.cached(SOURCE_HASH, parse)
    assert calls == [1]
    assert dataset.content_hash() == entry.content_sha256
    assert cache.cached(SOURCE_HASH, never).content_hash() == entry.content_sha256
    assert [path.name for path in entry.path.parent.iterdir()] == [SOURCE_HASH]


def test_a_cache_that_cannot_be_written_costs_time_and_a_warning_only(tmp_path, monkeypatch, make_dataset):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        with pytest.warns(UserWarning, match="cannot be kept"):
            assert cache.cached(SOURCE_HASH, make_dataset).name == "tiny"
    assert cache.entries() == ()


def test_no_home_folder_costs_time_and_a_warning_only(monkeypatch, make_dataset):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EDGECONV_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert cache.cached(SOURCE_HASH, make_dataset).name == "tiny"


def test_an_error_while_writing_leaves_nothing_behind(folder, make_dataset, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.warns(UserWarning, match="No space left"):
        cache.cached(SOURCE_HASH, make_dataset)
    assert list((folder / "datasets-v2").iterdir()) == []


def test_leftovers_of_a_killed_process_go_a_day_later(entry, make_dataset, monkeypatch):
    old, young = entry.path.with_name(".old"), entry.path.with_name(".young")
    old.mkdir()
    young.mkdir()
    os.utime(old, (0, 0))
    cache.cached("cd" * 32, make_dataset)
    assert not old.exists()
    assert young.exists()
    assert len(cache.entries()) == 2


def test_two_processes_at_once_write_one_good_entry(folder, tiny):
    code = "import sys; from edgeconv.data import UciHar; print(UciHar(sys.argv[1]).load().content_hash())"
    command = [sys.executable, "-W", "error", "-c", code, str(tiny.as_zip())]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(answers) == 1
    (found,) = cache.entries()
    assert cache.verify(found)
    assert [path.name for path in found.path.parent.iterdir()] == [found.source_sha256]


def test_losing_the_race_for_an_entry_is_no_error(folder, make_dataset):
    def parse():
        cache.cached(SOURCE_HASH, make_dataset)  # somebody else is faster
        return make_dataset()

    assert cache.cached(SOURCE_HASH, parse).content_hash() == make_dataset().content_hash()
    assert len(list((folder / "datasets-v2").iterdir())) == 1


def test_a_set_with_recordings_of_its_own_is_not_kept(folder, make_dataset):
    recording = Recording("r", np.zeros((9, 2), np.float32), 2, (Segment(0, 9, 0),))
    dataset = replace(make_dataset(), continuous={"test": (recording,)})
    assert cache.cached(SOURCE_HASH, lambda: dataset) is dataset
    assert cache.entries() == ()


@pytest.mark.skipif(sys.platform == "win32", reason="the folders of Windows differ")
def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("EDGECONV_CACHE")
    assert cache.cache_folder() == tmp_path / "xdg" / "edgeconv"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.cache_folder() == tmp_path / "home" / ".cache" / "edgeconv"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == tmp_path / "home" / ".cache" / "edgeconv"
