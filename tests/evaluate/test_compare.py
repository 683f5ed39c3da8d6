import numpy as np
import pytest

from edgeconv.evaluate.compare import FLOAT_LIMITS, INT8_LIMITS, Limits, compare
from edgeconv.runtime import CheckError

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.500005, 0.499995, 0.0]], np.float32)
TRUTH = np.array([0, 1, 0])


def test_a_copy_is_equal_in_every_figure():
    seen = compare(REFERENCE, REFERENCE.copy(), TRUTH)
    assert (seen.max_abs_diff, seen.p999_abs_diff, seen.top1_agreement, seen.decisive_top1_changes) == (0, 0, 1, 0)
    assert seen.accuracy == seen.reference_accuracy == pytest.approx(2 / 3)
    assert not seen.violations(FLOAT_LIMITS)
    assert not seen.violations(INT8_LIMITS)


def test_figures_are_those_worked_out_by_hand():
    candidate = REFERENCE.copy()
    candidate[1] = [0.3, 0.45, 0.25]
    seen = compare(REFERENCE, candidate, TRUTH)
    assert seen.accuracy == 1.0
    assert seen.reference_accuracy == pytest.approx(2 / 3)
    assert seen.max_abs_diff == pytest.approx(0.1)
    assert seen.top1_agreement == pytest.approx(2 / 3)
    assert seen.decisive_top1_changes == 1


def test_the_percentile_is_over_windows_of_the_largest_difference_in_each():
    reference = np.tile(np.array([[0.5, 0.3, 0.2]], np.float32), (2000, 1))
    candidate = reference.copy()
    candidate[:2, 0] += 0.25  # 2 windows of 2000 are the last 0.1 %
    candidate[2:, 2] += 0.125
    seen = compare(reference, candidate, np.zeros(2000, int))
    assert seen.max_abs_diff == pytest.approx(0.25)
    assert seen.p999_abs_diff == pytest.approx(0.125, rel=0.01)


def test_a_tie_that_flips_within_the_margin_is_no_violation_but_one_beyond_is():
    flipped = REFERENCE.copy()
    flipped[2] = [0.499999, 0.500001, 0.0]  # the reference's margin is 1e-5
    assert not compare(REFERENCE, flipped, TRUTH).violations(FLOAT_LIMITS)
    decisive = REFERENCE.copy()
    decisive[1] = [0.35, 0.4, 0.25]
    seen = compare(REFERENCE, decisive, TRUTH)
    assert seen.violations(Limits(decisive_top1_equal=True)) == [
        "the top class changed on 1 of 3 windows although the reference's margin exceeds 2e-05"
    ]


@pytest.mark.parametrize(("shift", "kept"), [(0.9e-5, True), (1.2e-5, False)])
def test_the_float_limit_on_probabilities_is_one_in_a_hundred_thousand(shift, kept):
    candidate = REFERENCE.copy()
    candidate[0, 1] += np.float32(shift)
    violations = compare(REFERENCE, candidate, TRUTH).violations(FLOAT_LIMITS)
    assert (not violations) == kept
    if not kept:
        assert violations == ["largest |Δp| is 1.2e-05, the limit 1e-05"]


def test_violations_of_int8_say_by_how_much():
    reference = np.tile(np.array([[0.9, 0.1]], np.float32), (1000, 1))
    truth = np.zeros(1000, int)
    candidate = reference.copy()
    candidate[:20] = candidate[:20, ::-1]
    drop, agreement = compare(reference, candidate, truth).violations(INT8_LIMITS)
    assert drop == "accuracy is 98.00 %, 2.00 points below the reference's 100.00 %, the limit is 0.50 points"
    assert agreement == "the top class agrees on 98.00 % of windows, the limit is 98.50 %"


def test_a_better_candidate_does_not_violate_the_accuracy_limit():
    reference = np.tile(np.array([[0.4, 0.6]], np.float32), (4, 1))
    candidate = reference[:, ::-1].copy()
    assert not compare(reference, candidate, np.zeros(4, int)).violations(Limits(accuracy_drop=0.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_values_that_are_not_finite_fail_the_comparison(bad, side):
    sides = {"reference": REFERENCE.copy(), "candidate": REFERENCE.copy()}
    sides[side][1, 0] = bad
    with pytest.raises(CheckError, match=f"the {side} gave NaN or infinity on 1 of 3 windows"):
        compare(sides["reference"], sides["candidate"], TRUTH)


def test_nothing_to_compare_is_no_success():
    with pytest.raises(CheckError, match="no windows"):
        compare(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), np.empty(0, int))


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(CheckError, match=r"\[3, 3\], the candidate \[3, 2\]"):
        compare(REFERENCE, REFERENCE[:, :2], TRUTH)
    with pytest.raises(CheckError, match="for 2 windows"):
        compare(REFERENCE, REFERENCE, TRUTH[:2])
