"""Gravity turns as the angular velocity says, times a scale where samples come at another rate than is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.plausibility.turned import turning_suspicion
from edgeconv.runtime.plausibility.turning import Scale, explained, mistakes, moments, no_turn, scale_of

SAID_HZ, WINDOW = 50.0, 256
MISTAKES = mistakes("acc", "gyro")


def turning(seed, true_hz, windows=16):
    """Windows of a case that turns slowly about all axes: float32 [windows, 256, 6], g and rad/s."""
    rng, n = np.random.default_rng(seed), windows * WINDOW
    time = np.arange(n) / true_hz
    # Slow, so that a change over a step is the turn times gravity, and the means over 0.64 s lose nothing.
    tones = 2 * np.pi * rng.uniform(0.02, 0.06, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))
    rate = 0.05 * np.sin(tones[0] * time[:, None, None] + tones[1]).sum(axis=1)
    f = rng.normal(size=3)
    f /= np.linalg.norm(f)
    gravity = np.empty((n, 3))
    for i in range(n):
        gravity[i] = f
        f = f - np.cross(rate[i], f) / true_hz
        f /= np.linalg.norm(f)
    return np.concatenate((gravity, rate), axis=1).reshape(windows, WINDOW, 6).astype(np.float32)


RATE = "--rate HZ or --unit gyro=FACTOR"


def suspicion(added):
    return turning_suspicion(added, MISTAKES, ("acc", "gyro"), ("acc_x", "gyro_x"), SAID_HZ, 1.0)


def moments_of(windows):
    return moments(windows, [0, 1, 2], [3, 4, 5], SAID_HZ, 1.0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    factor=st.floats(0.3, 4.0),
    mistake=st.sampled_from([None, *MISTAKES]),
    cut=st.integers(1, 15),
)
def test_the_scale_is_the_rate_that_is_said_over_the_true_one(seed, factor, mistake, cut):
    windows = turning(seed, factor * SAID_HZ)
    turned = no_turn() if mistake is None else MISTAKES[mistake]
    windows[..., 3:] = windows[..., 3:] @ turned  # each of them is its own inverse
    added = moments_of(windows[:cut]) + moments_of(windows[cut:])
    scale = scale_of(added, turned)
    # Taken over turns of θ up to 0.74 rad, those of 2.1 s at a factor of 0.3, the law gives tan(θ/2) / (θ/2): 1.05.
    assert scale.middle == pytest.approx(1 / factor, rel=0.06)
    assert scale.low <= scale.middle <= scale.high
    assert scale.explained > 0.98
    np.testing.assert_allclose(scale_of(moments_of(windows), turned).middle, scale.middle, rtol=1e-9)
    if mistake is None and not 1.35 < factor < 1.85 and not 0.68 < factor < 0.78:  # clear of both thresholds
        found = suspicion(added)
        assert (found is None) == (0.7 < factor < 1.5)
        assert found is None or (found.code, found.option) == ("rate", RATE)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_a_mistake_and_another_rate_are_named_together(factor):
    # Many stretches, to turn about all axes alike: about one only, a mistake may change nothing.
    windows = np.concatenate([turning(seed, factor * SAID_HZ, windows=8) for seed in range(12)])
    for mistake, turned in MISTAKES.items():
        changed = windows.copy()
        changed[..., 3:] = windows[..., 3:] @ turned
        found = suspicion(moments_of(changed))
        assert mistake.words in found.message
        assert found.code == ("turning" if factor == 1 else "rate")
        assert found.option == mistake.option + ("" if factor == 1 else f" {RATE}")


def test_the_two_slopes_hold_the_truth_between_them_where_both_sides_have_errors():
    rng, windows = np.random.default_rng(7), turning(7, 2 * SAID_HZ)
    sizes = [0.01] * 3 + [0.15] * 3
    noisy = windows + np.repeat(rng.normal(0, sizes, (16, 8, 6)), 32, axis=1).astype(np.float32)
    scale = scale_of(moments_of(noisy), no_turn())
    assert scale.low < 0.45
    assert scale.low < 0.5 < scale.high
    assert scale.explained < 0.9


def test_a_scale_is_the_least_squares_one():
    added = moments_of(turning(3, 130.0))
    scale = scale_of(added, no_turn())
    scaled = added.copy()
    scaled[3:, :3] *= scale.low
    scaled[:3, 3:] *= scale.low
    scaled[3:, 3:] *= scale.low**2
    assert explained(scaled, no_turn()) == pytest.approx(scale.explained, rel=1e-12)
    assert scale_of(scaled, no_turn()).low == pytest.approx(1, rel=1e-12)


def test_turns_that_go_the_other_way_have_no_scale():
    added = moments_of(turning(5, SAID_HZ))
    assert scale_of(added, -no_turn()) is None
    assert scale_of(np.zeros((12, 12)), no_turn()) is None


@pytest.mark.parametrize(
    ("low", "high", "elsewhere"), [(0.9, 1.1, False), (0.2, 3.0, False), (0.3, 0.5, True), (1.5, 1.9, True)]
)
def test_a_scale_is_elsewhere_only_if_both_slopes_are(low, high, elsewhere):
    assert Scale(low, high).elsewhere == elsewhere
