"""The presets on UCI HAR: accuracy in float32 and int8, cost, size and speed; writes docs/presets.md.

The fits are those of `edgeconv train --network PRESET`: finished ones are found in the folder of runs. Each is
quantised as `edgeconv export` does, on training subjects alone, and tested once; what is done is kept in `int8.json`
beside the fit: delete it where quantisation has changed. The dense files of the lower-median fits are timed in
interleaved rounds. Run it on a quiet machine.

    python tools/presets.py --data "UCI HAR Dataset.zip" --runs runs
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.bench import contestants
from edgeconv.bench.contestant import Entry
from edgeconv.bench.measure import Plan, measure
from edgeconv.bench.statistics import median, paired_ratio
from edgeconv.data import load_data
from edgeconv.data.dataset import Dataset
from edgeconv.export.int8_loss import int8_of
from edgeconv.export.pipeline import export
from edgeconv.runs.engine import Engine, Processes, Tell
from edgeconv.runtime.errors import CheckError
from edgeconv.runtime.machine import fingerprint
from edgeconv.train.config import TrainConfig, make_config
from edgeconv.train.place import place
from edgeconv.train.protocol import run_protocol
from edgeconv.train.summary import summary

DOCS = Path(__file__).resolve().parents[1] / "docs"
PRESETS = ("seed", "edge", "tiny")
INT8 = "int8.json"
FILES = {"float32": "dense.onnx", "int8": "dense.int8.onnx"}
TFLITE = "model.int8.tflite"


def quantise(shared: tuple[Dataset, TrainConfig], model: Path, _tell: Tell) -> dict[str, Any]:
    """Return what int8 makes of one fit."""
    return asdict(int8_of(model, *shared))


def study(dataset: Dataset, preset: str, runs: Path, repeats: int, engine: Engine, aside: Path) -> dict[str, Any]:
    """Return the figures of one preset; its exported model folder is left in `aside`."""
    config = make_config(preset, None, {"repeats": repeats})
    run, records = run_protocol(dataset, config, runs, engine=engine)
    missing = [record for record in records if not (record.folder / INT8).exists()]
    print(f"{preset}: {len(records)} fits, {len(missing)} to quantise", file=sys.stderr, flush=True)
    models = [record.model for record in missing]
    for at, found in engine.run(quantise, (dataset, config), models, lambda _: None):
        files.write_json(missing[at].folder / INT8, found)
    quantised = [json.loads((record.folder / INT8).read_text()) for record in records]
    together = summary([record.result() for record in records])
    training = place(run, records, dataset, config, aside / preset)
    with suppress(CheckError):  # a file out of its limits is not there, and then has no row
        export(aside / preset, dataset, formats=["dense", "dense-int8", "tflite-int8"])
    certificate = json.loads((aside / preset / files.CERTIFICATE).read_text())
    return {
        "run": run.id,
        **{name: training["network"][name] for name in ("parameters", "multiply_adds", "receptive_field")},
        "float32": spread([record.result()["accuracy"] for record in records]),
        "int8": spread([found["int8"] for found in quantised]),
        "lost": spread([found["float32"] - found["int8"] for found in quantised]),
        "float_layers": [len(found["float_layers"]) for found in quantised],
        "worst_subject": together["worst_subject"],
        "bytes": {name: found["bytes"] for name, found in certificate["artefacts"].items()},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, sample standard deviation, lowest and highest."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": sd, "low": min(values), "high": max(values)}


def time_dense(folder: Path, rounds: int, hop: int) -> dict[str, Any]:
    """Return microseconds a window of each preset's dense files over a recording of 2048 windows, interleaved."""
    job = partial(
        contestants.Job, recording="", device="cpu", threads=1, hop=hop, windows=2048, streams=1, packet=1, seed=1
    )
    entries = [
        Entry(
            f"{preset} {precision}",
            contestants.score_recording,
            {"job": job(str(folder / preset / name), str(folder / preset), precision=precision)},
        )
        for preset in PRESETS
        for precision, name in FILES.items()
        if (folder / preset / name).exists()
    ]
    seen = {one.name: one.us_per_unit for one in measure(entries, Plan(rounds=rounds))}
    base = seen["seed float32"]
    return {
        name: {
            "us": asdict(median(values)),
            "to_seed": asdict(paired_ratio(base, values)),
        }
        for name, values in seen.items()
    }


def render(found: dict[str, Any]) -> str:
    """Return docs/presets.md."""
    rows = []
    for preset, one in found["presets"].items():
        float_layers = sorted(set(one["float_layers"]))
        layers = str(float_layers[0]) if len(float_layers) == 1 else f"{float_layers[0]} to {float_layers[-1]}"
        rows.append(
            f"| `{preset}` | {one['parameters']:,} | {one['multiply_adds'] / 1e6:.2f} M | {percent(one['float32'])} | "
            f"{percent(one['int8'])} | {layers} | "
            f"{100 * one['worst_subject']['accuracy']:.2f} ({one['worst_subject']['subject']}) |"
        )
    speed = []
    for name, one in found["dense"].items():
        preset, precision = name.split()
        ratio = one["to_seed"]
        size = found["presets"][preset]["bytes"][FILES[precision]] / 1024
        speed.append(
            f"| `{preset}` | {precision} | {size:.0f} | {one['us']['value']:.1f} "
            f"({one['us']['low']:.1f}–{one['us']['high']:.1f}) | "
            + ("1 |" if name == "seed float32" else f"{ratio['value']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f}) |")
        )
    tflite = ", ".join(
        f"`{preset}` {one['bytes'][TFLITE] / 1024:.0f} KiB"
        for preset, one in found["presets"].items()
        if TFLITE in one["bytes"]
    )
    return (
        "# The presets\n\n"
        f"{found['repeats']} repeats each on {found['data']}, official split: nine people whom no fit saw. Mean ± "
        "sample standard deviation in per cent. Networks and recipe were chosen on folds of the training subjects; "
        "int8 ranges and the layers that stay in float32 by training subjects, too, for each fit anew.\n\n"
        "| preset | parameters | multiply-adds a window | float32 | int8 ONNX | layers in float32 "
        "| lowest subject, mean |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(rows) + "\n\n"
        "The lower-median fit's dense file over a recording of 2048 windows, one thread on "
        f"{found['machine']}, {found['versions']}; {found['rounds']} interleaved rounds, medians with 95 % "
        "intervals:\n\n"
        "| preset | precision | KiB | µs a window | against `seed` in float32 |\n"
        "| --- | --- | ---: | ---: | ---: |\n" + "\n".join(speed) + "\n\n"
        f"As int8 TFLite: {tflite}. `python tools/presets.py --data …` measures all of it again.\n"
    )


def percent(values: dict[str, float]) -> str:
    return f"{100 * values['mean']:.2f} ± {100 * values['sd']:.2f}"


def main() -> None:
    """Do what is missing, measure, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    dataset, engine = load_data(given.data), Processes(given.workers)
    with tempfile.TemporaryDirectory() as name:
        aside = Path(name)
        found = {
            "data": dataset.name,
            "repeats": given.repeats,
            "rounds": given.rounds,
            "machine": fingerprint().processor,
            "versions": ", ".join(f"{name} {version}" for name, version in files.versions("onnxruntime").items()),
            "presets": {preset: study(dataset, preset, given.runs, given.repeats, engine, aside) for preset in PRESETS},
            "dense": time_dense(aside, given.rounds, dataset.hop),
        }
    (given.out / "presets.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (given.out / "presets.md").write_text(render(found), encoding="utf-8")


if __name__ == "__main__":
    main()
