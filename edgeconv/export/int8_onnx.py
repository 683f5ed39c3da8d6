"""The int8 ONNX files: windows, ranges and float layers chosen on held-back subjects, and the files written so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Split
from edgeconv.evaluate.compare import Comparison, compare
from edgeconv.evaluate.limits import limits_of
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ConversionError

from .calibration import Calibration, held_back
from .float_layers import Ranked, fewest, ranked
from .graph.int8 import (
    INT8_FORMS,
    WEIGHT_BITS,
    Int8Net,
    integer_layers,
    names_of,
    prepared,
    quantised,
    with_input_scale,
)
from .graph.net import Net, Scale
from .graph.read import read_net
from .graph.write import write_windowed
from .graph.writer import DEFAULT_LAYOUT
from .job import Job
from .onnx import write_form
from .ranges import RULES, Rule, activations, probabilities, ranges_of

DRAWS = (Calibration("random", 256, 0), Calibration("balanced", 512, 2), Calibration("trimmed", 256, 3))
"""Draws of calibration windows that are tried; all come from the subjects that do not judge."""
Input = Literal["as it is", "by channel"]
"""`by channel`: each channel divided by its largest value in the calibration windows, in float, and the first weights
times it; for networks that do not normalise."""
JUDGE = Artefact(precision="int8").name
"""The file whose limits decide."""


@dataclass(frozen=True)
class _Tried:
    draw: Calibration
    rows: NDArray[np.int64]
    input: Input
    rule: Rule
    int8: Int8Net
    seen: Comparison
    mean_abs_diff: float

    @property
    def order(self) -> tuple[float, float]:
        """The best is first: most accurate, then least changed."""
        return -(self.seen.accuracy or 0.0), self.mean_abs_diff


class _Search:
    """One search: what it needs of a job, and how it judges."""

    def __init__(self, job: Job) -> None:
        self.job, self.net = job, int8_source(job)
        train = job.dataset.train
        self.deciders, judges = held_back(train)
        self.windows, self.class_ids = train.windows[judges], train.class_ids[judges]
        self.judged_on = {
            "split": "train",
            "subjects": np.unique(train.subjects[judges]).tolist(),
            "windows": len(judges),
        }

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """The float network's probabilities on the judging windows, float32 [n, classes]."""
        return probabilities(write_windowed(self.net, self.job.spec), self.windows)

    def answers(self, int8: Int8Net) -> NDArray[np.float32]:
        """Return what an int8 network says of the judging windows, float32 [n, classes]."""
        return probabilities(quantised(write_windowed(int8.net, self.job.spec), int8), self.windows)

    def judge(self, answers: NDArray[np.float32]) -> Comparison:
        """Compare answers with the float network's."""
        return compare(self.reference, answers, self.class_ids)

    def candidates(self) -> list[_Tried]:
        """Try every draw, input and rule."""
        train, found = self.job.dataset.train, []
        rows = self.deciders
        decide = Split(train.windows[rows], train.class_ids[rows], train.subjects[rows])
        inputs: tuple[Input, ...] = ("as it is", "by channel") if may_scale_input(self.net) else ("as it is",)
        for draw in DRAWS:
            self.job.on_progress(f"{JUDGE}, ranges of {draw.count} windows ({draw.method}, seed {draw.seed})")
            rows = self.deciders[draw.rows(decide, normalised(decide.windows, self.net))]
            for input_ in inputs:
                net = with_input(self.net, input_, train.windows[rows])
                values = activations(net, self.job.spec, train.windows[rows])
                for rule in RULES:
                    int8 = Int8Net(net, ranges_of(net, values, rule))
                    answers = self.answers(int8)
                    moved = float(np.abs(answers - self.reference).mean())
                    found.append(_Tried(draw, rows, input_, rule, int8, self.judge(answers), moved))
        return found


def write_int8_onnx(job: Job, artefact: Artefact) -> None:
    """Write an int8 form; the first of an export chooses the ranges and the float layers, and the others share them."""
    if "onnx" not in job.calibrations:
        job.calibrations["onnx"] = choose(job)
    (job.aside / artefact.name).write_bytes(build(job, artefact, job.calibrations["onnx"]))


def rebuild(job: Job, artefact: Artefact, entry: Mapping[str, Any]) -> bytes | None:
    """Return the bytes of an int8 form, written again from what `calibration.json` says of it; None if that is not all.

    entry: what `choose` returned. Nothing is searched: the same model, data and entry give the same bytes.
    """
    try:
        return build(job, artefact, entry)
    except (ConversionError, KeyError, IndexError, TypeError, ValueError):
        return None


