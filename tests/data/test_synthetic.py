"""The generated data set: its layout, its honesty, and that it is neither trivial nor noise."""

import numpy as np
import pytest

from edgeconv.data.dataset import Dataset, Recording, Segment, Split
from edgeconv.data.synthetic import CHANNELS, FIRST_TEST_SUBJECT, HOP, LABELS, WINDOW, synthetic_har
from edgeconv.runtime.errors import UsageError


@pytest.fixture(scope="module")
def data() -> Dataset:
    return synthetic_har(0)


def both(data: Dataset) -> list[tuple[Split, tuple[Recording, ...]]]:
    return [(data.train, data.continuous["train"]), (data.test, data.continuous["test"])]


def stretches(data: Dataset) -> list[tuple[Recording, Segment]]:
    return [(r, segment) for recordings in data.continuous.values() for r in recordings for segment in r.segments]


def rms(values: np.ndarray) -> np.ndarray:
    """Return the root mean square norm of vectors [n, timesteps, 3], as [n]."""
    return np.sqrt((values.astype(np.float64) ** 2).sum(axis=-1).mean(axis=-1))


def test_the_same_seed_gives_the_same_bytes(data):
    np.random.seed(1)  # the global state must not matter
    again = synthetic_har(0)
    assert again.content_hash() == data.content_hash()
    for (_, first), (_, second) in zip(both(data), both(again), strict=True):
        for a, b in zip(first, second, strict=True):
            assert a.samples.tobytes() == b.samples.tobytes()
            assert (a.name, a.subject, a.segments) == (b.name, b.subject, b.segments)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    synthetic_har(0, train_subjects=1, test_subjects=1)
    assert np.array_equal(before, np.random.get_state()[1])


def test_another_seed_gives_other_data(data):
    assert synthetic_har(1, 2, 2).content_hash() != synthetic_har(0, 2, 2).content_hash()


def test_a_subject_does_not_depend_on_how_many_there_are(data):
    small = synthetic_har(0, train_subjects=2, test_subjects=3)
    for name, count in (("train", 2), ("test", 3)):
        for a, b in zip(small.continuous[name], data.continuous[name][:count], strict=True):
            assert a.subject == b.subject
            assert a.samples.tobytes() == b.samples.tobytes()
        part = small.split(name)
        assert np.array_equal(part.windows, data.split(name).windows[: len(part)])


def test_no_two_subjects_move_alike(data):
    starts = {r.samples[:256].tobytes() for _, recordings in both(data) for r in recordings}
    assert len(starts) == 18 + 8


def test_it_is_called_synthetic_and_says_how_it_was_generated(data):
    assert data.synthetic
    assert "synthetic" in data.name
    assert "generated" in data.licence
    assert "seed=0, train_subjects=18, test_subjects=8" in data.source


def test_the_layout_is_that_of_uci_har(data):
    names = [f"{sensor}_{axis}" for sensor in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"]
    assert [c.name for c in data.channels] == names
    assert [c.unit for c in data.channels] == ["g"] * 6 + ["rad/s"] * 3
    assert data.labels[0] == "WALKING"
    assert data.labels[-1] == "LAYING"
    assert (data.sampling_rate_hz, data.window, data.hop) == (50.0, 128, 64)
    for split, _ in both(data):
        assert split.windows.dtype == np.float32
        assert split.windows.shape == (len(split), WINDOW, len(CHANNELS))
        assert split.windows.flags.c_contiguous
        assert split.class_ids.dtype == split.subjects.dtype == np.int64
        assert len(split) == len(split.class_ids) == len(split.subjects)
    assert 2000 <= len(data.train) <= 3000
    assert 800 <= len(data.test) <= 1200


def test_every_value_is_finite(data):
    assert all(np.isfinite(r.samples).all() for _, recordings in both(data) for r in recordings)


def test_the_splits_share_no_subject(data):
    assert set(data.train.subjects.tolist()) == set(range(1, 19))
    assert set(data.test.subjects.tolist()) == set(range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + 8))


def test_every_class_is_present_for_every_subject(data):
    for split, _ in both(data):
        for subject in np.unique(split.subjects):
            counts = np.bincount(split.class_ids[split.subjects == subject], minlength=len(LABELS))
            assert counts.min() >= 20, f"subject {subject}: {counts}"


def test_the_windows_are_the_slices_of_the_segments_in_order(data):
    for split, recordings in both(data):
        row = 0
        for recording in recordings:
            for segment in recording.segments:
                for start in range(segment.start, segment.end - WINDOW + 1, HOP):
                    assert split.windows[row].tobytes() == recording.samples[start : start + WINDOW].tobytes()
                    assert (split.class_ids[row], split.subjects[row]) == (segment.class_id, recording.subject)
                    row += 1
        assert row == len(split)


def test_consecutive_windows_of_a_segment_overlap_by_half(data):
    for split, recordings in both(data):
        halves_agree = (split.windows[:-1, HOP:] == split.windows[1:, :HOP]).all(axis=(1, 2))
        segments = sum(len(r.segments) for r in recordings)
        assert (~halves_agree).sum() == segments - 1


