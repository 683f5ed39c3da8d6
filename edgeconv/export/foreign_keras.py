"""A `.keras` file made by others: what is refused and why, what it says of its ends, and how it is made to answer."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.evaluate.keras_model import held_back_stderr, import_keras, saved_with
from edgeconv.runtime.errors import ArtefactError, ConversionError, InputError, MissingFileError
from edgeconv.runtime.spec import ModelSpec

from .foreign import ModelEnds, choose_output
from .normalisation import channel_constants, leading_normalisation

HDF5 = b"\x89HDF\r\n\x1a\n"
FROM_HDF5 = (
    "is an HDF5 file, the older format of Keras; turn it into the present one with "
    "`keras.models.load_model('model.h5', compile=False).save('model.keras')`"
)
FROM_SAVED_MODEL = (
    "is a SavedModel, which holds a graph and no layers; where the Keras model is at hand, "
    "`model.save('model.keras')`, otherwise `python -m tf2onnx.convert --saved-model FOLDER --output net.onnx`, and "
    "export that"
)
FROM_OTHERS = {
    ".tflite": "is a TFLite file, which is the end of a conversion; give the .keras or .onnx file that it was made of",
    ".pt": "is a PyTorch file; write it with `torch.onnx.export(model, (windows,), 'net.onnx')` and export that",
    ".pb": FROM_SAVED_MODEL,
}
FROM_OTHERS |= dict.fromkeys((".pth", ".ckpt", ".safetensors"), FROM_OTHERS[".pt"])


def load_foreign(path: Path) -> Any:
    """Load a `.keras` file made by others, in safe mode, and return the Keras model.

    Raises MissingFileError; ArtefactError for what is no `.keras` file, with the way to one; ConversionError that names
    the layers which bring code of their own.
    """
    if path.is_dir() and (path / "saved_model.pb").exists():
        raise ArtefactError(f"{path} {FROM_SAVED_MODEL}")
    if not path.is_file():
        raise MissingFileError(f"{path} is not a file; give a .keras or .onnx file")
    with path.open("rb") as file:
        if file.read(len(HDF5)) == HDF5:
            raise ArtefactError(f"{path} {FROM_HDF5}")
    if path.suffix in FROM_OTHERS:
        raise ArtefactError(f"{path} {FROM_OTHERS[path.suffix]}")
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtefactError(
            f"{path} is not a .keras file, or a damaged one ({reason}); save it again with `model.save('model.keras')`"
        ) from None
    require_layers_of_keras(config, path)
    keras = import_keras()
    try:
        with held_back_stderr():
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged or old file
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(
            f"{path} is not a model that Keras {keras.__version__} can load{saved_with(path)} ({reason}); "
            "save it again with a Keras of this version"
        ) from None
    make_built(model, path)
    return model


def require_layers_of_keras(config: Any, path: Path) -> None:
    """Raise ConversionError that names each `Lambda` and each layer or function that is not one of Keras's own."""
    found = list(_classes(config))
    lambdas = [name for kind, module, name in found if kind in ("Lambda", "__lambda__")]
    if lambdas:
        raise ConversionError(
            f"{path}: {', '.join(lambdas)} holds Python code (a Lambda), which would run wherever the file is loaded, "
            "and is refused; write the same with layers, or with `keras.ops` between them, and save the model again"
        )
    custom = [f"{name} ({kind})" for kind, module, name in found if module != "keras" and module[:6] != "keras."]
    if custom:
        raise ConversionError(
            f"{path}: {', '.join(dict.fromkeys(custom))} is not of Keras itself, and its code is not in the file; "
            "write it with Keras's own layers and save the model again"
        )


def _classes(part: Any) -> Iterator[tuple[str, str, str]]:
    """Yield class, module and name of everything that a model's config is made of."""
    if isinstance(part, list):
        for item in part:
            yield from _classes(item)
    elif isinstance(part, dict):
        kind, inner = part.get("class_name"), part.get("config")
        if isinstance(kind, str) and "module" in part:
            name = inner.get("name", kind) if isinstance(inner, dict) else inner if isinstance(inner, str) else kind
            yield kind, part["module"] or "", str(name)
            if kind == "Lambda":
                return
        elif kind == "__lambda__":
            yield kind, "", "an activation"
            return
        for key, value in part.items():
            if key != "compile_config":  # nothing of it is loaded
                yield from _classes(value)


