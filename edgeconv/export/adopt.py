"""Fill a model folder from a model made elsewhere: a `.keras` or `.onnx` file, or a Keras model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import KerasModel, held_back_stderr, import_keras
from edgeconv.evaluate.original import ORIGIN_SCHEMA, OriginalModel, Reading
from edgeconv.evaluate.reference import ONE_BY_ONE, are_one_by_one, require_probabilities, why_no_probabilities
from edgeconv.runs.record import now
from edgeconv.runtime.errors import CheckError, ConversionError, InputError, UsageError
from edgeconv.runtime.spec import ModelSpec

from . import foreign_keras, foreign_onnx
from .foreign import LAYOUTS, ModelEnds
from .said import NOT_KNOWN

TRIED = 256
"""Windows on which a model's answers are looked at before it is taken; the export looks at all."""


@dataclass
class Foreign:
    """A model made elsewhere that is loaded and looked at, and not yet in a folder."""

    path: Path
    ends: ModelEnds
    model: Any = None
    """The Keras model; None for an ONNX file."""
    output: Any = None
    """The output that answers: a tensor of the Keras model, or the name in an ONNX file."""
    several: bool = False
    """Whether it was chosen among others."""


def open_foreign(path: str | Path, output: str | None = None) -> Foreign:
    """Load and look at a `.keras` or `.onnx` file.

    output: name of the output, or of its layer, that answers; may be left out where there is only one
    Raises MissingFileError; ArtefactError for a file of another kind, with the way out; ConversionError for what cannot
    be exported; UsageError that lists the outputs.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        proto = foreign_onnx.load_graph(path)
        ends, name = foreign_onnx.ends_of_graph(proto, output, path)
        return Foreign(path, ends, output=name, several=len(proto.graph.output) > 1)
    model = foreign_keras.load_foreign(path)
    tensor = foreign_keras.output_of(model, output, path)
    ends = foreign_keras.ends_of(model, tensor, path)
    return Foreign(path, ends, model, tensor, len(model.outputs) > 1)


def adopt(
    model: Any,
    spec: ModelSpec,
    folder: str | Path,
    *,
    output: str | None = None,
    layout: str | None = None,
    logits: bool = False,
    windows: NDArray[Any] | None = None,
    overwrite: bool = False,
) -> ModelSpec:
    """Fill a model folder from a model made elsewhere, ready for `export`, and return the spec that lies in it.

    model: path of a `.keras` or `.onnx` file, a Keras model, or what `open_foreign` returned
    output: which output answers, where there are several
    layout: `channels-last` or `channels-first`, where an ONNX file's input can be either
    logits: whether a softmax (a sigmoid for a single number) is to be added
    windows: real ones, float32 [n, window, channels] or int [n, window], on which the answers must be probabilities;
        without them the first export sees to it
    The spec's mean and std are those of the model's first layer, if that normalises. Raises what `open_foreign` raises,
    InputError where model and spec disagree, CheckError where the answers are no probabilities, UsageError where the
    folder is in use or an option makes no sense.
    """
    folder = Path(folder)
    spec = replace(spec, sampling_rate_hz=float(spec.sampling_rate_hz), trained_on=spec.trained_on or NOT_KNOWN)
    _require_free(folder, overwrite)
    with files.staging(folder) as aside, tempfile.TemporaryDirectory() as scratch:
        foreign = model if isinstance(model, Foreign) else open_foreign(_as_file(model, Path(scratch)), output)
        found = foreign.ends.require_fit(spec, layout)
        if layout is not None and foreign.model is not None and layout != LAYOUTS[0]:
            raise UsageError("a Keras model takes [batch, window, channels]; leave --layout out")
        origin: dict[str, Any] = {
            "schema": ORIGIN_SCHEMA,
            "created": now(),
            "file": foreign.path.name,
            "sha256": files.file_sha256(foreign.path),
        }
        reference: KerasModel | OriginalModel
        if foreign.model is None:
            reading = Reading(foreign.output, found == LAYOUTS[1], logits)
            if spec.normalises:
                raise InputError(
                    "the spec says that the model normalises (mean and std of its channels), which cannot be seen in "
                    "an ONNX graph; leave mean and std out: what the graph does inside is no matter of the spec"
                )
            reference = OriginalModel(foreign.path.read_bytes(), spec, reading, str(foreign.path))
            _require_classes(reference, spec)
            shutil.copyfile(foreign.path, aside / files.ORIGINAL)
            origin |= {"reading": asdict(reading), "changes": []}
        else:
            spec = foreign_keras.with_constants_of(foreign.model, spec)
            made, changes = foreign_keras.made_to_answer(foreign.model, foreign.output, spec, logits=logits)
            reference = KerasModel(made)
            if changes:
                with held_back_stderr():
                    made.save(aside / files.KERAS)
            else:
                shutil.copyfile(foreign.path, aside / files.KERAS)
            origin |= {"changes": changes}
        if windows is not None and len(windows):
            _require_answers(foreign, spec, reference, windows[:TRIED], logits=logits)
        files.write_text(aside / files.SPEC, spec.to_json() + "\n")
        files.write_json(aside / files.ORIGIN, origin)
        _place(aside, folder)
    return spec


def _as_file(model: Any, scratch: Path) -> Path:
    """Return the path of a model, saved if it is a Keras model in memory: what cannot be saved cannot be exported."""
    if isinstance(model, str | Path):
        return Path(model)
    keras = import_keras()
    if not isinstance(model, keras.Model):
        raise UsageError(f"the model is a {type(model).__name__}; give a Keras model or the path of its file")
    foreign_keras.make_built(model, model.name)
    path = scratch / files.KERAS
    with held_back_stderr():
        model.save(path)
    return path


def _require_free(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder for the model")
    taken = [name for name in (files.KERAS, files.ORIGINAL) if (folder / name).exists()]
    if taken and not overwrite:
        raise UsageError(f"{folder} already holds a model ({taken[0]}); choose another folder or give --overwrite")


def _require_classes(model: OriginalModel, spec: ModelSpec) -> None:
    """Raise ConversionError where a graph's answers, which it need not declare, have another shape than its spec."""
    tokens = spec.input == "tokens"
    shape = model.answers(np.zeros((2, *spec.window_shape), np.int32 if tokens else np.float32)).shape
    if shape not in ((2, len(spec.labels)), (2, 1)) or (shape == (2, 1) and len(spec.labels) != 2):
        raise ConversionError(
            f"the graph answers two windows with {list(shape)}; [2, {len(spec.labels)}] is needed, one row for each "
            f"window and one number for each of the labels {', '.join(spec.labels)}"
        )


