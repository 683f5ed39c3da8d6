"""Fit one network once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.runtime.errors import UsageError

from .networks import build


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what training gives, besides the data."""

    network: str = "seed"
    repeats: int = 10
    """Fits that differ in their seed only."""
    epochs: int = 10
    batch_size: int = 32
    seed: int = 1
    """Seed of the first repeat; repeat i uses seed + i - 1."""
    standardise: bool = False
    """Whether the network's first layer subtracts the training windows' mean and divides by their deviation."""

    def __post_init__(self) -> None:
        for name in ("repeats", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; give a whole number from 1")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; give a whole number from 0")


def channel_statistics(windows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each channel.

    windows: float32 [n, window, channels]
    returns: float64 [channels] each, in the channels' units; a constant channel gets a deviation of 1
    """
    mean = windows.mean(axis=(0, 1), dtype=np.float64)
    std = windows.std(axis=(0, 1), dtype=np.float64)
    return mean, np.where(std > 0, std, 1.0)


def fit(dataset: Dataset, config: TrainConfig, seed: int, on_epoch: Callable[[int], None]) -> Any:
    """Fit the network on the training windows and return it as an uncompiled Keras model.

    Calls `on_epoch` with the number of epochs done after each. Same seed, same machine: same weights.
    """
    keras = import_keras()
    import tensorflow as tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    normalisation = channel_statistics(dataset.train.windows) if config.standardise else None
    shape = (dataset.window, len(dataset.channels), len(dataset.labels))
    model = build(config.network, *shape, normalisation)
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    model.fit(
        dataset.train.windows,
        dataset.train.one_hot(len(dataset.labels)),
        epochs=config.epochs,
        batch_size=config.batch_size,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: on_epoch(epoch + 1))],
    )
    # A fresh copy was never compiled, so that the saved file carries no optimiser and no loss.
    fitted = build(config.network, *shape, normalisation)
    fitted.set_weights(model.get_weights())
    return fitted
