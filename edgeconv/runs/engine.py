"""Where tasks are done: in this process, in several processes of one thread each, or on a Ray cluster.

A task's result does not depend on the engine: a fit runs with one thread wherever it runs.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, Literal, Protocol

from edgeconv.runtime.errors import CheckError, UsageError

ATTEMPTS = 3
"""How often a task is begun whose worker dies, before that is an error."""
GRACE_S = 5.0
"""How long a worker that is told to end may take."""

EVENT, DONE, FAILED = range(3)
"""What a worker says."""

Tell = Callable[[Any], None]
"""How a task says how far it is."""
Work = Callable[[Any, Any, Tell], Any]
"""What is done: of (what all tasks share, the task, how to say how far it is) to the result; importable by its name."""


class Engine(Protocol):
    """Something that does tasks, in any order, and yields each result as soon as it is there."""

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Yield (position of the task, its result); `on_event` hears what tasks tell, where the engine carries it.

        A task whose worker dies is done again; raises CheckError where that happens `ATTEMPTS` times. An exception of
        the work itself ends the run. Closing the iterator ends the workers.
        """


def make_engine(
    name: Literal["local", "ray"], workers: int | None = None, address: str | None = None, *, many: bool = False
) -> Engine:
    """Return the engine of this name; `many` where tasks are many and short, as recordings are.

    workers: tasks at once; by default as many as there are cores, here or in the cluster
    address: of a Ray cluster, `auto`, `host:port` or `ray://host:port`; None starts Ray on this machine
    Raises UsageError for arguments that do not fit, and where Ray is not installed.
    """
    if name == "ray":
        from .ray_data import RayData
        from .ray_engine import Ray

        return RayData(address, workers) if many else Ray(address, workers)
    if address is not None:
        raise UsageError(f"--address {address} names a Ray cluster; add --engine ray")
    return Processes(len(os.sched_getaffinity(0)) if workers is None else workers)


def check_workers(workers: int | None) -> None:
    """Raise UsageError for a number of workers below 1."""
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}; give a whole number from 1")


@dataclass(frozen=True)
class InProcess:
    """One task after another, here."""

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Do the tasks as `Engine` says."""
        for position, task in enumerate(tasks):
            yield position, work(shared, task, on_event)


@dataclass(frozen=True)
class Processes:
    """Several tasks at once, each in a process of one thread."""

    workers: int

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Do the tasks as `Engine` says; a death costs the task of the worker that died, and no other."""
        first = pickle.dumps((work, shared))  # once for all workers
        waiting = deque(range(len(tasks)))
        deaths: Counter[int] = Counter()
        idle = [_Worker() for _ in range(min(self.workers, len(tasks)))]
        busy: dict[Any, _Worker] = {}
        try:
            for worker in idle:
                worker.send(first)
            while waiting or busy:
                while waiting and idle:
                    worker = idle.pop()
                    worker.position = waiting.popleft()
                    busy[worker.pipe] = worker
                    worker.send(pickle.dumps(tasks[worker.position]))
                for pipe in connection.wait(list(busy)):
                    worker = busy[pipe]
                    try:
                        said, value = pickle.loads(worker.pipe.recv_bytes())
                    except (EOFError, OSError):
                        del busy[pipe]
                        worker.end()
                        waiting.appendleft(worker.position)
                        deaths[worker.position] += 1
                        if deaths[worker.position] == ATTEMPTS:
                            raise died(worker.position, len(tasks)) from None
                        idle.append(_Worker())
                        idle[-1].send(first)
                        continue
                    if said == EVENT:
                        on_event(value)
                        continue
                    idle.append(busy.pop(pipe))
                    if said == FAILED:
                        raise value
                    yield worker.position, value
        finally:
            everybody = [*idle, *busy.values()]
            for worker in everybody:
                worker.process.terminate()
            for worker in everybody:
                worker.end()


def died(position: int, tasks: int) -> CheckError:
    """Return the error for a task that takes its worker with it every time."""
    return CheckError(
        f"task {position + 1} of {tasks} was begun {ATTEMPTS} times and its worker process died each time, most likely "
        "for want of memory; what was finished is kept: try fewer --workers"
    )


class _Worker:
    """A process that does one task after another, and the pipe to it."""

    def __init__(self) -> None:
        context = get_context("spawn")  # TensorFlow does not live through a fork
        self.pipe, theirs = context.Pipe()
        self.position = -1
        """Of the task that it was last given."""
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()  # so that its death closes the pipe

    def send(self, data: bytes) -> None:
        """Send what the worker waits for; that it has died shows where its answer is read."""
        with suppress(OSError):
            self.pipe.send_bytes(data)

    def end(self) -> None:
        """End the process, whatever it does, and close the pipe."""
        self.process.terminate()
        self.process.join(GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let a process that is started here hear nothing of Ctrl-C, which is its parent's business."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Any) -> None:
    """Do tasks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()  # before what is sent brings numerical libraries along
    with suppress(EOFError, OSError):  # nobody is there any more
        work, shared = pickle.loads(pipe.recv_bytes())
        while True:
            pipe.send_bytes(_answer(work, shared, pipe.recv_bytes(), pipe))


def _answer(work: Work, shared: Any, task: bytes, pipe: Any) -> bytes:
    try:
        result = work(shared, pickle.loads(task), lambda event: pipe.send_bytes(pickle.dumps((EVENT, event))))
        return pickle.dumps((DONE, result))
    except Exception as error:
        return pickle.dumps((FAILED, portable(error)))


def portable(error: Exception) -> Exception:
    """Return an exception that can travel, with its traceback as a note: itself, or one that has its words."""
    trace = traceback.format_exc()
    try:
        error.add_note(trace)
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign exception does when it is pickled
        error = RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(trace)
    return error


def one_thread() -> None:
    """Let the numerical libraries that this process has yet to load use one thread."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
