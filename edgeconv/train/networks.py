"""Network presets: functions from the shape of the data to Keras layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.evaluate.keras_model import import_keras
from edgeconv.runtime.errors import UsageError


def seed_layers(layers: Any, classes: int) -> list[Any]:
    """Return the layers of `seed`, the network of the Conv1D tutorial for human activity recognition.

    Two convolutions of 64 filters over 3 timesteps, dropout, pooling by 2, one hidden dense layer of 100.
    """
    return [
        layers.Conv1D(64, 3, activation="relu"),
        layers.Conv1D(64, 3, activation="relu"),
        layers.Dropout(0.5),
        layers.MaxPooling1D(2),
        layers.Flatten(),
        layers.Dense(100, activation="relu"),
        layers.Dense(classes, activation="softmax"),
    ]


def audio_layers(layers: Any, classes: int) -> list[Any]:
    """Return the layers of `audio`, for windows of thousands of timesteps of one channel: a second at 16 kHz.

    Strides of 16, 4 and 5 bring 320 timesteps (20 ms) to one position, so that the dense form of a hop of 320 computes
    each position once; the last convolution sees 9 of them, and the mean over time answers for the window. No padding.
    """
    found = []
    for filters, kernel, stride in ((16, 64, 16), (32, 5, 4), (48, 5, 5), (64, 9, 1)):
        found += [
            layers.Conv1D(filters, kernel, strides=stride, use_bias=False),
            layers.BatchNormalization(momentum=0.9),  # sounds differ in level by a factor of ten
            layers.Activation("relu"),
        ]
    return [
        *found,
        layers.GlobalAveragePooling1D(),
        layers.Dropout(0.3),
        layers.Dense(32, activation="relu"),
        layers.Dense(classes, activation="softmax"),
    ]


NETWORKS: dict[str, Callable[[Any, int], list[Any]]] = {"seed": seed_layers, "audio": audio_layers}
"""Preset name → function of (keras.layers, number of classes) that returns the layers after the input."""


def build(
    network: str,
    window: int,
    channels: int,
    classes: int,
    normalisation: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Any:
    """Return a new, uncompiled Keras model from windows in physical units to probabilities.

    normalisation: mean and standard deviation, float64 [channels] each, in the channels' units; they become the
        first layer, so that the model takes physical units. None builds a network that does not normalise.
    Raises UsageError for an unknown network or a window that is too short for it.
    """
    if network not in NETWORKS:
        raise UsageError(f"network {network!r} is not known; choose one of {', '.join(sorted(NETWORKS))}")
    keras = import_keras()
    stack = [keras.Input((window, channels), name="windows")]
    if normalisation is not None:
        mean, std = normalisation
        stack.append(keras.layers.Normalization(axis=-1, mean=mean.tolist(), variance=(std**2).tolist()))
    try:
        return keras.Sequential([*stack, *NETWORKS[network](keras.layers, classes)], name=network)
    except ValueError as error:
        raise UsageError(f"network {network!r} does not fit windows of {window} timesteps ({error})") from None
