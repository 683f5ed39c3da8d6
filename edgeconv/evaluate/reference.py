"""What the files exported from a model folder are compared with: `model.keras`, or an ONNX file made elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.runtime.errors import CheckError

from .keras_model import KerasModel
from .original import OriginalModel

SUM_TOLERANCE = 1e-3
"""How far the probabilities of one window may sum to another number than 1: a softmax in float32 stays far below."""


def reference_file(folder: Path) -> str:
    """Return the name of the file that a folder's exports are compared with."""
    return files.ORIGINAL if (folder / files.ORIGINAL).exists() else files.KERAS


def load_reference(folder: Path) -> KerasModel | OriginalModel:
    """Load the model that a folder's exports are compared with; raises MissingFileError or ArtefactError."""
    if reference_file(folder) == files.ORIGINAL:
        return OriginalModel.load(folder)
    return KerasModel.load(folder / files.KERAS)


def why_no_probabilities(answers: NDArray[np.float32]) -> str | None:
    """Return, in words, why answers are no probabilities; None where they are.

    answers: float32 [n, classes]
    """
    if not np.isfinite(answers).all():
        return None  # a comparison says where they are not finite
    sums = answers.sum(axis=1, dtype=np.float64)
    wrong = (np.abs(sums - 1) > SUM_TOLERANCE) | (answers < -SUM_TOLERANCE).any(axis=1)
    if not wrong.any():
        return None
    first = int(wrong.argmax())
    return (
        f"the model's answers are no probabilities: on {int(wrong.sum())} of {len(answers)} windows they do not sum to "
        f"1 or fall below 0 (window {first}: lowest {answers[first].min():.3g}, sum {sums[first]:.3g})"
    )


def are_one_by_one(answers: NDArray[np.float32]) -> bool:
    """Whether answers look like a sigmoid for each class: all from 0 to 1, and they do not sum to 1."""
    return bool(((answers >= 0) & (answers <= 1)).all()) and why_no_probabilities(answers) is not None


ONE_BY_ONE = (
    "each lies between 0 and 1, as a sigmoid for each class gives them: such a model does not choose among its labels, "
    "and a softmax of that would mean nothing; let it be trained with a softmax as its last layer"
)


def require_probabilities(answers: NDArray[np.float32]) -> None:
    """Raise CheckError where answers, float32 [n, classes], are no probabilities: no file may call them so."""
    problem = why_no_probabilities(answers)
    if problem:
        way_out = (
            "where the model ends in logits, `edgeconv export FILE --logits` adds the softmax (or the sigmoid), "
            "otherwise let its last layer be a softmax"
        )
        raise CheckError(f"{problem}; {ONE_BY_ONE if are_one_by_one(answers) else way_out}")
