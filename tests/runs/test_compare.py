import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runs import statistics
from edgeconv.runs.compare import compare
from edgeconv.runs.record import FitName
from edgeconv.runs.statistics import crossed_bootstrap
from edgeconv.runtime import InputError


def levels(subjects, repeats, mean=0.9, seed=0):
    rng = np.random.default_rng(seed)
    return mean + rng.normal(0, 0.02, (subjects, 1)) + rng.normal(0, 0.005, (subjects, repeats))


def test_a_run_against_itself_is_not_resolvable_and_nothing_differs(make_run):
    run = make_run("a", levels(6, 3))
    found = compare(run, run)
    assert found.verdict == "not resolvable"
    assert (found.difference, found.interval.low, found.interval.high) == (0, 0, 0)
    assert found.changed == {}
    assert {pair.difference for pair in (*found.per_subject.values(), *found.per_class.values())} == {0}


def test_a_planted_difference_is_found_and_swapping_changes_the_sign(make_run):
    a, b = make_run("a", levels(8, 4)), make_run("b", levels(8, 4, seed=1) + 0.06, epochs=9)
    found, swapped = compare(a, b), compare(b, a)
    assert (found.verdict, swapped.verdict) == ("better", "worse")
    assert found.difference == pytest.approx(-swapped.difference)
    assert found.interval.low == pytest.approx(-swapped.interval.high)
    assert found.interval.low < found.difference < found.interval.high
    assert found.accuracy.difference == pytest.approx(found.difference), "all subjects have equally many windows"
    assert found.changed == {"epochs": (3, 9)}
    assert found.seeds == (1, 2, 3, 4)
    assert list(found.per_subject) == [str(i) for i in range(8)]
    assert set(found.per_class) == {"walk", "rest"}


def test_one_repeat_of_one_fold_is_never_resolvable_and_has_no_interval(make_run):
    a, b = make_run("a", levels(8, 1)), make_run("b", levels(8, 1) + 0.08)
    found = compare(a, b)
    assert (found.verdict, found.interval) == ("not resolvable", None)
    assert found.difference == pytest.approx(0.08, abs=0.005)


def test_one_repeat_of_several_folds_is_compared_over_the_folds(make_run):
    a, b = make_run("a", levels(10, 1), folds=5), make_run("b", levels(10, 1) + 0.08, folds=5)
    assert compare(a, b).verdict == "better"
    assert compare(b, a).verdict == "worse"


def test_only_repeats_that_both_have_whole_are_compared(make_run):
    a, b = make_run("a", levels(6, 3), folds=2), make_run("b", levels(6, 5), folds=2)
    (b.fit(FitName("folds-2", 2)).folder / "result.json").unlink()
    assert compare(a, b).seeds == (1, 3)


def test_other_data_other_folds_or_no_common_repeat_are_refused_with_what_can_still_be_said(make_run):
    a = make_run("a", levels(6, 2))
    with pytest.raises(InputError, match=r"the data differ \(made up aaaaaaaaaaaa…, made up bbbbbbbbbbbb…\).* own"):
        compare(a, make_run("b", levels(6, 2), data="b" * 64))
    with pytest.raises(InputError, match=r"the folds differ \(folds-1; folds-1, folds-2\).*a-\S+ 89\.\d+ % \(2 rep"):
        compare(a, make_run("c", levels(6, 2), folds=2))
    d = make_run("d", levels(6, 2))
    for record in d.fits():
        (record.folder / "result.json").unlink()
    with pytest.raises(InputError, match=r"no repeat is finished in both \(seeds 1, 2; none\).*d-\S+ has no finished"):
        compare(a, d)


@settings(max_examples=25)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 99))
def test_the_interval_is_turned_by_a_change_of_sign_and_moved_by_a_constant(subjects, repeats, seed):
    differences = np.random.default_rng(seed).normal(0, 0.05, (subjects, repeats))
    fits = np.arange(subjects)
    found = crossed_bootstrap(differences, fits)
    turned, moved = crossed_bootstrap(-differences, fits), crossed_bootstrap(differences + 0.5, fits)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert (moved.low, moved.high) == pytest.approx((found.low + 0.5, found.high + 0.5))


@pytest.mark.parametrize(
    ("subjects", "repeats", "of_subject", "of_seed", "rest"),
    [(21, 3, 0.02, 0.005, 0.02), (9, 10, 0.02, 0.005, 0.02), (21, 5, 0.0, 0.01, 0.001), (18, 1, 0.02, 0.005, 0.02)],
)
def test_a_planted_null_is_called_about_as_seldom_as_said(subjects, repeats, of_subject, of_seed, rest, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 500)  # enough for a rate
    # 5 % are meant. 200 trials of 5 % exceed 9 % once in a hundred; few units add a point or two.
    rng, trials, called = np.random.default_rng(3), 200, 0
    fits = np.arange(subjects) % (6 if repeats == 1 else 1)
    for _ in range(trials):
        by_fit = rng.normal(0, of_seed * 2**0.5, (fits.max() + 1, repeats))[fits]
        both = rng.normal(0, rest * 2**0.5, (subjects, repeats))
        differences = rng.normal(0, of_subject, (subjects, 1)) + by_fit + both
        called += crossed_bootstrap(differences, fits).verdict != "not resolvable"
    assert called / trials <= 0.10


def test_a_difference_of_two_points_over_twenty_subjects_and_five_repeats_is_nearly_always_found():
    rng, trials = np.random.default_rng(4), 50
    found = [
        crossed_bootstrap(
            0.02 + rng.normal(0, 0.01, (20, 1)) + rng.normal(0, 0.003, (1, 5)) + rng.normal(0, 0.02, (20, 5)),
            np.zeros(20, np.int64),
        ).verdict
        for _ in range(trials)
    ]
    assert "worse" not in found
    assert found.count("better") >= 0.9 * trials
