import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.filters import BLOCK, KINDS, Filter, running, sections

RATE_HZ = 50.0


def of(kind, order, corner_hz=None, columns=2, rate_hz=RATE_HZ):
    filter_ = Filter(kind, order, corner_hz)
    assert filter_.problem(rate_hz) is None
    return running(filter_, rate_hz, columns)


def some_filter(kind, order, columns=2):
    corner_hz = None if kind in ("median", "delay") else 3.0
    return of(kind, 2 * order - 1 if kind == "median" else order, corner_hz, columns)


def draw(seed, n, columns=2):
    return np.random.default_rng(seed).normal(size=(n, columns)).cumsum(axis=0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    order=st.integers(1, 5),
    pushes=st.lists(st.integers(0, 2 * BLOCK + 9), min_size=1, max_size=8),
    columns=st.integers(1, 7),
    seed=st.integers(0, 2**16),
)
def test_the_bits_are_the_same_however_a_recording_is_cut(kind, order, pushes, columns, seed):
    samples = draw(seed, sum(pushes), columns)
    samples[seed % 97 :: 97] = 0.0  # zeros of either sign
    running_ = some_filter(kind, order, columns)
    whole = running_.push(samples)
    running_.reset()
    pieces, at = [np.empty((0, columns))], 0
    for size in pushes:
        pieces.append(running_.push(samples[at : at + size]))
        at += size
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert whole.shape == samples.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 1, 63, 64, 100])
def test_a_restored_filter_goes_on_with_the_same_bits(kind, at):
    samples = draw(5, 300)
    first, second = some_filter(kind, 3), some_filter(kind, 3)
    before = first.push(samples[:at])
    state = first.state()
    after = first.push(samples[at:])
    second.push(draw(6, 77))
    second.restore(state)
    assert second.push(samples[at:]).tobytes() == after.tobytes()
    second.restore(state)  # the state is a copy, and has not moved
    assert second.push(samples[at:]).tobytes() == after.tobytes()
    assert len(before) == at


@pytest.mark.parametrize(("kind", "high"), [("low-pass", False), ("high-pass", True)])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    ("corner_hz", "rate_hz"), [(0.05, 50.0), (0.3, 50.0), (20.0, 50.0), (24.9, 50.0), (700.0, 16000.0)]
)
def test_the_design_is_scipy_s(kind, high, order, corner_hz, rate_hz):
    signal = pytest.importorskip("scipy.signal")
    sos = signal.butter(order, corner_hz, "highpass" if high else "lowpass", fs=rate_hz, output="sos")
    at_hz = np.geomspace(rate_hz / 1e5, rate_hz / 2.001, 200)
    _, expected = signal.freqz_sos(sos, at_hz, fs=rate_hz)
    _, found = signal.freqz_sos(sections(order, corner_hz, rate_hz, high=high), at_hz, fs=rate_hz)
    # Poles close to 1 (a corner far below the rate) or to -1 (close to half of it) carry rounding further.
    np.testing.assert_allclose(found, expected, atol=1e-15 * (rate_hz / corner_hz) ** 2 + 1e-11, rtol=0)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("corner_hz", [0.05, 0.3, 3.0, 20.0])
def test_the_output_is_scipy_s_from_the_steady_state_of_the_first_sample(order, corner_hz):
    signal = pytest.importorskip("scipy.signal")
    samples = draw(order, 5000) + 9.81
    for kind, name in (("low-pass", "lowpass"), ("high-pass", "highpass")):
        sos = signal.butter(order, corner_hz, name, fs=RATE_HZ, output="sos")
        start = signal.sosfilt_zi(sos)[:, :, None] * samples[0]
        expected, _ = signal.sosfilt(sos, samples, axis=0, zi=start)
        # as for the design, times the signal
        bound = (1e-15 * (RATE_HZ / corner_hz) ** 2 + 1e-12) * np.abs(samples).max()
        np.testing.assert_allclose(of(kind, order, corner_hz).push(samples), expected, atol=bound)
        if kind == "low-pass":
            got = of("minus-low-pass", order, corner_hz).push(samples)
            np.testing.assert_allclose(got, samples - expected, atol=bound)


def test_a_constant_does_not_ring_in():
    constant = np.full((200, 2), 9.81)
    np.testing.assert_allclose(of("low-pass", 3, 0.3).push(constant), 9.81, rtol=1e-12)
    np.testing.assert_allclose(of("minus-low-pass", 3, 0.3).push(constant), 0.0, atol=1e-11)
    np.testing.assert_allclose(of("high-pass", 2, 0.3).push(constant), 0.0, atol=1e-11)


def test_a_median_is_that_of_the_last_samples():
    samples = draw(3, 50)
    expected = [np.median(samples[max(0, i - 4) : i + 1], axis=0) for i in range(4, 50)]
    np.testing.assert_array_equal(of("median", 5).push(samples)[4:], expected)
    assert Filter("median", 5).delay == 2


def test_a_delay_repeats_the_first_sample():
    samples = draw(3, 5)
    np.testing.assert_array_equal(of("delay", 2).push(samples), samples[[0, 0, 0, 1, 2]])
    assert Filter("delay", 2).delay == 2


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        (Filter("notch", 1), "the kind of a filter is 'notch'"),
        (Filter("low-pass", 0, 1.0), "order 0; it must be a whole number from 1"),
        (Filter("low-pass", 3, 25.0), "corner_hz 25.0; it must be above 0 and below 25, half the rate"),
        (Filter("low-pass", 3), "corner_hz None"),
        (Filter("high-pass", 3, float("nan")), "corner_hz nan"),
        (Filter("median", 4), "no middle one"),
        (Filter("median", 3, 1.0), "has no corner_hz"),
        (Filter("delay", 1.5), "order 1.5"),
    ],
)
def test_a_filter_that_cannot_be_says_why(filter_, words):
    assert words in filter_.problem(RATE_HZ)
