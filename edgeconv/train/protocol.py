"""The protocol: which fits a config asks for, each done once and kept in a run's folder, and what they say together."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.scores import score
from edgeconv.evaluate.statistics import expected_calibration_error
from edgeconv.runs.engine import Engine, InProcess, Tell
from edgeconv.runs.record import FitName, FitRecord, Run, now
from edgeconv.runtime.machine import fingerprint

from .config import TrainConfig
from .cost import cost
from .fit import fit
from .folds import check_split, fold_names, make_fold
from .networks import build, option_defaults, source_of

NOT_IN_DIGEST = ("repeats", "seed")
"""What a run's identity does not depend on: more repeats of the same are fits of the same run."""


class Observer(Protocol):
    """Somebody who is told how a run goes on: a progress bar, a tracker."""

    def begun(self, run: Run, records: Sequence[FitRecord]) -> None:
        """Hear which fits a run is asked for; some may be finished."""

    def epoch(self, record: FitRecord, metrics: dict[str, float]) -> None:
        """Hear of an epoch, where the engine carries that."""

    def finished(self, record: FitRecord, result: dict[str, Any]) -> None:
        """Hear of a finished fit, also of one that was finished before."""


@dataclass(frozen=True)
class FitTask:
    """One fit, as plain values that travel to another process or machine."""

    config: TrainConfig
    fold: str
    seed: int


def run_protocol(
    dataset: Dataset,
    config: TrainConfig,
    runs: Path,
    *,
    engine: Engine | None = None,
    allow_shared_subjects: bool = False,
    observers: Sequence[Observer] = (),
) -> tuple[Run, list[FitRecord]]:
    """Do the fits that the config asks for, as far as they are not finished; return the run and their records.

    Every finished fit is kept at once, so that the same call goes on with what is missing. Raises InputError for an
    official split that shares subjects, unless allowed by name, and UsageError for a config that does not fit the data.
    """
    if config.split == "official":
        check_split(dataset, allow_shared_subjects)
    run = Run.create(runs, run_name(config), describe(dataset, config, allow_shared_subjects))
    seeds = range(config.seed, config.seed + config.repeats)
    records = run.plan([FitName(fold, seed) for fold in fold_names(dataset, config) for seed in seeds])
    for observer in observers:
        observer.begun(run, records)
    missing = [record for record in records if not record.finished]
    for record in (record for record in records if record.finished):
        for observer in observers:
            observer.finished(record, record.result())
    for record in missing:
        record.begin()

    def on_event(event: tuple[str, dict[str, float]]) -> None:
        name = FitName.parse(event[0])
        if name is not None:
            run.fit(name).add_metrics(event[1])
            for observer in observers:
                observer.epoch(run.fit(name), event[1])

    tasks = [FitTask(config, record.name.fold, record.name.seed) for record in missing]
    for position, (result, history, model) in (engine or InProcess()).run(fit_task, dataset, tasks, on_event):
        missing[position].finish(result, history, model)
        for observer in observers:
            observer.finished(missing[position], result)
    return run, records


def fit_task(dataset: Dataset, task: FitTask, tell: Tell) -> tuple[dict[str, Any], list[dict[str, float]], bytes]:
    """Do one fit and return its result, its history and the bytes of its `.keras` file."""
    fold = make_fold(dataset, task.config, task.fold)
    name = FitName(task.fold, task.seed)
    began = time.perf_counter()
    names, classes = [channel.name for channel in dataset.channels], len(dataset.labels)
    fitted = fit(fold.train, names, classes, task.config, task.seed, lambda entry: tell((str(name), entry)))
    seconds = time.perf_counter() - began
    test = fold.test
    probabilities = KerasModel(fitted.model).predict(test.windows)
    scores = score(probabilities, test.class_ids, test.subjects, dataset.labels)
    right = probabilities[np.arange(len(test)), test.class_ids]
    result = {
        "fold": task.fold,
        "seed": task.seed,
        "fit_s": round(seconds, 1),
        "epochs": len(fitted.history),
        "parameters": fitted.model.count_params(),
        "train_windows": len(fold.train),
        "test_windows": len(test),
        **asdict(scores),
        "negative_log_likelihood": float(-np.log(np.maximum(right, 1e-7)).mean()),
        "calibration_error": expected_calibration_error(probabilities, test.class_ids),
        "machine": asdict(fingerprint()),
        "at": now(),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / files.KERAS
        fitted.model.save(path)
        return result, fitted.history, path.read_bytes()


def describe(dataset: Dataset, config: TrainConfig, allow_shared_subjects: bool = False) -> dict[str, Any]:
    """Return everything that decides a fit besides its fold and seed: config, network, data, versions."""
    model = build(config.network, dataset.window, len(dataset.channels), len(dataset.labels), options=config.options)
    source = source_of(config.network)
    said = {name: value for name, value in config.as_dict().items() if name not in NOT_IN_DIGEST}
    return {
        "config": {**said, "allow_shared_subjects": allow_shared_subjects},
        "network": {
            "options": {**option_defaults(config.network), **config.options},
            **asdict(cost(model)),
            **({} if source is None else {"source_sha256": hashlib.sha256(source.encode()).hexdigest()}),
        },
        "data": describe_data(dataset),
        "versions": files.versions("tensorflow", "keras", "numpy"),
    }


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Return what `training.json` and `run.json` say of a data set."""
    return {
        "name": dataset.name,
        "synthetic": dataset.synthetic,
        "source": dataset.source,
        "content_hash": dataset.content_hash(),
        "licence": dataset.licence,
        **({"options": dict(dataset.options)} if dataset.options else {}),
        **{
            split: {"windows": len(part), "subjects": np.unique(part.subjects).tolist()}
            for split, part in (("train", dataset.train), ("test", dataset.test))
        },
    }


def run_name(config: TrainConfig) -> str:
    """Return the part of a run's id that people read: the network and the split."""
    return f"{config.network.rpartition(':')[2]}-{config.split}"


def lower_median(accuracies: Sequence[float]) -> int:
    """Return the position of the lower median, the earliest where several are equal."""
    order = sorted(range(len(accuracies)), key=lambda i: accuracies[i])
    return order[(len(order) - 1) // 2]
