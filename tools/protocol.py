"""How much a protocol says: random against subject-wise splits, leave-one-subject-out, and postural transitions.

Writes docs/protocol.md. Every figure is of ordinary runs (`edgeconv train --split …`); finished fits are found in the
folder of runs, so that a study that was stopped goes on.

    python tools/protocol.py --data "UCI HAR Dataset.zip" --hapt "HAPT Data Set.zip" --runs runs
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data import load_data, recordings, write_recordings
from edgeconv.data.dataset import Dataset
from edgeconv.export.pipeline import export
from edgeconv.runs.engine import Engine, Processes
from edgeconv.runs.record import FitRecord, Run
from edgeconv.train.config import TrainConfig, make_config
from edgeconv.train.place import place
from edgeconv.train.protocol import run_protocol
from edgeconv.train.summary import summary

DOCS = Path(__file__).resolve().parents[1] / "docs"
NETWORKS = ("seed", "edge")
SPLITS: dict[str, dict[str, Any]] = {
    "random": {"split": "random", "folds": 5},
    "folds": {"split": "folds", "folds": 5},
    "official": {"split": "official", "repeats": 10},
}
SMOOTHING = "exponential:2s,hold=2s,unknown=0.5"
TRANSITIONS = {"leave-out": "unknown", "class": "a class"}
"""What training does with windows of transitions, and what they then are."""


def run(
    dataset: Dataset, network: str, given: dict[str, Any], runs: Path, engine: Engine
) -> tuple[TrainConfig, Run, list[FitRecord]]:
    """Do what is missing of a run."""
    config = make_config(network, None, given)
    print(f"{network}, {config.split}", file=sys.stderr, flush=True)
    return config, *run_protocol(dataset, config, runs, engine=engine)


def figures(found: Run, records: list[FitRecord]) -> dict[str, Any]:
    """Return what the page says of a run."""
    together = summary([record.result() for record in records])
    return {
        "run": found.id,
        "fits": len(records),
        **{name: together[name] for name in ("accuracy_mean", "accuracy_sd", "worst_subject", "per_subject", "recall")},
    }


def transitions(data: str, how: str, runs: Path, engine: Engine, aside: Path) -> dict[str, Any]:
    """Train with transitions one way, and score the lower-median fit on the test subjects' recordings."""
    options = {} if how == "leave-out" else {"transitions": how}
    dataset = load_data(data, options=options)
    config, made, records = run(dataset, "edge", {"repeats": 5}, runs, engine)
    place(made, records, dataset, config, aside / how)
    export(aside / how, dataset, formats=["onnx", "dense"])
    said = aside / f"{how}.json"
    labels = aside / "recordings"
    if not labels.exists():
        of_all = load_data(data, options={"transitions": "class"})
        write_recordings(of_all, recordings(of_all, "test"), labels)
    paths = sorted(path for path in labels.glob("*.csv") if path.name != "labels.csv")
    command = [sys.executable, "-m", "edgeconv", "evaluate", str(aside / how), *map(str, paths),
               "--labels", str(labels / "labels.csv"), "--smooth", SMOOTHING, "--json", str(said)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    seen = json.loads(said.read_text())
    basic = [result["confusion"] for result in (record.result() for record in records)]
    return {
        **figures(made, records),
        "basic_accuracy": [basic_accuracy(np.array(confusion)) for confusion in basic],
        "sides": {
            side: {
                "windows": seen[side]["windows"]["accuracy"],
                "transitions": said_of_transitions(seen[side]["windows"]["confusion"], how),
                "events": seen[side]["events"]["overall"],
                "false_changes_per_hour": seen[side]["events"]["false_changes_per_hour"],
            }
            for side in ("raw", "smoothed")
        },
    }


def basic_accuracy(confusion: np.ndarray) -> float:
    """Return the accuracy over the windows of the six basic activities; the seventh class, if any, is the last."""
    basic = confusion[:6]
    return float(np.trace(basic[:, :6]) / basic.sum())


def said_of_transitions(confusion: dict[str, dict[str, int]], how: str) -> dict[str, float]:
    """Return which share of the windows in transitions is said to be one, or unknown."""
    row = confusion["TRANSITION" if how == "class" else "unknown"]
    total = sum(row.values())
    right = row.get("TRANSITION", 0) + row.get("unknown", 0)
    return {"windows": total, "right": right / total if total else 0.0}


def percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f}"


