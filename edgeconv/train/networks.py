"""Networks: presets, each with its recipe, and anyone's own; all are functions from windows to probabilities."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.evaluate.keras_model import import_keras
from edgeconv.runtime.errors import UsageError

Network = Callable[..., Any]
"""Function of (windows, classes, options by name): Keras tensor [batch, window, channels] → tensor [batch, classes]."""


def seed(windows: Any, classes: int, *, filters: int = 64, kernel_size: int = 3, hidden: int = 100) -> Any:
    """Build `seed`, the network of the Conv1D tutorial for human activity recognition.

    Two convolutions of 64 filters over 3 timesteps, dropout, pooling by 2, one hidden dense layer of 100.
    """
    layers = import_keras().layers
    x = layers.Conv1D(filters, kernel_size, activation="relu")(windows)
    x = layers.Conv1D(filters, kernel_size, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.MaxPooling1D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(hidden, activation="relu")(x)
    return layers.Dense(classes, activation="softmax")(x)


def edge(
    windows: Any,
    classes: int,
    *,
    filters: Sequence[int] = (48, 80, 112, 128),
    kernel_size: int = 5,
    dropout: float = 0.1,
) -> Any:
    """Build `edge`: a strided convolution, then separable ones, and the mean and maximum over time.

    No layer pads, so every position is computed once, however windows overlap. The first convolution mixes the channels
    at once and halves the rate; depthwise separable ones (Howard et al., MobileNets, 2017) follow, with a pooling by 2
    behind the first of them. Mean and maximum over time together tell both how much and whether at all.
    """
    layers = import_keras().layers

    def normalised(x: Any) -> Any:
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))

    first, *others = filters
    x = normalised(layers.Conv1D(first, kernel_size, strides=2, use_bias=False)(windows))
    for place, count in enumerate(others):
        x = normalised(layers.SeparableConv1D(count, kernel_size, use_bias=False)(x))
        x = layers.SpatialDropout1D(dropout / 2)(x)
        if place == 0:
            x = layers.MaxPooling1D(2)(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    return layers.Dense(classes, activation="softmax")(layers.Dropout(dropout)(x))


def tiny(
    windows: Any,
    classes: int,
    *,
    filters: Sequence[int] = (32, 48, 64, 56),
    kernel_size: int = 5,
    dropout: float = 0.1,
) -> Any:
    """Build `tiny`: `edge` with fewer filters, for microcontrollers."""
    return edge(windows, classes, filters=filters, kernel_size=kernel_size, dropout=dropout)


def audio(windows: Any, classes: int) -> Any:
    """Build `audio`, for windows of thousands of timesteps of one channel: a second at 16 kHz.

    Strides of 16, 4 and 5 bring 320 timesteps (20 ms) to one position, so that the dense form of a hop of 320 computes
    each position once; the last convolution sees 9 of them, and the mean over time answers for the window. No padding.
    """
    layers = import_keras().layers
    x = windows
    for filters, kernel, stride in ((16, 64, 16), (32, 5, 4), (48, 5, 5), (64, 9, 1)):
        x = layers.Conv1D(filters, kernel, strides=stride, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)  # sounds differ in level by a factor of ten
        x = layers.Activation("relu")(x)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling1D()(x))
    return layers.Dense(classes, activation="softmax")(layers.Dense(32, activation="relu")(x))


INERTIAL: dict[str, Any] = {
    "standardise": True,
    "epochs": 60,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "averaged_epochs": 0.15,
    "rotation_deg": 20.0,
    "scaling": 0.1,
    "noise": 0.02,
}
"""How the networks for inertial sensors are trained; `tools/recipe.py` measures what each part brings."""


@dataclass(frozen=True)
class Preset:
    """A network of the house and how it is trained, where that is not `TrainConfig`'s default."""

    build: Network
    recipe: Mapping[str, Any] = field(default_factory=dict)


NETWORKS: dict[str, Preset] = {
    "seed": Preset(seed),
    "edge": Preset(edge, INERTIAL),
    "tiny": Preset(tiny, INERTIAL),
    "audio": Preset(audio),
}


def recipe_of(network: str) -> Mapping[str, Any]:
    """Return how a preset is trained; nothing for a network of one's own."""
    return NETWORKS[network].recipe if network in NETWORKS else {}


def network_of(network: str) -> Network:
    """Return the function of a preset, or of `module:function`.

    The module is found in the working directory, too. Raises UsageError where there is no such function.
    """
    if network in NETWORKS:
        return NETWORKS[network].build
    if ":" not in network:
        raise UsageError(
            f"network {network!r} is not known; choose one of {', '.join(sorted(NETWORKS))}, or give your own as "
            "module:function, a function of (windows, classes) from a Keras tensor to a Keras tensor"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = pkgutil.resolve_name(network)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"network {network!r} cannot be imported ({error})") from None
    if not callable(found):
        raise UsageError(f"network {network!r} is a {type(found).__name__}, not a function")
    function: Network = found
    return function


def source_of(network: str) -> str | None:
    """Return the source of the module that a network of one's own is in; None for a preset."""
    return (
        None
        if network in NETWORKS
        else inspect.getsource(inspect.getmodule(network_of(network)) or network_of(network))
    )


def option_defaults(network: str) -> dict[str, Any]:
    """Return a network's options with their defaults."""
    parameters = list(inspect.signature(network_of(network)).parameters.values())[2:]
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.default is not inspect.Parameter.empty
    }


def build(
    network: str,
    window: int,
    channels: int,
    classes: int,
    normalisation: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Return a new, uncompiled Keras model from windows in physical units to probabilities.

    normalisation: mean and standard deviation, float64 [channels] each, in the channels' units; they become the
        first layer, so that the model takes physical units. None builds a network that does not normalise.
    Raises UsageError for an unknown network or option, or a window that is too short for it.
    """
    function, options = network_of(network), dict(options or {})
    known = option_defaults(network)
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = ", ".join(f"{name} ({value})" for name, value in known.items()) or "none"
        raise UsageError(f"network {network!r} has no option {', '.join(unknown)}; its options are: {takes}")
    keras = import_keras()
    windows = keras.Input((window, channels), name="windows")
    x = windows
    if normalisation is not None:
        mean, std = normalisation
        x = keras.layers.Normalization(axis=-1, mean=mean.tolist(), variance=(std**2).tolist())(x)
    try:
        answers = function(x, classes, **options)
        model = keras.Model(windows, answers, name=network.rpartition(":")[2])
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"network {network!r} does not fit windows of {window} timesteps ({reason})") from None
    if tuple(model.output_shape[1:]) != (classes,):
        raise UsageError(
            f"network {network!r} answers {list(model.output_shape[1:])} for each window; expected [{classes}], one "
            "probability for each class"
        )
    return model
