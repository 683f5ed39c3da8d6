"""Whom a fit learns from and whom it is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import SPLITS, Dataset, Split
from edgeconv.runtime.errors import InputError, UsageError

from .config import TrainConfig

OFFICIAL = "official"
SEED = 0
"""Seed of the division into folds; the same for all fits, so that runs can be compared fold by fold."""


@dataclass(frozen=True)
class Fold:
    """One division into windows to train on and windows to test on."""

    name: str
    train: Split
    test: Split


def fold_names(dataset: Dataset, config: TrainConfig) -> list[str]:
    """Return the names of the folds of a config's split.

    Raises UsageError where the data set has too few subjects for it, does not say who was recorded, or has no windows
    on a side that is needed.
    """
    subjects = np.unique(dataset.train.subjects)
    sides = [
        name for name in SPLITS if not len(dataset.split(name)) and (name == "train" or config.split == "official")
    ]
    if sides:
        raise UsageError(
            f"{dataset.name} has no windows on its {' and '.join(sides)} side; give data with both, or without a test "
            "side take --split folds, random or leave-one-subject-out"
        )
    if config.split == "official":
        return [OFFICIAL]
    if config.split != "random" and not dataset.subjects_known:
        raise UsageError(
            f"{dataset.name} does not say who was recorded, so it cannot be split by subject ({config.split}); take "
            "--split official or random, or say the subjects in the data"
        )
    if config.split == "leave-one-subject-out":
        _need(len(subjects), 2, dataset, "leaving one out")
        return [f"subject-{subject:02}" for subject in subjects]
    if config.split == "folds":
        _need(len(subjects), config.folds, dataset, f"{config.folds} folds")
    return [f"{config.split}-{number}" for number in range(1, config.folds + 1)]


def make_fold(dataset: Dataset, config: TrainConfig, name: str) -> Fold:
    """Return the fold of that name; all but the official one divide the training side and leave the test side alone."""
    if config.split == "official":
        return Fold(name, dataset.train, dataset.test)
    side = dataset.train
    subjects = np.unique(side.subjects)
    if config.split == "leave-one-subject-out":
        held = side.subjects == int(name.removeprefix("subject-"))
    else:
        number = int(name.rpartition("-")[2]) - 1
        rng = np.random.default_rng(SEED)
        if config.split == "folds":
            held = np.isin(side.subjects, rng.permutation(subjects)[number :: config.folds])
        else:
            held = np.zeros(len(side), bool)
            held[rng.permutation(len(side))[number :: config.folds]] = True
    return Fold(name, take(side, ~held), take(side, held))


def hold_back(train: Split, subjects: int, seed: int) -> tuple[Split, Split]:
    """Divide training windows by drawing subjects: those that stay, and those on which the best epoch is chosen.

    Raises UsageError where no subject would stay.
    """
    known = np.unique(train.subjects)
    if subjects >= len(known):
        raise UsageError(f"{subjects} subjects held back of {len(known)} leave nobody to train on; hold back fewer")
    held = np.isin(train.subjects, np.random.default_rng(seed).permutation(known)[:subjects])
    return take(train, ~held), take(train, held)


def take(split: Split, chosen: NDArray[np.bool_]) -> Split:
    """Return the windows of a split for which `chosen` (bool [n]) is true."""
    return Split(split.windows[chosen], split.class_ids[chosen], split.subjects[chosen])


def check_split(dataset: Dataset, allow_shared_subjects: bool) -> None:
    """Raise InputError where a subject is on both sides of the split, unless that is asked for."""
    shared = np.intersect1d(dataset.train.subjects, dataset.test.subjects)
    if len(shared) and not allow_shared_subjects:
        raise InputError(
            f"{dataset.name}: subjects {', '.join(map(str, shared))} are in both train and test, so the accuracy would "
            "say how well people are remembered, not how well new ones are recognised; split by subject, or ask for "
            "it with --allow-shared-subjects"
        )


def _need(have: int, want: int, dataset: Dataset, what: str) -> None:
    if have < want:
        raise UsageError(f"{what} needs at least {want} training subjects, and {dataset.name} has {have}")
