import numpy as np
import pytest

from edgeconv.evaluate.noise import moved, noise_by_kind, noise_of


class Linear:
    """Two classes by a weighted sum; `batch_error` is what a small batch adds, `thread_error` what one thread does."""

    def __init__(self, weight, batch_error=0.0, thread_error=None):
        self.weight, self.batch_error, self.thread_error = weight, batch_error, thread_error

    def predict(self, windows, batch=256, more=0.0):
        logit = (windows[:, 0, 0].astype(np.float64) * self.weight) + (self.batch_error if batch == 1 else 0) + more
        p = 1 / (1 + np.exp(logit))
        return np.stack([p, 1 - p], axis=1).astype(np.float32)

    def predict_alone(self, windows):
        return None if self.thread_error is None else self.predict(windows, more=self.thread_error)

    def predict_double(self, windows):
        return Linear(self.weight).predict(windows)


@pytest.fixture
def windows():
    return np.random.default_rng(0).normal(size=(300, 4, 2)).astype(np.float32)


def test_noise_is_the_largest_that_batches_threads_and_rounding_of_the_input_show(windows):
    quiet = Linear(1.0)
    floor = noise_of(quiet, windows, quiet.predict(windows))
    assert 0 <= floor < 1e-6
    for loud in (Linear(1.0, batch_error=1e-3), Linear(1.0, thread_error=1e-3)):
        assert noise_of(loud, windows, loud.predict(windows)) == pytest.approx(1e-3, rel=0.01)


def test_a_network_that_carries_rounding_far_has_more_noise(windows):
    class Cancelling(Linear):
        """It subtracts large numbers."""

        def predict(self, windows, batch=256, more=0.0):
            x = windows[:, 0, 0]
            return super().predict(((x + np.float32(1000)) - np.float32(1000))[:, None, None], batch, more)

    near, far = Linear(1.0), Cancelling(1.0)
    assert noise_of(far, windows, far.predict(windows)) > 1e-5 > noise_of(near, windows, near.predict(windows))


def test_each_kind_of_input_has_noise_of_its_own(windows):
    class LoudWhereLarge(Linear):
        """Small batches sum large values in another order."""

        def predict(self, windows, batch=256, more=0.0):
            return super().predict(windows, batch, 1e-3 * (batch == 32) * (windows[:, 0, 0] > 10))

    model = LoudWhereLarge(1e-3)
    kinds = {"large": 1000 + windows[:40], "zeros": np.zeros((3, 4, 2), np.float32)}
    found = noise_by_kind(model, kinds, {name: model.predict(given) for name, given in kinds.items()})
    assert list(found) == ["large", "zeros"]
    assert found["large"] > 5e-4
    assert found["zeros"] == 0


def test_a_moved_value_is_the_next_float32_up_or_down(windows):
    near = moved(windows, 3)
    steps = np.abs(near.view(np.int32).astype(np.int64) - windows.view(np.int32).astype(np.int64))
    assert (steps == 1).all()
    assert 0.4 < (near > windows).mean() < 0.6
    np.testing.assert_array_equal(near, moved(windows, 3))
