"""What each part of the training recipe brings, on folds of training subjects; writes docs/recipe.md.

Every line of the study is an ordinary run (`edgeconv train --split folds`), so a study that was stopped goes on, and
`edgeconv runs compare` can look at any two lines. No test subject is used.

    python tools/recipe.py --data "UCI HAR Dataset.zip" --runs runs
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data import load_data
from edgeconv.runs.engine import Processes
from edgeconv.runtime.machine import fingerprint
from edgeconv.train.config import make_config
from edgeconv.train.protocol import run_protocol
from edgeconv.train.summary import summary
from edgeconv.train.words import cost_in_words, recipe_in_words

DOCS = Path(__file__).resolve().parents[1] / "docs"
RECIPE = "the recipe"
AUGMENTATION = {"rotation_deg": 0.0, "scaling": 0.0, "noise": 0.0}
STUDY: dict[str, dict[str, Any]] = {
    RECIPE: {},
    "not standardised": {"standardise": False},
    "no augmentation at all": AUGMENTATION,
    "no rotation": {"rotation_deg": 0.0},
    "rotation by 10°": {"rotation_deg": 10.0},
    "rotation by 40°": {"rotation_deg": 40.0},
    "no scaling": {"scaling": 0.0},
    "no noise": {"noise": 0.0},
    "noise of 0.1": {"noise": 0.1},
    "with time warp of 0.2": {"time_warp": 0.2},
    "with channel dropout of 0.1": {"channel_dropout": 0.1},
    "no label smoothing": {"label_smoothing": 0.0},
    "constant learning rate of 0.001": {"schedule": "constant", "learning_rate": 1e-3},
    "weight decay of 0.01": {"weight_decay": 0.01},
    "no weight decay": {"weight_decay": 0.0},
    "no averaging of weights": {"averaged_epochs": 0.0},
    "best epoch on 3 subjects held back": {"held_back_subjects": 3, "patience": 15},
    "30 epochs": {"epochs": 30},
    "no dropout": {"options": {"dropout": 0.0}},
    "dropout of 0.2": {"options": {"dropout": 0.2}},
    "the tutorial's: Adam, nothing else": {
        **AUGMENTATION, "standardise": False, "schedule": "constant", "learning_rate": 1e-3, "weight_decay": 0.0,
        "label_smoothing": 0.0, "averaged_epochs": 0.0,
    },
}  # fmt: skip


def study(data: str, network: str, runs: Path, folds: int, repeats: int, workers: int) -> dict[str, Any]:
    """Do what is missing of the study and return what all of it says."""
    dataset = load_data(data)
    lines: dict[str, Any] = {}
    about: dict[str, Any] = {}
    for number, (name, change) in enumerate(STUDY.items(), start=1):
        print(f"{number} of {len(STUDY)}: {name}", file=sys.stderr, flush=True)
        given = {"split": "folds", "folds": folds, "repeats": repeats, **change}
        config = make_config(network, None, given)
        run, records = run_protocol(dataset, config, runs, engine=Processes(workers))
        results = [record.result() for record in records]
        together = summary(results)
        lines[name] = {
            "run": run.id,
            "accuracy": together["accuracy_mean"],
            "by_seed": by_seed(results),
            "worst_subject": together["worst_subject"],
            "negative_log_likelihood": together["negative_log_likelihood"],
            "calibration_error": together["calibration_error"],
            "fit_s": float(np.median([result["fit_s"] for result in results])),
        }
        if name == RECIPE:
            about = {"cost": run.about()["network"], "config": config.as_dict()}
    return {
        "network": network,
        **about,
        "data": dataset.name,
        "synthetic": dataset.synthetic,
        "folds": folds,
        "repeats": repeats,
        "machine": fingerprint().processor,
        "lines": lines,
    }


def by_seed(results: list[dict[str, Any]]) -> list[float]:
    """Return the accuracy of each repeat over the windows of all folds, by seed."""
    seeds = sorted({result["seed"] for result in results})
    confusions = [np.sum([r["confusion"] for r in results if r["seed"] == seed], axis=0) for seed in seeds]
    return [float(confusion.trace() / confusion.sum()) for confusion in confusions]


def render(found: dict[str, Any]) -> str:
    """Return docs/recipe.md."""
    base = found["lines"][RECIPE]
    rows = [
        f"| {name} | {100 * line['accuracy']:.2f} | "
        + ("" if name == RECIPE else f"{100 * (line['accuracy'] - base['accuracy']):+.2f}")
        + f" | {', '.join(f'{100 * accuracy:.2f}' for accuracy in line['by_seed'])} | "
        f"{100 * line['worst_subject']['accuracy']:.1f} ({line['worst_subject']['subject']}) | "
        f"{line['negative_log_likelihood']:.3f} | {line['fit_s']:.0f} |"
        for name, line in found["lines"].items()
    ]
    seeds = np.array([line["by_seed"] for line in found["lines"].values()])
    noise = 100 * float(np.sqrt(np.mean(np.var(seeds, axis=1, ddof=1)))) if seeds.shape[1] > 1 else None
    spread = (
        ""
        if noise is None
        else f"Two repeats of the same line differ by a standard deviation of {noise:.2f} points, so the mean of "
        f"{found['repeats']} by {noise / found['repeats'] ** 0.5:.2f}, and a difference of two lines below about "
        f"{2 * noise * (2 / found['repeats']) ** 0.5:.1f} points says nothing.\n\n"
    )
    return (
        "# What each part of the training recipe brings\n\n"
        f"`{found['network']}` ({cost_in_words(found['cost'])}) on "
        f"{found['data']}{', generated' if found['synthetic'] else ''}: {found['folds']} folds of training subjects, "
        f"{found['repeats']} repeats each. No test subject was used. The recipe: {recipe_in_words(found['config'])}. "
        "Every line below is the recipe but for what it says.\n\n"
        "| line | accuracy % | against the recipe | repeats | worst subject % | −log p | s a fit |\n"
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |\n" + "\n".join(rows) + f"\n\n{spread}"
        f"Fitted with one thread each on {found['machine']}; the times are those of a machine with other work on it. "
        f"`python tools/recipe.py --data …` does the study again, and goes on where it was stopped.\n"
    )


def main() -> None:
    """Do the study, write its results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="edge")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    found = study(given.data, given.network, given.runs, given.folds, given.repeats, given.workers)
    (given.out / "recipe.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (given.out / "recipe.md").write_text(render(found), encoding="utf-8")


if __name__ == "__main__":
    main()
