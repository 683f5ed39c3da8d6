"""Run the heats, session by session, and judge every contestant by Keras's answers before its time counts."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import __version__
from edgeconv.bench import Entry, Measurement, measure
from edgeconv.bench.worker import Worker
from edgeconv.runtime.machine import fingerprint

from .contestants import find_best_batch
from .heats import Competitor, Effort, Heat, heats, job_of, left_out
from .material import CSV, SEED, Material, network_of, prepare, versions_of
from .results import Results, Row, shorten

TOLERANCE = 1e-5
"""Largest |Δp| of what computes in float32, as in the certificate."""
SAME_CLASS = 0.9
"""Fraction of windows in which coarser numbers must agree on the class: enough to see that it is the same network."""
PACKAGES = (
    *("edgeconv", "numpy", "onnxruntime", "openvino", "ai-edge-litert", "tensorflow", "keras", "tf2onnx"),
    *("polars", "pyarrow"),
)


def compare_all(model: Path, effort: Effort) -> Results:
    """Run everything and return what was seen."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="edgeconv-peers-") as aside:
        _say("writing the network in every form, and asking Keras")
        material = prepare(model, Path(aside), effort.sizes)
        found = list(heats(material, os.cpu_count() or 1, effort))
        absent = {heat.name: {one.name: left_out(one) for one in heat.competitors if left_out(one)} for heat in found}
        here = [tune(without_absent(heat), material) for heat in found]
        seen: dict[str, list[list[Measurement]]] = {heat.name: [] for heat in here}
        for session in range(effort.sessions):
            for heat in here:
                _say(f"session {session + 1} of {effort.sessions}: {heat.name}")
                seen[heat.name].append(run_heat(heat, material, session))
        rows = {heat.name: rows_of(heat, seen[heat.name], material) for heat in here}
        return Results(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - began),
            effort=effort.name,
            machine=asdict(fingerprint()),
            versions={**versions_of(PACKAGES), "edgeconv": __version__},
            network=network_of(material.folder),
            settings={
                "sessions": effort.sessions,
                "seed": SEED,
                **asdict(effort.sizes),
                "rounds": {heat.name: heat.plan.rounds for heat in here},
                "csv_bytes": material.bytes_of(CSV),
            },
            multiply_adds=material.multiply_adds,
            left_out={heat: names for heat, names in absent.items() if names},
            heats=rows,
        )  # fmt: skip


def without_absent(heat: Heat) -> Heat:
    """Return a heat with those contestants that can take part."""
    return replace(heat, competitors=tuple(one for one in heat.competitors if not left_out(one)))


def tune(heat: Heat, material: Material) -> Heat:
    """Return a heat in which every contestant that can choose has its best batch, found in a process of its own."""

    def chosen(one: Competitor) -> Competitor:
        if not one.batches:
            return one
        _say(f"{heat.name}: the best batch for {one.name}")
        arguments = {
            "job": job_of(one, material, heat.threads), "make": one.make, "batches": one.batches, **one.arguments,
        }  # fmt: skip
        with Worker(Entry(one.name, find_best_batch, arguments)) as worker:
            return replace(one, arguments={**one.arguments, "batch": worker.ready.answer})

    return replace(heat, competitors=tuple(map(chosen, heat.competitors)))


def run_heat(heat: Heat, material: Material, session: int) -> list[Measurement]:
    """Run one heat once, with all processes started anew."""
    entries = [
        Entry(one.name, one.make, {"job": job_of(one, material, heat.threads), **one.arguments})
        for one in heat.competitors
    ]
    by_name = {one.name: one for one in heat.competitors}

    def judge(answers: Mapping[str, Any]) -> dict[str, str]:
        problems = {name: find_problem(by_name[name], answer, material) for name, answer in answers.items()}
        return {name: problem for name, problem in problems.items() if problem}

    return measure(entries, replace(heat.plan, seed=heat.plan.seed + session), judge)


def expected_of(one: Competitor, answer: Any, material: Material) -> np.ndarray:
    """Return what Keras says to the windows that a contestant answered."""
    right = material.answers["csv" if one.reference == "csv" else f"hop {one.hop}"]
    return right[: len(answer)] if one.rows is None else right[one.rows]


def find_problem(one: Competitor, answer: Any, material: Material) -> str:
    """Return what is wrong with a contestant's answers; empty where nothing is."""
    if one.reference is None:
        return ""
    expected = expected_of(one, answer, material)
    if answer.shape != expected.shape or len(answer) == 0:
        return f"answers of shape {list(answer.shape)}, expected {list(expected.shape)}"
    if not np.isfinite(answer).all():
        return "answers that are not finite"
    difference, same = distance(answer, expected)
    if one.precision == "float32" and difference > TOLERANCE:
        return f"answers that differ from Keras's by up to {difference:.2g}"
    return "" if same >= SAME_CLASS else f"the same class as Keras in {100 * same:.1f} % of windows only"


def distance(answer: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Return the largest |Δp| and the fraction of windows with the same most probable class."""
    same = float((answer.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return float(np.abs(answer - expected).max()), same


def rows_of(heat: Heat, sessions: Sequence[list[Measurement]], material: Material) -> dict[str, Row]:
    """Return what was seen of each contestant in all sessions."""
    rows = {}
    for one, seen in zip(heat.competitors, zip(*sessions, strict=True), strict=True):
        problem = next((measured.problem for measured in seen if measured.problem), "")
        distances = []
        if one.reference is not None and not problem:
            distances = [distance(m.answer, expected_of(one, m.answer, material)) for m in seen]
        facts = {key: value for key, value in seen[0].facts.items() if isinstance(value, int | str)}
        precision = facts.pop("precision", None)
        precision = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}.get(precision, precision or one.precision)
        file = one.file.format(batch=facts.get("batch", ""))
        memory = [measured.peak_memory_mib for measured in seen if measured.peak_memory_mib is not None]
        others = [measured.others_cores for measured in seen if measured.others_cores is not None]
        rows[one.name] = Row(
            kind=one.kind,
            precision=precision,
            hop=one.hop,
            file=file,
            file_bytes=material.bytes_of(file) if file else 0,
            facts=facts,
            problem=problem,
            max_abs_diff=max(difference for difference, _ in distances) if distances else None,
            same_class=min(same for _, same in distances) if distances else None,
            peak_memory_mib=round(max(memory), 1) if memory else None,
            others_cores=round(sum(others) / len(others), 2) if others else None,
            rounds={} if problem else figures_of(heat.name, seen, material),
        )
    return rows


def figures_of(heat: str, seen: Sequence[Measurement], material: Material) -> dict[str, list[list[float]]]:
    """Return the figures that a heat is about: figure → rounds of each session."""

    def one(measured: Measurement) -> dict[str, np.ndarray]:
        us, cpu = measured.us_per_unit, {"cpu_s_per_1000": measured.cpu_s_per_1000}
        if heat == "single-stream":
            return {**{f"p{q}_us": measured.percentile_us(q) for q in (50, 90, 99)}, **cpu}
        if heat == "multi-stream":
            packet_s = material.sizes.packet / material.spec.sampling_rate_hz
            return {"real_time_factor": 1e-6 * us * measured.units / packet_s, "us": us, **cpu}
        if heat in ("csv", "cold start"):
            return {"seconds": 1e-6 * us, "cpu_s": measured.cpu_s_per_1000 / 1000}
        return {"us": us, **cpu}

    each = [one(measured) for measured in seen]
    return {name: [[shorten(value) for value in session[name]] for session in each] for name in each[0]}


def _say(what: str) -> None:
    print(f"bench_peers: {what}", file=sys.stderr, flush=True)
