import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import InputError, StreamClassifier, UsageError


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    hop=st.integers(1, 9),  # below, equal to and above the window of 4
    pushes=st.lists(st.integers(0, 90), min_size=1, max_size=8),
    seed=st.integers(0, 2**16),
)
def test_streaming_equals_batch_for_any_cutting_into_pushes(tiny, hop, pushes, seed):
    samples = np.random.default_rng(seed).normal(size=(sum(pushes), 2)).astype(np.float32)
    starts = list(range(0, len(samples) - 4 + 1, hop))
    windows = np.array([samples[i : i + 4] for i in starts], np.float32).reshape(-1, 4, 2)
    batch = tiny.predict(windows)

    stream = StreamClassifier(tiny, hop)
    streamed, at = [], 0
    for size in pushes:
        streamed += stream.push(samples[at : at + size])
        at += size

    assert [round(p.start_s * 10) for p in streamed] == starts
    assert [round((p.end_s - p.start_s) * 10) for p in streamed] == [4] * len(starts)
    # the same graph on the same windows in other batches: rounding of the sums at most
    np.testing.assert_allclose(
        np.array([p.probabilities for p in streamed]).reshape(-1, 3), batch.reshape(-1, 3), atol=1e-6, rtol=0
    )
    for p in streamed:
        assert p.class_id == int(p.probabilities.argmax())
        assert p.label == tiny.spec.labels[p.class_id]
        assert p.confidence == p.probabilities[p.class_id]


def test_the_hop_is_the_spec_s_unless_another_is_asked_for(tiny):
    assert StreamClassifier(tiny).hop == tiny.spec.hop
    assert StreamClassifier(tiny, hop=7).hop == 7
    with pytest.raises(UsageError, match="hop is 0"):
        StreamClassifier(tiny, hop=0)


def test_streams_over_one_classifier_do_not_touch_each_other(tiny):
    samples = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    alone = StreamClassifier(tiny).push(samples)
    one, other = StreamClassifier(tiny), StreamClassifier(tiny)
    interleaved = []
    for i in range(0, 40, 3):
        interleaved += one.push(samples[i : i + 3])
        other.push(-samples[i : i + 3])
    np.testing.assert_array_equal([p.probabilities for p in alone], [p.probabilities for p in interleaved])


def test_a_refused_push_leaves_the_stream_as_it_was(tiny):
    samples = np.random.default_rng(2).normal(size=(4, 2)).astype(np.float32)
    stream = StreamClassifier(tiny)
    stream.push(samples[:3])
    with pytest.raises(InputError, match=r"samples hold nan at index \[0, 1\]"):
        stream.push([[0, np.nan]])
    assert [p.start_s for p in stream.push(samples[3:])] == [0.0]


def test_reset_starts_again_at_zero_seconds(tiny):
    stream = StreamClassifier(tiny)
    stream.push(np.zeros((9, 2)))
    stream.reset()
    assert [p.start_s for p in stream.push(np.zeros((4, 2)))] == [0.0]


def test_a_long_push_is_not_copied_window_by_window(tiny):
    import tracemalloc

    samples = np.zeros((200_000, 2), np.float32)
    stream = StreamClassifier(tiny, hop=1000)
    tracemalloc.start()
    stream.push(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * samples.nbytes


def test_after_a_reset_times_are_counted_from_where_it_says(tiny):
    samples = np.random.default_rng(3).normal(size=(9, 2)).astype(np.float32)
    stream = StreamClassifier(tiny)
    first = stream.push(samples)
    stream.push(samples[:3])  # would be part of the next window
    stream.reset(83.25)
    later = stream.push(samples)
    assert [(p.start_s, p.end_s) for p in later] == [(83.25 + p.start_s, 83.25 + p.end_s) for p in first]
    np.testing.assert_array_equal([p.probabilities for p in later], [p.probabilities for p in first])
    stream.reset()
    assert [p.start_s for p in stream.push(samples)] == [p.start_s for p in first]
