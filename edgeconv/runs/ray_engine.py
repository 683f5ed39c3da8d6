"""Long tasks, such as fits, on a Ray cluster (https://docs.ray.io)."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgeconv.runtime.errors import CheckError

from .engine import ATTEMPTS, DONE, FAILED, Tell, Work, check_workers, died, one_thread, portable
from .ray_cluster import cluster, differences, versions_here

POLL_S = 0.2
"""How often events are asked for."""
EVENTS_S = 60.0
"""How long a result waits for the events that were told before it."""


@dataclass(frozen=True)
class Ray:
    """Each task with one core and one thread, anywhere in the cluster at `address`; None starts Ray on this machine."""

    address: str | None = None
    workers: int | None = None
    """Tasks at once; by default as many as the cluster has cores for."""

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Do the tasks as `Engine` says; raises as `ray_cluster.cluster` does, too.

        Deaths are counted here and not by Ray's `max_retries`, which repeats without end what the kernel or Ray kills
        for want of memory.
        """
        if not tasks:
            return
        with cluster(self.address, self.workers) as ray:
            events = ray.remote(num_cpus=0, max_restarts=-1)(_Events).remote()
            ear = _Ear(ray, events)
            do = ray.remote(num_cpus=1, max_retries=0)(_do)
            # Once into the object store, from where each node takes it once and its workers share the arrays.
            first = ray.put((work, shared))
            here = versions_here()
            waiting = deque(range(len(tasks)))
            deaths: Counter[int] = Counter()
            busy: dict[Any, int] = {}
            try:
                while waiting or busy:
                    # Without a limit the cluster hears of all tasks, and one that grows knows how far.
                    while waiting and (self.workers is None or len(busy) < self.workers):
                        position = waiting.popleft()
                        busy[do.remote(first, tasks[position], events, here)] = position
                    done, _ = ray.wait(list(busy), timeout=POLL_S)
                    for event in ear.all() if done else ear.some():
                        on_event(event)
                    for reference in done:
                        position = busy.pop(reference)
                        try:
                            said, value = pickle.loads(ray.get(reference))
                        except ray.exceptions.RayTaskError as error:
                            raise CheckError(f"a worker could not begin its task: {error.cause}") from error
                        except ray.exceptions.RayError:  # the worker, its node, or what it left there
                            waiting.appendleft(position)
                            deaths[position] += 1
                            if deaths[position] == ATTEMPTS:
                                raise died(position, len(tasks)) from None
                            continue
                        if said == FAILED:
                            raise value
                        yield position, value
            finally:
                for reference in busy:
                    ray.cancel(reference, force=True)
                ray.kill(events)


class _Events:
    """An actor that keeps what tasks tell until the driver takes it."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, event: Any) -> None:
        self.told.append(event)

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told


class _Ear:
    """The driver's side of `_Events`; waits again for an answer that is late, because it alone holds what was taken."""

    def __init__(self, ray: Any, events: Any) -> None:
        self.ray = ray
        self.events = events
        self.asked: Any = None

    def some(self, wait_s: float = POLL_S) -> list[Any]:
        """Return what was told until it was asked for; nothing where the answer is late."""
        if self.asked is None:
            self.asked = self.events.take.remote()
        try:
            found: list[Any] = self.ray.get(self.asked, timeout=wait_s)
        except self.ray.exceptions.GetTimeoutError:
            return []
        except self.ray.exceptions.RayError:  # the actor died, and starts anew; a fit's history comes with its result
            found = []
        self.asked = None
        return found

    def all(self) -> list[Any]:
        """Return all that was told until now: what was asked for before, and what is asked for now."""
        return self.some(EVENTS_S) + self.some(EVENTS_S)


def _do(first: tuple[Work, Any], task: Any, events: Any, expected: dict[str, str]) -> bytes:
    """Do one task in a worker of Ray; an exception of the work is an answer, so that only deaths are repeated."""
    import ray

    one_thread()
    if found := differences(expected, versions_here()):  # on a node that joined after the start
        raise CheckError(f"a node has {found}")

    def tell(event: Any) -> None:
        # Waited for, so that all events of a task are there before its result is.
        with suppress(ray.exceptions.RayError):
            ray.get(events.tell.remote(event))

    try:
        work, shared = first
        return pickle.dumps((DONE, work(shared, task, tell)))
    except Exception as error:
        return pickle.dumps((FAILED, portable(error)))
