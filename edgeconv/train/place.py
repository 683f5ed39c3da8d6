"""From the fits of a run to a model folder: the lower-median repeat, its spec and what all repeats said."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.runs.engine import Engine
from edgeconv.runs.record import FitRecord, Run, now, runs_folder
from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.plausibility.seen import seen_in, triads_of
from edgeconv.runtime.spec import ModelSpec, Triad

from .config import TrainConfig
from .fit import channel_statistics
from .folds import OFFICIAL
from .protocol import Observer, describe, lower_median, run_protocol
from .summary import summary

SCHEMA = "edgeconv.training/1"


def train(
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    version: str = "1",
    overwrite: bool = False,
    allow_shared_subjects: bool = False,
    runs: Path | None = None,
    engine: Engine | None = None,
    observers: Sequence[Observer] = (),
) -> dict[str, Any]:
    """Fit `config.repeats` times on the official split and fill the model folder `out`; return its `training.json`.

    The fits are kept in a run's folder, where the same call finds those that are finished. The model folder gets the
    model of the lower-median repeat, its spec and `training.json`; what was exported from another model before is
    removed. Raises what `run_protocol` raises, and UsageError where `out` is in use.
    """
    check_free(out, overwrite)
    if config.split != OFFICIAL:
        raise UsageError(f"a model folder is filled from the official split, not from {config.split}")
    run, records = run_protocol(
        dataset,
        config,
        runs_folder(runs),
        engine=engine,
        allow_shared_subjects=allow_shared_subjects,
        observers=observers,
    )
    return place(run, records, dataset, config, out, version=version, allow_shared_subjects=allow_shared_subjects)


def check_free(out: Path, overwrite: bool) -> None:
    """Raise UsageError where a model folder cannot be filled."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder for the model")
    if any((out / name).exists() for name in (files.KERAS, files.ORIGINAL)) and not overwrite:
        raise UsageError(f"{out} already holds a trained model; choose another folder or give --overwrite")


def place(
    run: Run,
    records: Sequence[FitRecord],
    dataset: Dataset,
    config: TrainConfig,
    out: Path,
    *,
    version: str = "1",
    allow_shared_subjects: bool = False,
) -> dict[str, Any]:
    """Put the lower-median fit of these into a model folder; return what `training.json` says."""
    results = [record.result() for record in records]
    repeats = [{"repeat": place, **result} for place, result in enumerate(results, start=1)]
    chosen = lower_median([result["accuracy"] for result in results])
    described = describe(dataset, config, allow_shared_subjects)
    training = {
        "schema": SCHEMA,
        **described,
        "config": {**config.as_dict(), "allow_shared_subjects": allow_shared_subjects},
        "run": run.id,
        "created": now(),
        **summary(results),
        "chosen_repeat": chosen + 1,
        "repeats": repeats,
    }
    spec = make_spec(dataset, config, out.resolve().name, version)
    # What was exported from another model goes first, so that nothing contradicts it.
    with files.staging(out) as aside:
        shutil.copyfile(records[chosen].model, aside / files.KERAS)
        files.write_text(aside / files.SPEC, spec.to_json() + "\n")
        files.write_json(aside / files.TRAINING, training)
        for name in files.exported_files(out):
            (out / name).unlink()
        for name in (files.ORIGINAL, files.ORIGIN):
            (out / name).unlink(missing_ok=True)
        for name in (files.KERAS, files.SPEC, files.TRAINING):
            (aside / name).replace(out / name)
    return training


def make_spec(dataset: Dataset, config: TrainConfig, name: str, version: str) -> ModelSpec:
    """Return the signal contract of a network trained on the data set."""
    windows = dataset.train.windows
    mean, std = channel_statistics(windows)
    if not config.standardise:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    low, high = windows.min(axis=(0, 1)), windows.max(axis=(0, 1))
    triads = []
    for name_of_sensor, axes in triads_of([channel.name for channel in dataset.channels]).items():
        squares = sum(windows[:, :, axis].astype(np.float64) ** 2 for axis in axes)
        triads.append(Triad(name_of_sensor, float(np.sqrt(squares).mean())))
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
        derived=dataset.derived,
        seen=seen_in(windows, dataset.channels, dataset.sampling_rate_hz),
        trained_on=f"{dataset.name}, {len(windows)} windows of {len(np.unique(dataset.train.subjects))} subjects",
    )
