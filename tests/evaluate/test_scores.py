import numpy as np
import pytest

from edgeconv.evaluate.scores import score


def test_scores_are_those_worked_out_by_hand():
    # truth 0 0 1 1 2; predicted 0 1 1 1 0: class 2 is never predicted
    predicted = np.eye(3, dtype=np.float32)[[0, 1, 1, 1, 0]]
    seen = score(predicted, np.array([0, 0, 1, 1, 2]), np.array([5, 5, 5, 7, 7]), ["a", "b", "c"])
    assert seen.accuracy == pytest.approx(3 / 5)
    assert seen.confusion == ((1, 1, 0), (0, 2, 0), (1, 0, 0))
    assert [c.recall for c in seen.per_class] == pytest.approx([1 / 2, 1, 0])
    assert [c.precision for c in seen.per_class] == pytest.approx([1 / 2, 2 / 3, 0])
    assert [c.f1 for c in seen.per_class] == pytest.approx([1 / 2, 4 / 5, 0])
    assert seen.macro_f1 == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    assert seen.per_subject == pytest.approx({5: 2 / 3, 7: 1 / 2})
    assert [c.windows for c in seen.per_class] == [2, 2, 1]


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_lower_macro_f1():
    predicted = np.eye(3, dtype=np.float32)[[0, 1]]
    assert score(predicted, np.array([0, 1]), np.array([1, 1]), ["a", "b", "c"]).macro_f1 == 1.0
