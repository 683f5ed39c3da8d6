import numpy as np
import pytest

from edgeconv.evaluate.statistics import expected_calibration_error, mcnemar, paired_difference, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # R. G. Newcombe. Two-sided confidence intervals for the single proportion. Statistics in Medicine 17 (1998)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_s_interval_is_that_of_the_published_examples(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=6e-5)


def test_wilson_s_interval_stays_between_0_and_1_and_holds_the_proportion():
    for n in (1, 7, 100):
        for hits in range(n + 1):
            low, high = wilson(hits, n)
            assert 0 <= low <= hits / n <= high <= 1
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("b", "c", "p"),
    # twice the sum of binomials: 2 (1 + 10) / 2^10, 2 / 2^6, 1 where both are alike, and cut at 1
    [(1, 9, 22 / 1024), (6, 0, 2 / 64), (5, 5, 1.0), (0, 0, 1.0), (4, 5, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(b, c, p):
    assert mcnemar(b, c) == mcnemar(c, b) == pytest.approx(p)


def test_mcnemar_of_thousands_of_windows_is_still_a_number():
    assert 0 < mcnemar(900, 1100) < 1e-4


def test_the_interval_of_a_difference_is_symmetric_and_narrows_with_more_windows():
    low, high = paired_difference(8, 6, 2947)
    assert low < (8 - 6) / 2947 < high
    assert paired_difference(6, 8, 2947) == pytest.approx((-high, -low))
    wide = paired_difference(8, 6, 100)
    assert wide[1] - wide[0] > high - low
    # by hand: b = 8.5, c = 6.5, n = 102
    half = 1.959964 * np.sqrt(15 - 4 / 102) / 102
    assert wide == pytest.approx((2 / 102 - half, 2 / 102 + half))


def test_the_interval_covers_the_true_difference_in_about_95_of_100_draws():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        b, c, _ = rng.multinomial(300, [0.04, 0.02, 0.94])
        low, high = paired_difference(int(b), int(c), 300)
        covered += low <= 0.02 <= high
    assert 0.93 <= covered / 2000 <= 0.98  # 2000 draws: ± 1 point; the method errs to the safe side


def test_calibration_error_is_the_gap_between_confidence_and_hits_by_hand():
    # bin of 0.7: confidence 0.7, right in 1 of 2; bin of 0.9: confidence 0.9, right in 2 of 2
    probabilities = np.array([[0.7, 0.3], [0.7, 0.3], [0.1, 0.9], [0.9, 0.1]], np.float32)
    error = expected_calibration_error(probabilities, np.array([0, 1, 1, 0]))
    assert error == pytest.approx((abs(1 - 1.4) + abs(2 - 1.8)) / 4)
    assert expected_calibration_error(np.eye(3, dtype=np.float32), np.arange(3)) == 0
