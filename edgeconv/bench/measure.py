"""Time contestants against each other: each in its own process, one at a time, in interleaved rounds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import UsageError

from .contestant import Entry, Round, WarmUp, last_words, timed_round, warm_up
from .worker import Worker

DISTURBED = 0.02
"""Fraction of its time for which a contestant may wait for a core in a round that is kept without another try."""

Judge = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""From the answers of all contestants, by name, to what is wrong with those that are wrong."""


@dataclass(frozen=True)
class Plan:
    """How long and in which order contestants run."""

    rounds: int = 20
    round_s: float = 0.05
    """Seconds that a round takes at least: long against the clock and against being interrupted."""
    least_runs: int = 1
    """Runs in a round, however long they take; percentiles need many."""
    warm_up_s: float = 1.5
    """Seconds after which warming up ends although the times have not settled; 0 for a single run."""
    retries: int = 10
    """Rounds of a contestant that may be run again because it had to wait for a core: so much time is given to that."""
    seed: int = 1
    """Of the order within each round."""

    def __post_init__(self) -> None:
        if self.rounds < 2:
            raise UsageError(f"rounds is {self.rounds}; give a whole number from 2: one round shows no variation")
        if self.least_runs < 1 or self.retries < 0 or not self.round_s > 0 or not self.warm_up_s >= 0:
            raise UsageError(f"a plan cannot be carried out: {self}")


@dataclass(frozen=True)
class Measurement:
    """What was seen of one contestant."""

    name: str
    units: float
    """Predictions, or whatever else is counted, in one run."""
    answer: Any
    """What its check returned."""
    problem: str = ""
    """What the judge found wrong; such a contestant was not timed, and what follows is empty."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    warm_up: WarmUp | None = None
    rounds: tuple[Round, ...] = ()
    retried: int = 0
    """Rounds that were run again, because it had to wait for a core."""
    peak_memory_mib: float | None = None

    @property
    def others_cores(self) -> float | None:
        """How many cores everything else on the machine kept busy meanwhile; None where the system does not tell."""
        used_s = [round_.others_cpu_s for round_ in self.rounds if round_.others_cpu_s is not None]
        return sum(used_s) / sum(round_.wall_s for round_ in self.rounds) if used_s else None

    @property
    def us_per_unit(self) -> NDArray[np.float64]:
        """float64 [rounds], microseconds per prediction."""
        return np.array([1e6 * round_.query_s.sum() for round_ in self.rounds]) / self._units_per_round

    @property
    def cpu_s_per_1000(self) -> NDArray[np.float64]:
        """float64 [rounds], processor seconds per 1000 predictions."""
        return np.array([1e3 * round_.cpu_s for round_ in self.rounds]) / self._units_per_round

    def percentile_us(self, percent: float) -> NDArray[np.float64]:
        """Return, per round, the percentile of the time of single queries: float64 [rounds], microseconds."""
        return np.array([1e6 * np.percentile(round_.query_s, percent) for round_ in self.rounds])

    @property
    def _units_per_round(self) -> float:
        return self.units * (self.warm_up.repetitions if self.warm_up else 1)


def measure(
    entries: Sequence[Entry],
    plan: Plan | None = None,
    judge: Judge = lambda _: {},
    on_progress: Callable[[str, float], None] = lambda _what, _done: None,
) -> list[Measurement]:
    """Time contestants against each other and return what was seen of each, in the order of the entries.

    Every contestant is made, checked and kept in a process of its own; all are judged by their answers before any time
    is taken; those that are right are made warm one after the other; then all run once in each round, in an order drawn
    anew each time, and never two at once. So no contestant profits from its place in the order, from what another left
    in the process, or from a quiet minute of the machine (Georges et al. 2007; Kalibera & Jones 2013).

    A round in which a contestant could have run and got no core, which the system counts, says how busy the machine was
    and not how fast the contestant is; such rounds are run again, a limited number of times.

    judge: gets the answers by name, and returns what is wrong with a contestant by its name
    on_progress: called with what is being done and the fraction that is done
    Raises UsageError for names that repeat; an edgeconv error that a contestant raised; CheckError for any other
    failure of a contestant. Whatever happens, no process is left behind.
    A script that calls this needs the guard `if __name__ == "__main__":`, as multiprocessing says.
    """
    plan = plan or Plan()
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise UsageError(f"contestants need different names, and are called {', '.join(names)}")
    steps = _Steps(len(names) * (2 + plan.rounds), on_progress)
    with ExitStack() as stack:
        workers = {
            entry.name: stack.enter_context(Worker(entry)) for entry in steps.each(entries, lambda e: f"load {e.name}")
        }
        problems = dict(judge({name: worker.ready.answer for name, worker in workers.items()}))
        right = [name for name in names if name not in problems]
        warm: dict[str, WarmUp] = {
            name: workers[name].ask(warm_up, plan.round_s, plan.warm_up_s, plan.least_runs)
            for name in steps.each(right, lambda name: f"warm up {name}")
        }
        rounds: dict[str, list[Round]] = {name: [] for name in right}
        retried = dict.fromkeys(right, 0)
        order = random.Random(plan.seed)
        for _ in range(plan.rounds):
            for name in steps.each(order.sample(right, len(right)), lambda name: f"run {name}"):
                best = workers[name].ask(timed_round, warm[name].repetitions)
                while best.waited > DISTURBED and retried[name] < plan.retries:
                    retried[name] += 1
                    best = min(best, workers[name].ask(timed_round, warm[name].repetitions), key=lambda r: r.waited)
                rounds[name].append(best)
        last = {name: worker.ask(last_words) for name, worker in workers.items()}
        ready = {name: worker.ready for name, worker in workers.items()}
    return [
        Measurement(
            name=name,
            units=ready[name].units,
            answer=ready[name].answer,
            problem=problems.get(name, ""),
            facts=last[name][0],
            warm_up=warm.get(name),
            rounds=tuple(rounds.get(name, ())),
            retried=retried.get(name, 0),
            peak_memory_mib=last[name][1],
        )
        for name in names
    ]


class _Steps:
    """Count what is done of a known number of steps."""

    def __init__(self, total: int, report: Callable[[str, float], None]) -> None:
        self._total, self._done, self._report = total, 0, report

    def each(self, items: Iterable[Any], describe: Callable[[Any], str]) -> Iterable[Any]:
        for item in items:
            self._report(describe(item), self._done / self._total)
            yield item
            self._done += 1
