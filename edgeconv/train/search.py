"""A search over settings with Optuna; every trial is an ordinary run, judged on training subjects only."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeconv.data.dataset import Dataset
from edgeconv.runs.engine import Engine
from edgeconv.runs.record import FitRecord, Run
from edgeconv.runtime.errors import DependencyError, UsageError

from .config import TrainConfig
from .folds import make_fold
from .protocol import Observer, run_protocol
from .search_space import OBJECTIVES, Space, check_split
from .summary import summary

STORE = "optuna.db"
MEASURED = ("int8_loss",)
Measure = Callable[[Path, Dataset, TrainConfig], float]
"""What somebody else finds out of a fit: of its `.keras` file, a data set with the sides of its fold, its config."""
RUN = "run"
"""User attribute of a trial: the id of its run."""


@dataclass(frozen=True)
class Trial:
    """A trial that is done."""

    number: int
    run: str
    values: dict[str, float]
    """Objectives; empty where the trial was pruned."""
    settings: dict[str, Any]
    on_front: bool


def search(
    dataset: Dataset,
    space: Space,
    runs: Path,
    *,
    trials: int,
    study: str,
    seed: int = 1,
    engine: Engine | None = None,
    observers: Sequence[Observer] = (),
    measures: Mapping[str, Measure] | None = None,
    on_trial: Callable[[int, TrainConfig], None] = lambda _number, _config: None,
) -> list[Trial]:
    """Go on with a study until it has so many trials, and return all that are done.

    The study is kept in `optuna.db` in the folder of runs. A trial that was running when a search was killed is begun
    again with the same settings, so that its finished fits are found. Proposals are drawn with the seed and the number
    of trials done, so an interrupted search proposes what an undisturbed one does. Raises DependencyError without
    Optuna, UsageError where another process works on the study, where it has other objectives, or for an objective
    that neither a run nor `measures` says.
    """
    measures = {name: measure for name, measure in (measures or {}).items() if name in space.objectives}
    for name in space.objectives:
        if name in MEASURED and name not in measures:
            raise UsageError(f"objective {name} is not known of a run, and nothing was given that measures it")
    try:
        import optuna
    except ImportError:
        raise DependencyError('a search needs Optuna: pip install "edgeconv[track]"') from None
    logging.getLogger("optuna").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    runs.mkdir(parents=True, exist_ok=True)
    with _alone(runs / f".{study}.lock", study):
        found = optuna.create_study(
            storage=f"sqlite:///{(runs / STORE).resolve()}",
            study_name=study,
            directions=["maximize" if OBJECTIVES[name] == "maximise" else "minimize" for name in space.objectives],
            load_if_exists=True,
        )
        _check_same(found, space, dataset, study)
        states = optuna.trial.TrialState
        for left in found.get_trials(states=(states.RUNNING,)):
            found.enqueue_trial({**left.params, **left.system_attrs.get("fixed_params", {})})
            found.tell(left.number, state=states.FAIL)
        while (done := len(found.get_trials(states=(states.COMPLETE, states.PRUNED)))) < trials:
            found.sampler = optuna.samplers.TPESampler(seed=1000 * seed + done)
            found.pruner = optuna.pruners.MedianPruner() if space.prune else optuna.pruners.NopPruner()
            trial = found.ask()
            try:
                _do(trial, found, space, dataset, runs, engine, observers, measures, on_trial)
            except _Pruned:
                found.tell(trial, state=states.PRUNED)
            except Exception:
                found.tell(trial, state=states.FAIL)
                raise
        front = {best.number for best in found.best_trials} if done else set()
        return [
            Trial(
                one.number,
                one.user_attrs.get(RUN, ""),
                dict(zip(space.objectives, one.values or (), strict=False)) if one.state == states.COMPLETE else {},
                {name: json.loads(value) if isinstance(value, str) else value for name, value in one.params.items()},
                one.number in front,
            )
            for one in found.get_trials(states=(states.COMPLETE, states.PRUNED))
        ]


def _do(
    trial: Any,
    study: Any,
    space: Space,
    dataset: Dataset,
    runs: Path,
    engine: Engine | None,
    observers: Sequence[Observer],
    measures: Mapping[str, Measure],
    on_trial: Callable[[int, TrainConfig], None],
) -> None:
    """Fit a trial's folds and tell the study what they gave."""
    config = space.config(trial)
    check_split(config.split)
    on_trial(trial.number, config)
    run, records = run_protocol(
        dataset, config, runs, engine=engine, observers=[_Watch(trial, space.prune), *observers]
    )
    results = [record.result() for record in records]
    network = run.about()["network"]
    figures = {
        "accuracy": summary(results)["accuracy_mean"],
        "macro_f1": sum(result["macro_f1"] for result in results) / len(results),
        **{name: network[name] for name in ("multiply_adds", "parameters", "peak_activation_values")},
        **{name: _measured(measure, records, dataset, config) for name, measure in measures.items()},
    }
    study.tell(trial, [figures[name] for name in space.objectives])


def _measured(measure: Measure, records: Sequence[FitRecord], dataset: Dataset, config: TrainConfig) -> float:
    """Return what is measured of a trial's fits, as the mean over the windows that they were tested on."""
    total, windows = 0.0, 0
    for record in records:
        fold = make_fold(dataset, config, record.name.fold)
        sides = replace(dataset, train=fold.train, test=fold.test)
        total += measure(record.model, sides, config) * len(fold.test)
        windows += len(fold.test)
    return total / windows


class _Pruned(Exception):  # noqa: N818 (it is no error)
    """A trial that fell behind the others."""


@dataclass
class _Watch:
    """Notes a trial's run, and ends one that falls behind after a fold."""

    trial: Any
    prune: bool
    records: Sequence[FitRecord] = ()
    reported: int = 0
    results: list[float] = field(default_factory=list)

    def begun(self, run: Run, records: Sequence[FitRecord]) -> None:
        """Note the run at once, so that also a trial that is killed says where its fits are."""
        self.trial.set_user_attr(RUN, run.id)
        self.records = records

    def epoch(self, _record: FitRecord, _metrics: dict[str, float]) -> None:
        """Hear nothing: an epoch's loss says little about other subjects."""

    def finished(self, _record: FitRecord, _result: dict[str, Any]) -> None:
        """Report the mean accuracy of the first folds; folds differ, so trials are compared over the same ones."""
        while self.prune and self.reported < len(self.records) and self.records[self.reported].finished:
            self.results.append(self.records[self.reported].result()["accuracy"])
            self.reported += 1
            self.trial.report(sum(self.results) / self.reported, self.reported)
            if self.reported < len(self.records) and self.trial.should_prune():
                raise _Pruned


def _check_same(found: Any, space: Space, dataset: Dataset, study: str) -> None:
    """Raise UsageError where a study is about something else than this search."""
    said = {"objectives": list(space.objectives), "fixed": dict(space.fixed), "data": dataset.content_hash()}
    for name, value in said.items():
        before = found.user_attrs.get(name, value)
        if before != value:
            raise UsageError(
                f"study {study!r} has {name} {before}, this search {value}; its trials cannot be compared: give "
                "another --study"
            )
        if name not in found.user_attrs:
            found.set_user_attr(name, value)


@contextmanager
def _alone(lock: Path, study: str) -> Iterator[None]:
    """Hold a lock that goes with the process, however it ends; raises UsageError where another one has it."""
    import fcntl

    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"another process works on study {study!r}; wait for it, or give another --study"
            ) from None
        yield
