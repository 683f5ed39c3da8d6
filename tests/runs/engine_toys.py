"""Toy work for engines; what was executed, and by whom, is counted in files in the folder that tasks share."""

import os
import signal
import time
from pathlib import Path


def begin(folder, task):
    """Note one execution, and return how many there were before."""
    path = Path(folder) / f"{task}.begun"
    before = path.read_text().split() if path.exists() else []
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(before)


def end(folder, task):
    (Path(folder) / f"{task}.ended").write_text("")


def begun(folder):
    """Return the process ids of all executions by task."""
    return {path.stem: [int(pid) for pid in path.read_text().split()] for path in Path(folder).glob("*.begun")}


def wait_for(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.02)


def square(folder, task, tell):
    begin(folder, task)
    tell((task, "begun"))
    tell((task, "half"))
    return task * task, os.getpid()


def meet(folder, task, tell):
    """Wait until another worker is at work, too."""
    begin(folder, task)
    wait_for(lambda: len({pid for pids in begun(folder).values() for pid in pids}) > 1)
    return os.environ.get("RAY_RAYLET_PID"), task


def threads(shared, task, tell):
    return os.environ["OMP_NUM_THREADS"], os.environ["TF_NUM_INTRAOP_THREADS"]


def die_once(folder, task, tell):
    """Task 1 kills its worker at its first attempt, well after task 0 has ended."""
    attempt = begin(folder, task)
    if task == 1 and attempt == 0:
        wait_for(lambda: (Path(folder) / "0.ended").exists())
        time.sleep(1)  # the result leaves the worker after the work has ended, and this may be the same worker
        os.kill(os.getpid(), signal.SIGKILL)
    end(folder, task)
    return task


def die_always(folder, task, tell):
    begin(folder, task)
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def fail(folder, task, tell):
    begin(folder, task)
    if task == 1:
        raise ValueError("this task does not like its number")
    time.sleep(60)


class AwkwardError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_awkwardly(shared, task, tell):
    raise AwkwardError("this", "that")


def hold(folder, task, tell):
    """Answer at task 0, hold the worker for a minute with any other."""
    begin(folder, task)
    if task:
        time.sleep(60)
    else:
        wait_for(lambda: "1" in begun(folder))
    return task


def hold_on_node(folder, task, tell):
    """Hold the worker at the first attempt of all tasks but 0, until its node is taken away."""
    attempt = begin(folder, task)
    Path(folder, f"{task}.{attempt}.node").write_text(os.environ.get("RAY_RAYLET_PID", ""))
    if task and attempt == 0:
        wait_for(lambda: Path(folder, "killed").exists())
    return task
