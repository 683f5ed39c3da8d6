"""HAPT: a generated set in its layout, and the counts of the real one."""

import zipfile

import numpy as np
import pytest

from edgeconv.data import Hapt, cache, load_data
from edgeconv.data.uci_har import CHANNELS as UCI_HAR_CHANNELS
from edgeconv.data.uci_har import DERIVED as UCI_HAR_DERIVED
from edgeconv.runtime import ModelSpec
from edgeconv.runtime.conditioning.derive import Derivation
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

LABELS = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L")
ROOT = "HAPT Data Set/"
ROWS = "1 1 1 3 12\n1 1 7 13 20\n1 1 2 21 30\n2 2 6 1 30\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of a tiny set: people 1 and 2, 30 samples each."""
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))
    made = {"activity_labels.txt": "".join(f"{i} {n}  \n" for i, n in enumerate(LABELS, 1)), "RawData/labels.txt": ROWS}
    for user in (1, 2):
        for k, sensor in enumerate(("acc", "gyro")):
            rows = (f"{user}{i:02d} {k} {-i}\n" for i in range(30))
            made[f"RawData/{sensor}_exp{user:02d}_user{user:02d}.txt"] = "".join(rows)
    return made


def as_zip(folder, files):
    with zipfile.ZipFile(folder / "any.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(ROOT + name, text)
    return folder / "any.zip"


def test_windows_count_from_the_first_sample_of_a_segment_to_its_last(files, tmp_path):
    dataset = load_data(as_zip(tmp_path, files), options={"window": "5", "hop": "5"})
    assert dataset.labels == LABELS[:6]
    # Samples 3 to 12 and 21 to 30, counted from 1: two windows each.
    np.testing.assert_array_equal(dataset.train.windows[:, 0, 0], [102, 107, 120, 125])
    np.testing.assert_array_equal(dataset.train.class_ids, [0, 0, 1, 1])
    assert (len(dataset.test), dataset.options) == (6, {"window": "5", "hop": "5"})
    assert [(s.start, s.end) for s in dataset.continuous["train"][0].segments] == [(2, 12), (20, 30)]


@pytest.mark.parametrize(("transitions", "ids", "labels"), [("class", [0, 6, 1], 7), ("each", [0, 6, 1], 12)])
def test_transitions_are_one_class_or_six(files, tmp_path, transitions, ids, labels):
    dataset = Hapt(as_zip(tmp_path, files)).load({"window": 8, "hop": 8, "transitions": transitions})
    assert (dataset.train.class_ids.tolist(), len(dataset.labels)) == (ids, labels)


def test_each_choice_of_options_is_parsed_once_and_found_by_its_hash(files, tmp_path, monkeypatch):
    path = as_zip(tmp_path, files)
    choices = ({"window": 5}, {"window": 5, "transitions": "class"})
    hashes = [Hapt(path).load(options).content_hash() for options in choices]
    monkeypatch.setattr("edgeconv.data.hapt._parse", lambda *_: pytest.fail("parsed again"))
    again = [Hapt(path).load(options) for options in choices]
    assert [dataset.content_hash() for dataset in again] == hashes
    assert again[1].continuous["train"][0].segments[1].class_id == 6
    assert {entry.content_sha256 for entry in cache.entries()} == set(hashes)


def test_the_nine_channels_of_uci_har_are_derived_over_the_whole_recording(files, tmp_path):
    path, options = as_zip(tmp_path, files), {"window": 5, "hop": 5}
    raw = load_data(path, options=options)
    dataset = load_data(path, options=options | {"derive": "uci-har"})
    again = load_data(path, options=options | {"derive": "uci-har"})  # from the cache
    assert [c.name for c in dataset.channels] == [c.name for c in UCI_HAR_CHANNELS]
    assert dataset.options == {"derive": "uci-har", "hop": "5", "window": "5"}
    assert dataset.derived == again.derived == UCI_HAR_DERIVED
    assert raw.derived == ()
    spec = ModelSpec("HAPT", "", dataset.channels, 50.0, 5, 5, dataset.labels, derived=dataset.derived)
    recorded, derived = raw.continuous["train"][0], dataset.continuous["train"][0]
    expected = Derivation(spec).whole(recorded.samples).astype(np.float32)
    np.testing.assert_array_equal(derived.samples, expected)
    assert derived.segments == recorded.segments
    np.testing.assert_array_equal(dataset.train.windows[0], expected[2:7])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"derive": "all"}, "expected none or uci-har"),
        ({"step": "1"}, "no option 'step'; its options are window"),
        ({"window": "0"}, "option window is '0'; expected a whole number from 1"),
        ({"transitions": "no"}, "expected leave-out, class or each"),
        ({"window": "31"}, "give a smaller window"),
    ],
)
def test_options_that_cannot_be_are_refused(files, tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        load_data(as_zip(tmp_path, files), options=options)


def test_a_set_without_options_says_so():
    with pytest.raises(UsageError, match="it has no options"):
        load_data(None, options={"window": "5"})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1 1 1 0 12\n", "line 1: samples 0 to 12"),
        ("1 1 1 3 31\n", "expected 1 to 30"),
        ("1 1 1 3 12\n1 1 2 12 20\n", "line 2: samples 12 to 20"),
        ("1 1 13 3 12\n", "activity from 1 to 12"),
        ("1 1 1 3\n", "line 1"),
    ],
)
def test_labels_that_cannot_be_are_named_with_their_line(files, tmp_path, rows, words):
    with pytest.raises(InputError, match=words):
        Hapt(as_zip(tmp_path, files | {"RawData/labels.txt": rows})).load()


def test_a_lacking_file_is_named(files, tmp_path):
    del files["RawData/gyro_exp02_user02.txt"]
    with pytest.raises(MissingFileError, match="gyro_exp02_user02"):
        Hapt(as_zip(tmp_path, files)).load({"window": 5})


def test_the_real_set_has_the_windows_that_its_segments_hold(hapt_zip):
    dataset = load_data(hapt_zip)
    assert np.bincount(dataset.train.class_ids).tolist() == [1226, 1073, 987, 1293, 1423, 1413]
    assert np.bincount(dataset.test.class_ids).tolist() == [496, 471, 420, 508, 556, 545]
    assert set(dataset.test.subjects) == {2, 4, 9, 10, 12, 13, 18, 20, 24}
    assert [len(dataset.continuous[side]) for side in ("train", "test")] == [42, 19]
