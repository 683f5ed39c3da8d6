"""Who runs against whom: the heats, each with its contestants and how long they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from edgeconv.bench import Contestant, Plan

from . import contestants as made
from . import device, products
from .contestants import Job, Open
from .engines import open_keras, open_litert, open_onnx_runtime, open_openvino
from .material import CONVERTED, HOPS, INT8, LITERT_BATCHES, MODEL, MODEL_INT8, TFLITE, Material, Sizes

Kind = Literal["floor", "peer", "ours", "ours elsewhere"]
LOOP = "ONNX Runtime, loop"
"""What a user would write, and what the others are compared with."""
BATCHES = (8, 16, 32, 64, 128, 256)
MATMULS = ("matrix product, ONNX Runtime", "matrix product, numpy")


@dataclass(frozen=True)
class Competitor:
    """One contestant of a heat, and what there is to know about it before it runs."""

    name: str
    make: Callable[..., Contestant]
    kind: Kind = "peer"
    file: str = ""
    hop: int = 64
    arguments: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    """`float32`, `int8`, or `default`: whatever the engine takes by itself."""
    needs: str = ""
    """The module that must be installed."""
    batches: tuple[int, ...] = ()
    """Batch sizes of which the best is found before the heat."""
    reference: str | None = "hop"
    """Which of Keras's answers are the right ones; None where there is nothing to answer."""
    rows: Any = None
    """Which of them, in order; None for as many as were given."""


@dataclass(frozen=True)
class Effort:
    """How much is done for a figure."""

    name: str = "full"
    sessions: int = 3
    rounds: int = 10
    round_s: float = 0.1
    warm_up_s: float = 1.5
    sizes: Sizes = field(default_factory=Sizes)


