"""Contestants in processes of their own: who runs when, what is seen of them, and that none is left behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv.bench import Contestant, Entry, Plan, measure
from edgeconv.bench.contestant import timed_round, warm_up
from edgeconv.runtime import CheckError, InputError, UsageError

QUICK = Plan(rounds=3, round_s=0.002, warm_up_s=0)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what Linux tells of processes")


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


def runs_in(log: Path) -> list[tuple[int, float, float]]:
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(int(pid), float(began), float(ended)) for pid, began, ended in lines]


def test_every_contestant_has_a_process_of_its_own(toys):
    seen = measure([Entry(name, toys.process_id) for name in "abc"], QUICK)
    assert [one.name for one in seen] == ["a", "b", "c"]
    pids = {one.answer for one in seen}
    assert len(pids | {os.getpid()}) == 4
    assert [one.facts["pid"] for one in seen] == [one.answer for one in seen]


def test_never_two_at_once_and_everyone_once_in_each_round(toys, tmp_path):
    log = tmp_path / "log"
    entries = [Entry(name, toys.sleeper, {"log": str(log), "answer": name}) for name in "abc"]
    plan = Plan(rounds=12, round_s=1e-6, warm_up_s=0, retries=0)
    measure(entries, plan)
    runs = runs_in(log)
    assert all(ended <= began for (_, _, ended), (_, began, _) in itertools.pairwise(runs))
    # First everyone's warm-up, one after the other, then the rounds.
    pids = [pid for pid, _, _ in runs]
    assert len(pids) == 3 * (1 + plan.rounds)
    blocks = [tuple(pids[i : i + 3]) for i in range(0, len(pids), 3)]
    assert all(set(block) == set(pids[:3]) for block in blocks)
    assert len(set(blocks[1:])) > 1
    orders = [tuple(block.index(pid) for pid in pids[:3]) for block in blocks[1:]]
    log.unlink()
    measure(entries, plan)
    pids = [pid for pid, _, _ in runs_in(log)]
    again = [tuple(pids[i : i + 3].index(pid) for pid in pids[:3]) for i in range(3, len(pids), 3)]
    assert again == orders


def test_wrong_answers_are_seen_before_any_time_is_taken(toys, tmp_path):
    log = tmp_path / "log"
    entries = [
        Entry("right", toys.sleeper, {"answer": 1}),
        Entry("wrong", toys.sleeper, {"answer": 2, "log": str(log)}),
        Entry("right too", toys.sleeper, {"answer": 1}),
    ]
    judged = []

    def judge(answers):
        judged.append(dict(answers))
        return {name: f"it said {answer}" for name, answer in answers.items() if answer != 1}

    right, wrong, right_too = measure(entries, QUICK, judge)
    assert judged == [{"right": 1, "wrong": 2, "right too": 1}]
    assert wrong.problem == "it said 2"
    assert (wrong.rounds, wrong.warm_up, wrong.retried) == ((), None, 0)
    assert not log.exists()
    assert [len(one.rounds) for one in (right, right_too)] == [3, 3]
    assert right.problem == ""


def test_figures_are_per_unit_and_per_round(toys):
    (one,) = measure([Entry("a", toys.own_clock)], Plan(rounds=2, round_s=1e-9, warm_up_s=0, least_runs=5))
    assert [round_.query_s.tolist() for round_ in one.rounds] == [[1, 2, 3] * 5] * 2
    assert one.us_per_unit.tolist() == [2e6, 2e6]  # 6 s for 3 predictions
    assert one.percentile_us(50).tolist() == [2e6, 2e6]
    expected = [1e3 * round_.cpu_s / 15 for round_ in one.rounds]
    assert one.cpu_s_per_1000.tolist() == pytest.approx(expected)


def test_a_round_has_as_many_runs_as_fill_it(toys):
    (one,) = measure([Entry("a", toys.counter)], Plan(rounds=4, round_s=0.02, warm_up_s=0))
    repetitions = one.warm_up.repetitions
    assert 1 < repetitions <= 10  # a run takes 2 ms or, where the system wakes it late, more
    assert {len(round_.query_s) for round_ in one.rounds} == {repetitions}
    # One run to warm up, and one that is not timed before each round.
    assert one.facts["runs"] == 1 + (4 + one.retried) * (1 + repetitions)


def test_warming_up_ends_when_the_times_have_settled(toys):
    (one,) = measure([Entry("a", toys.sleeper, {"seconds": 0.02})], Plan(rounds=2, round_s=0.02, warm_up_s=60))
    assert one.warm_up.settled is True


def test_a_warm_up_that_does_not_settle_ends_at_the_cap_and_says_so():
    runs = 0

    def run():
        nonlocal runs
        runs += 1
        return sum(range(int(1000 * 1.2**runs)))  # each run longer than the one before

    found = warm_up(Contestant(run), round_s=1e-9, cap_s=0.05, least=1)
    assert found.settled is False
    assert found.seconds >= 0.05


def test_no_warm_up_is_a_single_run():
    runs = []
    found = warm_up(Contestant(lambda: runs.append(1)), round_s=1.0, cap_s=0, least=3)
    assert len(runs) == 1
    assert found.settled is None
    assert found.repetitions >= 3


@linux
def test_what_a_process_costs_is_counted_for_it_alone(toys):
    ballast = np.ones(600 << 20, np.uint8)
    small, large = measure([Entry("small", toys.memory, {"mib": 1}), Entry("large", toys.memory, {"mib": 200})], QUICK)
    del ballast
    # Far below what this process holds, which the system would otherwise count for those that it starts.
    assert 5 < small.peak_memory_mib < 300
    assert large.peak_memory_mib - small.peak_memory_mib == pytest.approx(199, abs=20)


@linux
def test_processor_time_includes_that_of_processes_it_waited_for():
    import subprocess

    code = "import time\nwhile time.process_time() < 0.2: pass"
    round_ = timed_round(Contestant(lambda: subprocess.run([sys.executable, "-c", code], check=True)), 1)
    assert round_.cpu_s >= 0.2


@linux
def test_rounds_without_a_core_are_run_again_but_not_for_ever(toys):
    plan = Plan(rounds=3, round_s=0.1, warm_up_s=0, retries=4)
    (one,) = measure([Entry("a", toys.crowded)], plan)
    os.kill(one.answer, 9)
    assert one.retried == 4
    assert len(one.rounds) == 3
    # Two that compute share a core: each waits about half of the time.
    assert max(round_.waited for round_ in one.rounds) > 0.1
    assert one.others_cores > 0.1


def test_what_a_contestant_prints_is_no_result(toys, capfd):
    measure([Entry("a", toys.talker)], QUICK)
    out, err = capfd.readouterr()
    assert out == ""
    assert "this is no result" in err


@pytest.mark.parametrize("when", ["make", "check", "run"])
def test_an_edgeconv_error_of_a_contestant_is_raised_as_it_is(toys, when):
    with pytest.raises(InputError, match=r"^a channel is missing$"):
        measure([Entry("good", toys.counter), Entry("bad", toys.fails, {"how": "input", "when": when})], QUICK)


@pytest.mark.parametrize("when", ["make", "check", "run"])
def test_another_failure_names_the_contestant_and_keeps_where_it_happened(toys, when):
    with pytest.raises(CheckError, match=r"^bad failed: KeyError: 'weights\\nsecond line'") as raised:
        measure([Entry("good", toys.counter), Entry("bad", toys.fails, {"how": "bug", "when": when})], QUICK)
    assert "bench_toys.py" in "".join(raised.value.__notes__)


@pytest.mark.parametrize("when", ["make", "check", "run"])
def test_a_process_that_dies_is_said_to_have_died(toys, when):
    with pytest.raises(CheckError, match=r"the process of bad ended with exit code 7 before it answered"):
        measure([Entry("good", toys.counter), Entry("bad", toys.fails, {"how": "die", "when": when})], QUICK)


def test_answers_that_cannot_travel_are_a_failure_too(toys):
    with pytest.raises(CheckError, match=r"^bad failed: \w+: .*pickle"):
        measure([Entry("bad", toys.cannot_be_pickled)], QUICK)


@pytest.mark.parametrize("at", ["load b", "warm up b", "run b"])
def test_ctrl_c_at_any_step_leaves_no_process(toys, at):
    def interrupt(step, _done):
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([Entry("a", toys.counter), Entry("b", toys.counter)], QUICK, on_progress=interrupt)


def test_progress_goes_from_0_to_nearly_1(toys):
    steps = []
    measure([Entry("a", toys.counter)], QUICK, on_progress=lambda *step: steps.append(step))
    assert [what for what, _ in steps] == ["load a", "warm up a", "run a", "run a", "run a"]
    assert [done for _, done in steps] == [0, 0.2, 0.4, 0.6, 0.8]


@pytest.mark.parametrize(
    "wrong", [{"rounds": 1}, {"rounds": 0}, {"round_s": 0}, {"least_runs": 0}, {"warm_up_s": -1}, {"retries": -1}]
)
def test_a_plan_that_shows_nothing_is_refused(wrong):
    with pytest.raises(UsageError):
        Plan(**wrong)


def test_names_must_tell_the_contestants_apart(toys):
    with pytest.raises(UsageError, match="are called a, a"):
        measure([Entry("a", toys.counter), Entry("a", toys.counter)], QUICK)
