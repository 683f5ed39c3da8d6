"""Folders of labelled recordings: what they become, that they can be written and read again, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from edgeconv.data import load_data, recordings, write_recordings
from edgeconv.data.synthetic import synthetic_har
from edgeconv.data.synthetic_tones import synthetic_tones
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

DESCRIPTION = """
licence = "CC0"
sampling_rate_hz = 10
window = 4
hop = 2
channels = [{ name = "x", unit = "g" }, { name = "y", unit = "V" }]
"""
LABELS = "recording,start_s,end_s,label,subject\nb_7,0,1,GAIT,7\nb_7,1,2,REST,7\na_2,0.5,1.5,REST,2\n"


def samples(first: int = 0, n: int = 20) -> np.ndarray:
    """Return float32 [n, 2]: a counter and its negative."""
    return np.stack([np.arange(first, first + n), -np.arange(first, first + n)], axis=1).astype(np.float32)


def csv(first: int = 0, delimiter: str = ",", **columns) -> str:
    """Return 20 samples with more columns of text, as the cells of each."""
    rows = [["y", "x", *columns]]
    rows += [[str(y), str(x), *(cells[i] for cells in columns.values())] for i, (x, y) in enumerate(samples(first))]
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


@pytest.fixture
def folder(tmp_path):
    """Two recordings and `labels.csv` with subjects; 7 is for tests."""
    made = tmp_path / "mine"
    made.mkdir()
    (made / "b_7.csv").write_text(csv(100))
    np.save(made / "a_2.npy", samples(200))
    (made / "labels.csv").write_text(LABELS)
    (made / "dataset.toml").write_text(DESCRIPTION + "test_subjects = [7]\n")
    return made


def test_windows_lie_in_labelled_stretches_and_subjects_divide_them(folder):
    dataset = load_data(folder)
    assert (dataset.name, dataset.licence, dataset.synthetic, dataset.hop) == ("mine", "CC0", False, 2)
    assert dataset.labels == ("GAIT", "REST")
    assert [(channel.name, channel.unit) for channel in dataset.channels] == [("x", "g"), ("y", "V")]
    np.testing.assert_array_equal(dataset.train.windows[:, 0], samples(205)[[0, 2, 4, 6]])
    np.testing.assert_array_equal(dataset.test.windows[:, 0, 0], [100, 102, 104, 106, 110, 112, 114, 116])
    assert dataset.test.class_ids.tolist() == [0] * 4 + [1] * 4
    assert (set(dataset.train.subjects), set(dataset.test.subjects)) == ({2}, {7})
    assert dataset.subjects_known


def test_options_change_window_and_hop_and_leave_labels_out(folder):
    dataset = load_data(folder, options={"window": 10, "hop": "5"})
    assert (dataset.window, dataset.hop, len(dataset.test)) == (10, 5, 2)
    assert dataset.options == {"hop": "5", "window": "10"}
    (folder / "labels.csv").write_text(LABELS + "a_2,1.5,2,TURN,2\n")
    without = load_data(folder, options={"leave-out": " TURN"})
    assert (without.labels, without.options) == (("GAIT", "REST"), {"leave-out": "TURN"})
    assert len(load_data(folder).labels) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"leave-out": "TURN"}, "leave-out names 'TURN'; the labels are GAIT, REST"),
        ({"leave-out": "REST"}, "1 labels stay"),
        ({"window": 11}, "no labelled stretch of a train recording holds a window of 11 timesteps"),
        ({"transitions": "class"}, "no option 'transitions'; its options are window"),
    ],
)
def test_options_that_cannot_be_are_refused(folder, options, words):
    with pytest.raises(UsageError, match=words):
        load_data(folder, options=options)


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_column_may_say_the_labels_and_another_the_subject(tmp_path, delimiter):
    labels = ["GAIT"] * 8 + [""] * 4 + ["REST"] * 8
    (tmp_path / "all.tsv").write_text(csv(delimiter=delimiter, what=labels, who=["ann"] * 14 + ["bob"] * 6))
    said = DESCRIPTION + 'label_column = "what"\nsubject_column = "who"\ntest_subjects = ["bob"]\n'
    (tmp_path / "dataset.toml").write_text(said)
    dataset = load_data(tmp_path)
    assert dataset.train.windows[:, 0, 0].tolist() == [0, 2, 4]
    assert dataset.test.windows[:, 0, 0].tolist() == [14, 16]
    assert (dataset.train.subjects.tolist(), dataset.test.subjects.tolist()) == ([1] * 3, [2] * 2)
    assert dataset.test.class_ids.tolist() == [1, 1]


def test_a_pattern_finds_the_subject_in_the_name(folder):
    (folder / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in LABELS.splitlines()))
    (folder / "dataset.toml").write_text(DESCRIPTION + "subject_pattern = '_(\\d+)$'\ntest_subjects = ['07']\n")
    dataset = load_data(folder)
    assert (set(dataset.train.subjects), set(dataset.test.subjects), dataset.subjects_known) == ({2}, {7}, True)


def test_without_subjects_each_recording_counts_as_its_own(folder):
    (folder / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in LABELS.splitlines()))
    (folder / "dataset.toml").write_text(DESCRIPTION + 'test_recordings = ["a_2"]\n')
    dataset = load_data(folder)
    assert not dataset.subjects_known
    assert not set(dataset.train.subjects) & set(dataset.test.subjects)
    assert [one.name for one in dataset.continuous["test"]] == ["a_2"]


def test_parquet_recordings_hold_labels_too(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    x, y = samples().T
    table = arrow.table({"y": y, "what": ["A"] * 10 + ["B"] * 10, "x": x, "who": [3] * 20})
    parquet.write_table(table, tmp_path / "one.parquet")
    said = DESCRIPTION + 'label_column = "what"\nsubject_column = "who"\ntest_subjects = []\n'
    (tmp_path / "dataset.toml").write_text(said)
    dataset = load_data(tmp_path)
    np.testing.assert_array_equal(dataset.train.windows[:4, 0], samples()[[0, 2, 4, 6]])
    assert (dataset.train.class_ids.tolist(), set(dataset.train.subjects)) == ([0] * 4 + [1] * 4, {3})
    assert dataset.test.windows.shape == (0, 4, 2)


def test_everything_missing_is_asked_for_at_once_with_an_example_that_works(folder):
    (folder / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in LABELS.splitlines()))
    (folder / "dataset.toml").write_text('hop = 2\nwindow = 4.5\ncolour = "red"\n')
    (folder / "a_2.npy").unlink()
    (folder / "a_2.csv").write_text(csv(200))
    with pytest.raises(InputError) as caught:
        load_data(folder)
    message, _, example = str(caught.value).partition("A complete example:")
    for words in ("colour is not known", "window is 4.5, timesteps", "sampling_rate_hz is missing",
                  "channels is missing", "either test_subjects or test_recordings"):  # fmt: skip
        assert words in message
    for said in ("hop = 2", '{ name = "y", unit = "g" }', "subject_pattern"):
        assert said in example
    example = example.replace("window = 128", "window = 4").replace(r"user(\\d+)", r"_(\\d+)").replace('"3", "7"', "7")
    (folder / "dataset.toml").write_text(example.replace("sampling_rate_hz = 50.0", "sampling_rate_hz = 10"))
    assert len(load_data(folder).test) == 8


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("test_subjects = [7]\ntest_recordings = ['b_7']", "either test_subjects or test_recordings"),
        ("test_subjects = [7]\nlabel_column = 'x'", "labels.csv is there and label_column, too"),
        ("test_subjects = [7]\nsubject_pattern = '(.)'", "the subject is said in two ways"),
        ("test_subjects = [7]\nlabels = ['A', 'A']", "two or more different texts"),
        ("test_subjects = [7]\nlabels = ['GAIT', 'RUN']", "'REST' in the labels is not one of dataset.toml's"),
        ("test_subjects = [8]", "test_subjects names 8; there are 2, 7"),
        ("test_recordings = ['b']", "test_recordings names b; there are a_2, b_7"),
        ("test_subjects = [", "cannot be read as TOML"),
    ],
)
def test_a_description_that_cannot_be_is_refused(folder, said, words):
    (folder / "dataset.toml").write_text(DESCRIPTION + said)
    with pytest.raises(InputError, match=words):
        load_data(folder)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("a,b,c\n", "expected the header recording,start_s,end_s,label"),
        (LABELS[:38], "no line below its header"),
        (LABELS + "b_7,2,1.9,GAIT,7\n", "line 5: start_s before end_s expected"),
        (LABELS + "b_7,x,1,GAIT,7\n", "line 5: start_s before"),
        (LABELS + "b_7,1,2,,7\n", "line 5: 5 cells"),
        (LABELS + "b_7,1.5,1.8,GAIT,7\n", "line 5: 1.5 to 1.8 s is samples 15 to 18"),
        (LABELS + "a_2,1.5,2.1,GAIT,2\n", "samples 15 to 21 of a_2; expected a stretch between 15 and 20"),
        (LABELS + "a_2,1.5,2,GAIT,3\n", "a_2 is of subject '3' here and of '2' in line 4"),
        (LABELS + "c,1.5,2,GAIT,3\n", "no recording called 'c'"),
    ],
)
def test_labels_that_cannot_be_are_named_with_their_line(folder, labels, words):
    (folder / "labels.csv").write_text(labels)
    with pytest.raises(MissingFileError if "called" in words else InputError, match=words):
        load_data(folder)


def test_a_recording_without_samples_is_named(folder):
    (folder / "b_7.csv").write_text("x,y\n")
    with pytest.raises(InputError, match=r"b_7\.csv holds no samples"):
        load_data(folder)


def test_two_files_of_one_name_are_refused(folder):
    (folder / "b_7.tsv").write_text(csv(delimiter="\t"))
    with pytest.raises(InputError, match="several recordings are called b_7"):
        load_data(folder)


def same(again, dataset) -> bool:
    """Whether windows, class ids, subjects, labels and channels are the same, and what is written besides."""
    assert (again.labels, again.channels) == (dataset.labels, dataset.channels)
    for side in ("train", "test"):
        for part in ("windows", "class_ids", "subjects"):
            np.testing.assert_array_equal(getattr(again.split(side), part), getattr(dataset.split(side), part))
        own = recordings(dataset, side)
        assert [(one.name, one.segments) for one in again.continuous[side]] == [(one.name, one.segments) for one in own]
    said = ("name", "licence", "synthetic", "sampling_rate_hz", "hop", "subjects_known")
    return all(getattr(again, name) == getattr(dataset, name) for name in said)


@pytest.mark.parametrize("form", ["csv", "wav"])
def test_a_written_set_is_read_again_as_it_was(tmp_path, form):
    make = synthetic_har if form == "csv" else synthetic_tones
    dataset = make(train_subjects=2, test_subjects=1)
    found = [one for side in ("train", "test") for one in recordings(dataset, side)]
    write_recordings(dataset, found, tmp_path / "out", file_format=form)
    again = load_data(tmp_path / "out")
    assert same(again, dataset)
    # PCM has no negative zero, which is the only difference.
    assert form == "wav" or again.content_hash() == dataset.content_hash()


def test_windows_that_were_stitched_are_cut_again_as_they_were(make_tiny, tmp_path):
    dataset = load_data(make_tiny().as_folder(), use_cache=False)
    found = [one for side in ("train", "test") for one in recordings(dataset, side)]
    write_recordings(dataset, found, tmp_path / "out")
    assert same(load_data(tmp_path / "out"), dataset)


@pytest.mark.parametrize("known", [True, False])
def test_who_is_on_both_sides_or_unknown_is_divided_by_recordings(make_dataset, tmp_path, known):
    dataset = make_dataset(rows=3)
    train = replace(dataset.train, subjects=dataset.test.subjects if known else np.arange(1, 4))
    dataset = replace(dataset, train=train, test=replace(dataset.test, subjects=np.arange(2, 5)), subjects_known=known)
    found = [one for side in ("train", "test") for one in recordings(dataset, side)]
    write_recordings(dataset, found, tmp_path / "out")
    again = load_data(tmp_path / "out")
    assert again.subjects_known == known
    for side in ("train", "test"):
        np.testing.assert_array_equal(again.split(side).windows, dataset.split(side).windows)
        assert not known or again.split(side).subjects.tolist() == dataset.split(side).subjects.tolist()


def test_one_side_alone_is_read_again_too(tmp_path):
    dataset = synthetic_har(train_subjects=1, test_subjects=1)
    for side in ("train", "test"):
        write_recordings(dataset, recordings(dataset, side), tmp_path / side)
        again = load_data(tmp_path / side)
        assert {name: len(again.split(name)) for name in ("train", "test")} == {
            "train": 0, "test": 0, side: len(dataset.split(side))}  # fmt: skip


def test_the_real_hapt_is_read_again_as_it_was(hapt_zip, tmp_path):
    dataset = load_data(hapt_zip, options={"transitions": "class"})
    found = [one for side in ("train", "test") for one in recordings(dataset, side)]
    write_recordings(dataset, found, tmp_path / "out")
    assert load_data(tmp_path / "out").content_hash() == dataset.content_hash()
    without = load_data(tmp_path / "out", options={"leave-out": "TRANSITION"})
    assert without.content_hash() == load_data(hapt_zip).content_hash()
