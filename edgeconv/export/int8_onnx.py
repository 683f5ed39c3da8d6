"""The int8 ONNX files: windows, ranges and float layers chosen on held-back subjects, and the files written so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

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
)
from .graph.net import Net, Scale, multiply_adds
from .graph.read import read_net
from .graph.write import write_windowed
from .graph.writer import DEFAULT_LAYOUT
from .job import Job
from .onnx import write_form
from .ranges import probabilities
from .ways import WAYS, Way, int8_by

DRAWS = (Calibration("random", 256, 0), Calibration("balanced", 512, 2), Calibration("trimmed", 256, 3))
"""Draws of calibration windows that are tried; all come from the subjects that do not judge."""
JUDGE = Artefact(precision="int8").name
"""The file whose limits decide."""


@dataclass(frozen=True)
class _Tried:
    draw: Calibration
    rows: NDArray[np.int64]
    way: Way
    int8: Int8Net
    seen: Comparison
    mean_abs_diff: float

    @property
    def order(self) -> tuple[bool, float]:
        """The best is first: within the limits, then least changed, where a dearer way must gain what it costs.

        Accuracy itself would choose the luckiest of many: it moves by whole windows, and few of them.
        """
        net = self.int8.net
        work = multiply_adds(net.steps, [time for _, time in net.shapes()[1:]])
        return bool(self.seen.violations(limits_of(JUDGE))), self.mean_abs_diff * work


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
        """Try every draw and way."""
        train, found = self.job.dataset.train, []
        rows = self.deciders
        decide = Split(train.windows[rows], train.class_ids[rows], train.subjects[rows])
        for draw in DRAWS:
            self.job.on_progress(f"{JUDGE}, ranges of {draw.count} windows ({draw.method}, seed {draw.seed})")
            rows = self.deciders[draw.rows(decide, normalised(decide.windows, self.net))]
            for way in WAYS:
                try:
                    int8 = int8_by(way, self.net, self.job.spec, train.windows[rows])
                except ConversionError:  # not every network can have its input every way
                    continue
                answers = self.answers(int8)
                moved = float(np.abs(answers - self.reference).mean())
                found.append(_Tried(draw, rows, way, int8, self.judge(answers), moved))
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

    Draws of windows and the `WAYS` are tried; of those that keep the limits on the windows of training subjects that
    took no part, the one with the smallest product of mean |Δp| and multiply-adds is taken. Where none does, the fewest
    layers that bring it back are left in float32. Raises ConversionError for a network that has no canonical form, or
    where no layer can be int8.
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
        **asdict(best.draw),
        **asdict(best.way),
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
                **asdict(one.draw),
                **asdict(one.way),
                "accuracy": one.seen.accuracy,
                "mean_abs_diff": one.mean_abs_diff,
            }
            for one in tried
        ],
        "subjects": np.unique(train.subjects[best.rows]).tolist(),
        "rows": best.rows.tolist(),
    }


def int8_source(job: Job) -> Net:
    """Return the canonical form that int8 starts from; raises ConversionError without one, or where no layer can be."""
    if job.source.net is None:
        raise ConversionError(job.source.refusal)
    net = prepared(read_net(job.source.converted, keep_first_scale=True))
    integer_layers(net)
    return net


def normalised(windows: NDArray[np.float32], net: Net) -> NDArray[np.float32]:
    """Return windows as the network's first step normalises them, if it does: float32 [n, window, channels]."""
    first = net.steps[0].operation
    return windows * first.factor + first.shift if isinstance(first, Scale) else windows


def build(job: Job, artefact: Artefact, entry: Mapping[str, Any]) -> bytes:
    """Return the bytes of an int8 form as an entry says; raises ConversionError where the form cannot be."""
    windows = job.dataset.train.windows[np.array(entry["rows"], np.int64)]
    if entry["weight_bits"] != WEIGHT_BITS or entry["form"] not in INT8_FORMS:
        raise ConversionError("the record is of another way to quantise")
    int8 = int8_by(Way.of(entry), int8_source(job), job.spec, windows)
    by_name = {name: number for number in integer_layers(int8.net) for name in names_of(int8.net, [number])}
    float_layers = frozenset(by_name[name] for name in entry["float_layers"])
    int8 = replace(int8, float_layers=float_layers, form=entry["form"])
    form = "onnx" if artefact.form == "windowed" else artefact.form
    layout = job.layouts.get(f"{form}-int8", DEFAULT_LAYOUT)
    return quantised(write_form(replace(job.source, net=int8.net), form, artefact.hop or job.spec.hop, layout), int8)
