"""What can be timed, and what is done with it inside its own process: warm up, run rounds, say how much memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clocks import peak_memory_mib, read_clocks
from .statistics import SETTLED_BLOCK, has_settled


@dataclass(frozen=True)
class Contestant:
    """Something that is loaded and can be timed; it is made in the process that runs it and never leaves that."""

    run: Callable[[], Any]
    """The work to time. What it returns is dropped, unless `own_clock`."""
    units: float = 1.0
    """Predictions, or whatever else is counted, in one run."""
    check: Callable[[], Any] = lambda: None
    """Return the answers by which the contestant is judged; they are pickled and sent to the parent."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What there is to say about it when it has run, such as the provider."""
    own_clock: bool = False
    """Whether `run` returns the seconds that its queries took, because it waits in between or tidies up after."""


@dataclass(frozen=True)
class Entry:
    """A contestant to be made in another process, as `make(**arguments)`."""

    name: str
    make: Callable[..., Contestant]
    """A function at the top level of a module that can be imported."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """What a contestant's process says when it is loaded."""

    answer: Any
    units: float


@dataclass(frozen=True)
class WarmUp:
    """How a contestant was made warm."""

    seconds: float
    repetitions: int
    """Runs that fill a round."""
    settled: bool | None
    """Whether its times settled before the cap; None where a single run was all that was asked for."""


@dataclass(frozen=True)
class Round:
    """What one round of a contestant took."""

    query_s: NDArray[np.float64]
    """float64 [queries], seconds of each run, or of each query where the contestant keeps the clock."""
    cpu_s: float
    """Processor seconds of all its threads, and of the processes that it started and waited for."""
    wall_s: float
    """Seconds from beginning to end, with what lies between the queries."""
    waited_s: float | None
    """Seconds for which its threads could have run and got no core; None where the system does not tell."""
    others_cpu_s: float | None
    """Processor seconds that everything else on the machine used meanwhile; None where the system does not tell."""

    @property
    def waited(self) -> float:
        """Fraction 0–1 of the time it wanted to compute that it waited for a core instead."""
        return self.waited_s / max(self.waited_s + self.cpu_s, 1e-9) if self.waited_s else 0.0


def warm_up(contestant: Contestant, round_s: float, cap_s: float, least: int) -> WarmUp:
    """Run until the times have settled (`has_settled`) or the cap is reached, and find how many runs fill a round.

    least: runs in a round, however long they take
    A cap of 0 means a single run, for what is not meant to be warm.
    """
    began = time.perf_counter()

    def needed(run_s: float) -> int:
        return max(least, math.ceil(round_s / max(run_s, 1e-9)))

    repetitions, run_s = 1, _seconds_of(contestant, 1)
    if cap_s <= 0:
        return WarmUp(time.perf_counter() - began, needed(run_s), None)
    times: list[float] = []
    settled = False
    while not settled and (len(times) < 2 * SETTLED_BLOCK or time.perf_counter() - began < cap_s):
        if needed(run_s) > 2 * repetitions:  # the very first runs are slow and say little about the pace
            repetitions, times = min(needed(run_s), 4 * repetitions), []
        times.append(_seconds_of(contestant, repetitions))
        run_s = times[-1] / repetitions
        settled = has_settled(times)
    return WarmUp(time.perf_counter() - began, needed(run_s), settled)


def _seconds_of(contestant: Contestant, repetitions: int) -> float:
    began = time.perf_counter()
    for _ in range(repetitions):
        contestant.run()
    return time.perf_counter() - began


def timed_round(contestant: Contestant, repetitions: int) -> Round:
    """Run a number of times, each by the clock."""
    run, clock = contestant.run, time.perf_counter
    if repetitions > 1:
        run()  # since its last round others have used the caches
    seconds: list[float] = []
    before = read_clocks()
    for _ in range(repetitions):
        began = clock()
        answer = run()
        took = clock() - began
        if contestant.own_clock:
            seconds.extend(answer)
        else:
            seconds.append(took)
    after = read_clocks()
    cpu_s = after.cpu_s - before.cpu_s
    return Round(
        query_s=np.array(seconds),
        cpu_s=cpu_s,
        wall_s=after.wall_s - before.wall_s,
        waited_s=None if after.waited_s is None or before.waited_s is None else after.waited_s - before.waited_s,
        others_cpu_s=None
        if after.machine_cpu_s is None or before.machine_cpu_s is None
        else max(0.0, after.machine_cpu_s - before.machine_cpu_s - cpu_s),
    )


def last_words(contestant: Contestant) -> tuple[dict[str, Any], float | None]:
    """Return what there is to say about a contestant when it has run, and the peak of its process's memory in MiB."""
    return dict(contestant.facts), peak_memory_mib()