def choose(job: Job) -> dict[str, Any]:
    """Return what decides the int8 files, with what else was tried: the entry of `calibration.json`.

    Draws of windows, rules for ranges and, where the network does not normalise, a scale for each input channel are
    tried; the windows of training subjects that took no part decide by accuracy, then by the mean |Δp|. Where the best
    is out of the limits, the fewest layers that bring it back are left in float32. Raises ConversionError for a network
    that has no canonical form, or where no layer can be int8.
    """
    search = _Search(job)
    tried = search.candidates()
    best = min(tried, key=lambda one: one.order)
    int8, limits, after = best.int8, limits_of(JUDGE), best.seen
    ranking: list[Ranked] = []
    if best.seen.violations(limits):
        job.on_progress(f"{JUDGE}: layers in float32")
        ranking = ranked(int8, job.spec, search.windows)

        def keeps(layers: Collection[int]) -> bool:
            return not search.judge(search.answers(replace(int8, float_layers=frozenset(layers)))).violations(limits)

        int8 = replace(int8, float_layers=fewest([one.number for one in ranking], keeps))
        if len(int8.float_layers) == len(integer_layers(int8.net)):
            raise ConversionError(
                f"int8 loses too much wherever it is used: {'; '.join(best.seen.violations(limits))} on held-back "
                "training subjects, and no single layer can be int8"
            )
        after = search.judge(search.answers(int8))
    train = job.dataset.train
    return {
        **_draw(best.draw),
        "ranges": best.rule,
        "input": best.input,
        "form": int8.form,
        "weight_bits": WEIGHT_BITS,
        "float_layers": names_of(int8.net, int8.float_layers),
        "accuracy": {"float32": after.reference_accuracy, "all_int8": best.seen.accuracy, "int8": after.accuracy},
        "judged_on": search.judged_on,
        "ranking": [
            {
                "layer": names_of(int8.net, [one.number])[0],
                "layer_in_keras": one.layer,
                "sqnr_db": round(one.sqnr_db, 1),
            }
            for one in ranking
        ],
        "tried": [
            {
                **_draw(one.draw),
                "ranges": one.rule,
                "input": one.input,
                "accuracy": one.seen.accuracy,
                "mean_abs_diff": one.mean_abs_diff,
            }
            for one in tried
        ],
        "subjects": np.unique(train.subjects[best.rows]).tolist(),
        "rows": best.rows.tolist(),
    }


def _draw(draw: Calibration) -> dict[str, Any]:
    return {"method": draw.method, "count": draw.count, "seed": draw.seed}


def int8_source(job: Job) -> Net:
    """Return the canonical form that int8 starts from; raises ConversionError without one, or where no layer can be."""
    if job.source.net is None:
        raise ConversionError(job.source.refusal)
    net = prepared(read_net(job.source.converted, keep_first_scale=True))
    integer_layers(net)
    return net


def may_scale_input(net: Net) -> bool:
    """Whether each input channel can have a scale of its own in front: convolutions take it as it is."""
    return with_input_scale(net, np.ones(net.channels, np.float32)) is not None


def with_input(net: Net, input_: Input, windows: NDArray[np.float32]) -> Net:
    """Return the network with its input as it is, or each channel divided by its largest value in some windows.

    windows: float32 [n, window, channels]
    """
    if input_ == "as it is":
        return net
    largest = np.abs(windows).max(axis=(0, 1))
    scaled = with_input_scale(net, (1 / np.where(largest > 0, largest, 1)).astype(np.float32))
    if scaled is None:
        raise ConversionError("the network's input cannot be scaled: something else than a convolution takes it")
    return scaled


def normalised(windows: NDArray[np.float32], net: Net) -> NDArray[np.float32]:
    """Return windows as the network's first step normalises them, if it does: float32 [n, window, channels]."""
    first = net.steps[0].operation
    return windows * first.factor + first.shift if isinstance(first, Scale) else windows


def build(job: Job, artefact: Artefact, entry: Mapping[str, Any]) -> bytes:
    """Return the bytes of an int8 form as an entry says; raises ConversionError where the form cannot be."""
    windows = job.dataset.train.windows[np.array(entry["rows"], np.int64)]
    net = with_input(int8_source(job), entry["input"], windows)
    by_name = {name: number for number in integer_layers(net) for name in names_of(net, [number])}
    if entry["weight_bits"] != WEIGHT_BITS or entry["form"] not in INT8_FORMS or entry["ranges"] not in RULES:
        raise ConversionError("the record is of another way to quantise")
    ranges = ranges_of(net, activations(net, job.spec, windows), entry["ranges"])
    int8 = Int8Net(net, ranges, frozenset(by_name[name] for name in entry["float_layers"]), entry["form"])
    form = "onnx" if artefact.form == "windowed" else artefact.form
    layout = job.layouts.get(f"{form}-int8", DEFAULT_LAYOUT)
    return quantised(write_form(replace(job.source, net=net), form, artefact.hop or job.spec.hop, layout), int8)
