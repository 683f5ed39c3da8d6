"""Time the two ways to write the same integers on this machine, and choose one for all int8 ONNX files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgeconv.bench import Entry, Plan, measure
from edgeconv.bench.statistics import Interval, median, paired_ratio
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ConversionError

from .graph.int8 import DEFAULT_FORM, Int8Form
from .graph.writer import DEFAULT_LAYOUT
from .int8_onnx import build, choose
from .job import Job
from .tune import MARGIN, PLAN, Variant, make_contestant

SAME_INTEGERS: tuple[Int8Form, ...] = ("qoperator-u8", "qdq-u8")
"""Forms whose answers are the same, so that what held-back subjects showed of one holds for the other."""
USES = {
    "one window": Artefact(precision="int8"),
    "recording": Artefact("dense", "int8"),
    "many streams": Artefact("stateful", "int8"),
}


def tune_int8(job: Job, *, plan: Plan = PLAN) -> dict[str, Any]:
    """Choose the int8 files of a job and their form: the entry that `write_int8_onnx` follows, and what was timed.

    The default form is taken unless another one is faster for a use, and slower for none, by more than the noise.
    Raises what `choose` raises.
    """
    entry = job.calibrations["onnx"] = choose(job)
    entries = []
    for form in SAME_INTEGERS:
        folder = job.aside / f"int8-{form}"
        folder.mkdir()
        for use, artefact in USES.items():
            try:
                (folder / artefact.name).write_bytes(build(job, artefact, entry | {"form": form}))
            except ConversionError:
                continue  # a network that pads has the windowed form only
            arguments = {"file": str(folder / artefact.name), "variant": Variant(use, DEFAULT_LAYOUT, 1)}
            entries.append(Entry(f"{use}, {form}", make_contestant, arguments))
    job.on_progress(f"tune: time {len(entries)} int8 variants in turn")
    times = {measurement.name: measurement.us_per_unit for measurement in measure(entries, plan)}
    ratios = {
        (use, form): paired_ratio(times[f"{use}, {DEFAULT_FORM}"], times[f"{use}, {form}"])
        for use in USES
        for form in SAME_INTEGERS
        if f"{use}, {form}" in times
    }
    entry["form"] = faster(ratios)
    return {
        "form": entry["form"],
        "table": [
            {
                "use": use,
                "form": form,
                "us_per_prediction": asdict(median(times[f"{use}, {form}"])),
                "of_default": asdict(ratio),
            }
            for (use, form), ratio in ratios.items()
        ],
    }


def faster(ratios: dict[tuple[str, Int8Form], Interval]) -> Int8Form:
    """Return the form that is faster than the default for some use and slower for none; the default where none is.

    ratios: use and form → its time over the default's
    """
    for form in SAME_INTEGERS:
        of_default = [ratio for (_, other), ratio in ratios.items() if other == form]
        gains = any(ratio.high < 1 - MARGIN for ratio in of_default)
        if gains and not any(ratio.low > 1 + MARGIN for ratio in of_default):
            return form
    return DEFAULT_FORM