def render(found: dict[str, Any]) -> str:
    """Return docs/protocol.md."""
    rows = []
    for network, splits in found["splits"].items():
        flatters = splits["random"]["accuracy_mean"] - splits["folds"]["accuracy_mean"]
        official = splits["official"]
        rows.append(
            f"| `{network}` | {percent(splits['random']['accuracy_mean'])} | "
            f"{percent(splits['folds']['accuracy_mean'])} | **{100 * flatters:+.2f}** | "
            f"{percent(official['accuracy_mean'])} ± {percent(official['accuracy_sd'])} |"
        )
    one = found["leave_one_subject_out"]
    subjects = sorted(one["per_subject"].items(), key=lambda entry: entry[1])
    parts = []
    for how, each in found["transitions"].items():
        for side, seen in each["sides"].items():
            events = seen["events"]
            parts.append(
                f"| {TRANSITIONS[how]} | {side} | {percent(seen['windows'])} | "
                f"{percent(seen['transitions']['right'], 1)} | {events['detected']} of {events['segments']} | "
                f"{percent(events['f1'], 1)} | {seen['false_changes_per_hour']:.1f} |"
            )
    basic = {how: each["basic_accuracy"] for how, each in found["transitions"].items()}
    return (
        "# What a split says\n\n"
        "## The random split flatters\n\n"
        "Windows overlap, and people differ. A random split puts half of a window's samples, and all of a person's "
        f"ways, on both sides. On the training windows of {found['data']}, five parts each, accuracy in per cent:\n\n"
        "| network | random split | split by subject | the illusion, points | official split, 10 repeats |\n"
        "| --- | ---: | ---: | ---: | ---: |\n" + "\n".join(rows) + "\n\n"
        "`edgeconv train --split random` says so each time. The official split has more people to learn from than five "
        "parts have, and other people to be tested on.\n\n"
        "## Leave one subject out\n\n"
        f"`{found['network']}` on the training subjects, one fit for each of them: {percent(one['accuracy_mean'])} % "
        f"of all windows, {percent(float(np.mean([accuracy for _, accuracy in subjects])))} % as the mean over the "
        f"{len(subjects)} people, who lie between {percent(subjects[0][1])} % (subject {subjects[0][0]}) and "
        f"{percent(subjects[-1][1])} %. The lowest five: "
        + ", ".join(f"{subject}: {percent(accuracy, 1)} %" for subject, accuracy in subjects[:5])
        + ". Recall: "
        + ", ".join(f"{label} {percent(recall, 1)} %" for label, recall in one["recall"].items())
        + ".\n\n## Postural transitions\n\n"
        f"`edge` on six raw channels of {found['hapt']}, 5 repeats each. Standing up or lying down is either left out "
        "of training, and should be said to be unknown when it comes, or a seventh class. Windows of the six basic "
        "activities: "
        + "; ".join(
            f"{TRANSITIONS[how]}, {percent(float(np.mean(values)))} ± {percent(float(np.std(values, ddof=1)))} %"
            for how, values in basic.items()
        )
        + f". Below, the lower-median fit on the continuous recordings of the test subjects; smoothed: `{SMOOTHING}`. "
        "A transition is said right where its window is called a transition or unknown; events are of all labels that "
        "the model knows.\n\n"
        "| transitions are | | windows % | transitions said right % | events detected | event F1 % "
        "| false changes an hour |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(parts) + "\n\n"
        "`python tools/protocol.py --data … --hapt …` does all of it again, and goes on where it was stopped.\n"
    )


def main() -> None:
    """Do what is missing, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--hapt", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    dataset, engine = load_data(given.data), Processes(given.workers)
    splits = {
        network: {
            name: figures(*run(dataset, network, split, given.runs, engine)[1:]) for name, split in SPLITS.items()
        }
        for network in NETWORKS
    }
    alone = figures(*run(dataset, "edge", {"split": "leave-one-subject-out"}, given.runs, engine)[1:])
    with tempfile.TemporaryDirectory() as aside:
        both = {how: transitions(given.hapt, how, given.runs, engine, Path(aside)) for how in TRANSITIONS}
    found = {
        "data": dataset.name,
        "hapt": load_data(given.hapt).name,
        "network": "edge",
        "splits": splits,
        "leave_one_subject_out": alone,
        "transitions": both,
    }
    (given.out / "protocol.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (given.out / "protocol.md").write_text(render(found), encoding="utf-8")


if __name__ == "__main__":
    main()
