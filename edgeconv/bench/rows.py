"""From what was measured to what is reported: figures with intervals, ratios, and whether they can be trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import ModelSpec

from . import statistics
from .contestants import Job
from .measure import Measurement
from .result import Figure, Row
from .scenarios import Scenario

QUIET = 0.1
"""Fraction of the machine's cores that other processes may keep busy: they share caches, memory and power even where
they leave the contestant a core."""


def rows_of(
    seen: list[Measurement], scenario: Scenario, job: Job, spec: ModelSpec, files: Mapping[str, Path]
) -> dict[str, Row]:
    """Return the rows of a scenario: contestant → what was found.

    files: contestant → the ONNX file of its form
    """
    values = {one.name: {} if one.problem else scenario.figures(one, job, spec) for one in seen}
    mains = {name: next(iter(figures.values())) for name, figures in values.items() if figures}
    rows = {}
    for one in seen:
        crowded, reasons = _circumstances(one, job.threads)
        if one.name in mains:
            reasons = statistics.instabilities(mains[one.name]) + reasons
        warm = one.warm_up
        rows[one.name] = Row(
            file=files[one.name].name,
            file_bytes=files[one.name].stat().st_size,
            problem=one.problem,
            facts=dict(one.facts),
            figures={name: _figure(rounds) for name, rounds in values[one.name].items()},
            details={} if one.problem else scenario.details(one),
            relative=_relative(seen[0].name, one.name, mains),
            unstable=tuple(reasons),
            crowded=crowded,
            units_per_run=one.units,
            runs_per_round=warm.repetitions if warm else 0,
            warm_up_s=warm.seconds if warm else 0.0,
            settled=warm.settled if warm else None,
            retried_rounds=one.retried,
            others_cores=one.others_cores,
            peak_memory_mib=one.peak_memory_mib,
        )
    return rows


def _figure(rounds: NDArray[np.float64]) -> Figure:
    interval = statistics.median(rounds)
    return Figure(interval.value, interval.low, interval.high, tuple(rounds.tolist()))


def _relative(first: str, name: str, mains: Mapping[str, NDArray[np.float64]]) -> dict[str, float | str] | None:
    if name == first or name not in mains or first not in mains:
        return None
    change = statistics.paired_ratio(mains[first], mains[name])
    return {"to": first, "ratio": change.value, "low": change.low, "high": change.high}


def _circumstances(seen: Measurement, threads: int) -> tuple[bool, list[str]]:
    """Return whether other processes left too few cores, and, in words, what makes the figures hard to trust."""
    reasons = []
    busy, cores = seen.others_cores or 0.0, os.cpu_count() or 1
    crowded = busy > cores - threads + QUIET * cores
    if crowded or busy > QUIET * cores:
        left = " and left it too few" if crowded else ""
        reasons.append(f"other processes kept {busy:.1f} of {cores} cores busy{left}")
    if seen.warm_up is not None and seen.warm_up.settled is False:
        reasons.append(f"its times had not settled after {seen.warm_up.seconds:.1f} s of warm-up")
    return crowded, reasons
