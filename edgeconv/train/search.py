"""A search over settings with Optuna; every trial is an ordinary run, judged on training subjects only."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgeconv.data.dataset import Dataset
from edgeconv.runs.engine import Engine
from edgeconv.runs.record import FitRecord, Run
from edgeconv.runtime.errors import DependencyError, InputError, MissingFileError, UsageError

from .config import TrainConfig
from .folds import make_fold
from .networks import recipe_of
from .protocol import Observer, run_protocol
from .summary import summary

STORE = "optuna.db"
OBJECTIVES = {
    "accuracy": "maximise", "macro_f1": "maximise", "multiply_adds": "minimise", "parameters": "minimise",
    "peak_activation_values": "minimise", "int8_loss": "minimise",
}  # fmt: skip
"""What can be searched for, and which way: figures of the folds, or of the network as `run.json` says them; and
`int8_loss`, the accuracy that int8 loses on the folds, which the caller's `Measure` says."""
MEASURED = ("int8_loss",)
Measure = Callable[[Path, Dataset, TrainConfig], float]
"""What somebody else finds out of a fit: of its `.keras` file, a data set with the sides of its fold, its config."""
SPLITS = ("folds", "leave-one-subject-out")
TABLES = ("options", "space", "objectives", "prune")
RUN = "run"
"""User attribute of a trial: the id of its run."""
OPTION = "options."


@dataclass(frozen=True)
class Range:
    """What one setting may be: from `low` to `high`, or one of `choices`."""

    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None

    def suggest(self, trial: Any, name: str) -> Any:
        """Return the value that a trial of Optuna's takes."""
        if self.choices is not None:
            # As text, because Optuna keeps numbers, words and truth values only, and filters are lists.
            return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in self.choices]))
        if all(isinstance(value, int) for value in (self.low, self.high)):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Space:
    """What a search keeps fixed, what it varies, and what for."""

    fixed: Mapping[str, Any]
    ranges: Mapping[str, Range]
    """By name; a network's own option is `options.<name>`."""
    objectives: tuple[str, ...]
    prune: bool = False
    """Whether trials that fall behind end between folds."""

    def config(self, trial: Any) -> TrainConfig:
        """Return the config of a trial."""
        found = {name: each.suggest(trial, name) for name, each in self.ranges.items()}
        options = {**self.fixed.get("options", {})}
        options |= {name.removeprefix(OPTION): value for name, value in found.items() if name.startswith(OPTION)}
        settings = {name: value for name, value in found.items() if not name.startswith(OPTION)}
        together = {**self.fixed, **settings, "options": options}
        network = together.get("network", TrainConfig.network)
        try:
            return TrainConfig(**{"repeats": 1, "split": "folds", **recipe_of(network), **together})
        except TypeError as error:
            raise InputError(f"the settings {together} do not fit: {error}") from None


@dataclass(frozen=True)
class Trial:
    """A trial that is done."""

    number: int
    run: str
    values: dict[str, float]
    """Objectives; empty where the trial was pruned."""
    settings: dict[str, Any]
    on_front: bool


def read_space(file: Path) -> Space:
    """Read a search from a TOML file.

    Names of `TrainConfig` and a table [options] are fixed; [space] and [space.options] hold ranges: {low, high, step,
    log} or {choices}; [objectives] says name = "maximise" or "minimise"; prune = true ends trials between folds.
    Raises MissingFileError, InputError for what is not understood, and UsageError for a split with test subjects, or
    pruning for several objectives.
    """
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{file} is not there; give a TOML file with [space] and [objectives]") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TOML ({error})") from None
    settings = [entry.name for entry in fields(TrainConfig)]
    fixed = {name: value for name, value in said.items() if name not in TABLES or name == "options"}
    space = dict(said.get("space", {}))
    named = {f"{OPTION}{name}": entry for name, entry in space.pop("options", {}).items()} | space
    for name in (*fixed, *space):
        if name not in settings:
            raise InputError(
                f"{file}: {name!r} is not known; settings are {', '.join(settings)}; a network's own options stand in "
                "[options] or [space.options]"
            )
    for name in ("split", "repeats", "seed"):
        if name in space:
            raise InputError(f"{file}: {name} cannot vary, because trials are compared on the same folds; fix it")
    if not named:
        raise InputError(
            f"{file}: [space] names nothing to vary; give such as learning_rate = {{low = 1e-4, high = 1e-2}}"
        )
    _check_split(fixed.get("split", "folds"))
    objectives = dict(said.get("objectives", {"accuracy": "maximise"}))
    for name, way in objectives.items():
        if OBJECTIVES.get(name) != way:
            known = ", ".join(f'{name} = "{way}"' for name, way in OBJECTIVES.items())
            raise InputError(f"{file}: objective {name} = {way!r} is not known; there are: {known}")
    if said.get("prune") and (len(objectives) > 1 or "accuracy" not in objectives):
        raise UsageError(
            f"{file}: prune = true with {', '.join(objectives)}: Optuna's pruners judge one value as it grows "
            "(Trial.report refuses several objectives), and only accuracy is known between folds; leave prune out"
        )
    ranges = {name: _range(file, name, entry) for name, entry in named.items()}
    return Space(fixed, ranges, tuple(objectives), bool(said.get("prune")))


def _check_split(split: Any) -> None:
    if split == "official":
        raise UsageError(
            "a search tries many settings and keeps the best; on the official split the best would be the best on the "
            'test subjects, whose accuracy then says nothing about new people. Use split = "folds" and test once'
        )
    if split not in SPLITS:
        raise UsageError(f"split is {split!r}; a search is judged on subjects it did not see: {' or '.join(SPLITS)}")


def _range(file: Path, name: str, entry: Any) -> Range:
    wanted = "{low = …, high = …} with step or log, or {choices = […]}"
    if not isinstance(entry, dict):
        raise InputError(f"{file}: [space] {name} is {entry!r}; expected {wanted}")
    if set(entry) == {"choices"} and isinstance(entry["choices"], list) and entry["choices"]:
        return Range(choices=tuple(entry["choices"]))
    numbers = [entry.get(key) for key in ("low", "high", "step") if key in entry]
    if not {"low", "high"} <= set(entry) <= {"low", "high", "step", "log"} or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in numbers
    ):
        raise InputError(f"{file}: [space] {name} has {', '.join(entry) or 'nothing'}; expected {wanted}")
    found = Range(**entry)
    if found.low >= found.high or (found.log and found.low <= 0) or (found.log and found.step):  # type: ignore[operator]
        raise InputError(
            f"{file}: [space] {name} = {entry}; low must be below high, and with log above 0 and without a step"
        )
    return found


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
    _check_split(config.split)
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
