"""What two results show, on rounds that are generated with known changes and known noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeconv.bench.compare import compare, judge_change
from edgeconv.bench.result import Figure, Result, Row
from edgeconv.bench.statistics import instabilities, median
from edgeconv.runtime import CheckError, InputError, UsageError

MACHINE = {"id": "abc", "processor": "P1", "cores": 4, "cores_available": 4, "python": "3.12", "onnxruntime": "1.20"}
SETTINGS = {"device": "cpu", "threads": 1, "hop": 64, "seed": 1, "windows": 2048, "streams": 100, "packet": 32}


def figure(rounds) -> Figure:
    found = median(rounds)
    return Figure(found.value, found.low, found.high, tuple(float(value) for value in rounds))


def row(**figures) -> Row:
    first = next(iter(figures.values()), None)
    return Row(
        file="model.onnx", file_bytes=1, problem="", facts={}, figures={k: figure(v) for k, v in figures.items()},
        details={}, relative=None, unstable=tuple(instabilities(first)) if first is not None else (), crowded=False,
        units_per_run=1.0, runs_per_round=1, warm_up_s=0.1, settled=True, retried_rounds=0, others_cores=0.0,
        peak_memory_mib=50.0,
    )  # fmt: skip


def result(scenarios, **changes) -> Result:
    files = {"model.onnx": {"sha256": "1" * 64, "bytes": 1}}
    whole = Result(
        created="2030-01-01T00:00:00+00:00", seconds=1.0, edgeconv="1", machine=MACHINE, load_average=[0.1, 0.2],
        model={"name": "m", "version": "1", "files": files}, left_out={}, settings=SETTINGS, scenarios=scenarios,
    )  # fmt: skip
    return replace(whole, **changes)


def offline(rounds, **changes) -> Result:
    return result({"offline": {"windows": row(us_per_prediction=rounds)}}, **changes)


def quiet(draws, level=100.0, noise=0.01, rounds=20):
    """Rounds of one run on a quiet machine: independent noise around a level."""
    return level * draws.normal(1, noise, rounds)


def only(comparison):
    (change,) = comparison.changes
    return change


SEEDS = range(100)


def test_a_slow_down_of_10_percent_is_found_every_time():
    for seed in SEEDS:
        draws = np.random.default_rng(seed)
        change = only(compare(offline(quiet(draws)), offline(quiet(draws, level=110))))
        assert change.verdict == "slower", seed
        assert change.stable
        assert change.ratio.low < 1.1 * 1.01
        assert change.ratio.value == pytest.approx(1.1, rel=0.02)


def test_a_speed_up_of_10_percent_is_found_every_time():
    for seed in SEEDS:
        draws = np.random.default_rng(seed)
        change = only(compare(offline(quiet(draws, level=110)), offline(quiet(draws))))
        assert change.verdict == "faster", seed


def test_noise_of_1_percent_is_no_change():
    for seed in SEEDS:
        draws = np.random.default_rng(seed)
        assert only(compare(offline(quiet(draws)), offline(quiet(draws)))).verdict == "not resolvable", seed


def test_runs_that_differ_by_1_percent_as_a_whole_hardly_ever_count_as_a_change():
    # Each run has a level of its own, with a standard deviation of 1 %, besides noise of 1 % in its rounds. The levels'
    # ratio then has a standard deviation of 1.4 %, and half of the interval is about 0.8 %: beyond a margin of 3 % it
    # lies in 1.6 % of pairs (counted over 2000 seeds). Without a margin, 57 % of pairs would count as a change.
    verdicts, without_margin = [], []
    for seed in range(150):
        draws = np.random.default_rng(seed)
        before, after = (quiet(draws, level=100 * draws.normal(1, 0.01)) for _ in range(2))
        verdicts.append(only(compare(offline(before), offline(after))).verdict != "not resolvable")
        without_margin.append(only(compare(offline(before), offline(after), margin=0.0)).verdict != "not resolvable")
    assert np.mean(verdicts) <= 0.04
    assert np.mean(without_margin) > 0.4


@pytest.mark.parametrize(("level", "verdict"), [(102, "not resolvable"), (105, "slower"), (95, "faster")])
def test_the_margin_decides_which_changes_count(level, verdict):
    draws = np.random.default_rng(1)
    before, after = offline(quiet(draws, noise=0.002)), offline(quiet(draws, level, noise=0.002))
    assert only(compare(before, after)).verdict == verdict
    assert only(compare(before, after, margin=0.1)).verdict == "not resolvable"


def test_an_unstable_figure_changes_only_if_all_its_rounds_do():
    draws = np.random.default_rng(2)
    steady, noisy = quiet(draws), quiet(draws, level=150, noise=0.1)
    assert instabilities(noisy)
    change = only(compare(offline(steady), offline(noisy)))
    assert (change.verdict, change.stable) == ("slower", False)
    # Now one round of the second run was as quick as those of the first.
    noisy[3] = 101.0
    assert only(compare(offline(steady), offline(noisy))).verdict == "not resolvable"
    assert judge_change(figure(steady), figure(noisy), 0.03, stable=True)[1] == "slower"


def test_a_few_unstable_rounds_show_nothing():
    before, after = offline([1.0, 1.0, 1.0, 1.0, 1.5]), offline([4.0, 9.0, 9.0, 9.0, 9.0])
    assert only(compare(before, after)).verdict == "not resolvable"
    twice = offline([1.0, 1.0, 1.0, 1.0, 1.5] * 2), offline([4.0, 9.0, 9.0, 9.0, 9.0] * 2)
    assert only(compare(*twice)).verdict == "slower"


def test_tails_and_pushes_after_idling_need_a_wide_margin():
    draws = np.random.default_rng(5)

    def both(level):
        rounds = {"p50_us": quiet(draws, level), "p99_us": quiet(draws, level)}
        return result({"single-stream": {"push": row(**rounds)}, "paced": {"push": row(p50_us=rounds["p50_us"])}})

    verdicts = {(c.scenario, c.figure): (c.verdict, c.margin) for c in compare(both(100), both(140)).changes}
    assert verdicts == {
        ("single-stream", "p50_us"): ("slower", 0.03),
        ("single-stream", "p99_us"): ("not resolvable", 0.5),
        ("paced", "p50_us"): ("not resolvable", 0.5),
    }
    assert {change.verdict for change in compare(both(100), both(160)).changes} == {"slower"}
    assert {change.margin for change in compare(both(100), both(100), margin=0.6).changes} == {0.6}


def test_runs_disturbed_by_neighbours_are_seldom_taken_for_a_change():
    # In the second run other processes slow nearly every round, by up to 100 %: nothing about the model has changed.
    wrong = 0
    for seed in range(100):
        draws = np.random.default_rng(seed)
        disturbed = quiet(draws) * (1 + draws.choice([0, 1], 20, p=[0.2, 0.8]) * draws.uniform(0, 1, 20))
        wrong += only(compare(offline(quiet(draws)), offline(disturbed))).verdict != "not resolvable"
    assert wrong <= 1


def test_without_a_core_to_itself_nothing_is_said_of_a_contestant():
    draws = np.random.default_rng(3)
    crowded = offline(quiet(draws, level=300))
    windows = replace(crowded.scenarios["offline"]["windows"], crowded=True, unstable=("too few cores",))
    crowded = replace(crowded, scenarios={"offline": {"windows": windows}})
    steady = offline(quiet(draws))
    assert only(compare(steady, crowded)).verdict == "not resolvable"
    assert only(compare(crowded, steady)).verdict == "not resolvable"


def test_only_what_both_have_is_compared_and_in_the_order_of_the_first():
    one = [1.0, 1.0]
    before = result(
        {"offline": {"windows": row(a=one, b=one), "dense": row(a=one)}, "paced": {"push": row(a=one)}},
    )
    after = result({"paced": {"push": row(a=one)}, "offline": {"windows": row(b=one, a=one), "new": row(a=one)}})
    seen = [(change.scenario, change.contestant, change.figure) for change in compare(before, after).changes]
    assert seen == [("offline", "windows", "a"), ("offline", "windows", "b"), ("paced", "push", "a")]


def test_a_figure_too_small_for_the_clock_has_no_ratio():
    both = result({"offline": {"windows": row(a=[1.0, 1.0], cpu=[0.0, 0.1])}})
    assert [change.figure for change in compare(both, both).changes] == ["a"]


def test_two_machines_are_compared_only_if_asked():
    one, other = offline([1.0, 1.0]), offline([9.0, 9.0], machine={**MACHINE, "id": "xyz", "processor": "P2"})
    with pytest.raises(UsageError, match=r"two machines \(P1, 4 cores; P2, 4 cores\).*--across-machines"):
        compare(one, other)
    found = compare(one, other, across_machines=True)
    assert only(found).verdict == "slower"
    assert "two machines: P1, 4 cores; P2, 4 cores" in found.warnings


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"settings": {**SETTINGS, "threads": 2}}, "threads differs: 1 and 2"),
        ({"settings": {**SETTINGS, "hop": 16}}, "hop differs: 64 and 16"),
        ({"edgeconv": "2"}, "edgeconv differs: 1 and 2"),
        ({"machine": {**MACHINE, "onnxruntime": "1.21"}}, "onnxruntime differs: 1.20 and 1.21"),
        (
            {"model": {"name": "m", "files": {"model.onnx": {"sha256": "2" * 64}}}},
            "model.onnx differs: 111111111111 and 222222222222",
        ),
    ],
)
def test_what_was_different_on_purpose_or_not_is_said(changes, warning):
    found = compare(offline([1.0, 1.0]), offline([1.0, 1.0], **changes))
    assert found.warnings == (warning,)
    assert only(found).verdict == "not resolvable"


def test_rows_that_cannot_be_trusted_are_named():
    before, after = offline([1.0, 1.0]), offline([1.0, 3.0])
    assert compare(before, after).warnings == ("unstable in the second result: offline windows",)


def test_other_work_is_left_out_of_the_comparison():
    scenarios = {"offline": {"windows": row(a=[1.0, 1.0])}, "multi-stream": {"push": row(a=[1.0, 1.0])}}
    found = compare(result(scenarios), result(scenarios, settings={**SETTINGS, "streams": 7}))
    assert [change.scenario for change in found.changes] == ["offline"]
    assert found.warnings == ("multi-stream is left out, because streams is 100 in one and 7 in the other",)


def test_nothing_in_common_is_bad_input():
    with pytest.raises(InputError, match="no figure in common: offline; paced"):
        compare(offline([1.0, 1.0]), result({"paced": {"push": row(a=[1.0, 1.0])}}))
    with pytest.raises(InputError, match="windows is 2048 in one and 9 in the other"):
        compare(offline([1.0, 1.0]), offline([1.0, 1.0], settings={**SETTINGS, "windows": 9}))


@pytest.mark.parametrize("margin", [-0.01, 1.0, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(UsageError, match="margin is"):
        compare(offline([1.0, 1.0]), offline([1.0, 1.0]), margin)


def test_slower_figures_fail_the_check_by_name_and_faster_ones_pass():
    draws = np.random.default_rng(4)
    before, after = offline(quiet(draws)), offline(quiet(draws, level=120))
    with pytest.raises(CheckError, match=r"1 of 1 figures are slower: offline windows us_per_prediction ×1\.\d\d"):
        compare(before, after).require_not_slower()
    compare(after, before).require_not_slower()
    compare(before, before).require_not_slower()
