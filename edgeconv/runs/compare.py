"""Two runs on the same data and folds: is one better, by how much, and how sure is that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import InputError

from .record import Run
from .statistics import Interval, Verdict, crossed_bootstrap


@dataclass(frozen=True)
class Pair:
    """A figure of both runs, fractions 0–1."""

    before: float
    after: float

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """What a second run says against a first one; every difference is the second minus the first."""

    before: str
    after: str
    difference: float
    """Of the accuracy on a subject, the mean over subjects (each counts alike) and repeats."""
    interval: Interval | None
    """Of that difference; None where one repeat of one fold, or one subject, is all there is."""
    seeds: tuple[int, ...]
    """Repeats that both runs have whole; only these are compared."""
    folds: tuple[str, ...]
    accuracy: Pair
    """Over all windows of all folds, the mean over these repeats."""
    per_subject: dict[str, Pair]
    per_class: dict[str, Pair]
    """Recall."""
    changed: dict[str, tuple[Any, Any]]
    """Entries of config, network options and versions that differ."""

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the second run."""
        return "not resolvable" if self.interval is None else self.interval.verdict

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {"schema": "edgeconv.comparison/1", "verdict": self.verdict, **asdict(self)}


def compare(before: Run, after: Run) -> Comparison:
    """Compare two runs, paired over the repeats (seeds) and subjects that they share.

    Raises InputError where the data, the folds or all seeds differ; it says what, and what each run says on its own.
    """
    one, other = before.about(), after.about()
    folds = {name: sorted({record.name.fold for record in run.fits()}) for name, run in (("A", before), ("B", after))}
    hashes = [str(about["data"]["content_hash"]) for about in (one, other)]
    problems = []
    if hashes[0] != hashes[1]:
        problems.append(
            f"the data differ ({one['data']['name']} {hashes[0][:12]}…, {other['data']['name']} {hashes[1][:12]}…)"
        )
    if folds["A"] != folds["B"] or not folds["A"]:
        problems.append(f"the folds differ ({_listed(folds['A'])}; {_listed(folds['B'])})")
    whole = [_whole_repeats(run) for run in (before, after)]
    seeds = sorted(set(whole[0]) & set(whole[1]))
    if not problems and not seeds:
        problems.append(
            f"no repeat is finished in both (seeds {_listed(map(str, whole[0]))}; {_listed(map(str, whole[1]))})"
        )
    if problems:
        raise InputError(
            f"{before.id} and {after.id} cannot be compared in pairs: {'; '.join(problems)}. What each says on its "
            f"own, and nothing more: {_alone(before)}; {_alone(after)}. Train both with the same --data, --split, "
            "--folds and --seed"
        )
    first, second = ([result for seed in seeds for result in found[seed]] for found in whole)
    subjects = sorted({str(name) for result in first for name in result["per_subject"]}, key=_by_number)
    a, b = (per_subject(results, subjects, seeds) for results in (first, second))
    tests = {str(name): folds["A"].index(result["fold"]) for result in first for name in result["per_subject"]}
    labels = [entry["label"] for entry in first[0]["per_class"]]
    recalls = [dict(zip(labels, _recall(results), strict=True)) for results in (first, second)]
    return Comparison(
        before=before.id,
        after=after.id,
        difference=float((b - a).mean()),
        interval=crossed_bootstrap(b - a, np.array([tests[name] for name in subjects])),
        seeds=tuple(seeds),
        folds=tuple(folds["A"]),
        accuracy=Pair(*(_accuracy(found, seeds) for found in whole)),
        per_subject={name: Pair(float(a[i].mean()), float(b[i].mean())) for i, name in enumerate(subjects)},
        per_class={label: Pair(recalls[0][label], recalls[1][label]) for label in labels},
        changed=changes(one, other),
    )


def per_subject(
    results: Sequence[Mapping[str, Any]], subjects: Sequence[str], seeds: Sequence[int]
) -> NDArray[np.float64]:
    """Return the accuracy of each subject in each repeat, float64 [subjects, repeats], fractions 0–1.

    A subject who is in several folds, as in a random split, has the mean of them.
    """
    found: dict[tuple[str, int], list[float]] = {}
    for result in results:
        for subject, accuracy in result["per_subject"].items():
            found.setdefault((str(subject), result["seed"]), []).append(accuracy)
    return np.array([[np.mean(found[subject, seed]) for seed in seeds] for subject in subjects])


def changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between what two `run.json` say of config, network and versions: name → (first, second)."""
    sides = [
        {
            **about["config"],
            **{f"options.{name}": value for name, value in about["network"]["options"].items()},
            **{name: about["network"].get(name) for name in ("parameters", "multiply_adds", "source_sha256")},
            **{f"version of {name}": value for name, value in about["versions"].items()},
        }
        for about in (one, other)
    ]
    for side in sides:
        side.pop("options", None)  # what is given; the network has what is used
    names = [*sides[0], *(name for name in sides[1] if name not in sides[0])]
    return {
        name: (sides[0].get(name), sides[1].get(name)) for name in names if sides[0].get(name) != sides[1].get(name)
    }


def _whole_repeats(run: Run) -> dict[int, list[dict[str, Any]]]:
    """Return the results of the repeats of which every fold is finished: seed → results by fold."""
    folds = {record.name.fold for record in run.fits()}
    found: dict[int, list[dict[str, Any]]] = {}
    for result in run.results():
        found.setdefault(result["seed"], []).append(result)
    return {seed: results for seed, results in sorted(found.items()) if len(results) == len(folds)}


def _accuracy(found: Mapping[int, list[dict[str, Any]]], seeds: Sequence[int]) -> float:
    confusions = [np.sum([result["confusion"] for result in found[seed]], axis=0) for seed in seeds]
    return float(np.mean([confusion.trace() / confusion.sum() for confusion in confusions]))


def _recall(results: Sequence[Mapping[str, Any]]) -> list[float]:
    confusion = np.sum([result["confusion"] for result in results], axis=0)
    return [float(recall) for recall in confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)]


def _alone(run: Run) -> str:
    found = _whole_repeats(run)
    if not found:
        return f"{run.id} has no finished repeat"
    repeats = f"{len(found)} repeat{'' if len(found) == 1 else 's'}"
    return f"{run.id} {100 * _accuracy(found, list(found)):.2f} % ({repeats})"


def _listed(names: Any) -> str:
    listed = list(names)
    return ", ".join(listed[:12]) + (" …" if len(listed) > 12 else "") or "none"


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 0, name)
