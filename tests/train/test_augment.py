"""Augmentation keeps what a phone worn differently keeps, and changes the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.train.augment import augment, rotations, warp_time
from edgeconv.train.config import TrainConfig

NAMES = ("acc_x", "acc_y", "acc_z", "light", "gyro_x", "gyro_y", "gyro_z", "mag_x")


def windows_of(count=40, length=32, seed=0):
    return np.random.default_rng(seed).normal(size=(count, length, len(NAMES))).astype(np.float32)


def changed(windows, seed=0, **options):
    mean, std = np.full(len(NAMES), 0.25), np.full(len(NAMES), 2.0)
    return augment(windows, NAMES, mean, std, TrainConfig(**options), np.random.default_rng(seed))


@given(st.floats(0.1, 90), st.integers(0, 2**32 - 1))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_rotations_turn_and_do_nothing_else(deviation, seed):
    turns = rotations(20, deviation, np.random.default_rng(seed)).astype(np.float64)
    # float32: a few units in the last place of numbers up to 1
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-5)


def test_the_angles_have_the_deviation_asked_for_and_the_axes_no_direction():
    turns = rotations(20_000, 15.0, np.random.default_rng(1)).astype(np.float64)
    angles = np.rad2deg(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    # 20 000 draws: the standard error of the root mean square is 0.5 % of it
    assert np.sqrt((angles**2).mean()) == pytest.approx(15, rel=0.02)
    moved = turns @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(moved[:, :2].mean(axis=0), 0, atol=0.01)


def test_all_triads_of_a_window_turn_together_and_other_channels_do_not():
    windows = windows_of()
    windows[:, :, 4:7] = windows[:, :, 0:3]
    turned = changed(windows, rotation_deg=30.0)
    np.testing.assert_array_equal(turned[:, :, 4:7], turned[:, :, 0:3])
    np.testing.assert_array_equal(turned[:, :, [3, 7]], windows[:, :, [3, 7]])
    np.testing.assert_allclose(
        np.linalg.norm(turned[:, :, :3], axis=2), np.linalg.norm(windows[:, :, :3], axis=2), rtol=1e-5
    )
    assert np.abs(turned[:, :, :3] - windows[:, :, :3]).max() > 0.1


def test_without_triads_nothing_turns():
    windows = windows_of()[:, :, 3:4]
    mean, std = np.zeros(1), np.ones(1)
    same = augment(windows, ["light"], mean, std, TrainConfig(rotation_deg=30.0), np.random.default_rng(0))
    np.testing.assert_array_equal(same, windows)


def test_scaling_multiplies_a_whole_window_by_one_factor():
    windows = windows_of(count=500)
    factors = changed(windows, scaling=0.1) / windows
    # a quotient of two float32 numbers
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1], factors.shape), rtol=1e-5)
    assert factors[:, 0, 0].std() == pytest.approx(0.1, rel=0.15), "500 draws"


def test_noise_is_in_deviations_of_the_channel():
    windows = np.zeros((200, 32, len(NAMES)), np.float32)
    assert changed(windows, noise=0.05).std() == pytest.approx(0.05 * 2, rel=0.02), "51 200 draws"


def test_a_silent_sensor_has_its_mean_on_all_its_axes():
    windows = windows_of(count=2000)
    silent = changed(windows, channel_dropout=0.25) == np.float32(0.25)
    for axes in ([0, 1, 2], [4, 5, 6], [3], [7]):
        whole = silent[:, :, axes].all(axis=(1, 2))
        assert whole.mean() == pytest.approx(0.25, abs=0.04), "2000 draws"
        np.testing.assert_array_equal(silent[:, 0, axes].any(axis=1), whole)


@given(st.floats(0.01, 1.5), st.integers(0, 2**32 - 1))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_warping_never_goes_back_in_time_and_invents_no_values(deviation, seed):
    times = np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None], (10, 64, 1))
    warped = warp_time(times, deviation, np.random.default_rng(seed))
    assert (np.diff(warped[:, :, 0], axis=1) >= -1e-4).all()
    assert warped.min() >= 0
    assert warped.max() <= 63


def test_a_pace_of_one_changes_nothing():
    windows = windows_of()
    np.testing.assert_allclose(warp_time(windows, 0.0, np.random.default_rng(0)), windows, atol=1e-6)


def test_the_windows_given_stay_as_they_are_and_a_seed_gives_the_same_again():
    windows = windows_of()
    before = windows.copy()
    every = {"rotation_deg": 10.0, "scaling": 0.1, "noise": 0.1, "time_warp": 0.2, "channel_dropout": 0.1}
    np.testing.assert_array_equal(changed(windows, 5, **every), changed(windows, 5, **every))
    np.testing.assert_array_equal(windows, before)
    assert changed(windows, 5, **every).dtype == np.float32
