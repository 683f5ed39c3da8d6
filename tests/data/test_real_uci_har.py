"""The real data set: the counts its publishers and its provenance state."""

from __future__ import annotations

import numpy as np
import pytest

from edgeconv.data import recordings, write_recordings

CLASS_COUNTS = {"train": [1226, 1073, 986, 1286, 1374, 1407], "test": [496, 471, 420, 491, 532, 537]}
SUBJECT_COUNTS = {
    "train": {
        1: 347, 3: 341, 5: 302, 6: 325, 7: 308, 8: 281, 11: 316, 14: 323, 15: 328, 16: 366, 17: 368, 19: 360, 21: 408,
        22: 321, 23: 372, 25: 409, 26: 392, 27: 376, 28: 382, 29: 344, 30: 383,
    },
    "test": {2: 302, 4: 317, 9: 288, 10: 294, 12: 320, 13: 327, 18: 364, 20: 354, 24: 381},
}  # fmt: skip
RECORDINGS = {"train": (600, 1, 29), "test": (257, 2, 23)}
"""How many, and windows in the shortest and the longest."""


@pytest.mark.parametrize(("split", "count"), [("train", 7352), ("test", 2947)])
def test_windows_classes_and_subjects_are_the_official_ones(uci_har, split, count):
    data = uci_har.split(split)
    assert data.windows.shape == (count, 128, 9)
    assert data.windows.dtype == np.float32
    assert np.bincount(data.class_ids).tolist() == CLASS_COUNTS[split]
    subjects, counts = np.unique(data.subjects, return_counts=True)
    assert dict(zip(subjects.tolist(), counts.tolist(), strict=True)) == SUBJECT_COUNTS[split]


def test_the_subjects_of_train_and_test_differ(uci_har):
    assert not set(uci_har.train.subjects) & set(uci_har.test.subjects)


def test_accelerations_are_in_g(uci_har):
    assert np.linalg.norm(uci_har.train.windows[:, :, :3] - uci_har.train.windows[:, :, 3:6], axis=2).mean() == (
        pytest.approx(1.0229, abs=1e-4)
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_stitched_recordings_cut_back_to_all_rows_bit_for_bit(uci_har, split):
    data, found = uci_har.split(split), recordings(uci_har, split)
    lengths = [(len(recording.samples) - 128) // 64 + 1 for recording in found]
    assert (len(found), min(lengths), max(lengths)) == RECORDINGS[split]
    assert sum(lengths) == len(data)
    assert all((len(recording.samples) - 128) % 64 == 0 for recording in found)
    cut = np.concatenate(
        [
            np.lib.stride_tricks.sliding_window_view(recording.samples, 128, axis=0)[::64].transpose(0, 2, 1)
            for recording in found
        ]
    )
    assert cut.tobytes() == data.windows.tobytes()
    rows = zip(found, lengths, strict=True)
    ids = [(recording.segments[0].class_id, recording.subject) for recording, n in rows for _ in range(n)]
    assert ids == list(zip(data.class_ids.tolist(), data.subjects.tolist(), strict=True))


def test_written_recordings_read_back_bit_for_bit(uci_har, tmp_path):
    found = recordings(uci_har, "test")
    paths = write_recordings(uci_har, found, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 259  # with labels.csv and dataset.toml
    for path, recording in zip(paths, found, strict=True):
        table = np.loadtxt(path, delimiter=",", skiprows=1)
        assert table[:, 1:].astype(np.float32).tobytes() == recording.samples.tobytes()
        np.testing.assert_array_equal(np.rint(table[:, 0] * 50), np.arange(len(table)))
        np.testing.assert_array_equal(table[:, 0], np.arange(len(table)) / 50)
