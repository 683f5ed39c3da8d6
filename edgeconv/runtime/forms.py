"""Which files of a model folder answer at a hop, and which of them is run: the forms of one network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .artefact import Artefact, Form, Precision
from .errors import ArtefactError
from .model_file import OpenModel
from .score import Scorer
from .spec import ModelSpec
from .stateful import Stepper
from .tuning import read_tuning

WORTH_A_STEP = 1_500_000
"""Multiply-adds that a step must save for a stream that is alone to go by the stateful form.

Running a small network is mostly the call itself, and a step has more to call and to hand over than a window: on a
processor with wide vectors that takes as long as a million multiply-adds. Many streams share the call, and save with
every one.
"""


@dataclass(frozen=True)
class Forms:
    """What answers at one hop besides the windowed form, which every folder has."""

    dense: Scorer | None = None
    """Whole recordings, and pushes that complete several windows."""
    stateful: Stepper | None = None
    """Streams, hop by hop."""
    stateful_for_one: bool = False
    """Whether a stream that is alone goes by the stateful form, because it is faster; many together always do."""


def form_file(form: Form, hop: int, spec: ModelSpec, precision: Precision = "float32") -> str:
    """Return the name of a form's file for a hop: `dense.onnx` for the spec's hop, `dense.hop8.onnx` for another."""
    return Artefact(form, precision).at(hop, spec.hop).name


def open_forms(
    folder: Path, windowed: OpenModel, hop: int, precision: Precision, device: str, threads: int, spin: bool
) -> Forms:
    """Open the forms of a folder's network that answer at a hop, in the precision of the windowed one.

    Raises ArtefactError where a file is of another network or has another spec than the windowed one.
    """
    dense = stateful = None
    file = folder / form_file("dense", hop, windowed.spec, precision)
    if file.exists():
        dense = Scorer.load(file, device, threads=threads, spin=spin)
        require_same_network(dense.model, windowed, hop, file)
    file = folder / form_file("stateful", hop, windowed.spec, precision)
    if file.exists():
        stateful = Stepper.load(file, device, threads=threads, spin=spin)
        require_same_network(stateful.model, windowed, hop, file)
    tuning = read_tuning(folder)
    if stateful and tuning and (tuning.network, tuning.hop) == (windowed.network, hop):
        return Forms(dense, stateful, tuning.stateful_for_one)
    worth_it = stateful is not None and hop < windowed.spec.window and is_worth_it(stateful.model, windowed)
    return Forms(dense, stateful, worth_it)


def require_same_network(model: OpenModel, windowed: OpenModel, hop: int, file: Path) -> None:
    """Raise ArtefactError where two files do not have the same weights and, but for the hop, the same spec."""
    if model.network is None or model.network != windowed.network:
        raise ArtefactError(f"{file} is of another network than the windowed model beside it; export the model again")
    if model.spec != replace(windowed.spec, hop=hop):
        raise ArtefactError(f"{file} has another spec than the windowed model beside it; export the model again")


def is_worth_it(stateful: OpenModel, windowed: OpenModel) -> bool:
    """Whether a step for one stream is expected to be faster than the windowed form for one window."""
    if stateful.multiply_adds is None or windowed.multiply_adds is None:
        return False
    return windowed.multiply_adds - stateful.multiply_adds >= WORTH_A_STEP
