import numpy as np
import pytest

from edgeconv.evaluate.reliability import BINS, LEAST, reliability
from edgeconv.evaluate.statistics import expected_calibration_error

PROBABILITIES = np.array([[0.7, 0.3], [0.7, 0.3], [0.1, 0.9], [0.0, 1.0]], np.float32)
TRUTH = np.array([0, 1, 1, 0])


def test_every_figure_is_that_worked_out_by_hand():
    found = reliability(PROBABILITIES, TRUTH)
    assert found.windows == 4
    # p of the truth: 0.7, 0.3, 0.9, 0, which counts as the smallest normal float32
    assert found.negative_log_likelihood == pytest.approx(-np.log([0.7, 0.3, 0.9, LEAST]).mean(), rel=1e-6)
    # squares, both classes alike: 2 · 0.3², 2 · 0.7², 2 · 0.1², 2 · 1²
    assert found.brier == pytest.approx((0.18 + 0.98 + 0.02 + 2) / 4, rel=1e-6)
    # bins of 0.7 (two, one right), 0.9 (one, right) and 1 (one, wrong)
    assert found.expected_calibration_error == pytest.approx((abs(1 - 1.4) + 0.1 + 1) / 4, rel=1e-6)
    assert [(each.windows, each.accuracy) for each in found.bins if each.windows] == [(2, 0.5), (1, 1.0), (1, 0.0)]
    above = {each.confidence: (each.share, each.accuracy) for each in found.above}
    assert above[0.5] == (1.0, 0.5)
    assert above[0.8] == (0.5, 0.5)
    assert above[0.99] == (0.25, 0.0)


def test_the_bins_add_up_to_the_windows_and_to_the_calibration_error():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([0.5] * 4, 500).astype(np.float32)
    truth = rng.integers(0, 4, 500)
    found = reliability(probabilities, truth)
    assert [each.low for each in found.bins] == pytest.approx(np.arange(BINS) / BINS)
    assert sum(each.windows for each in found.bins) == 500
    gaps = [each.windows * abs(each.accuracy - each.confidence) for each in found.bins if each.windows]
    assert sum(gaps) / 500 == pytest.approx(expected_calibration_error(probabilities, truth))


def test_a_model_that_is_always_right_and_sure_of_it_has_no_error():
    found = reliability(np.eye(3, dtype=np.float32), np.arange(3))
    assert (found.negative_log_likelihood, found.brier, found.expected_calibration_error) == (0, 0, 0)
