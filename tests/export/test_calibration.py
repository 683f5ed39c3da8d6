import numpy as np
import pytest

from edgeconv.data.dataset import Split
from edgeconv.export.calibration import ATTEMPTS, TRIMMED, Calibration


@pytest.fixture(scope="module")
def train():
    rng = np.random.default_rng(0)
    classes, subjects = rng.choice(3, 2000, p=[0.8, 0.15, 0.05]), rng.integers(1, 5, 2000)
    return Split(rng.normal(size=(2000, 8, 2)).astype(np.float32), classes, subjects)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_the_same_draw_gives_the_same_rows_each_once_and_in_order(train, attempt):
    rows = attempt.rows(train, train.windows)
    np.testing.assert_array_equal(rows, attempt.rows(train, train.windows))
    assert len(rows) == attempt.count
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= 0
    assert rows[-1] < len(train)


def test_the_attempts_are_all_different(train):
    draws = [a.rows(train, train.windows).tobytes() for a in ATTEMPTS]
    assert len(set(draws)) == len(draws)


def test_a_balanced_draw_takes_as_many_of_each_subject_and_class_while_it_can(train):
    rows = Calibration("balanced", 120, 0).rows(train, train.windows)
    counts = np.zeros((5, 3), int)
    np.add.at(counts, (train.subjects[rows], train.class_ids[rows]), 1)
    assert (counts[1:] == 10).all()


def test_a_trimmed_draw_leaves_out_the_windows_that_reach_furthest(train):
    reach = np.abs(train.windows).max(axis=(1, 2))
    rows = Calibration("trimmed", 2000, 0).rows(train, train.windows)
    assert len(rows) == pytest.approx(2000 * (1 - TRIMMED), abs=1)
    left_out = np.setdiff1d(np.arange(2000), rows)
    assert reach[left_out].min() > reach[rows].max()


def test_more_than_there_are_gives_all():
    few = Split(np.zeros((3, 4, 1), np.float32), np.array([0, 1, 1]), np.array([1, 1, 2]))
    for method in ("random", "balanced"):
        assert Calibration(method, 100, 0).rows(few, few.windows).tolist() == [0, 1, 2]
