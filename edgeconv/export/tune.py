"""Time what a model's files could be on this machine, and choose: layout, threads, and the form for a single stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeconv.bench import Contestant, Entry, Measurement, Plan, measure
from edgeconv.bench.recording import generate_recording
from edgeconv.bench.statistics import Interval, median, paired_ratio
from edgeconv.runtime.classifier import Classifier
from edgeconv.runtime.errors import ConversionError
from edgeconv.runtime.machine import Machine, fingerprint
from edgeconv.runtime.score import Scorer, chunk_of
from edgeconv.runtime.stateful import Stepper
from edgeconv.runtime.tuning import SCHEMA

from .graph.net import digest
from .graph.writer import DEFAULT_LAYOUT, Layout
from .onnx import Source, write_form

MARGIN = 0.03
"""A variant is called faster where the whole interval of its time lies below the default's by more than this part."""
STREAMS = 64
LAYOUTS: tuple[Layout, ...] = ("1d", "2d")
USES = {"one window": "onnx", "recording": "dense", "one stream": "stateful", "many streams": "stateful"}
"""What a model is used for, and the format of the file that serves it."""
DECIDES = {"onnx": "one window", "dense": "recording", "stateful": "many streams"}
"""Format → the use whose fastest layout its file gets."""


PLAN = Plan(rounds=15, round_s=0.03, warm_up_s=0.6)


class Variant(NamedTuple):
    """One way to serve a use."""

    use: str
    layout: Layout
    threads: int


@dataclass(frozen=True)
class Row:
    """What was seen of a variant."""

    variant: Variant
    time_us: Interval
    """Microseconds per prediction."""
    of_default: Interval
    """Time over that of the default variant of the same use, round by round."""


