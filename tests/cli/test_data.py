"""`edgeconv data list`, `verify` and `recordings`."""

from __future__ import annotations

import os
import shutil
import signal
import time
import zipfile

import numpy as np
import pytest

from edgeconv.data import UCI_HAR_SHA256, UCI_HAR_URL, UciHar, cache

CHANNELS = [f"{sensor}_{axis}" for sensor in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"]
SIGNAL = "test/Inertial Signals/body_acc_y_test.txt"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache for this test alone."""
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(make_tiny):
    return make_tiny()


@pytest.fixture
def cached(own_cache, tiny):
    """The zip of a tiny set, and the entry it has in the cache."""
    path = tiny.as_zip()
    UciHar(path).load()
    (entry,) = cache.entries()
    return path, entry


def flip_a_byte(entry):
    path = entry.path / "test_windows.npy"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def read_recording(path):
    with path.open() as file:
        header = file.readline().strip().split(",")
        return header, np.loadtxt(file, delimiter=",", ndmin=2)


def test_an_empty_cache_is_said_to_be_empty_and_the_official_address_is_shown(run, own_cache):
    outcome = run("data", "list")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == f"Parsed data sets in {own_cache}: none"
    assert UCI_HAR_URL in outcome.out
    assert f"SHA-256 {UCI_HAR_SHA256}" in outcome.out
    assert outcome.err == ""
    assert not own_cache.exists()


def test_the_list_names_what_is_cached_with_its_hashes(run, own_cache, cached):
    path, entry = cached
    lines = run("data", "list").out.splitlines()
    assert lines[0] == f"Parsed data sets in {own_cache}: 1"
    assert lines[1].split("  ")[0] == "name"
    for word in ("UCI HAR", path.name, entry.source_sha256[:12], entry.content_sha256[:12]):
        assert word in lines[2]


def test_verify_has_nothing_to_say_about_an_empty_cache(run, own_cache):
    outcome = run("data", "verify")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_verify_finds_an_intact_data_set_intact(run, cached):
    _, entry = cached
    outcome = run("data", "verify")
    assert outcome.code == 0
    assert outcome.out == f"intact  UCI HAR {entry.content_sha256} ({entry.path})\n"


def test_verify_finds_a_flipped_byte(run, cached):
    _, entry = cached
    flip_a_byte(entry)
    outcome = run("data", "verify")
    assert outcome.code == 4
    assert outcome.out == f"DAMAGED UCI HAR {entry.content_sha256} ({entry.path})\n"
    assert outcome.error == "1 cached data set not as parsed: the next load parses again"


def test_verify_finds_the_damaged_one_among_others(run, make_tiny, cached):
    _, entry = cached
    flip_a_byte(entry)
    other = make_tiny(where="other")
    other.files["test/y_test.txt"] = b"6\n4\n1\n"
    UciHar(other.as_folder()).load()
    outcome = run("data", "verify")
    assert outcome.code == 4
    assert sorted(line.split()[0] for line in outcome.out.splitlines()) == ["DAMAGED", "intact"]
    assert "1 cached data set not as parsed" in outcome.error


def test_verify_reads_the_given_data_anew_although_the_cache_is_damaged(run, cached):
    path, entry = cached
    flip_a_byte(entry)
    outcome = run("data", "verify", "--data", path)
    assert outcome.code == 4
    first, second = outcome.out.splitlines()
    assert entry.content_sha256 in first
    assert entry.source_sha256 in first
    assert second.startswith("DAMAGED")


def test_a_damaged_entry_that_was_deleted_is_parsed_again(run, cached, tmp_path):
    path, entry = cached
    flip_a_byte(entry)
    shutil.rmtree(entry.path)
    assert run("data", "recordings", "--data", path, "--out", tmp_path / "out").code == 0
    assert run("data", "verify").out.startswith("intact")


@pytest.mark.parametrize("form", ["as_folder", "as_zip", "as_nested_zip"])
def test_recordings_of_a_data_set_are_its_windows_joined_again(run, own_cache, tiny, tmp_path, form):
    outcome = run("data", "recordings", "--data", getattr(tiny, form)(), "--out", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.out == ""
    assert "data: UCI HAR, 5 training and 3 test windows" in outcome.notes
    assert f"{tmp_path / 'out'} holds 3 test recordings of UCI HAR, 0.1 minutes, and labels.csv" in outcome.notes
    assert not any("synthetic" in note for note in outcome.notes)
    names = ["test_s02_001", "test_s02_002", "test_s04_001"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dataset.toml",
        "labels.csv",
        *(f"{n}.csv" for n in names),
    ]
    for name, window in zip(names, tiny.windows["test"], strict=True):
        header, rows = read_recording(tmp_path / "out" / f"{name}.csv")
        assert header == ["time_s", *CHANNELS]
        assert rows[:, 1:].astype(np.float32).tobytes() == window.tobytes()
        np.testing.assert_allclose(rows[:, 0], np.arange(128) / 50)
    labels = (tmp_path / "out" / "labels.csv").read_text().splitlines()
    assert labels == [
        "recording,start_s,end_s,label,subject",
        "test_s02_001,0.00,2.56,WALKING_DOWNSTAIRS,2",
        "test_s02_002,0.00,2.56,SITTING,2",
        "test_s04_001,0.00,2.56,WALKING,4",
    ]


def test_the_training_side_can_be_asked_for(run, own_cache, tiny, tmp_path):
    outcome = run("data", "recordings", "--data", tiny.as_zip(), "--out", tmp_path / "out", "--split", "train")
    assert outcome.code == 0
    assert {path.name[:5] for path in (tmp_path / "out").iterdir()} == {"train", "label", "datas"}


def test_both_sides_together_are_the_data_set_again(run, own_cache, tiny, tmp_path):
    path = tiny.as_zip()
    outcome = run("data", "recordings", "--data", path, "--out", tmp_path / "out", "--split", "all")
    assert any("out holds 8 recordings of UCI HAR" in note for note in outcome.notes)
    hashes = [run("data", "verify", "--data", data).out.split()[4] for data in (path, tmp_path / "out")]
    assert len(hashes[0]) > 60
    assert hashes[0] == hashes[1]


def test_without_data_the_generated_set_is_written_and_called_synthetic(run, own_cache, tmp_path):
    outcome = run("data", "recordings", "--out", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.notes[0].startswith("data: synthetic HAR-like data (generated, not measured), ")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) == 10
    assert files[:2] == ["dataset.toml", "labels.csv"]
    del files[0]
    header, rows = read_recording(tmp_path / "out" / files[1])
    assert header == ["time_s", *CHANNELS]
    assert len(rows) > 4 * 60 * 50
    labels = (tmp_path / "out" / "labels.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in labels[1:]} == {name.removesuffix(".csv") for name in files[1:]}
    assert not own_cache.exists()


def test_the_official_test_side_becomes_257_recordings_with_nothing_half_written(run, uci_har_zip, tmp_path):
    outcome = run("data", "recordings", "--data", uci_har_zip, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 259
    recordings = [path for path in files if path.name not in ("dataset.toml", "labels.csv")]
    windows = 0
    for path in recordings:
        text = path.read_text()
        assert text.startswith(f"time_s,{','.join(CHANNELS)}\n0.00,")
        assert text.endswith("\n")
        assert {line.count(",") for line in text.splitlines()} == {9}
        samples = text.count("\n") - 1
        assert samples % 64 == 0
        windows += samples // 64 - 1
    assert windows == 2947
    labels = (tmp_path / "out" / "labels.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in labels] == [path.stem for path in recordings]
    assert any("257 test recordings of UCI HAR" in note for note in outcome.notes)


def test_recordings_are_not_written_over_anything_unless_asked(run, own_cache, tiny, tmp_path):
    command = ("data", "recordings", "--data", tiny.as_zip(), "--out", tmp_path / "out")
    assert run(*command).code == 0
    (tmp_path / "out" / "test_s02_001.csv").write_text("mine")
    outcome = run(*command)
    assert outcome.code == 2
    assert f"{tmp_path / 'out'} is not empty" in outcome.error
    assert (tmp_path / "out" / "test_s02_001.csv").read_text() == "mine"
    assert run(*command, "--overwrite").code == 0
    assert (tmp_path / "out" / "test_s02_001.csv").read_text().startswith("time_s,")


def test_a_folder_with_other_things_in_it_is_not_replaced_even_if_asked(run, own_cache, tiny, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    outcome = run("data", "recordings", "--data", tiny.as_zip(), "--out", tmp_path / "out", "--overwrite")
    assert outcome.code == 2
    assert "thesis.txt" in outcome.error
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_split_nobody_knows_is_wrong_usage(run, tmp_path):
    outcome = run("data", "recordings", "--out", tmp_path / "out", "--split", "validation")
    assert outcome.code == 2
    assert "--split" in outcome.error
    assert "'train', 'test'" in outcome.error
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_while_recordings_are_written_leaves_no_folder(start, finish, own_cache, tmp_path):
    (tmp_path / "here").mkdir()
    process = start("data", "recordings", "--out", tmp_path / "here" / "out", "--split", "train")
    deadline = time.monotonic() + 20
    while not any(tmp_path.glob("here/.out.*/*.csv")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert any("interrupted" in note for note in outcome.notes)
    assert list((tmp_path / "here").iterdir()) == []


def escape(tiny):
    return tiny.as_zip(tiny.zip_bytes(**{"../outside.txt": b"x"}))


def truncate(tiny):
    return tiny.as_zip(tiny.zip_bytes()[:-300])


def leave_out_a_signal(tiny):
    del tiny.files[SIGNAL]
    return tiny.as_zip()


def label_7(tiny):
    tiny.files["test/y_test.txt"] = b"3\n7\n1\n"
    return tiny.as_zip()


def label_0(tiny):
    tiny.files["test/y_test.txt"] = b"0\n4\n1\n"
    return tiny.as_zip()


def one_row_less(tiny):
    tiny.files[SIGNAL] = tiny.files[SIGNAL].split(b"\n", 1)[1]
    return tiny.as_zip()


def one_subject_more(tiny):
    tiny.files["test/subject_test.txt"] += b"4\n"
    return tiny.as_zip()


def one_value_less(tiny):
    tiny.edit_line(SIGNAL, 2, lambda values: values[1:])
    return tiny.as_zip()


def text_for_a_value(tiny):
    tiny.edit_line(SIGNAL, 3, lambda values: [values[0], b"n/a", *values[2:]])
    return tiny.as_zip()


def not_a_zip(tiny):
    return tiny.as_zip(b"a,b\n1,2\n" * 50)


def another_zip(tiny):
    path = tiny.folder / "holiday.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"\xff\xd8")
    return path


def an_empty_folder(tiny):
    (tiny.folder / "empty").mkdir()
    return tiny.folder / "empty"


def nothing(tiny):
    return tiny.folder / "gone.zip"


BAD = [
    (escape, ["'../outside.txt'", "leads out of the archive"]),
    (truncate, ["truncated or damaged zip", "download it again"]),
    (leave_out_a_signal, [f"lacks UCI HAR Dataset/{SIGNAL}"]),
    (label_7, ["test/y_test.txt, line 2", "a class id from 1 to 6 expected, '7' seen"]),
    (label_0, ["test/y_test.txt, line 1", "a class id from 1 to 6 expected, '0' seen"]),
    (one_row_less, [SIGNAL, "has 2 rows, 3 expected, as many as test/y_test.txt has"]),
    (one_subject_more, ["test/subject_test.txt has 4 rows, 3 expected"]),
    (one_value_less, [f"{SIGNAL}, line 2: 128 values expected, 127 seen"]),
    (text_for_a_value, [f"{SIGNAL}, line 3, value 2: a number expected, 'n/a' seen"]),
    (not_a_zip, ["is not a zip file"]),
    (another_zip, ["lacks activity_labels.txt"]),
    (an_empty_folder, ["activity_labels.txt", "give the folder 'UCI HAR Dataset'"]),
    (nothing, ["is not there", "`edgeconv data fetch`"]),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[make.__name__ for make, _ in BAD])
@pytest.mark.parametrize("verb", ["verify", "recordings"])
def test_data_that_cannot_be_used_are_refused_and_nothing_is_written(run, own_cache, tiny, tmp_path, verb, make, words):
    path = make(tiny)
    out = ("--out", tmp_path / "out") if verb == "recordings" else ()
    outcome = run("data", verb, "--data", path, *out)
    assert outcome.code == 3
    assert str(path) in outcome.error
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "outside.txt").exists()
    assert cache.entries() == ()


@pytest.mark.parametrize(("format_", "ending"), [((), "wav"), (("--format", "csv"), "csv")])
def test_sounds_are_written_as_wav_files_unless_told_otherwise(run, tmp_path, monkeypatch, format_, ending):
    from edgeconv.data import load
    from edgeconv.data.synthetic_tones import synthetic_tones

    monkeypatch.setitem(load.GENERATED, "synthetic-tones", lambda: synthetic_tones(0, 1, 1))
    outcome = run("data", "recordings", "--data", "synthetic-tones", "--out", tmp_path / "out", *format_)
    assert outcome.code == 0, outcome.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["dataset.toml", "labels.csv", f"synthetic-room-101.{ending}"]


def test_the_data_of_a_model_of_generated_sounds_are_generated_again(tmp_path, monkeypatch, capsys):
    import json

    from edgeconv import folder as files
    from edgeconv.cli.console import load_data_of
    from edgeconv.data import load
    from edgeconv.data.synthetic_tones import synthetic_tones

    sounds = synthetic_tones(0, 1, 1)
    monkeypatch.setitem(load.GENERATED, "synthetic-tones", lambda: sounds)
    said = {"name": sounds.name, "synthetic": True, "content_hash": sounds.content_hash()}
    (tmp_path / files.TRAINING).write_text(json.dumps({"data": said}))
    assert load_data_of(tmp_path, None) is sounds
    assert "other data" not in capsys.readouterr().err
