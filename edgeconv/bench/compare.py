"""Compare two results of the benchmark, figure by figure: faster, slower, or not resolvable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edgeconv.runtime.errors import CheckError, InputError, UsageError

from . import statistics
from .result import Figure, Result, Row
from .statistics import Interval

MARGIN = 0.03
WIDE_MARGIN = 0.5
"""For tails and for pushes after idling, which are the machine's as much as the model's: the p99 of one model in two
runs beside each other was seen to differ by a third where its median differed by 1 %."""
TAILS = ("p90_us", "p95_us", "p99_us")
ENOUGH_ROUNDS = 10
"""Rounds that an unstable figure needs on both sides before it is judged: few lie apart by chance."""
Verdict = Literal["faster", "slower", "not resolvable"]

WORK = {"offline": ("windows",), "multi-stream": ("streams", "packet")}
"""Settings that make other work of a scenario, so that its figures cannot stand side by side."""
SOFTWARE = ("cores_available", "system", "python", "numpy", "onnxruntime")
"""What may differ of the machine while its hardware is the same."""
CHOSEN = ("device", "threads", "hop", "seed")
"""Settings in which two results may differ on purpose."""


@dataclass(frozen=True)
class Change:
    """What became of one figure."""

    scenario: str
    contestant: str
    figure: str
    before: Figure
    after: Figure
    ratio: Interval
    """After over before."""
    stable: bool
    """Whether the figure is stable in both results; where not, more is asked for before a change counts."""
    margin: float
    """Fraction by which two runs differ anyway."""
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What became of all figures that both results have."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    """In what the results differ besides their figures."""

    def require_not_slower(self) -> None:
        """Raise CheckError that names the slower figures, if there are any."""
        slower = [change for change in self.changes if change.verdict == "slower"]
        if slower:
            names = ", ".join(f"{c.scenario} {c.contestant} {c.figure} ×{c.ratio.value:.2f}" for c in slower)
            raise CheckError(f"{len(slower)} of {len(self.changes)} figures are slower: {names}")


def compare(before: Result, after: Result, margin: float = MARGIN, *, across_machines: bool = False) -> Comparison:
    """Compare every figure that two results share; `judge_change` has the rule.

    margin: as a fraction; 0.03 means that a ratio must lie above 1.03, or below 1 / 1.03. For tails and for `paced` it
        is at least `WIDE_MARGIN`.
    Raises UsageError for a margin that is none, and for two machines unless `across_machines`; InputError where the
    results have no figure in common.
    """
    if not 0 <= margin < 1:
        raise UsageError(f"margin is {100 * margin:g} %; give a number from 0 to below 100")
    if before.machine["id"] != after.machine["id"] and not across_machines:
        raise UsageError(
            f"the results are of two machines ({_hardware(before)}; {_hardware(after)}), so a change would say nothing "
            "about the model; give --across-machines to compare the machines"
        )
    problems = dict(_other_work(before, after))
    changes: list[Change] = []
    for scenario, contestant, row, other in _shared_rows(before, after):
        for name in row.figures:
            # What took less than the system's clock can tell has no ratio.
            if scenario in problems or name not in other.figures or min(_rounds(row, name) + _rounds(other, name)) <= 0:
                continue
            stable = all(
                seen.verdict == "stable" and not statistics.instabilities(_rounds(seen, name)) for seen in (row, other)
            )
            first, second = row.figures[name], other.figures[name]
            wide = scenario == "paced" or name in TAILS
            needed = max(margin, WIDE_MARGIN) if wide else margin
            ratio, verdict = judge_change(first, second, needed, stable=stable)
            if row.crowded or other.crowded:
                verdict = "not resolvable"
            changes.append(Change(scenario, contestant, name, first, second, ratio, stable, needed, verdict))
    if not changes:
        said = (*(f"{', '.join(result.scenarios) or 'no scenario'}" for result in (before, after)), *problems.values())
        raise InputError(f"the two results have no figure in common: {'; '.join(said)}")
    return Comparison(tuple(changes), (*problems.values(), *_differences(before, after)))


def judge_change(before: Figure, after: Figure, margin: float, *, stable: bool) -> tuple[Interval, Verdict]:
    """Return the ratio of a figure's medians, and what it shows.

    A change counts only if the whole 95 % interval of the ratio lies beyond the margin: two runs at two times differ by
    more than the rounds of either show, because each process has its own place in memory and its own state of the
    machine (Kalibera & Jones 2013). Where a figure is not stable an interval says little; there a change counts only if
    every round of the one result lies beyond every round of the other, by the margin, and there are ten or more of
    each. (Where a contestant had no core to itself, in either result, `compare` does not ask at all: its times are
    those of the other processes.)
    """
    ratio = statistics.ratio(before.rounds, after.rounds)
    low, high = ratio.low, ratio.high
    if not stable and min(len(before.rounds), len(after.rounds)) < ENOUGH_ROUNDS:
        return ratio, "not resolvable"
    if not stable:
        low, high = min(after.rounds) / max(before.rounds), max(after.rounds) / min(before.rounds)
    if low > 1 + margin:
        return ratio, "slower"
    return ratio, "faster" if high < 1 / (1 + margin) else "not resolvable"


def _rounds(row: Row, figure: str) -> tuple[float, ...]:
    return row.figures[figure].rounds


def _shared_rows(before: Result, after: Result) -> Iterator[tuple[str, str, Row, Row]]:
    for scenario, rows in before.scenarios.items():
        for contestant, row in rows.items():
            other = after.scenarios.get(scenario, {}).get(contestant)
            if other is not None:
                yield scenario, contestant, row, other


def _other_work(before: Result, after: Result) -> Iterator[tuple[str, str]]:
    for scenario, sizes in WORK.items():
        if scenario in before.scenarios and scenario in after.scenarios:
            for size in sizes:
                pair = before.settings.get(size), after.settings.get(size)
                if pair[0] != pair[1]:
                    yield (
                        scenario,
                        f"{scenario} is left out, because {size} is {pair[0]} in one and {pair[1]} in the other",
                    )


def _differences(before: Result, after: Result) -> Iterator[str]:
    """Yield, in words, in what two results differ, and which of their rows cannot be trusted."""
    if before.machine["id"] != after.machine["id"]:
        yield f"two machines: {_hardware(before)}; {_hardware(after)}"
    files = before.model["files"], after.model["files"]
    pairs: list[tuple[str, Any, Any]] = [
        ("edgeconv", before.edgeconv, after.edgeconv),
        *((name, before.machine.get(name), after.machine.get(name)) for name in SOFTWARE),
        *((name, before.settings.get(name), after.settings.get(name)) for name in CHOSEN),
        *((name, *(side[name]["sha256"][:12] for side in files)) for name in files[0] if name in files[1]),
    ]
    for name, first, second in pairs:
        if first != second:
            yield f"{name} differs: {first} and {second}"
    for result, which in ((before, "first"), (after, "second")):
        verdicts = {
            f"{scenario} {contestant}": row.verdict
            for scenario, rows in result.scenarios.items()
            for contestant, row in rows.items()
        }
        for verdict in ("wrong", "unstable"):
            names = [name for name, found in verdicts.items() if found == verdict]
            if names:
                yield f"{verdict} in the {which} result: {', '.join(names)}"


def _hardware(result: Result) -> str:
    return f"{result.machine.get('processor')}, {result.machine.get('cores')} cores"
