"""What edgeconv must reach, and how it is computed from the rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .heats import LOOP, MATMULS
from .material import HOPS
from .results import Results, over_sessions, summary, together

Sessions = list[np.ndarray] | None
AGAINST_LOOP = {64: 5.0, 16: 10.0, 8: 15.0, 1: 18.0}
AGAINST_PEERS = {64: 1.4, 16: 1.0, 8: 4.0, 1: 1.0}
INT8_AGAINST_LITERT = {64: 1.3, 16: 4.0}


@dataclass(frozen=True)
class Target:
    """One row of the table."""

    key: str
    what: str
    measured: Callable[[Results], tuple[Sessions, str]]
    """From the results to the rounds of each session, and a remark."""
    must: float | None
    """The limit; None where the value is only to be stated."""
    better: Literal["more", "less"] = "more"
    unit: str = "×"


def targets() -> Iterator[Target]:
    """Yield all rows in their order."""
    for hop in HOPS:
        yield Target(
            f"floor {hop}",
            f"dense, hop {hop}, against the floor",
            lambda r, h=hop: (against_floor(r, h), ""),
            1.3,
            "less",
        )
    for hop in HOPS:
        yield Target(
            f"loop {hop}", f"dense, hop {hop}, against a loop over windows", lambda r, h=hop: against_loop(r, h),
            AGAINST_LOOP[hop],
        )  # fmt: skip
    for hop in HOPS:
        yield Target(
            f"peer {hop}", f"dense, hop {hop}, against the fastest other engine in float32",
            lambda r, h=hop: against_peers(r, h, ("float32",)), AGAINST_PEERS[hop],
        )  # fmt: skip
    for hop, precision in ((64, "bfloat16"), (8, "bfloat16"), (64, "int8"), (8, "int8")):
        yield Target(
            f"{precision} {hop}", f"dense, hop {hop}, in float32 against the fastest other engine in {precision}",
            lambda r, h=hop, p=precision: against_peers(r, h, (p,)), None,
        )  # fmt: skip
    for hop, must in INT8_AGAINST_LITERT.items():
        yield Target(
            f"litert {hop}", f"dense int8, hop {hop}, against LiteRT's int8 loop over windows",
            lambda r, h=hop: against_litert(r, h), must,
        )  # fmt: skip
    yield Target("windowed", "one window: model.onnx against the converter's own file", windowed, 1.3)
    yield Target("push", "one window: what `push` adds to the session's run", push_adds, 15.0, "less", "µs")
    yield Target(
        "pool", "many sensors on one core: seconds of computing per second of signal", real_time, 1.0, "less", ""
    )
    yield Target("memory", "many sensors: peak memory of the whole process", peak_memory, None, unit="MiB")
    yield Target(
        "csv numpy",
        "CSV to predictions, of the speed of numpy.loadtxt alone",
        csv("numpy.loadtxt", "numpy"),
        70.0,
        unit="%",
    )
    yield Target(
        "csv polars",
        "CSV to predictions, of the speed of polars.read_csv alone",
        csv("polars.read_csv", "polars"),
        40.0,
        unit="%",
    )
    yield Target("start", "cold start to the first prediction", start, 0.5, "less", "s")


def assess(results: Results) -> list[dict[str, Any]]:
    """Return every target with the value measured, as JSON values."""
    rows = []
    for target in targets():
        sessions, remark = target.measured(results)
        row: dict[str, Any] = {
            "key": target.key, "what": target.what, "must": target.must, "better": target.better, "unit": target.unit,
            "remark": remark, "measured": None, "reached": None,
        }  # fmt: skip
        if sessions is not None:
            seen = over_sessions(sessions)
            row["measured"] = summary(seen, sessions)
            if target.must is not None:
                row["reached"] = seen.value >= target.must if target.better == "more" else seen.value <= target.must
        rows.append(row)
    return rows


def floor_us(results: Results, form: str) -> Sessions:
    """Return the least microseconds that the multiply-adds of a form take, by the faster matrix product."""
    products = [results.rounds("offline", name, "us") for name in MATMULS]
    cost = results.multiply_adds[form] / 1e6
    return together(lambda *rounds: cost * np.min(rounds, axis=0), *products)


def dense_us(results: Results, hop: int) -> Sessions:
    """Return the microseconds per window of the dense form."""
    return results.rounds("offline", f"edgeconv dense, hop {hop}", "us")


def against_floor(results: Results, hop: int) -> Sessions:
    """Return how many times the floor the dense form takes."""
    return together(np.divide, dense_us(results, hop), floor_us(results, f"dense {hop}"))


def against_loop(results: Results, hop: int) -> tuple[Sessions, str]:
    """Return how many times as fast as a loop the dense form is, and what would be possible at the floor."""
    loop = results.rounds("offline", LOOP, "us")
    at_floor = together(np.divide, loop, floor_us(results, f"dense {hop}"))
    remark = "" if at_floor is None else f"at the floor it would be {over_sessions(at_floor).value:.1f}×"
    return together(np.divide, loop, dense_us(results, hop)), remark


def against_peers(results: Results, hop: int, precisions: Sequence[str]) -> tuple[Sessions, str]:
    """Return how many times as fast as the fastest other engine the dense form is, and which that is."""
    name = fastest_peer(results, precisions)
    if name is None:
        return None, f"no engine that computes in {' or '.join(precisions)}"
    row = results.heats["offline"][name]
    remark = name if row.precision == "float32" else f"{name}, whose |Δp| is up to {row.max_abs_diff:.2g}"
    return together(np.divide, results.rounds("offline", name, "us"), dense_us(results, hop)), remark


def against_litert(results: Results, hop: int) -> tuple[Sessions, str]:
    """Return how many times as fast as LiteRT's int8 file in a loop over windows the dense int8 form is."""
    names = ("LiteRT int8, loop", f"edgeconv dense int8, hop {hop}")
    return together(np.divide, *(results.rounds("offline", name, "us") for name in names)), ""