def test_recordings_are_long_and_their_segments_ordered_and_apart(data):
    for _, recordings in both(data):
        for recording in recordings:
            assert recording.samples.dtype == np.float32
            assert recording.samples.shape[1] == len(CHANNELS)
            assert len(recording.samples) >= 3 * 60 * data.sampling_rate_hz
            edges = [edge for s in recording.segments for edge in (s.start, s.end)]
            assert edges == sorted(edges)
            assert edges[0] > 0
            assert edges[-1] < len(recording.samples)
            gaps = np.subtract(edges[2::2], edges[1:-1:2])
            assert gaps.min() >= 2 * data.sampling_rate_hz
            assert {s.class_id for s in recording.segments} == set(range(len(LABELS)))
    orders = {tuple(s.class_id for s in r.segments) for _, recordings in both(data) for r in recordings}
    assert len(orders) > 20


def test_magnitudes_are_those_of_a_phone_at_the_waist(data):
    windows, class_ids = data.train.windows, data.train.class_ids
    total, body, gyro = rms(windows[..., :3]), rms(windows[..., 3:6]), rms(windows[..., 6:])
    rest = class_ids >= 3
    assert abs(np.median(total[rest]) - 1.02) < 0.02
    assert np.abs(total[rest] - 1.02).max() < 0.1
    assert 0.005 < np.median(body[rest]) < 0.03
    assert 0.01 < np.median(gyro[rest]) < 0.05
    for walking, (least, most) in enumerate([(0.25, 0.40), (0.25, 0.40), (0.33, 0.52)]):
        assert least < np.median(body[class_ids == walking]) < most
        assert 0.5 < np.median(gyro[class_ids == walking]) < 1.1
    assert np.abs(windows).max() < 12


def test_body_acceleration_is_total_less_a_slow_gravity(data):
    for recording, segment in stretches(data):
        # The low-pass remembers 126 samples; after that the transition is forgotten.
        inside = recording.samples[segment.start + 126 : segment.end].astype(np.float64)
        gravity = inside[:, :3] - inside[:, 3:6]
        assert np.abs(np.linalg.norm(gravity, axis=1) - 1.02).max() < 0.06
        assert np.abs(np.diff(gravity, axis=0)).max() < 0.02


def test_between_postures_the_gyroscope_explains_how_gravity_turns(data):
    compared = 0
    # Where the phone is moved from one posture to another, u̇ = u × ω has to hold, but for noise and body acceleration.
    for recording in data.continuous["test"]:
        pairs = zip(recording.segments[:-1], recording.segments[1:], strict=True)
        for before, after in pairs:
            if min(before.class_id, after.class_id) < 3 or {before.class_id, after.class_id} == {3, 4}:
                continue
            moving = recording.samples[before.end : after.start].astype(np.float64)
            up = moving[:, :3] / np.linalg.norm(moving[:, :3], axis=1, keepdims=True)
            integrated = np.cross(up, moving[:, 6:]).sum(axis=0) / data.sampling_rate_hz
            assert np.abs(integrated - (up[-1] - up[0])).max() < 0.05
            compared += 1
    assert compared > 8


def test_steps_repeat_at_walking_pace(data):
    # Bin k of 128 samples at 50 Hz is 0.39 k Hz: bins 3 to 6 hold steps of 1.2 to 2.3 Hz.
    walking = data.train.windows[data.train.class_ids == 0, :, 3]
    power = (np.abs(np.fft.rfft(walking, axis=1)) ** 2).mean(axis=0)
    assert power[3:7].sum() > 0.5 * power[1:].sum()


def nearest_centroid_recall(data: Dataset) -> np.ndarray:
    """Return recall by class of a nearest-centroid rule on standardised means and spreads of the windows."""
    features = [
        np.concatenate([s.windows.mean(axis=1), s.windows.std(axis=1)], axis=1) for s in (data.train, data.test)
    ]
    train, test = ((f - features[0].mean(axis=0)) / features[0].std(axis=0) for f in features)
    centroids = np.stack([train[data.train.class_ids == k].mean(axis=0) for k in range(len(LABELS))])
    guess = np.linalg.norm(test[:, None] - centroids, axis=2).argmin(axis=1)
    return np.array([(guess[data.test.class_ids == k] == k).mean() for k in range(len(LABELS))])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_simple_statistics_tell_most_windows_apart_and_not_all(seed):
    recall = nearest_centroid_recall(synthetic_har(seed))
    assert 0.55 < recall.mean() < 0.92
    assert recall.min() > 0.2
    # The hard pairs are hard: gaits among each other, sitting and standing.
    assert recall[:3].mean() < 0.95
    assert recall[3:5].mean() < 0.98


def test_laying_is_told_apart_by_gravity(data):
    laying = data.test.class_ids == LABELS.index("LAYING")
    x = data.test.windows[..., 0].mean(axis=1)
    assert x[laying].max() < x[~laying].min()


@pytest.mark.parametrize("arguments", [(-1, 18, 8), (0, 0, 8), (0, 18, 0), (0, FIRST_TEST_SUBJECT, 8)])
def test_sizes_that_make_no_sense_are_refused(arguments):
    with pytest.raises(UsageError, match="subjects"):
        synthetic_har(*arguments)
