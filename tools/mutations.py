"""Damage the files of a model in every way of tools/damage, renew the hashes, and see which figure notices.

Each damage is done to a copy of the folder, its hash written into the certificate, and `edgeconv verify` run on it: a
damage that it does not notice is a fault of the certificate. Writes docs/mutations.md; with --only TEXT just prints.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeconv import folder as files
from edgeconv.data import load_data
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.artefacts import artefact_of, load_artefact
from edgeconv.evaluate.examine import Examiner
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.pipeline import export
from edgeconv.export.verify import verify
from edgeconv.runtime import EdgeconvError, ModelSpec
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train

sys.path.insert(0, str(Path(__file__).resolve().parent))
from damage.catalogue import Damage, catalogue

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "mutations.md"
EFFECT = 1e-4
"""A damage counts if it changes at least one probability by as much."""


@dataclass(frozen=True)
class Outcome:
    """What became of one damage."""

    damage: Damage
    effect: float | None
    """Largest |Δp| that it causes on any of the inputs; None where the file no longer answers as often."""
    caught_by: str
    """What noticed, in words and figures; empty where nothing did."""

    @property
    def counts(self) -> bool:
        """Whether the damage changes an answer, or what an answer means."""
        return self.effect is None or self.effect >= EFFECT


def mutate(folder: Path, dataset: Dataset, damages: list[Damage]) -> Iterator[Outcome]:
    """Yield what becomes of each damage to a copy of a folder."""
    spec = ModelSpec.load(folder / files.SPEC)
    examiner = Examiner(KerasModel.load(folder / files.KERAS), spec, dataset)
    for damage in damages:
        with tempfile.TemporaryDirectory() as place:
            copy = shutil.copytree(folder, Path(place) / folder.name)
            damage.apply(copy)
            renew_hashes(copy, damage.file)
            # Another Keras model has other answers; everything else is compared with those that are known.
            known = None if damage.file == files.KERAS else examiner
            yield Outcome(damage, effect(examiner, folder, copy, damage), noticed(copy, dataset, known))


def renew_hashes(folder: Path, damaged: str) -> None:
    """Write the present hashes into the certificate, and leave in it the damaged artefact alone."""
    path = folder / files.CERTIFICATE
    certificate = json.loads(path.read_text())
    entries = certificate["artefacts"]
    if damaged in entries:
        entries = {damaged: entries[damaged]}
    elif damaged == files.CALIBRATION:
        entries = {name: entry for name, entry in entries.items() if artefact_of(name).precision == "int8"}
    else:
        entries = {files.ONNX: entries[files.ONNX]}
    for name, entry in entries.items():
        entry["sha256"] = files.file_sha256(folder / name)
    certificate["artefacts"] = entries
    for part in ("reference", "spec"):
        certificate[part]["sha256"] = files.file_sha256(folder / certificate[part]["file"])
    certificate["records"] = {name: files.file_sha256(folder / name) for name in certificate["records"]}
    files.write_json(path, certificate)


def effect(examiner: Examiner, folder: Path, copy: Path, damage: Damage) -> float | None:
    """Return the largest |Δp| between the damaged file and the one that was."""
    if Path(damage.file).suffix not in (".onnx", ".tflite"):
        return None
    hop = artefact_of(damage.file).hop or examiner.spec.hop
    try:
        after = np.concatenate(examiner.run(load_artefact(copy / damage.file, examiner.spec), hop))
    except EdgeconvError:
        return None
    before = np.concatenate(examiner.run(load_artefact(folder / damage.file, examiner.spec), hop))
    if after.shape != before.shape:
        return None
    return float(np.nan_to_num(np.abs(after - before), nan=1.0).max())


def noticed(folder: Path, dataset: Dataset, examiner: Examiner | None) -> str:
    """Return what `verify` says of a damaged folder; empty where it finds nothing."""
    try:
        found = verify(folder, dataset, examiner=examiner)
    except EdgeconvError as error:
        if "is not the file that was certified" in str(error):
            raise
        return f"refused: {error}".replace(f"{folder}/", "")
    return "; ".join(found.problems[:1]).replace(f"{folder}/", "")


def normalising_model(dataset: Dataset, place: Path, on_progress: Callable[[str], None] = lambda _: None) -> Path:
    """Train a small model whose first layer normalises, and export it."""
    folder = place / "normalising"
    train(dataset, TrainConfig(repeats=1, epochs=3, standardise=True), folder)
    export(folder, dataset, formats=["onnx", "tflite"], on_progress=on_progress)
    return folder


def page(model: Path, dataset: Dataset, outcomes: list[Outcome]) -> str:
    """Return the page: what was damaged, by how much that changes an answer, and what noticed."""
    caught = sum(bool(outcome.caught_by) for outcome in outcomes if outcome.counts)
    counting = sum(outcome.counts for outcome in outcomes)
    rows = [
        f"| `{outcome.damage.file}` | {outcome.damage.name} | "
        f"{'—' if outcome.effect is None else f'{outcome.effect:.2g}'} | "
        f"{short(outcome.caught_by, outcome.damage.file) or '**not noticed**'} |"
        for outcome in outcomes
    ]
    return (
        "# What the certificate notices\n\n"
        f"Written by `make mutations`: {len(outcomes)} ways to damage the files of `{model.name}` on {dataset.name}.\n"
        "Each time the damaged file's hash is written into the certificate, so that a figure must notice, not the\n"
        "hash; then `edgeconv verify` runs. A damage counts if it changes a probability by 0.0001 or more on real\n"
        "windows, recordings or adversarial inputs (`—`: the file no longer answers, or the damage changes what its\n"
        "answers mean).\n\n"
        f"**{caught} of {counting} noticed.**\n\n"
        "| file | damage | largest abs. Δp | noticed by |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def short(text: str, file: str) -> str:
    """Return what noticed, short enough for a cell."""
    plain = text.removeprefix(f"{file}: ").replace("|", "\\|")
    return plain if len(plain) <= 150 else plain[:149] + "…"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", type=Path, nargs="?", default=ROOT / "models" / "har_conv1d")
    arguments.add_argument("--data", type=Path, help="the data that it was certified on")
    arguments.add_argument("--only", default="", help="print the damages whose file and name hold this text")
    given = arguments.parse_args()
    dataset = load_data(given.data)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as place:
        models = [given.model, normalising_model(dataset, Path(place))]
        for model, chosen in zip(models, ("", "normalis"), strict=True):
            damages = [d for d in catalogue(model) if given.only in f"{d.file} {d.name}" and chosen in d.name]
            for outcome in mutate(model, dataset, damages):
                outcomes.append(outcome)
                print(
                    f"{outcome.damage.file}: {outcome.damage.name}: effect {outcome.effect}: "
                    f"{outcome.caught_by or 'NOT NOTICED'}",
                    flush=True,
                )
    missed = [outcome for outcome in outcomes if outcome.counts and not outcome.caught_by]
    idle = [outcome for outcome in outcomes if not outcome.counts]
    print(f"{len(outcomes)} damages, {len(missed)} not noticed, {len(idle)} without effect")
    if not given.only:
        PAGE.write_text(page(given.model, dataset, outcomes))
    sys.exit(1 if missed or idle else 0)


if __name__ == "__main__":
    main()
