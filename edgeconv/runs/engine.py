"""Where tasks are done: in this process, or in several processes of one thread each; other engines have the same shape.

A task's result does not depend on the engine: a fit runs with one thread wherever it runs.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from edgeconv.runtime.errors import CheckError, UsageError

ATTEMPTS = 3
"""How often a task is begun whose worker dies, before that is an error."""
POLL_S = 0.1

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
        if self.workers < 1:
            raise UsageError(f"workers is {self.workers}; give a whole number from 1")

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Do the tasks as `Engine` says."""
        context = multiprocessing.get_context("spawn")  # TensorFlow does not live through a fork
        left = dict(enumerate(tasks))
        with context.Manager() as manager:
            events = manager.Queue()
            for _ in range(ATTEMPTS):
                if not left:
                    return
                pool = ProcessPoolExecutor(
                    min(self.workers, len(left)), context, initializer=_begin, initargs=(work, shared, events)
                )
                try:
                    futures = {pool.submit(_do, task): position for position, task in left.items()}
                    for position, result in _as_they_come(futures, events, on_event):
                        del left[position]
                        yield position, result
                except BrokenProcessPool:
                    continue  # what was finished is kept; the rest is begun again
                finally:
                    # Shutting down waits for the tasks at work, and nobody wants them when this is left early.
                    for process in list((pool._processes or {}).values()):
                        process.terminate()
                    pool.shutdown(wait=True, cancel_futures=True)
        if left:
            raise CheckError(
                f"worker processes ended {ATTEMPTS} times without an answer, most likely for want of memory; "
                f"{len(left)} of {len(tasks)} tasks are not done: try fewer --workers"
            )


def _as_they_come(futures: dict[Future[Any], int], events: Any, on_event: Tell) -> Iterator[tuple[int, Any]]:
    waiting = set(futures)
    broken: BaseException | None = None
    while waiting:
        done, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
        while True:
            try:
                on_event(events.get_nowait())
            except queue.Empty:
                break
        for future in done:
            if isinstance(future.exception(), BrokenProcessPool):
                broken = future.exception()
            else:
                yield futures[future], future.result()
    if broken is not None:
        raise broken


_work: Work
_shared: Any
_events: Any


def _begin(work: Work, shared: Any, events: Any) -> None:
    """Make a worker ready: one thread, and Ctrl-C is the business of the process that started it."""
    global _work, _shared, _events
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()
    _work, _shared, _events = work, shared, events


def one_thread() -> None:
    """Let the numerical libraries that this process has yet to load use one thread."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"


def _do(task: Any) -> Any:
    return _work(_shared, task, _events.put)