def fastest_peer(results: Results, precisions: Sequence[str]) -> str | None:
    """Return the name of the other engine that takes least per window."""
    peers = {
        name: over_sessions(row.rounds["us"]).value
        for name, row in results.heats.get("offline", {}).items()
        if row.kind == "peer" and row.precision in precisions and "us" in row.rounds
    }
    return min(peers, key=peers.__getitem__) if peers else None


def windowed(results: Results) -> tuple[Sessions, str]:
    """Return how many times as fast as the converter's file model.onnx answers one window, by medians."""
    names = (LOOP, "ONNX Runtime on model.onnx")
    return together(np.divide, *(results.rounds("single-stream", name, "p50_us") for name in names)), ""


def push_adds(results: Results) -> tuple[Sessions, str]:
    """Return the microseconds by which the median push of a hop is above the median run of the session."""
    names = ("edgeconv push, hop 64", "ONNX Runtime on model.onnx")
    return together(np.subtract, *(results.rounds("single-stream", name, "p50_us") for name in names)), ""


def real_time(results: Results) -> tuple[Sessions, str]:
    """Return the real-time factor of the pool."""
    settings = results.settings
    remark = (
        f"{settings['sensors']} sensors at {results.network['sampling_rate_hz']:g} Hz, hop {results.network['hop']}, "
        f"packets of {settings['packet']} samples"
    )
    return results.rounds("multi-stream", "edgeconv pool", "real_time_factor"), remark


def peak_memory(results: Results) -> tuple[Sessions, str]:
    """Return the peak memory of the pool's process, and what it holds for each stream."""
    row = results.heats.get("multi-stream", {}).get("edgeconv pool")
    if row is None or row.peak_memory_mib is None:
        return None, "the system does not tell"
    remark = f"the pool holds {row.facts['bytes_per_stream']} bytes of samples and state per sensor"
    return [np.array([row.peak_memory_mib])], remark


def csv(alone: str, parser: str) -> Callable[[Results], tuple[Sessions, str]]:
    """Return a function for the speed of CSV to predictions, in percent of a bare parser's."""

    def measured(results: Results) -> tuple[Sessions, str]:
        names = (f"{alone} alone", f"edgeconv, parser {parser}")
        pair = [results.rounds("csv", name, "seconds") for name in names]
        return together(lambda bare, ours: 100 * bare / ours, *pair), ""

    return measured


def start(results: Results) -> tuple[Sessions, str]:
    """Return the seconds from the start of the process to the first prediction, and what no start can do without."""
    bare = results.seen("cold start", "python, numpy and ONNX Runtime", "seconds")
    remark = "" if bare is None else f"python, numpy, ONNX Runtime and the file take {bare.value:.2f} s of it"
    return results.rounds("cold start", "edgeconv stream", "seconds"), remark
