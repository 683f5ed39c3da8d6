"""Many short tasks, such as recordings, on a Ray cluster through Ray Data (https://docs.ray.io/en/latest/data)."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgeconv.runtime.errors import CheckError, UsageError

from .engine import ATTEMPTS, DONE, FAILED, Tell, Work, check_workers, one_thread, portable
from .ray_cluster import cluster, differences, versions_here

TASKS_A_BLOCK = 16
"""How many tasks travel together, at most: a block costs some milliseconds, and a death costs a block."""
BLOCKS_A_WORKER = 4
"""How many blocks each worker gets at least, so that none is left with much while the others are done."""


@dataclass(frozen=True)
class RayData:
    """A pool of actors with one core and one thread each, which keep what they have loaded from task to task."""

    address: str | None = None
    workers: int | None = None
    """Actors; by default one for each core of the cluster."""

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if (self.address or "").startswith("ray://"):
            raise UsageError(
                f"--address {self.address} is Ray's client, which Ray Data does not work through; run the command on a "
                "machine of the cluster, with --address auto or host:port"
            )

    def run(self, work: Work, shared: Any, tasks: Sequence[Any], on_event: Tell) -> Iterator[tuple[int, Any]]:  # noqa: ARG002
        """Do the tasks as `Engine` says, but no events are carried; raises as `ray_cluster.cluster` does, too."""
        if not tasks:
            return
        with cluster(self.address, self.workers) as ray:
            _quieten(ray)
            workers = min(len(tasks), self.workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
            blocks = max(min(len(tasks), BLOCKS_A_WORKER * workers), -(-len(tasks) // TASKS_A_BLOCK))
            rows = [{"position": position, "task": pickle.dumps(task)} for position, task in enumerate(tasks)]
            attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Attempts).remote()
            answers = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
                Actor,
                fn_constructor_args=(work, shared, versions_here(), attempts),
                batch_format="numpy",
                concurrency=workers,
                num_cpus=1,
            )
            try:
                # Nothing is fetched ahead: what is there is handed out at once.
                for batch in answers.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
                    for position, answer in zip(batch["position"].tolist(), batch["answer"], strict=True):
                        said, value = pickle.loads(answer)
                        if said == FAILED:
                            raise value
                        yield position, value
            except ray.exceptions.RayError as error:
                raise CheckError(f"the workers could not go on: {' '.join(str(error).split())[-300:]}") from error
            finally:
                ray.kill(attempts)


class Actor:
    """Does batches of tasks in a worker of Ray."""

    def __init__(self, work: Work, shared: Any, expected: dict[str, str], attempts: Any) -> None:
        """Take what all tasks share; Ray Data sends it once to each node."""
        one_thread()
        if found := differences(expected, versions_here()):
            raise CheckError(f"a node has {found}")
        self.work, self.shared, self.attempts = work, shared, attempts

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to each task; an exception of the work is an answer, so that only deaths are repeated."""
        import ray

        positions = batch["position"]
        if ray.get(self.attempts.begin.remote(int(positions[0]))) > ATTEMPTS:
            which = f"task {positions[0] + 1}" + (f" to {positions[-1] + 1}" if len(positions) > 1 else "")
            error = CheckError(
                f"{which} was begun {ATTEMPTS} times and its worker died each time, most likely for want of memory; "
                "what was finished is kept: try fewer --workers"
            )
            return {"position": positions[:1], "answer": [pickle.dumps((FAILED, error))]}
        return {"position": positions, "answer": [self._answer(task) for task in batch["task"]]}

    def _answer(self, task: bytes) -> bytes:
        try:
            return pickle.dumps((DONE, self.work(self.shared, pickle.loads(task), lambda _event: None)))
        except Exception as error:
            return pickle.dumps((FAILED, portable(error)))


class _Attempts:
    """An actor that counts how often blocks of tasks were begun; Ray Data itself would begin them without end."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()

    def begin(self, first: int) -> int:
        self.begun[first] += 1
        return self.begun[first]


def _quieten(ray: Any) -> None:
    """Keep Ray Data from drawing bars and telling of its plans on stderr."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
