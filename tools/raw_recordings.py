"""What the committed models say of HAPT's recordings as they were published: two raw files each, one per sensor.

The files of the nine test people are taken out of the zip as they are, 50 Hz, without headers, and scored by the
command, `edgeconv evaluate MODEL FOLDER --join 'acc_*.txt,gyro_*.txt'`. `har_raw` takes their six columns; `har_edge`
and `har_conv1d` were trained on UCI HAR's nine channels, which the runtime derives. Writes docs/raw_recordings.md.

    python tools/raw_recordings.py --data "HAPT Data Set.zip"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from edgeconv.data import load_data

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MODELS = ("har_raw", "har_edge", "har_conv1d")
JOIN = "acc_*.txt,gyro_*.txt"
SMOOTHING = "exponential:2s,hold=2s,unknown=0.5"


def edgeconv(*arguments: object) -> None:
    """Run the command; what it says goes to stderr."""
    command = [sys.executable, "-m", "edgeconv", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)


def unpack(data: Path, folder: Path) -> int:
    """Write the raw files of the test people, and return how many recordings they are."""
    names = [recording.name for recording in load_data(data).continuous["test"]]
    with ZipFile(data) as archive:
        for name in names:
            for sensor in ("acc", "gyro"):
                (found,) = (each for each in archive.namelist() if each.endswith(f"/{sensor}_{name}.txt"))
                (folder / f"{sensor}_{name}.txt").write_bytes(archive.read(found))
    return len(names)


def score(model: str, raw: Path, labels: Path) -> dict[str, Any]:
    """Evaluate a model on the raw files; return what the page shows."""
    out = raw.with_name(f"{model}.json")
    edgeconv("evaluate", ROOT / "models" / model, raw, "--join", JOIN, "--labels", labels, "--smooth", SMOOTHING,
             "--json", out)  # fmt: skip
    found, sides = json.loads(out.read_text()), {}
    for side in ("raw", "smoothed"):
        windows, events = found[side]["windows"], found[side]["events"]
        per_subject = windows["per_subject"]
        sides[side] = {
            "scored": windows["scored"],
            "accuracy": windows["accuracy"],
            "macro_f1": windows["macro_f1"],
            "lowest_subject": min(per_subject.items(), key=lambda one: one[1]),
            "recall": {one["label"]: one["recall"] for one in windows["per_class"]},
            "event_f1": events["overall"]["f1"],
            "event_f1_of": {label: one["f1"] for label, one in events["per_label"].items()},
            "fragmented": events["overall"]["fragmented"],
            "false_changes_per_hour": events["false_changes_per_hour"],
            "known_after_s": events["known"]["median_s"],
        }
    return {"windows": found["raw"]["windows"]["windows"], "channels": _channels(model), **sides}


def _channels(model: str) -> int:
    return len(json.loads((ROOT / "models" / model / "spec.json").read_text())["channels"])


def render(results: dict[str, Any]) -> str:
    """Return the page."""
    models = results["models"]
    both = [(model, side) for model in models for side in ("raw", "smoothed")]

    def row(name: str, value: Any) -> str:
        return "| " + " | ".join([name, *(value(models[model][side]) for model, side in both)]) + " |"

    def percent(value: float) -> str:
        return f"{100 * value:.2f}"

    head = [f"`{model}`{', smoothed' if side == 'smoothed' else ''}" for model, side in both]
    labels = [label for label in models[next(iter(models))]["raw"]["recall"] if label != "unknown"]
    lines = [
        "| " + " | ".join(["", *head]) + " |",
        "| --- " * (1 + len(both)) + "|",
        row("windows, accuracy %", lambda one: percent(one["accuracy"])),
        row("windows, macro-F1 %", lambda one: percent(one["macro_f1"])),
        row("lowest subject %", lambda one: f"{percent(one['lowest_subject'][1])} ({one['lowest_subject'][0]})"),
        *(row(f"recall of {label} %", lambda one, label=label: percent(one["recall"][label])) for label in labels),
        row("events, F1 %", lambda one: percent(one["event_f1"])),
        *(
            row(f"events of {label}, F1 %", lambda one, label=label: percent(one["event_f1_of"][label]))
            for label in labels
        ),
        row("segments in fragments", lambda one: str(one["fragmented"])),
        row("false changes an hour", lambda one: f"{one['false_changes_per_hour']:.1f}"),
        row("a change is known live after, median s", lambda one: f"{one['known_after_s']:.2f}"),
    ]
    first = models[next(iter(models))]
    return f"""# Raw recordings, straight from their files

Written by `tools/raw_recordings.py`: the {results["recordings"]} recordings of HAPT's nine test people, whom no
training saw, as they were published, one file of accelerations and one of angular velocities each, 50 Hz, without
headers:

```text
edgeconv evaluate models/har_raw FOLDER --join '{JOIN}' --labels labels.csv \\
    --smooth {SMOOTHING}
```

{first["raw"]["scored"]} of {first["windows"]} windows lie inside one segment with a label that the models know.
`har_raw` takes the six columns. `har_edge` and `har_conv1d` were trained on UCI HAR's nine channels; the runtime
derives them by the filters that were found to have made UCI HAR's (`docs/architecture.md`). What each figure is divided
by is in `docs/evaluate.md`.

{chr(10).join(lines)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the HAPT data set's zip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        raw, made = Path(name) / "raw", Path(name) / "made"
        raw.mkdir()
        count = unpack(options.data, raw)
        edgeconv("data", "recordings", "--data", options.data, "--out", made)
        models = {model: score(model, raw, made / "labels.csv") for model in MODELS}
    results = {"recordings": count, "smoothing": SMOOTHING, "models": models}
    (DOCS / "raw_recordings.json").write_text(json.dumps(results, indent=1) + "\n")
    (DOCS / "raw_recordings.md").write_text(render(results))


if __name__ == "__main__":
    main()