def tune(
    source: Source,
    aside: Path,
    passes: Callable[[Path], bool],
    *,
    plan: Plan = PLAN,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write every variant of the ONNX files aside, time those that pass, and return what to write into `tuning.json`.

    passes: whether a file keeps the certificate's limits
    The variants run in processes of their own, in interleaved rounds. The default is taken unless another one is faster
    by more than the noise. Raises ConversionError for a network that has no canonical form, and so one variant only.
    """
    if source.net is None:
        raise ConversionError(f"there is nothing to choose from: {source.refusal}")
    machine = fingerprint()
    written, dropped = _write(source, aside, passes, on_progress)
    cores = machine.cores_available
    threads = sorted({1, *(2**i for i in range(cores.bit_length())), cores} & set(range(1, cores + 1)))
    variants = [
        Variant(use, layout, number)
        for use, format_ in USES.items()
        for layout in LAYOUTS
        if (format_, layout) in written
        for number in threads
    ]
    entries = [
        Entry(_name(v), make_contestant, {"file": str(written[USES[v.use], v.layout]), "variant": v}) for v in variants
    ]
    on_progress(f"tune: time {len(entries)} variants in turn")
    seen = {measurement.name: measurement for measurement in measure(entries, plan)}
    rows = _compare({variant: seen[_name(variant)] for variant in variants})
    return _report(source, machine, rows, dropped)


def _write(
    source: Source, aside: Path, passes: Callable[[Path], bool], on_progress: Callable[[str], None]
) -> tuple[dict[tuple[str, Layout], Path], list[str]]:
    """Write all formats in all layouts; return where those are that pass, and what is wrong with the others."""
    written: dict[tuple[str, Layout], Path] = {}
    dropped: list[str] = []
    for format_ in DECIDES:
        for layout in LAYOUTS:
            folder = aside / f"layout-{layout}"
            folder.mkdir(exist_ok=True)
            file = folder / ("model.onnx" if format_ == "onnx" else f"{format_}.onnx")
            on_progress(f"tune: check {file.name} with {layout} convolutions")
            try:
                file.write_bytes(write_form(source, format_, source.spec.hop, layout))
            except ConversionError as error:
                dropped.append(f"{file.name}: {error}")
                break
            if passes(file):
                written[format_, layout] = file
            else:
                dropped.append(f"{file.name} with {layout} convolutions is out of the certificate's limits")
    return written, dropped


def make_contestant(file: str, variant: Variant) -> Contestant:
    """Load a file and return what its use does over and over."""
    if variant.use == "one window":
        classifier = Classifier.load(file, threads=variant.threads)
        window = generate_recording(classifier.spec, classifier.spec.window, 0)[None]
        return Contestant(lambda: classifier.model.run(window))
    if variant.use == "recording":
        scorer = Scorer.load(file, threads=variant.threads)
        samples = generate_recording(scorer.spec, chunk_of(scorer.spec.window), 0)
        return Contestant(lambda: scorer.score(samples), units=len(scorer.score(samples)))
    stepper = Stepper.load(file, threads=variant.threads)
    streams = 1 if variant.use == "one stream" else STREAMS
    hops = np.stack([generate_recording(stepper.spec, stepper.spec.hop, seed) for seed in range(streams)])
    state = stepper.start(streams)
    return Contestant(lambda: stepper.step(hops, state), units=streams)


def _name(variant: Variant) -> str:
    return f"{variant.use}, {variant.layout}, {variant.threads} threads"


def _compare(seen: Mapping[Variant, Measurement]) -> list[Row]:
    rows = []
    for variant, measurement in seen.items():
        default = seen.get(Variant(variant.use, DEFAULT_LAYOUT, 1), measurement)
        times = measurement.us_per_unit
        rows.append(Row(variant, median(times), paired_ratio(default.us_per_unit, times)))
    return rows


def fastest(rows: list[Row]) -> Row:
    """Return the default row unless others are faster by more than the noise, and of these the one with fewest threads.

    rows: of one use; the default is the one whose ratio is exactly 1, or the first where that one was dropped
    """
    default = next((row for row in rows if row.variant[1:] == (DEFAULT_LAYOUT, 1)), rows[0])
    faster = [row for row in rows if row.of_default.high < 1 - MARGIN]
    if not faster:
        return default
    best = min(row.of_default.value for row in faster)
    # Threads that bring next to nothing are left to others.
    return min(
        (row for row in faster if row.of_default.value <= best * (1 + MARGIN)), key=lambda row: row.variant.threads
    )


def _report(source: Source, machine: Machine, rows: list[Row], dropped: list[str]) -> dict[str, Any]:
    assert source.net is not None
    by_use = {use: [row for row in rows if row.variant.use == use] for use in USES}
    chosen = {use: fastest(found) for use, found in by_use.items() if found}
    layouts = {
        format_: chosen[use].variant.layout if use in chosen else DEFAULT_LAYOUT for format_, use in DECIDES.items()
    }
    one_stream = "windowed"
    if "one stream" in chosen:
        # Of the layout that its file gets for the sake of many streams.
        steps = [row for row in by_use["one stream"] if row.variant.layout == layouts["stateful"]]
        step, window = fastest(steps or by_use["one stream"]), chosen["one window"]
        if step.time_us.high < window.time_us.low * (1 - MARGIN):
            one_stream = "stateful"
    return {
        "schema": SCHEMA,
        "machine": asdict(machine),
        "network": digest(source.net),
        "hop": source.spec.hop,
        "choice": {
            "layouts": layouts,
            "threads": {use: row.variant.threads for use, row in chosen.items()},
            "one stream": one_stream,
        },
        "margin": MARGIN,
        "table": [
            {
                **row.variant._asdict(),
                "us_per_prediction": asdict(row.time_us),
                "of_default": asdict(row.of_default),
                "verdict": _verdict(row),
                "chosen": chosen[row.variant.use] is row,
            }
            for row in rows
        ],
        "left_out": dropped,
    }


def _verdict(row: Row) -> str:
    if row.variant[1:] == (DEFAULT_LAYOUT, 1):
        return "default"
    if row.of_default.high < 1 - MARGIN:
        return "faster"
    return "slower" if row.of_default.low > 1 + MARGIN else "not resolvable"