EFFORTS = {
    "full": Effort(),
    "quick": Effort("quick", sessions=2, rounds=4, sizes=Sizes(windows=1024, most_windows=8192, sensors=2000)),
    "trial": Effort(
        "trial", sessions=1, rounds=2, round_s=0.001, warm_up_s=0.0,
        sizes=Sizes(windows=64, most_windows=1024, at_once=4, sensors=20, csv_repeats=2),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Heat:
    """Contestants that take turns."""

    name: str
    competitors: tuple[Competitor, ...]
    plan: Plan
    threads: int = 1


def job_of(competitor: Competitor, material: Material, threads: int) -> Job:
    """Return what a competitor is to do."""
    return Job(material.folder, competitor.file, competitor.hop, material.sizes, threads)


def over_windows(
    name: str, open_engine: Open, file: str, batch: int | tuple[int, ...], needs: str = "", *,
    options: Mapping[str, Any] | None = None, make: Callable[..., Contestant] = made.score_windows, **more: Any,
) -> Competitor:  # fmt: skip
    """Return an engine over a recording, in batches of one size or in the best of some."""
    arguments: dict[str, Any] = {"open_engine": open_engine, "options": options or {}}
    if isinstance(batch, tuple):
        return Competitor(name, make, file=file, needs=needs, arguments=arguments, batches=batch, **more)
    return Competitor(name, make, file=file, needs=needs, arguments={**arguments, "batch": batch}, **more)


def hint(hint: str, precision: str | None = "f32") -> dict[str, Any]:
    """Return options of OpenVINO; precision None leaves that to it."""
    return {"hint": hint, "precision": precision, "asynchronous": hint == "THROUGHPUT"}


def engines(threads: int) -> Iterator[Competitor]:
    """Yield the other engines over a recording; those for several threads are those that gain by them."""
    ort, litert, openvino = open_onnx_runtime, open_litert, open_openvino
    yield over_windows(LOOP, ort, CONVERTED, 1)
    if threads == 1:
        yield over_windows("ONNX Runtime, batches of 32", ort, CONVERTED, 32)
    yield over_windows("ONNX Runtime, best batch", ort, CONVERTED, BATCHES)
    yield over_windows("LiteRT, best batch", litert, "batch{batch}.tflite", LITERT_BATCHES, "ai_edge_litert")
    yield over_windows(
        "OpenVINO THROUGHPUT, best batch", openvino, CONVERTED, BATCHES, "openvino", options=hint("THROUGHPUT")
    )
    if threads > 1:
        return
    yield over_windows("LiteRT, loop", litert, TFLITE, 1, "ai_edge_litert")
    yield over_windows("LiteRT int8, loop", litert, INT8, 1, "ai_edge_litert", precision="int8")
    yield over_windows("OpenVINO LATENCY, loop", openvino, CONVERTED, 1, "openvino", options=hint("LATENCY"))
    yield over_windows(
        "OpenVINO LATENCY, best batch", openvino, CONVERTED, BATCHES, "openvino", options=hint("LATENCY")
    )
    yield over_windows("OpenVINO THROUGHPUT, loop", openvino, CONVERTED, 1, "openvino", options=hint("THROUGHPUT"))
    for how, batch, of in (("loop", 1, "LATENCY"), ("best batch", BATCHES, "THROUGHPUT")):
        yield over_windows(
            f"OpenVINO, its own precision, {how}", openvino, CONVERTED, batch, "openvino",
            options=hint(of, None), precision="default",
        )  # fmt: skip
    yield over_windows(
        "OpenVINO on dense.onnx", openvino, form("dense", 64), (64, 256, 1024), "openvino",
        options=hint("LATENCY"), make=made.score_dense_windows, kind="ours elsewhere",
    )  # fmt: skip
    yield over_windows("Keras predict, best batch", open_keras, "model.keras", (64, 256, 1024))


def form(name: str, hop: int, precision: str = "float32") -> str:
    """Return the file of a form in the folder."""
    at = name if hop == 64 else f"{name}.hop{hop}"
    return f"forms/{at}.onnx" if precision == "float32" else f"forms/{at}.{precision}.onnx"


def ours(name: str, precision: str) -> str:
    """Return what one of edgeconv's forms is called in a precision."""
    return f"edgeconv {name}" if precision == "float32" else f"edgeconv {name} {precision}"


def dense(hops: Iterable[int], precision: str = "float32") -> Iterator[Competitor]:
    """Yield edgeconv's dense form."""
    for hop in hops:
        yield Competitor(
            f"{ours('dense', precision)}, hop {hop}", made.score_recording, "ours", form("dense", hop, precision), hop,
            precision=precision,
        )  # fmt: skip


def stateful(
    material: Material, streams: int, steps: int, how: str, precision: str = "float32"
) -> Iterator[Competitor]:
    """Yield edgeconv's stateful form, over some streams at once."""
    for hop in HOPS:
        competitor = Competitor(
            f"{ours('stateful', precision)}, {how}, hop {hop}", made.step_streams, "ours",
            form("stateful", hop, precision), hop, {"streams": streams, "steps": steps}, precision,
        )  # fmt: skip
        yield replace(competitor, rows=made.rows_of_steps(job_of(competitor, material, 1), streams))


def single_stream(material: Material) -> Iterator[Competitor]:
    """Yield what answers one window at a time."""
    first = {"rows": np.arange(made.QUERIES)}

    def one(name: str, open_engine: Any, file: str, needs: str = "", options: Any = None, **more: Any) -> Competitor:
        arguments = {"open_engine": open_engine, "options": options or {}}
        return Competitor(name, made.answer_one_window, file=file, arguments=arguments, needs=needs, **first, **more)

    latency = {"hint": "LATENCY"}
    yield one(LOOP, open_onnx_runtime, CONVERTED)
    yield one("ONNX Runtime on model.onnx", open_onnx_runtime, MODEL, kind="ours elsewhere")
    yield one("LiteRT", open_litert, TFLITE, "ai_edge_litert")
    yield one("LiteRT int8", open_litert, INT8, "ai_edge_litert", precision="int8")
    yield one("OpenVINO", open_openvino, CONVERTED, "openvino", {**latency, "precision": "f32"})
    yield one(
        "OpenVINO, its own precision", open_openvino, CONVERTED, "openvino", {**latency, "precision": None},
        precision="default",
    )  # fmt: skip
    yield Competitor("edgeconv predict", made.predict_one_window, "ours", MODEL, **first)
    yield Competitor("edgeconv predict int8", made.predict_one_window, "ours", MODEL_INT8, precision="int8", **first)
    for hop in (64, 1):
        yield Competitor(f"edgeconv push, hop {hop}", made.push_one_hop, "ours", MODEL, hop, **first)
    yield from stateful(material, 1, 1, "one stream")


def csv_readers() -> Iterator[Competitor]:
    """Yield what reads the CSV file: bare parsers, and edgeconv as far as predictions."""
    yield Competitor("numpy.loadtxt alone", device.parse_with_numpy, "floor", reference=None)
    yield Competitor("polars.read_csv alone", device.parse_with_polars, "floor", needs="polars", reference=None)
    for parser in (None, *device.PARSERS):
        name = f"edgeconv, parser {parser or 'numpy'}"
        arguments = {"parser": parser}
        yield Competitor(
            name, device.classify_csv, "ours", MODEL, arguments=arguments, needs=parser or "", reference="csv"
        )


def heats(material: Material, cores: int, effort: Effort) -> Iterator[Heat]:
    """Yield all heats, as they are with everything installed."""
    rounds = effort.rounds
    usual = Plan(rounds=rounds, round_s=effort.round_s, warm_up_s=effort.warm_up_s, retries=rounds // 2)
    matmuls = (
        Competitor(MATMULS[0], products.multiply_in_onnx_runtime, "floor", reference=None),
        Competitor(MATMULS[1], products.multiply_in_numpy, "floor", reference=None),
    )
    at_once = material.sizes.at_once
    forms = [
        competitor
        for precision, file in (("float32", MODEL), ("int8", MODEL_INT8))
        for competitor in (
            Competitor(ours("windowed", precision), made.predict_windows, "ours", file, precision=precision),
            *dense(HOPS, precision),
            *stateful(material, at_once, made.STEPS, f"{at_once} streams", precision),
        )
    ]
    yield Heat("offline", (*matmuls, *engines(1), *forms), usual)
    if cores > 1:
        yield Heat("two threads", (*engines(2), *dense((64, 8))), usual, threads=2)
    yield Heat("single-stream", tuple(single_stream(material)), replace(usual, least_runs=200))
    yield Heat(
        "multi-stream",
        (Competitor("edgeconv pool", device.push_packets, "ours", form("stateful", 64), rows=np.arange(made.QUERIES)),),
        replace(usual, round_s=5 * effort.round_s),
    )
    cold = replace(usual, rounds=max(2, rounds // 2), warm_up_s=0.0, retries=0)
    yield Heat("csv", tuple(csv_readers()), cold)
    yield Heat(
        "cold start",
        (
            Competitor("python, numpy and ONNX Runtime", device.start_python, "floor", MODEL, reference=None),
            Competitor("edgeconv stream", device.start_edgeconv, "ours", MODEL, rows=np.arange(1)),
        ),
        cold,
    )


def left_out(competitor: Competitor) -> str:
    """Return why a competitor cannot take part; empty where it can."""
    if competitor.needs and find_spec(competitor.needs) is None:
        return f"{competitor.needs} is not installed"
    return ""
