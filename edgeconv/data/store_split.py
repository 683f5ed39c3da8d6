"""Divisions of a data set into train and test by subject, kept beside it in `splits.json`, schema `edgeconv.splits/1`.

The file names the hash of the data set that it was made for; the data set's own hash says nothing of its splits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.folder import write_json
from edgeconv.runtime.errors import InputError, UsageError

from .dataset import SPLITS as SIDES
from .dataset import Dataset, Recording, Split, SplitName
from .store import SPLITS, Store, Version
from .store_manifest import is_word, require_word
from .store_record import damaged, read_record, sealed

SCHEMA = "edgeconv.splits/1"


@dataclass(frozen=True)
class SubjectSplit:
    """Which subjects are train and test, each in ascending order."""

    name: str
    train: tuple[int, ...] | None
    """None for all others."""
    test: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """The hash of the division, whatever else the file holds."""
        return hashlib.sha256(json.dumps([self.train, self.test]).encode()).hexdigest()

    def problem(self) -> str:
        """Return what is wrong with it, or nothing."""
        named = [*(self.train or ()), *self.test]
        if not self.test or self.train == ():
            return "a side has no subject; at least one is expected for train and for test"
        if any(type(subject) is not int for subject in named):
            return "subjects are whole numbers"
        twice = sorted({subject for subject in named if named.count(subject) > 1})
        return f"subjects {_listed(twice)} stand there more than once" if twice else ""


Splits = Mapping[str, SubjectSplit]


def read_splits(version: Version) -> Splits:
    """Return the splits of a version by their names; raises InputError for a file that was changed or damaged."""
    path = version.folder / SPLITS
    try:
        return parse_splits(path.read_bytes(), version, str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


def parse_splits(data: bytes, version: Version, where: str) -> Splits:
    """Return the splits in these bytes; raises InputError for what was changed, or made for other data."""
    said = read_record(data, SCHEMA, where)
    try:
        sha256 = said["dataset_sha256"]
        found = {entry["name"]: _split(**entry) for entry in said["splits"]}
        problem = next((split.problem() for split in found.values() if split.problem()), "")
        if not all(is_word(name) for name in found):
            problem = "a split has a name that cannot be"
    except (TypeError, KeyError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise damaged(where, problem)
    if sha256 != version.manifest.sha256:
        raise InputError(f"{where} was made for other data (sha256 {sha256}), and this is {version}")
    return found


def splits_json(version: Version, splits: Splits) -> dict[str, Any]:
    """Return the splits of a version as they are written."""
    entries = [asdict(splits[name]) for name in sorted(splits)]
    head = {"schema": SCHEMA, "dataset": version.reference, "dataset_sha256": version.manifest.sha256}
    return sealed({**head, "splits": entries})


def make_split(
    store: Store, version: Version, name: str, test: Sequence[int], train: Sequence[int] | None = None
) -> SubjectSplit:
    """Keep a split with a stored version; without `train` all others are for training.

    Raises UsageError for a name or subjects that cannot be, or a name that another split has.
    """
    split = _split(require_word(name, "name of a split"), train, test)
    problem = split.problem()
    if not problem and version.manifest.content:
        subjects = version.manifest.content["subjects"]
        problem = _misfit(split, {subject for side in SIDES for subject in subjects[side]})
    if problem:
        raise UsageError(f"{version.reference} cannot be split like this: {problem}")
    keep_splits(store, version, {name: split})
    return split


def keep_splits(store: Store, version: Version, new: Splits) -> None:
    """Keep splits with a stored version; raises UsageError where it has another split of one of the names."""
    with store.lock(version.manifest.name):
        here = read_splits(version)
        merged = merged_splits(here, new, version.reference)
        if merged != here:
            _write(version, merged)


def merged_splits(here: Splits, new: Splits, where: str) -> Splits:
    """Return both; raises UsageError where `where` has another split of one of the names."""
    for name, split in new.items():
        if here.get(name, split) != split:
            raise UsageError(
                f"{where} has another split called {name}; choose another name, or remove one of the two with "
                f"`edgeconv data remove NAME@VERSION --split {name}`"
            )
    return {**here, **new}


def remove_split(store: Store, version: Version, name: str) -> None:
    """Remove a split of a stored version; raises as `get_split` does."""
    with store.lock(version.manifest.name):
        get_split(version, name)
        _write(version, {other: split for other, split in read_splits(version).items() if other != name})


def get_split(version: Version, name: str) -> SubjectSplit:
    """Return a split of a version; raises UsageError that names those there are."""
    splits = read_splits(version)
    if name not in splits:
        raise UsageError(
            f"{version.reference} has no split {name!r}; it has {', '.join(splits) or 'none'}; `edgeconv data split "
            f"{version.reference} --name {name} --test-subjects …` makes one"
        )
    return splits[name]


def apply_split(dataset: Dataset, split: SubjectSplit) -> Dataset:
    """Return the same windows divided anew: in each part first those that were train, in their order.

    Raises InputError for a subject that the data do not have.
    """
    known = {subject for side in SIDES for subject in dataset.split(side).subjects.tolist()}
    if problem := _misfit(split, known):
        raise InputError(f"split {split.name} does not fit {dataset.name}: {problem}")
    wanted = {"test": set(split.test), "train": set(split.train) if split.train else known - set(split.test)}
    parts: dict[SplitName, Split] = {side: _take(dataset, wanted[side]) for side in SIDES}
    continuous: dict[SplitName, tuple[Recording, ...]] = {}
    if dataset.continuous:
        own = [recording for side in SIDES for recording in dataset.continuous.get(side, ())]
        continuous = {side: tuple(r for r in own if r.subject in wanted[side]) for side in SIDES}
    return replace(dataset, train=parts["train"], test=parts["test"], continuous=continuous)


def _split(name: str, train: Sequence[int] | None, test: Sequence[int]) -> SubjectSplit:
    return SubjectSplit(name, None if train is None else tuple(sorted(train)), tuple(sorted(test)))


def _write(version: Version, splits: Splits) -> None:
    path = version.folder / SPLITS
    try:
        write_json(path, splits_json(version, splits))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error})") from None


def _take(dataset: Dataset, wanted: set[int]) -> Split:
    rows = {side: np.isin(dataset.split(side).subjects, list(wanted)) for side in SIDES}

    def joined(part: str) -> NDArray[Any]:
        return np.concatenate([getattr(dataset.split(side), part)[rows[side]] for side in SIDES])

    return Split(joined("windows"), joined("class_ids"), joined("subjects"))


def _misfit(split: SubjectSplit, known: set[int]) -> str:
    unknown = sorted({*(split.train or ()), *split.test} - known)
    if unknown:
        return f"there are no subjects {_listed(unknown)}; there are {_listed(sorted(known))}"
    return "no subject is left for training" if known <= set(split.test) else ""


def _listed(subjects: Sequence[int]) -> str:
    return ", ".join(map(str, subjects[:40])) + (" …" if len(subjects) > 40 else "")
