import numpy as np
import pytest

from edgeconv.evaluate.compare import PROBABILITY_ROUNDING, Flip, compare
from edgeconv.evaluate.limits import ROUNDING, Limits, limits_of, tolerance
from edgeconv.runtime import CheckError

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.500005, 0.499995, 0.0]], np.float32)
TRUTH = np.array([0, 1, 0])
FLOAT_LIMITS, INT8_LIMITS = limits_of("model.onnx"), limits_of("model.int8.tflite")


def test_a_copy_is_equal_in_every_figure():
    seen = compare(REFERENCE, REFERENCE.copy(), TRUTH)
    assert (seen.max_abs_diff, seen.p999_abs_diff, seen.relative_logit_diff, seen.top1_agreement) == (0, 0, 0, 1)
    assert seen.flips == ()
    assert seen.accuracy == seen.reference_accuracy == pytest.approx(2 / 3)
    assert not seen.violations(FLOAT_LIMITS)
    assert not seen.violations(INT8_LIMITS)


def test_figures_are_those_worked_out_by_hand():
    candidate = REFERENCE.copy()
    candidate[1] = [0.3, 0.45, 0.25]
    seen = compare(REFERENCE, candidate, TRUTH)
    assert seen.accuracy == 1.0
    assert seen.reference_accuracy == pytest.approx(2 / 3)
    assert (seen.only_candidate_right, seen.only_reference_right) == (1, 0)
    assert seen.max_abs_diff == pytest.approx(0.1)
    assert seen.top1_agreement == pytest.approx(2 / 3)
    assert seen.flips == (Flip(1, 0, 1, pytest.approx(0.05), pytest.approx(0.15)),)
    # log(0.45 / 0.3) - log(0.35 / 0.4), relative to 1 because no logit of that window is as large
    assert seen.relative_logit_diff == pytest.approx(np.log(0.45 / 0.3) - np.log(0.35 / 0.4), rel=1e-4)
    assert seen.worst_window == 1


def test_without_the_truth_only_the_distance_is_told():
    seen = compare(REFERENCE, REFERENCE[:, ::-1].copy())
    assert seen.accuracy is seen.reference_accuracy is None
    assert len(seen.flips) == 3
    assert seen.violations(Limits(accuracy_drop=0.0, accuracy=1.0)) == []


def test_the_percentile_is_over_windows_of_the_largest_difference_in_each():
    reference = np.tile(np.array([[0.5, 0.3, 0.2]], np.float32), (2000, 1))
    candidate = reference.copy()
    candidate[:2, 0] += 0.25  # 2 windows of 2000 are the last 0.1 %
    candidate[2:, 2] += 0.125
    seen = compare(reference, candidate, np.zeros(2000, int))
    assert seen.max_abs_diff == pytest.approx(0.25)
    assert seen.p999_abs_diff == pytest.approx(0.125, rel=0.01)


def test_a_tie_is_told_apart_from_other_flips():
    candidate = REFERENCE.copy()
    candidate[1] = [0.25, 0.4, 0.35]
    candidate[2] = [0.25, 0.375, 0.375]
    reference = REFERENCE.copy()
    reference[2] = [0.1, 0.2, 0.7]
    seen = compare(reference, candidate, TRUTH)
    assert [flip.window for flip in seen.flips] == [1, 2]
    assert seen.ties == 1
    assert seen.flips[1].candidate_margin == 0


@pytest.mark.parametrize(("factor", "kept"), [(0.9, True), (1.2, False)])
@pytest.mark.parametrize("logit", [0.5, 4.0])
def test_the_float_limit_is_relative_to_the_window_s_largest_logit(factor, kept, logit):
    def softmax(logits):
        powers = np.exp(logits - logits.max())
        return (powers / powers.sum())[None]

    logits = np.array([logit, 0.1, 0.0])
    p = softmax(logits)[0]
    rounding = PROBABILITY_ROUNDING * (1 / p[0] + 1 / p[1])  # what the probabilities' own rounding explains
    moved = logits - [0, factor * ROUNDING * max(1, logit) + rounding, 0]
    seen = compare(softmax(logits), softmax(moved), TRUTH[:1])
    assert seen.relative_logit_diff == pytest.approx(factor * ROUNDING, rel=1e-3)
    assert (not seen.violations(FLOAT_LIMITS)) == kept


def test_a_class_that_is_one_minus_another_may_be_off_by_the_rounding_of_that_other():
    near_one = np.float32(1 - 3e-7)
    reference = np.array([[1 - near_one, near_one]], np.float32)
    next_to_it = np.nextafter(near_one, np.float32(0))
    candidate = np.array([[1 - next_to_it, next_to_it]], np.float32)
    assert abs(np.log(reference[0, 0]) - np.log(candidate[0, 0])) > 0.1
    assert compare(reference, candidate, TRUTH[:1]).relative_logit_diff == 0


def test_a_noisy_reference_widens_the_float_limit_and_nothing_else():
    assert limits_of("dense.hop3.onnx", 1e-6).relative_logit_diff == tolerance(1e-6) == pytest.approx(4e-6 + ROUNDING)
    assert limits_of("model.int8.tflite", 1e-6) == INT8_LIMITS


def test_probabilities_too_small_for_float32_count_as_equally_small():
    reference = np.array([[1.0, 1e-38, 0.0]], np.float32)
    assert compare(reference, np.array([[1.0, 0.0, 1e-40]], np.float32), TRUTH[:1]).relative_logit_diff == 0


def test_violations_of_int8_say_by_how_much():
    reference = np.tile(np.array([[0.9, 0.1]], np.float32), (1000, 1))
    truth = np.zeros(1000, int)
    candidate = reference.copy()
    candidate[:20] = candidate[:20, ::-1]
    agreement, drop = compare(reference, candidate, truth).violations(INT8_LIMITS)
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
