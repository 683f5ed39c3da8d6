import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import InputError, SlidingWindow, UsageError


def cut_whole(samples, window, hop):
    """The definition: window i is samples[i · hop : i · hop + window]."""
    starts = range(0, len(samples) - window + 1, hop)
    return np.array([samples[i : i + window] for i in starts], np.float32).reshape(-1, window, samples.shape[1])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    window=st.integers(1, 12),
    hop=st.integers(1, 30),
    channels=st.integers(1, 3),
    pushes=st.lists(st.integers(0, 40), max_size=12),
)
def test_any_cutting_of_a_recording_gives_the_windows_of_the_whole(window, hop, channels, pushes):
    samples = np.arange(sum(pushes) * channels, dtype=np.float32).reshape(-1, channels)
    sliding = SlidingWindow(window, hop, channels)
    pieces, at = [], 0
    for size in pushes:
        pieces.append(sliding.push(samples[at : at + size]))
        at += size
        assert sliding.start == hop * sum(map(len, pieces))
    got = np.concatenate([np.empty((0, window, channels), np.float32), *pieces])
    np.testing.assert_array_equal(got, cut_whole(samples, window, hop))


def test_it_holds_less_than_one_window_between_pushes():
    sliding = SlidingWindow(window=8, hop=3, channels=1)
    sliding.push(np.zeros((100_000, 1), np.float32))
    assert len(sliding._held) < 8
    assert sliding._held.base is None, "a view would keep the whole push alive"


def test_windows_stay_as_they_are_when_the_caller_reuses_its_array():
    sliding = SlidingWindow(window=2, hop=1, channels=1)
    buffer = np.array([[1.0], [2.0]], np.float32)
    windows = sliding.push(buffer)
    buffer[:] = 9
    np.testing.assert_array_equal(windows, [[[1], [2]]])
    np.testing.assert_array_equal(sliding.push(buffer)[0], [[2], [9]])


def test_reset_starts_a_new_recording():
    sliding = SlidingWindow(window=3, hop=5, channels=1)
    sliding.push(np.ones((4, 1)))
    sliding.reset()
    assert sliding.start == 0
    np.testing.assert_array_equal(sliding.push([[7], [8], [9]]), [[[7], [8], [9]]])


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, -2), (2.5, 1, 1), (True, 1, 1)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(UsageError, match="give a whole number from 1"):
        SlidingWindow(*sizes)


@pytest.mark.parametrize(
    ("samples", "telling"),
    [
        (np.zeros((3, 5)), r"shape \[3, 5\]; expected \[n, 2\]"),
        (np.zeros(4), r"shape \[4\]"),
        ([["a", "b"]], "expected real numbers"),
        (np.zeros((1, 2), complex), "expected real numbers"),
        ([[1, 2], [3]], "not a rectangular array"),
    ],
)
def test_samples_of_another_form_are_refused_and_change_nothing(samples, telling):
    sliding = SlidingWindow(window=2, hop=1, channels=2)
    sliding.push([[1, 2]])
    with pytest.raises(InputError, match=telling):
        sliding.push(samples)
    np.testing.assert_array_equal(sliding.push([[3, 4]]), [[[1, 2], [3, 4]]])
