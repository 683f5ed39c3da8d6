"""Resampling: tones come out where and as they were, and what is above the new band does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.even_out import EvenOut
from edgeconv.runtime.conditioning.kernel import Kernel
from edgeconv.runtime.conditioning.resample import Resampler, half_length_s

PAIRS = [(102.4, 50.0), (100.0, 50.0), (60.0, 50.0), (50.0, 50.0), (25.0, 50.0), (44.1, 16.0)]
EDGE_S = 3.0
"""Left out at either end, where the filter sees the held first and last sample."""


def resample(times, samples, source_hz, target_hz, *, jitter=False):
    resampler = Resampler(samples.shape[1], source_hz, target_hz, jitter=jitter)
    first, begin = resampler.push(times, samples)
    _, end = resampler.finish()
    assert first == 0
    return np.concatenate([begin, end])


def tone(frequency_hz, source_hz, target_hz, jitter=0.0, seconds=16.0, seed=0):
    """Return a tone resampled, what it should be, and the slice away from the ends."""
    count = int(seconds * source_hz)
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, count)
    times = (np.arange(count) + noise) / source_hz
    times -= times[0]
    phase = np.array([0.3, 1.7])
    found = resample(
        times, np.sin(2 * np.pi * frequency_hz * times[:, None] + phase), source_hz, target_hz, jitter=jitter > 0
    )
    grid = np.arange(len(found)) / target_hz
    away = int(EDGE_S * target_hz)
    return found[away:-away], np.sin(2 * np.pi * frequency_hz * grid[:, None] + phase)[away:-away]


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_tone_in_the_pass_band_comes_out_without_delay(source_hz, target_hz, share):
    found, expected = tone(share * min(source_hz, target_hz) / 2, source_hz, target_hz)
    # The bound of the docstring. A delay of a thousandth of a grid period would be an error of up to
    # 2π · 0.45 · 0.001 = 0.0028 at the edge of the band.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.003)


@pytest.mark.parametrize(("source_hz", "target_hz"), [(102.4, 50.0), (100.0, 50.0), (200.0, 50.0), (44.1, 16.0)])
@pytest.mark.parametrize("share", [1.0, 1.05, 1.3, 1.7])
def test_a_tone_above_the_new_nyquist_frequency_is_65_db_weaker(source_hz, target_hz, share):
    frequency_hz = share * target_hz / 2
    if frequency_hz > 0.49 * source_hz:
        pytest.skip("the source has no such tone")
    found, _ = tone(frequency_hz, source_hz, target_hz)
    assert np.abs(found).max() < 10 ** (-65 / 20)


@pytest.mark.parametrize("jitter", [0.1, 0.3])
@pytest.mark.parametrize(("source_hz", "target_hz"), [(102.4, 50.0), (50.0, 50.0), (60.0, 50.0)])
def test_a_tone_sampled_with_jitter_comes_out_without_delay(source_hz, target_hz, jitter):
    band_hz = min(source_hz, target_hz) / 2
    for share, bound in ((0.05, 0.002), (0.3, 0.002), (0.6, 0.002), (0.8, 0.002), (0.9, 0.01)):
        found, expected = tone(share * band_hz, source_hz, target_hz, jitter)
        # Relative to the amplitude, rms over the tone's 1/√2.
        assert np.sqrt(2 * np.mean((found - expected) ** 2)) < bound


@pytest.mark.parametrize("jitter", [0.1, 0.3])
def test_with_jitter_a_tone_above_the_new_nyquist_frequency_is_60_db_weaker(jitter):
    for share in (1.05, 1.3, 1.6):
        found, _ = tone(share * 25, 102.4, 50.0, jitter)
        assert np.sqrt(2 * np.mean(found**2)) < 1e-3


def test_the_delay_is_below_a_hundredth_of_a_millisecond():
    """By the phase of tones, with which an error of the amplitude does not mix."""
    for jitter in (0.0, 0.2):
        for frequency_hz in (1.0, 5.0, 15.0):
            found, expected = tone(frequency_hz, 102.4, 50.0, jitter)
            grid = np.exp(-2j * np.pi * frequency_hz * np.arange(len(found)) / 50.0)
            shift = np.angle((expected[:, 0] * grid).sum() / (found[:, 0] * grid).sum())
            assert abs(shift) / (2 * np.pi * frequency_hz) < 1e-5


@pytest.mark.parametrize("jitter", [False, True])
def test_a_constant_stays_what_it_is_from_the_first_sample_to_the_last(jitter):
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.5, 1.5, 300)) / 80
    found = resample(times - times[0], np.full((300, 1), 9.80665), 80.0, 50.0, jitter=jitter)
    np.testing.assert_allclose(found, 9.80665, rtol=1e-12)


def test_the_grid_covers_the_stretch_and_no_more():
    for count in (1, 2, 3, 7, 129):
        times = np.arange(count) / 64.0 + 3.01
        resampler = Resampler(1, 64.0, 50.0, jitter=False)
        first, begin = resampler.push(times, np.ones((count, 1)))
        _, end = resampler.finish()
        grid = first / 50 + np.arange(len(begin) + len(end)) / 50
        assert first == 151  # 3.02 s
        assert len(grid) == int(np.floor(times[-1] * 50)) - 150
        assert (grid <= times[-1] + 1e-9).all()


@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=10), jitter=st.booleans(), channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_cutting_gives_the_same_bytes(cuts, jitter, channels, seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.6, 1.4, 300)) / 70
    samples = rng.normal(size=(300, channels))

    def run(places):
        resampler = Resampler(channels, 70.0, 50.0, jitter=jitter)
        parts = np.split(np.arange(300), sorted(places))
        found = [resampler.push(times[part], samples[part])[1] for part in parts]
        return np.concatenate([*found, resampler.finish()[1]]).tobytes()

    assert run(cuts) == run([]) == run(range(1, 300))


def test_a_kernel_read_from_its_table_is_the_formula_s():
    kernel = Kernel(20.0, 0.4, 6.755)
    times = np.random.default_rng(3).uniform(-0.5, 0.5, 2000)
    inside = np.abs(times) <= 0.4
    window = np.i0(6.755 * np.sqrt(np.maximum(0, 1 - (times / 0.4) ** 2))) / np.i0(6.755)
    expected = np.where(inside, np.sinc(40.0 * times) * window, 0.0)
    # straight lines between 512 entries a zero crossing: π² / 8 / 512² / 3; and where the kernel ends, its last entry
    np.testing.assert_allclose(kernel(times), expected, rtol=0, atol=6e-6)
    assert kernel(np.array([0.0]))[0] == 1.0


def test_half_the_kernel_is_what_kaiser_s_formula_says():
    assert half_length_s(102.4, 50.0) == pytest.approx((70 - 7.95) / (14.36 * 2.5) / 2)
    assert half_length_s(102.4, 50.0) == pytest.approx(0.864, abs=1e-3)


def test_even_samples_are_known_sixteen_samples_late():
    even = EvenOut(1, 0.01)
    times, samples = np.arange(100) * 0.01, np.ones((100, 1))
    known, found = even.push(times, samples)
    assert len(known) == len(found)
    assert known[-1] == pytest.approx(times[-17], abs=0.011)
