"""Engines in this process and in processes of their own: what they give, and what they leave behind."""

import importlib
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from edgeconv.runs.engine import InProcess, Processes, make_engine
from edgeconv.runtime import CheckError, UsageError


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("engine_toys")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def assert_nobody_left(toys, folder):
    assert active_children() == []
    assert [pid for pids in toys.begun(folder).values() for pid in pids if is_alive(pid)] == []


@pytest.mark.parametrize("engine", [InProcess(), Processes(1), Processes(2), Processes(9)], ids=str)
def test_results_and_events_do_not_depend_on_the_engine(toys, tmp_path, engine):
    told = []
    found = dict(engine.run(toys.square, tmp_path, [3, 5, 8], told.append))
    assert {position: value for position, (value, _) in found.items()} == {0: 9, 1: 25, 2: 64}
    assert sorted(told) == [(task, what) for task in (3, 5, 8) for what in ("begun", "half")]
    for task in (3, 5, 8):  # of one task in their order, before its result
        assert [what for number, what in told if number == task] == ["begun", "half"]
    assert {task: len(pids) for task, pids in toys.begun(tmp_path).items()} == {"3": 1, "5": 1, "8": 1}
    assert active_children() == []


def test_several_workers_work_at_the_same_time_with_one_thread_each(toys, tmp_path):
    assert len(list(Processes(2).run(toys.meet, tmp_path, [0, 1], print))) == 2
    assert set(dict(Processes(2).run(toys.threads, None, [0, 1], print)).values()) == {("1", "1")}


def test_no_tasks_are_no_work(toys):
    assert list(Processes(2).run(toys.square, None, [], print)) == []


def test_a_killed_worker_costs_its_own_task_one_more_attempt_and_the_others_nothing(toys, tmp_path):
    found = list(Processes(2).run(toys.die_once, tmp_path, [0, 1, 2, 3], print))
    assert sorted(found) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert {task: len(pids) for task, pids in toys.begun(tmp_path).items()} == {"0": 1, "1": 2, "2": 1, "3": 1}
    assert_nobody_left(toys, tmp_path)


def test_three_deaths_of_a_task_are_a_check_error_after_which_nobody_is_left(toys, tmp_path):
    found = []
    with pytest.raises(CheckError, match="task 2 of 2 was begun 3 times"):
        found.extend(Processes(1).run(toys.die_always, tmp_path, [0, 1], print))
    assert {task: len(pids) for task, pids in toys.begun(tmp_path).items()} == {"0": 1, "1": 3}
    assert_nobody_left(toys, tmp_path)


def test_an_exception_of_the_work_ends_the_run_with_its_traceback_and_no_process_is_left(toys, tmp_path):
    began = time.monotonic()
    with pytest.raises(ValueError, match="does not like its number") as raised:
        list(Processes(2).run(toys.fail, tmp_path, [0, 1, 2], print))
    assert "engine_toys.py" in "".join(raised.value.__notes__)
    assert time.monotonic() - began < 30, "the other worker's minute was not waited for"
    assert len(toys.begun(tmp_path)["1"]) == 1, "an exception is not tried again"
    assert_nobody_left(toys, tmp_path)


def test_an_exception_that_cannot_travel_arrives_in_words(toys):
    with pytest.raises(RuntimeError, match="AwkwardError: this and that"):
        list(Processes(1).run(toys.fail_awkwardly, None, [0], print))


def test_work_or_tasks_that_cannot_travel_leave_no_process_behind(toys, tmp_path):
    with pytest.raises(Exception, match="pickle"):
        list(Processes(1).run(toys.square, tmp_path, [lambda: 0], print))
    with pytest.raises(Exception, match="pickle"):
        list(Processes(1).run(lambda *_: 0, tmp_path, [1], print))
    assert active_children() == []


def test_leaving_early_ends_the_workers(toys, tmp_path):
    results = Processes(2).run(toys.hold, tmp_path, [0, 1, 2], print)
    assert next(results) == (0, 0)
    results.close()
    assert_nobody_left(toys, tmp_path)


DRIVER = """
import sys
sys.path.insert(0, sys.argv[2])
import engine_toys
from edgeconv.runs.engine import Processes
if __name__ == "__main__":
    try:
        for found in Processes(2).run(engine_toys.hold, sys.argv[1], [1, 2, 3], print):
            print(found)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_in_a_terminal_ends_driver_and_workers_without_a_word_of_theirs(toys, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, script, tmp_path, Path(__file__).parent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        toys.wait_for(lambda: {"1", "2"} <= set(toys.begun(tmp_path)))
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers, too
        assert process.communicate(timeout=30) == ("interrupted\n", "")
    finally:
        process.kill()
    toys.wait_for(lambda: not any(is_alive(pid) for pids in toys.begun(tmp_path).values() for pid in pids))


def test_engines_are_made_by_name_and_refuse_what_makes_no_sense():
    assert make_engine("local", 2) == Processes(2)
    assert make_engine("local") == Processes(len(os.sched_getaffinity(0)))
    for name in ("local", "ray"):
        with pytest.raises(UsageError, match="workers is 0"):
            make_engine(name, 0)
    with pytest.raises(UsageError, match="add --engine ray"):
        make_engine("local", 1, "auto")
