"""Fit one network once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Split
from edgeconv.evaluate.keras_model import KerasModel, import_keras

from .augment import augment
from .config import TrainConfig
from .folds import hold_back
from .networks import build

STEPS_AT_ONCE = 16
"""Steps that TensorFlow takes for each call from Python; the result is the same, and small networks fit faster."""
LAST_RATE = 0.02
"""What a cosine schedule ends at, as a share of the learning rate."""


@dataclass(frozen=True)
class Fitted:
    """A fitted network and how it came about."""

    model: Any
    """Uncompiled Keras model from windows in physical units to probabilities."""
    history: list[dict[str, float]]
    """One entry per epoch: epoch (from 1), loss, learning_rate, seconds and, with subjects held back, their loss and
    accuracy."""


def channel_statistics(windows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each channel.

    windows: float32 [n, window, channels]
    returns: float64 [channels] each, in the channels' units; a constant channel gets a deviation of 1
    """
    mean = windows.mean(axis=(0, 1), dtype=np.float64)
    std = windows.std(axis=(0, 1), dtype=np.float64)
    return mean, np.where(std > 0, std, 1.0)


def fit(
    train: Split,
    channel_names: Sequence[str],
    classes: int,
    config: TrainConfig,
    seed: int,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> Fitted:
    """Fit the network on training windows.

    Calls `on_epoch` with each entry of the history. Same seed, same machine, same threads: same weights.
    """
    keras = import_keras()
    import tensorflow as tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    held = None
    if config.held_back_subjects:
        train, held = hold_back(train, config.held_back_subjects, seed)
    statistics = channel_statistics(train.windows)
    window, channels = train.windows.shape[1:]
    normalisation = statistics if config.standardise else None
    model = build(config.network, window, channels, classes, normalisation, config.options)
    steps = -(-len(train) // config.batch_size)
    model.compile(
        optimizer=_optimizer(keras, config, steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        steps_per_execution=min(STEPS_AT_ONCE, steps),
    )
    targets, weights = train.one_hot(classes), class_weights(train.class_ids, classes, config)
    watch = _watch(keras, model, config, held, on_epoch)
    if config.augments:
        batches = _augmented(keras, train.windows, targets, weights, channel_names, statistics, config, seed)
        model.fit(batches, epochs=config.epochs, shuffle=False, verbose=0, callbacks=[watch])
    else:
        model.fit(
            train.windows,
            targets,
            sample_weight=weights,
            epochs=config.epochs,
            batch_size=config.batch_size,
            verbose=0,
            callbacks=[watch],
        )
    # A fresh copy was never compiled, so that the saved file carries no optimiser and no loss.
    fitted = build(config.network, window, channels, classes, normalisation, config.options)
    fitted.set_weights(watch.weights())
    return Fitted(fitted, watch.history_of_epochs)


def class_weights(class_ids: NDArray[np.int64], classes: int, config: TrainConfig) -> NDArray[np.float32] | None:
    """Return the weight of each window in the loss, float32 [n] with a mean of 1; None where all count alike."""
    if config.class_weights == "none":
        return None
    counts = np.bincount(class_ids, minlength=classes)
    each: NDArray[np.float32] = (len(class_ids) / ((counts > 0).sum() * np.maximum(counts, 1))).astype(np.float32)
    return each[class_ids]


def _optimizer(keras: Any, config: TrainConfig, steps: int) -> Any:
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        warm_up = min(steps, steps * config.epochs // 2)
        rate = keras.optimizers.schedules.CosineDecay(
            rate * LAST_RATE,
            max(1, steps * config.epochs - warm_up),
            alpha=1.0 if config.epochs == 1 else LAST_RATE,
            warmup_target=rate if warm_up else None,
            warmup_steps=warm_up,
        )
    if config.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    return keras.optimizers.Adam(rate)


def _augmented(
    keras: Any,
    windows: NDArray[np.float32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    channel_names: Sequence[str],
    statistics: tuple[NDArray[np.float64], NDArray[np.float64]],
    config: TrainConfig,
    seed: int,
) -> Any:
    """Return batches that are drawn and augmented anew for every epoch."""
    rng = np.random.default_rng(seed)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.draw()

        def draw(self) -> None:
            self.order = rng.permutation(len(windows))
            self.windows = augment(windows[self.order], channel_names, *statistics, config, rng)

        def on_epoch_end(self) -> None:
            self.draw()

        def __len__(self) -> int:
            return -(-len(windows) // config.batch_size)

        def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], ...]:
            rows = slice(batch * config.batch_size, (batch + 1) * config.batch_size)
            found = (self.windows[rows], targets[self.order[rows]])
            return found if weights is None else (*found, weights[self.order[rows]])

    return Batches()


def _watch(
    keras: Any, model: Any, config: TrainConfig, held: Split | None, on_epoch: Callable[[dict[str, float]], None]
) -> Any:
    """Return the callback that keeps the history, averages weights and ends a fit that gets no better."""
    first_averaged = config.epochs - round(config.averaged_epochs * config.epochs)

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.history_of_epochs: list[dict[str, float]] = []
            self.mean: list[NDArray[np.float64]] | None = None
            self.averaged = 0
            self.best: tuple[float, int, list[NDArray[np.float32]]] | None = None

        def on_epoch_begin(self, _epoch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras names it)
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            entry = {
                "epoch": epoch + 1,
                "loss": float(logs["loss"]),
                "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
                "seconds": round(time.perf_counter() - self.began, 3),
            }
            if config.averaged_epochs and epoch >= first_averaged:
                self.averaged += 1
                now = [np.asarray(weight, np.float64) for weight in model.get_weights()]
                before = self.mean or now
                self.mean = [old + (new - old) / self.averaged for old, new in zip(before, now, strict=True)]
            if held is not None:
                entry |= self.try_out(held, epoch)
            self.history_of_epochs.append(entry)
            on_epoch(entry)

        def try_out(self, held: Split, epoch: int) -> dict[str, float]:
            probabilities = KerasModel(model).predict(held.windows)
            right = probabilities[np.arange(len(held)), held.class_ids]
            loss = float(-np.log(np.maximum(right, 1e-7)).mean())
            if self.best is None or loss < self.best[0]:
                self.best = (loss, epoch, model.get_weights())
            elif epoch - self.best[1] >= config.patience:
                model.stop_training = True
            accuracy = float((probabilities.argmax(axis=1) == held.class_ids).mean())
            return {"held_back_loss": loss, "held_back_accuracy": accuracy}

        def weights(self) -> list[NDArray[Any]]:
            """Return what the fit gives: the best epoch's weights, or the mean of the last, or the last."""
            if self.best is not None:
                return list(self.best[2])
            return list(self.mean) if self.mean is not None else list(model.get_weights())

    return Watch()
