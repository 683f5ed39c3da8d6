"""The scenarios, the forms of a model that take part in each, and the figures that come of it.

The names are those of MLPerf's load generator (Reddi et al. 2020); `paced` and `cold-start` are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import ModelSpec
from edgeconv.runtime.artefact import Precision
from edgeconv.runtime.forms import form_file

from . import contestants as made
from . import real_time
from .contestant import Contestant
from .measure import Measurement

Figures = dict[str, NDArray[np.float64]]
"""Figure → float64 [rounds]; the first one is what the scenario is about. All are such that less is better."""

WINDOWS: Literal["windows"] = "windows"
DENSE: Literal["dense"] = "dense"
STATEFUL: Literal["stateful"] = "stateful"
ANSWER_TOLERANCE = 1e-4
"""Largest |Δp| between the forms of one model. Rounding stays far below on any device; another graph does not."""


@dataclass(frozen=True)
class Scenario:
    """What is timed, of which contestants, and for how long."""

    about: str
    contestants: Mapping[str, tuple[str, Callable[..., Contestant]]]
    """Name → the form whose file it needs, and what makes it. The first one is what the others are compared with."""
    figures: Callable[[Measurement, made.Job, ModelSpec], Figures]
    details: Callable[[Measurement], dict[str, float]] = lambda _: {}
    """Further figures that have no rounds."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """How its plan differs from the usual one."""
    most_rounds: int | None = None
    """Where rounds are slow, how many of those asked for are run."""


def _latencies(seen: Measurement, _job: made.Job, _spec: ModelSpec) -> Figures:
    percentiles = {f"p{percent}_us": seen.percentile_us(percent) for percent in (50, 90, 95, 99)}
    return {**percentiles, "cpu_s_per_1000": seen.cpu_s_per_1000}


def _throughput(seen: Measurement, _job: made.Job, _spec: ModelSpec) -> Figures:
    return {"us_per_prediction": seen.us_per_unit, "cpu_s_per_1000": seen.cpu_s_per_1000}


def _real_time_factor(seen: Measurement, job: made.Job, spec: ModelSpec) -> Figures:
    run_s = 1e-6 * seen.us_per_unit * seen.units
    return {"real_time_factor": run_s * spec.sampling_rate_hz / job.packet, "cpu_s_per_1000": seen.cpu_s_per_1000}


def _paced(seen: Measurement, _job: made.Job, _spec: ModelSpec) -> Figures:
    return {"p50_us": seen.percentile_us(50), "p90_us": seen.percentile_us(90), "cpu_s_per_1000": seen.cpu_s_per_1000}


def _start(seen: Measurement, _job: made.Job, _spec: ModelSpec) -> Figures:
    return {"first_answer_ms": seen.us_per_unit / 1e3, "cpu_ms_per_start": seen.cpu_s_per_1000}


def _worst(seen: Measurement) -> dict[str, float]:
    return {"worst_us": 1e6 * max(float(round_.query_s.max()) for round_ in seen.rounds)}


def _per_second(seen: Measurement) -> dict[str, float]:
    return {"predictions_per_s": 1e6 / float(np.median(seen.us_per_unit))}


def _missed(seen: Measurement) -> dict[str, float]:
    answers = sum(len(round_.query_s) for round_ in seen.rounds)
    due_to_answer_ms = np.array(seen.facts["due_to_answer_ms"][-answers:])  # without those of the warm-up
    return {
        "due_to_answer_p50_ms": float(np.median(due_to_answer_ms)),
        "due_to_answer_worst_ms": float(due_to_answer_ms.max()),
        "deadline_ms": seen.facts["deadline_ms"],
        "answers": answers,
        "missed": int((due_to_answer_ms > seen.facts["deadline_ms"]).sum()),
    }


SCENARIOS: Mapping[str, Scenario] = {
    "single-stream": Scenario(
        about="one query at a time, as soon as the one before is answered",
        contestants={
            "predict": (WINDOWS, made.predict_one_window),
            "push": (WINDOWS, made.push_one_hop),
            "dense": (DENSE, made.score_one_window),
            "step": (STATEFUL, made.step_one_hop),
        },
        figures=_latencies,
        details=_worst,
        plan={"least_runs": 100},
    ),
    "offline": Scenario(
        about="a whole recording at once",
        contestants={"windows": (WINDOWS, made.predict_recording), "dense": (DENSE, made.score_recording)},
        figures=_throughput,
        details=_per_second,
    ),
    "multi-stream": Scenario(
        about="many sensors, each sending packets; seconds of computing per second of signal of all",
        contestants={"push": (WINDOWS, real_time.push_packets), "pool": (WINDOWS, real_time.push_into_pool)},
        figures=_real_time_factor,
    ),
    "paced": Scenario(
        about="each sensor's samples when they are due, and idle in between; late: from when the last sample was due",
        contestants={"push": (WINDOWS, real_time.push_on_time)},
        figures=_paced,
        details=_missed,
        plan={"warm_up_s": 0.0, "retries": 0},
        most_rounds=5,
    ),
    "cold-start": Scenario(
        about="`edgeconv stream` from the start of its process to its first answer; files already in memory",
        contestants={"stream": (WINDOWS, real_time.start_and_answer)},
        figures=_start,
        plan={"warm_up_s": 0.0, "retries": 0},
        most_rounds=10,
    ),
}


def find_forms(model: Path, spec: ModelSpec, hop: int, precision: Precision = "float32") -> dict[str, Path]:
    """Return where the forms of a model that answer at a hop would lie: form → ONNX file, which need not be there.

    A file in place of a folder is the windowed form alone.
    """
    if not model.is_dir():
        return {WINDOWS: model}
    return {
        WINDOWS: model / form_file("windowed", hop, spec, precision),
        DENSE: model / form_file(DENSE, hop, spec, precision),
        STATEFUL: model / form_file(STATEFUL, hop, spec, precision),
    }


def judge(answers: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with answers: no probabilities, or others than those of the first contestant.

    answers: name → float32 [predictions, classes] of the same windows
    """
    problems = {}
    first = next(iter(answers))
    for name, answer in answers.items():
        if answer.ndim != 2 or not np.isfinite(answer).all() or np.abs(answer.sum(axis=1) - 1).max(initial=0) > 1e-3:
            problems[name] = "the answers are no probabilities"
        elif answer.shape != answers[first].shape:
            problems[name] = f"{len(answer)} answers where {first} gave {len(answers[first])}"
        elif not (difference := float(np.abs(answer - answers[first]).max(initial=0))) <= ANSWER_TOLERANCE:
            problems[name] = f"the answers differ from those of {first} by up to {difference:.2g}"
    return problems
