"""Repeat a fit, keep every finished repeat, and put the lower-median one in place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.scores import score
from edgeconv.runtime.errors import InputError, UsageError
from edgeconv.runtime.spec import ModelSpec, Triad

from .fit import TrainConfig, channel_statistics, fit

SCHEMA = "edgeconv.training/1"
REPEATS = ".repeats"
"""Folder, inside the model folder, of the repeats that are finished while others are not."""


@dataclass(frozen=True)
class Progress:
    """How far training is: epoch `epoch` of repeat `repeat` is done."""

    repeat: int
    epoch: int
    result: dict[str, Any] | None = None
    """The repeat's entry of `training.json` once it is finished, with `accuracy` as a fraction 0–1."""


def train(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    version: str = "1",
    resume: bool = False,
    overwrite: bool = False,
    allow_shared_subjects: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Fit `config.repeats` times and fill the model folder `out`; return what `training.json` says.

    Each finished repeat is kept at once, so an interrupted run goes on with `resume`. The folder gets the model of the
    lower-median repeat, its spec and `training.json`; what was exported from another model before is removed.
    Raises InputError for a split that shares subjects, unless allowed by name, and UsageError where `out` is in use.
    """
    check_split(dataset, allow_shared_subjects)
    described = describe(dataset, config, allow_shared_subjects)
    repeats = _repeats_folder(out, described, resume=resume, overwrite=overwrite)
    results = []
    for repeat in range(1, config.repeats + 1):
        record = repeats / f"{repeat:03}.json"
        if not record.exists():
            files.write_json(record, _fit_repeat(dataset, config, repeat, repeats, on_progress))
        result = files.read_json(record, "`edgeconv train`")
        on_progress(Progress(repeat, config.epochs, result))
        results.append(result)
    chosen = lower_median([result["accuracy"] for result in results])
    training = {**described, "created": now(), **summary(results), "chosen_repeat": chosen + 1, "repeats": results}
    spec = make_spec(dataset, config, out.resolve().name, version)
    _place(out, repeats / f"{chosen + 1:03}.keras", spec, training)
    shutil.rmtree(repeats)
    return training


def check_split(dataset: Dataset, allow_shared_subjects: bool) -> None:
    """Raise InputError where a subject is on both sides of the split, unless that is asked for."""
    shared = np.intersect1d(dataset.train.subjects, dataset.test.subjects)
    if len(shared) and not allow_shared_subjects:
        raise InputError(
            f"{dataset.name}: subjects {', '.join(map(str, shared))} are in both train and test, so the accuracy would "
            "say how well people are remembered, not how well new ones are recognised; split by subject, or ask for "
            "it with --allow-shared-subjects"
        )


def lower_median(accuracies: list[float]) -> int:
    """Return the position of the lower median, the earliest where several are equal."""
    order = sorted(range(len(accuracies)), key=lambda i: accuracies[i])
    return order[(len(order) - 1) // 2]


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean accuracy over the repeats and its sample standard deviation (None for one repeat); fractions 0–1."""
    accuracies = np.array([result["accuracy"] for result in results])
    spread = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None
    return {"accuracy_mean": float(accuracies.mean()), "accuracy_sd": spread}


def describe(dataset: Dataset, config: TrainConfig, allow_shared_subjects: bool) -> dict[str, Any]:
    """Return everything that decides the result: config, data, versions."""
    return {
        "schema": SCHEMA,
        "config": {**asdict(config), "allow_shared_subjects": allow_shared_subjects},
        "data": {
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "source": dataset.source,
            "content_hash": dataset.content_hash(),
            "licence": dataset.licence,
            **{
                split: {"windows": len(part), "subjects": np.unique(part.subjects).tolist()}
                for split, part in (("train", dataset.train), ("test", dataset.test))
            },
        },
        "versions": files.versions("tensorflow", "keras", "numpy"),
    }


def make_spec(dataset: Dataset, config: TrainConfig, name: str, version: str) -> ModelSpec:
    """Return the signal contract of a network trained on the data set."""
    windows = dataset.train.windows
    mean, std = channel_statistics(windows)
    if not config.standardise:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    low, high = windows.min(axis=(0, 1)), windows.max(axis=(0, 1))
    names = [channel.name for channel in dataset.channels]
    triads = []
    for base in dict.fromkeys(name.removesuffix("_x") for name in names if name.endswith("_x")):
        axes = [f"{base}_{axis}" for axis in "xyz"]
        if all(axis in names for axis in axes):
            squares = sum(windows[:, :, names.index(axis)].astype(np.float64) ** 2 for axis in axes)
            triads.append(Triad(base, float(np.sqrt(squares).mean())))
    return ModelSpec(
        name=name,
        version=version,
        channels=tuple(
            replace(channel, mean=float(m), std=float(s), minimum=float(lo), maximum=float(hi))
            for channel, m, s, lo, hi in zip(dataset.channels, mean, std, low, high, strict=True)
        ),
        sampling_rate_hz=dataset.sampling_rate_hz,
        window=dataset.window,
        hop=dataset.hop,
        labels=dataset.labels,
        triads=tuple(triads),
        trained_on=f"{dataset.name}, {len(windows)} windows of {len(np.unique(dataset.train.subjects))} subjects",
    )


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _fit_repeat(
    dataset: Dataset, config: TrainConfig, repeat: int, repeats: Path, on_progress: Callable[[Progress], None]
) -> dict[str, Any]:
    seed = config.seed + repeat - 1
    began = time.perf_counter()
    model = fit(dataset, config, seed, lambda epoch: on_progress(Progress(repeat, epoch)))
    seconds = time.perf_counter() - began
    test = dataset.test
    scores = score(KerasModel(model).predict(test.windows), test.class_ids, test.subjects, dataset.labels)
    model.save(repeats / f"{repeat:03}.keras")
    return {
        "repeat": repeat,
        "seed": seed,
        "fit_s": round(seconds, 1),
        "parameters": model.count_params(),
        **asdict(scores),
    }


def _repeats_folder(out: Path, described: dict[str, Any], *, resume: bool, overwrite: bool) -> Path:
    """Return the folder for finished repeats, empty or, on resume, with those of the same config, data and versions."""
    repeats = out / REPEATS
    config_file = repeats / "config.json"
    if resume and overwrite:
        raise UsageError("--resume goes on and --overwrite starts anew; give one of them")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder for the model")
    if repeats.is_dir() and not overwrite:
        finished = len(list(repeats.glob("*.json"))) - 1
        if not resume:
            raise UsageError(
                f"{out} holds {finished} finished repeats of an interrupted run; --resume goes on with them, "
                "--overwrite starts anew"
            )
        # Through JSON and back, so that tuples and integer keys compare as they were written.
        before = files.read_json(config_file, "`edgeconv train --overwrite`")
        for part, value in described.items():
            if before.get(part) != value:
                raise UsageError(
                    f"{out}: the interrupted run had another {part} ({before.get(part)}; now {value}); "
                    "use the same, or start anew with --overwrite"
                )
        return repeats
    if any((out / name).exists() for name in (files.KERAS, files.ORIGINAL)) and not overwrite:
        raise UsageError(f"{out} already holds a trained model; choose another folder or give --overwrite")
    if repeats.is_dir():
        shutil.rmtree(repeats)
    repeats.mkdir(parents=True)
    files.write_json(config_file, described)
    return repeats


def _place(out: Path, model: Path, spec: ModelSpec, training: dict[str, Any]) -> None:
    """Put the chosen model in place; what was exported from another one goes first, so that nothing contradicts it."""
    with files.staging(out) as aside:
        shutil.copyfile(model, aside / files.KERAS)
        files.write_text(aside / files.SPEC, spec.to_json() + "\n")
        files.write_json(aside / files.TRAINING, training)
        for name in files.exported_files(out):
            (out / name).unlink()
        for name in (files.ORIGINAL, files.ORIGIN):
            (out / name).unlink(missing_ok=True)
        for name in (files.KERAS, files.SPEC, files.TRAINING):
            (aside / name).replace(out / name)