def make_built(model: Any, where: Path | str) -> None:
    """Raise ConversionError for a model that has no graph of layers yet, or that takes several inputs."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ConversionError(
            f"{where}: the model does not say what it takes; build it with keras.Input((window, channels)) as its "
            "first layer and save it again"
        )
    if len(inputs) > 1:
        names = ", ".join(tensor._keras_history.operation.name for tensor in inputs)
        raise ConversionError(
            f"{where}: the model has {len(inputs)} inputs ({names}); it must take one, windows "
            "[batch, window, channels]; let it take all channels together and split them inside"
        )


def output_of(model: Any, wanted: str | None, where: Path | str) -> Any:
    """Return the model's output that is wanted by its name or that of its layer; raises UsageError that lists them."""
    answer = getattr(model, "output", None)
    tensors = list(answer.values()) if isinstance(answer, dict) else model.outputs
    layers = [tensor._keras_history.operation.name for tensor in tensors]
    names = list(answer) if isinstance(answer, dict) else layers
    if wanted not in names and layers.count(wanted) == 1:
        return tensors[layers.index(wanted)]
    return tensors[choose_output(names, wanted, where)]


def ends_of(model: Any, output: Any, where: Path | str) -> ModelEnds:
    """Return what a Keras model says of its input and of an output; raises ConversionError for another shape."""
    keras = import_keras()
    source = model.inputs[0]
    answer = tuple(output.shape)
    if len(answer) != 2 or answer[1] is None:
        raise ConversionError(
            f"{where}: output {output._keras_history.operation.name} has shape {_words(answer)}; it must be "
            "[batch, classes], one answer for a window: end in a pooling over time, or Flatten, and a Dense layer"
        )
    if str(source.dtype) == "string":
        raise ConversionError(
            f"{where}: the model reads strings; turning text into token ids cannot be exported: save the part behind "
            "that layer, keras.Model(vectorise.output, model.output), which takes the ids"
        )
    sizes = tuple(source.shape[1:])
    embeddings = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    if len(sizes) == 1 and (embeddings or "int" in str(source.dtype)):
        vocabulary = embeddings[0].input_dim if len(embeddings) == 1 else None
        return ModelEnds("tokens", sizes, answer[1], vocabulary=vocabulary)
    if len(sizes) != 2:
        raise ConversionError(
            f"{where}: the input has shape {_words(source.shape)}; it must be [batch, window, channels], or "
            "[batch, timesteps] before an Embedding; put a keras.Input of that shape and a Reshape in front"
        )
    return ModelEnds("signal", sizes, answer[1])


def made_to_answer(model: Any, output: Any, spec: ModelSpec, *, logits: bool) -> tuple[Any, list[str]]:
    """Return a model of one input and one output that answers probabilities, and in words what was changed for it.

    The model itself where nothing is to be changed. The weights of its layers are the same.
    """
    keras = import_keras()
    layers = keras.layers
    value, changes = output, []
    if len(model.outputs) > 1:
        changes.append(f"output {output._keras_history.operation.name} taken, the others left out")
    if logits:
        value = layers.Activation("softmax" if value.shape[1] > 1 else "sigmoid", name="edgeconv_probabilities")(value)
        changes.append(f"{'softmax' if value.shape[1] > 1 else 'sigmoid'} added")
    if value.shape[1] == 1:
        both = layers.Dense(2, name="edgeconv_two_classes")
        value = both(value)
        both.set_weights([np.array([[-1.0, 1.0]], np.float32), np.array([1.0, 0.0], np.float32)])
        changes.append("the one number p made two probabilities, 1 − p and p")
    if any(isinstance(getattr(model, end, None), dict | list | tuple) for end in ("input", "output")):
        changes.append("its input and answer taken out of the list or dictionary that they were in")
    if changes:
        model = keras.Model(model.inputs[0], value, name=model.name)
    if None in model.inputs[0].shape[1:]:
        source = keras.Input(spec.window_shape, dtype=model.inputs[0].dtype)
        model = keras.Model(source, model(source), name=f"{model.name}_of_{spec.window}")
        changes.append(f"window fixed to {spec.window} timesteps")
    return model, changes


def with_constants_of(model: Any, spec: ModelSpec) -> ModelSpec:
    """Return the spec with the mean and deviation by which the model's first layer normalises.

    Raises InputError where the spec says others, or says some and the model does not normalise first.
    """
    layer = leading_normalisation(model)
    if layer is None:
        if spec.normalises:
            raise InputError(
                "the spec says that the model normalises (mean and std of its channels), and its first layer is no "
                "Normalization over the channels; leave mean and std out of the spec, or put the layer in front"
            )
        return spec
    found = [[float(value) for value in values] for values in channel_constants(layer, len(spec.channels))]
    given = [[c.mean for c in spec.channels], [c.std for c in spec.channels]]
    if spec.normalises and not np.allclose(given, found, rtol=1e-4, atol=1e-6):
        raise InputError(
            f"the model's layer {layer.name} subtracts {found[0]} and divides by {found[1]}, the spec says "
            f"{given[0]} and {given[1]}; leave mean and std out of the spec, they are taken from the layer"
        )
    channels = (replace(c, mean=m, std=s) for c, m, s in zip(spec.channels, *found, strict=True))
    return replace(spec, channels=tuple(channels))


def _words(shape: Any) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