def _require_answers(
    foreign: Foreign, spec: ModelSpec, reference: KerasModel | OriginalModel, windows: NDArray[Any], *, logits: bool
) -> None:
    """Raise CheckError where answers are no probabilities, or what a softmax was added to are no logits.

    UsageError where they were probabilities before.
    """
    require_probabilities(reference.predict(windows))
    if not logits:
        return
    if isinstance(reference, OriginalModel):
        before = OriginalModel(reference.content, spec, Reading(**{**asdict(reference.reading), "logits": False}))
        plain = before.predict(windows)
    else:
        keras = import_keras()
        plain = KerasModel(keras.Model(foreign.model.inputs, foreign.output)).predict(windows)
        plain = np.concatenate([1 - plain, plain], axis=1) if plain.shape[1] == 1 else plain
    if why_no_probabilities(plain) is None:
        raise UsageError("the model's answers are probabilities already; leave --logits out")
    if are_one_by_one(plain):
        raise CheckError(f"the model's answers are no logits: {ONE_BY_ONE}")


def _place(aside: Path, folder: Path) -> None:
    """Put the model in place; what was there of another one goes first, so that nothing contradicts it."""
    for name in (*files.exported_files(folder), files.TRAINING, files.KERAS, files.ORIGINAL, files.ORIGIN):
        (folder / name).unlink(missing_ok=True)
    for name in (files.SPEC, files.ORIGIN, files.KERAS, files.ORIGINAL):
        if (aside / name).exists():
            (aside / name).replace(folder / name)
