"""What a search varies, keeps fixed and is for, as a TOML file says it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

from .config import TrainConfig
from .networks import recipe_of

OBJECTIVES = {
    "accuracy": "maximise", "macro_f1": "maximise", "multiply_adds": "minimise", "parameters": "minimise",
    "peak_activation_values": "minimise", "int8_loss": "minimise",
}  # fmt: skip
"""What can be searched for, and which way: figures of the folds, or of the network as `run.json` says them; and
`int8_loss`, the accuracy that int8 loses on the folds, which the caller's `Measure` says."""
SPLITS = ("folds", "leave-one-subject-out")
TABLES = ("options", "space", "objectives", "prune")
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
    check_split(fixed.get("split", "folds"))
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


def check_split(split: Any) -> None:
    """Raise UsageError for a split on which settings must not be chosen."""
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
