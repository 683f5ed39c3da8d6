"""What a pool does beside answering as a stream alone does, which tests/runtime/test_forms.py shows."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import Classifier, InputError, StreamPool
from edgeconv.runtime.pool import AHEAD_WINDOWS

NOISE = 2e-6  # of float32 sums in another order, as in test_forms.py
HOPS = [4, 5, 1, 3, 15, 16]  # with a stateful file, with none, and above the window


@pytest.fixture(scope="module")
def classifier(models):
    """Windows of 12 samples of 2 channels at hop 4, with stateful files for some hops."""
    return Classifier.load(models / "forms")


def drawn(seed, size):
    return np.random.default_rng(seed).normal(size=(size, 2)).astype(np.float32)


def starts(classifier, pool_answers, name):
    rate_hz = classifier.spec.sampling_rate_hz
    return [round(p.start_s * rate_hz, 6) for n, p in pool_answers if n == name]


class Counted:
    """Counts the windows of each run of a pool's model."""

    def __init__(self, pool, monkeypatch):
        self.sizes = []
        run = pool._run_due

        def run_due():
            self.sizes.append(min(len(pool._due), len(pool._batch)))
            run()

        monkeypatch.setattr(pool, "_run_due", run_due)


@pytest.mark.parametrize("hop", [4, 3])
def test_streams_take_turns_however_much_one_of_them_sends(classifier, hop):
    pool = StreamPool(classifier, hop)
    pool.push("greedy", drawn(1, 60))
    for name in range(5):
        pool.push(name, drawn(2, 12))
    order = [name for name, _ in pool.run()]
    assert sorted(map(str, order[:6])) == ["0", "1", "2", "3", "4", "greedy"]
    assert set(order[6:]) == {"greedy"}


@pytest.mark.parametrize("hop", [4, 3])
def test_memory_of_a_stream_is_bounded_and_nothing_is_left_out(classifier, hop, monkeypatch):
    pool = StreamPool(classifier, hop)
    samples = drawn(3, 5000)
    most = 0
    for start in range(0, 5000, 500):
        pool.push("fast", samples[start : start + 500])
        (stream,) = pool._streams.values()
        most = max(most, stream.ahead_samples)
        assert sum(map(len, stream.ahead)) == stream.ahead_samples
    assert 0 < most <= AHEAD_WINDOWS * 12
    answers = np.array([p.probabilities for _, p in pool.run()])
    np.testing.assert_allclose(answers, classifier.score(samples, hop), atol=NOISE)


def test_who_is_slowed_down_does_not_hold_up_the_others(classifier, monkeypatch):
    pool = StreamPool(classifier)
    for name in range(40):
        pool.push(name, drawn(name, 12))
    counted = Counted(pool, monkeypatch)
    pool.push("fast", drawn(99, 300))
    assert counted.sizes[0] == 41  # the windows of all that are due are run with it


def test_samples_that_wait_are_copies(classifier):
    pool, samples = StreamPool(classifier), drawn(4, 60)
    expected = classifier.score(samples)
    pool.push("one", samples)
    samples[:] = 0
    np.testing.assert_allclose(np.array([p.probabilities for _, p in pool.run()]), expected, atol=NOISE)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    hop=st.sampled_from(HOPS),
    stretches=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_a_reset_begins_a_new_stretch_at_its_time(classifier, hop, stretches, seed):
    pool, rate_hz = StreamPool(classifier, hop), classifier.spec.sampling_rate_hz
    expected_starts, expected, begin = [], [], 0
    for i, size in enumerate(stretches):
        if i:
            pool.reset("one", begin / rate_hz)
        samples = drawn(seed + i, size)
        pool.push("one", samples)
        pool.push("beside", samples)
        answers = classifier.score(samples, hop)
        expected_starts += [begin + k * hop for k in range(len(answers))]
        expected += [answers]
        begin += size + 100
    done = pool.run()
    assert starts(classifier, done, "one") == pytest.approx(expected_starts)
    got = np.array([p.probabilities for n, p in done if n == "one"]).reshape(-1, 3)
    np.testing.assert_allclose(got, np.concatenate(expected).reshape(-1, 3), atol=NOISE)
    assert all(p.end_s - p.start_s == pytest.approx(12 / rate_hz) for _, p in done)


def test_a_reset_keeps_what_is_due(classifier):
    pool = StreamPool(classifier)
    pool.push("one", drawn(5, 20))
    pool.reset("one", 100.0)
    pool.push("one", drawn(6, 12))
    assert starts(classifier, pool.run(), "one") == [0, 4, 8, 100 * classifier.spec.sampling_rate_hz]
    pool.reset("other", 7.0)
    pool.push("other", drawn(6, 12))
    assert [p.start_s for _, p in pool.run()] == [7.0]


def test_idle_streams_are_dropped_by_the_pool_s_clock(classifier):
    now_s = 0.0
    pool = StreamPool(classifier, clock=lambda: now_s)
    pool.push("early", drawn(7, 12))
    now_s = 5.0
    pool.push("late", drawn(8, 3))
    now_s = 11.0
    assert pool.drop_idle(10.0) == ["early"]
    assert "early" not in pool
    assert "late" in pool
    assert [name for name, _ in pool.run()] == ["early"]  # what was due is not lost


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    hop=st.sampled_from(HOPS),
    pushes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=30),
    cut=st.integers(0, 30),
    seed=st.integers(0, 2**16),
)
def test_a_restored_pool_goes_on_to_the_same_bytes(classifier, hop, pushes, cut, seed):
    def go(pool, part, first):
        for i, (name, size) in enumerate(part, first):
            pool.push(f"s{name}", drawn(seed + i, size))
            yield from pool.run()

    undisturbed, before = StreamPool(classifier, hop), StreamPool(classifier, hop)
    expected = list(go(undisturbed, pushes, 0))
    done = list(go(before, pushes[:cut], 0))
    kept = pickle.loads(pickle.dumps(before.state()))
    list(go(before, [(0, 40), (9, 12)], 500))  # what happens to the first afterwards changes nothing
    after = StreamPool(classifier, hop)
    after.push("gone", drawn(1, 5))
    after.restore(kept)
    done += go(after, pushes[cut:], cut)
    assert [(n, p.start_s, p.probabilities.tobytes()) for n, p in done] == [
        (n, p.start_s, p.probabilities.tobytes()) for n, p in expected
    ]


def test_the_state_has_what_is_due_and_what_nobody_has_fetched(classifier):
    pool = StreamPool(classifier)
    pool.push("one", drawn(9, 60))  # due, and more ahead
    other = StreamPool(classifier)
    other.restore(pool.state())
    assert [p.probabilities.tobytes() for _, p in other.run()] == [p.probabilities.tobytes() for _, p in pool.run()]
    pool.push("one", drawn(10, 500))  # so far ahead that a part of it is run
    assert pool.state()["done"]
    other.restore(pool.state())
    theirs, mine = other.run(), pool.run()
    assert [(n, p.start_s, p.end_s, p.label, p.confidence) for n, p in theirs] == [
        (n, p.start_s, p.end_s, p.label, p.confidence) for n, p in mine
    ]
    assert [p.probabilities.tobytes() for _, p in theirs] == [p.probabilities.tobytes() for _, p in mine]


@pytest.mark.parametrize("other", [{"hop": 3}, {"hop": 5}])
def test_the_state_of_another_pool_is_refused(classifier, other):
    with pytest.raises(InputError, match="the state is of"):
        StreamPool(classifier).restore(StreamPool(classifier, **other).state())
