from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.data import Recording, Segment, Split, recordings, stitch
from edgeconv.runtime.errors import UsageError


def cut(samples, window, hop):
    return [samples[start : start + window] for start in range(0, len(samples) - window + 1, hop)]


def split_of(pieces, window, hop):
    """The rows of recordings given as (samples, subject, class id)."""
    rows = [(row, subject, class_id) for samples, subject, class_id in pieces for row in cut(samples, window, hop)]
    windows, subjects, class_ids = zip(*rows, strict=True)
    return Split(np.stack(windows), np.array(class_ids), np.array(subjects))


@st.composite
def cut_recordings(draw):
    window = draw(st.integers(2, 12))
    hop = draw(st.integers(1, window - 1))
    channels = draw(st.integers(1, 3))
    shapes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=8))
    # All values differ, so that no two recordings seem to go on in each other.
    total = sum(window + (rows - 1) * hop for rows, _, _ in shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.permutation(total * channels).astype(np.float32).reshape(total, channels) - total / 2
    pieces, start = [], 0
    for rows, subject, class_id in shapes:
        end = start + window + (rows - 1) * hop
        pieces.append((values[start:end], subject, class_id))
        start = end
    return window, hop, pieces


@settings(derandomize=True, deadline=None)
@given(cut_recordings())
def test_recordings_that_were_cut_come_back(case):
    window, hop, pieces = case
    split = split_of(pieces, window, hop)
    found = stitch(split, "train", hop)
    assert len(found) == len(pieces)
    assert len({recording.name for recording in found}) == len(found)
    for recording, (samples, subject, class_id) in zip(found, pieces, strict=True):
        assert recording.samples.tobytes() == samples.tobytes()
        assert recording.subject == subject
        assert recording.segments == (Segment(0, len(samples), class_id),)
        assert recording.name.startswith(f"train_s{subject:02d}_")
    again = np.stack([row for recording in found for row in cut(recording.samples, window, hop)])
    assert again.tobytes() == split.windows.tobytes()


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(1, 2), st.integers(0, 1)), min_size=1),
    st.integers(1, 3),
)
def test_whatever_the_rows_are_cutting_gives_them_back(rows, hop):
    # Few different values, zeros of both signs among them: many rows overlap by accident.
    values = np.array([0.0, -0.0], dtype=np.float32)
    windows = np.stack([values[[a, b, a]].reshape(3, 1) for a, b, _, _ in rows])
    split = Split(windows, np.array([c for *_, c in rows]), np.array([s for _, _, s, _ in rows]))
    found = stitch(split, "test", hop)
    again = np.stack([row for recording in found for row in cut(recording.samples, 3, hop)])
    assert again.tobytes() == windows.tobytes()
    ids = [r.segments[0].class_id for r in found for _ in cut(r.samples, 3, hop)]
    assert ids == split.class_ids.tolist()


def test_the_default_hop_is_half_the_window():
    samples = np.arange(40, dtype=np.float32).reshape(20, 2)
    (recording,) = stitch(split_of([(samples, 2, 1)], 8, 4), "test")
    assert recording.name == "test_s02_001"
    np.testing.assert_array_equal(recording.samples, samples)


@pytest.mark.parametrize("changed", ["subjects", "class_ids"])
def test_another_subject_or_class_begins_a_recording(changed):
    split = split_of([(np.arange(16, dtype=np.float32).reshape(16, 1), 1, 0)], 8, 4)
    assert len(stitch(split, "x")) == 1
    split = replace(split, **{changed: np.array([1, 1, 2])})
    assert [len(recording.samples) for recording in stitch(split, "x")] == [12, 8]


def test_one_differing_bit_in_one_channel_begins_a_recording():
    split = split_of([(np.ones((16, 3), dtype=np.float32), 1, 0)], 8, 4)
    split.windows[1, 3, 2] = np.nextafter(np.float32(1), np.float32(2))
    assert len(stitch(split, "x")) == 2


def test_names_count_within_a_subject():
    rng = np.random.default_rng(0)
    pieces = [(rng.normal(size=(8, 1)).astype(np.float32), subject, 0) for subject in (4, 12, 4)]
    assert [r.name for r in stitch(split_of(pieces, 8, 4), "test")] == ["test_s04_001", "test_s12_001", "test_s04_002"]


@pytest.mark.parametrize("hop", [8, 9])
def test_windows_that_do_not_overlap_stay_alone(hop):
    split = split_of([(np.zeros((40, 1), dtype=np.float32), 1, 0)], 8, hop)
    assert len(stitch(split, "x", hop)) == len(split)


def test_no_rows_give_no_recordings():
    empty = Split(np.zeros((0, 8, 1), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert stitch(empty, "x") == ()


def test_a_hop_of_0_is_refused():
    split = split_of([(np.zeros((8, 1), dtype=np.float32), 1, 0)], 8, 4)
    with pytest.raises(UsageError, match="hop"):
        stitch(split, "x", 0)


def test_a_set_with_recordings_of_its_own_gives_those(make_dataset):
    own = Recording("walk", np.zeros((9, 2), np.float32), 2, (Segment(0, 9, 0),))
    dataset = replace(make_dataset(), continuous={"test": (own,)})
    assert recordings(dataset, "test") == (own,)
    assert recordings(dataset, "train")[0].name == "train_s01_001"
