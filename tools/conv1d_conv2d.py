"""Train one task with Conv1D, Conv2D of height 1 and Conv2D over an image, time them, and write docs/conv1d-conv2d.md.

By default on the generated data; --data names UCI HAR. With --render the page is made from docs/conv1d-conv2d.json and
nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from peers.markdown import number, spread, table

from edgeconv.bench import Contestant, Entry, Plan, measure
from edgeconv.bench.recording import generate_recording
from edgeconv.bench.scenarios import judge
from edgeconv.bench.statistics import Interval, median, paired_ratio
from edgeconv.cli.console import count
from edgeconv.data import Dataset, load_data
from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.export.onnx import convert, read_model, write_form
from edgeconv.runtime import Classifier
from edgeconv.runtime.machine import fingerprint
from edgeconv.train.config import TrainConfig
from edgeconv.train.cost import cost
from edgeconv.train.fit import fit
from edgeconv.train.networks import NETWORKS, Preset, build
from edgeconv.train.place import make_spec

DOCS = Path(__file__).resolve().parents[1] / "docs"
CONV1D, FLAT, IMAGE = "Conv1D", "Conv2D, height 1", "Conv2D, image"
PRESETS = {CONV1D: "seed", FLAT: "seed-height-1", IMAGE: "seed-image"}
CANONICAL = "Conv1D, edgeconv's file"
FILES = {
    CANONICAL: "canonical.onnx",
    CONV1D: "conv1d.onnx",
    FLAT: "conv2d-height-1.onnx",
    IMAGE: "conv2d-image.onnx",
}
PLAN = Plan(rounds=40, round_s=0.05, warm_up_s=1.0, retries=60)
QUERIES = 64


def add_presets(window: int, channels: int) -> None:
    """Add the two-dimensional counterparts of `seed` to the presets, for windows of this shape."""

    def stack(shape: tuple[int, int, int], kernel: tuple[int, int], pool: tuple[int, int]) -> Preset:
        def network(windows: Any, classes: int) -> Any:
            layers = import_keras().layers
            x = layers.Reshape(shape)(windows)
            x = layers.Conv2D(64, kernel, activation="relu")(x)
            x = layers.Conv2D(64, kernel, activation="relu")(x)
            x = layers.MaxPooling2D(pool)(layers.Dropout(0.5)(x))
            x = layers.Dense(100, activation="relu")(layers.Flatten()(x))
            return layers.Dense(classes, activation="softmax")(x)

        return Preset(network)

    NETWORKS[PRESETS[FLAT]] = stack((1, window, channels), (1, 3), (1, 2))
    NETWORKS[PRESETS[IMAGE]] = stack((window, channels, 1), (3, 3), (2, 2))


def copy_to_height_1(conv1d: Any, flat: Any) -> None:
    """Give the network of height 1 the weights of Conv1D: kernels [3, in, out] become [1, 3, in, out]."""
    flat.set_weights([
        weights.reshape(there.shape)
        for weights, there in zip(conv1d.get_weights(), flat.get_weights(), strict=True)
    ])  # fmt: skip


def largest_difference(window: int, channels: int, classes: int, windows: np.ndarray, conv1d: Any = None) -> float:
    """Return the largest |Δp| between Conv1D, new unless given, and Conv2D of height 1 with its weights."""
    add_presets(window, channels)
    one = conv1d or build(PRESETS[CONV1D], window, channels, classes)
    flat = build(PRESETS[FLAT], window, channels, classes)
    copy_to_height_1(one, flat)
    return float(np.abs(KerasModel(one).predict(windows) - KerasModel(flat).predict(windows)).max())


def size_of(name: str, window: int, channels: int, classes: int) -> dict[str, int]:
    """Return parameters, and the multiply-adds of one window."""
    add_presets(window, channels)
    model = build(PRESETS[name], window, channels, classes)
    found = cost(model)
    return {"parameters": found.parameters, "multiply_adds": found.multiply_adds}


def train_all(dataset: Dataset, seeds: int, epochs: int) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Fit each network with each seed; return what was seen of each, and the models of the first seed."""
    add_presets(dataset.window, len(dataset.channels))
    seen, models = {}, {}
    for name, preset in PRESETS.items():
        accuracies, seconds = [], []
        for seed in range(1, seeds + 1):
            print(f"train {name}, seed {seed} of {seeds}", file=sys.stderr, flush=True)
            began = time.perf_counter()
            names = [channel.name for channel in dataset.channels]
            config = TrainConfig(preset, 1, epochs)
            model = fit(dataset.train, names, len(dataset.labels), config, seed).model
            seconds.append(time.perf_counter() - began)
            answers = KerasModel(model).predict(dataset.test.windows)
            accuracies.append(float((answers.argmax(axis=1) == dataset.test.class_ids).mean()))
            models.setdefault(name, model)
        size = size_of(name, dataset.window, len(dataset.channels), len(dataset.labels))
        seen[name] = {**size, "accuracies": accuracies, "fit_s": seconds}
    return seen, models


def contestant(file: str) -> Contestant:
    """One window at a time through ONNX Runtime; different ones in turn."""
    classifier = Classifier.load(file)
    spec = classifier.spec
    windows = np.stack([generate_recording(spec, spec.window, seed) for seed in range(QUERIES)])
    some = [windows[i : i + 1].copy() for i in range(QUERIES)]

    def run() -> None:
        for one in some:
            classifier.model.run(one)

    return Contestant(run, units=QUERIES, check=lambda: classifier.predict(windows))


def judge_equals(answers: Any) -> dict[str, str]:
    """All files but that of the image have the same weights, and so the same answers."""
    return judge({name: answer for name, answer in answers.items() if name != IMAGE})


def time_all(dataset: Dataset, models: dict[str, Any], folder: Path, plan: Plan = PLAN) -> dict[str, dict[str, Any]]:
    """Write the networks as ONNX files and time one window of each; the weights of Conv1D serve for height 1, too."""
    spec = make_spec(dataset, TrainConfig(), "comparison", "1")
    copy_to_height_1(models[CONV1D], models[FLAT])
    for name, model in models.items():
        (folder / FILES[name]).write_bytes(convert(model, spec))
    (folder / FILES[CANONICAL]).write_bytes(write_form(read_model(models[CONV1D], spec), "onnx", spec.hop))
    entries = [Entry(name, contestant, {"file": str(folder / file)}) for name, file in FILES.items()]
    progress = lambda what, _: print(what, file=sys.stderr, flush=True)  # noqa: E731 (as short as it is)
    seen = {measurement.name: measurement for measurement in measure(entries, plan, judge_equals, progress)}
    wrong = [f"{name}: {m.problem}" for name, m in seen.items() if m.problem]
    if wrong:
        sys.exit("; ".join(wrong))
    first = seen[CANONICAL].us_per_unit
    return {
        name: {
            "us": asdict(median(m.us_per_unit)),
            "ratio": asdict(paired_ratio(first, m.us_per_unit)),
            "others_cores": m.others_cores,
        }
        for name, m in seen.items()
    }


def compare(dataset: Dataset, seeds: int, epochs: int, plan: Plan = PLAN) -> dict[str, Any]:
    """Train, compare and time; return everything that the page says, as JSON values."""
    networks, models = train_all(dataset, seeds, epochs)
    shape = (dataset.window, len(dataset.channels), len(dataset.labels))
    difference = largest_difference(*shape, dataset.test.windows, models[CONV1D])
    with tempfile.TemporaryDirectory() as made:
        latency = time_all(dataset, models, Path(made), plan)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(fingerprint()),
        "data": {
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "train": len(dataset.train),
            "test": len(dataset.test),
            "shape": shape,
            "channels": [channel.name for channel in dataset.channels],
        },
        "epochs": epochs,
        "networks": networks,
        "largest_difference": difference,
        "latency": latency,
    }


def render(results: dict[str, Any]) -> str:
    """Return the page, from the results alone."""
    data, machine, networks, latency = (results[key] for key in ("data", "machine", "networks", "latency"))
    window, channels, classes = data["shape"]
    generated = " (generated, nobody was recorded)" if data["synthetic"] else ""
    seeds = len(networks[CONV1D]["accuracies"])
    cost = networks[IMAGE]["multiply_adds"] / networks[CONV1D]["multiply_adds"]
    rows = max(channels - 2, 1)
    same = (
        "Conv1D and height 1 begin with the same weights where the seed is the same, and end with the same accuracy."
        if networks[CONV1D]["accuracies"] == networks[FLAT]["accuracies"]
        else "Conv1D and height 1 are the same network, trained with other rounding or other random numbers."
    )
    busy = [row["others_cores"] for row in latency.values() if row["others_cores"] is not None]
    shared = sum(busy) / len(busy) if busy else 0.0
    lines = [
        "# Conv1D and Conv2D on the same windows",
        "",
        "Written by `tools/conv1d_conv2d.py`; nothing here is edited by hand. `--data PATH` takes UCI HAR, without it",
        "the generated set serves.",
        "",
        "## What a kernel sees",
        "",
        f"A window is a table of {window} timesteps and {channels} channels.",
        "",
        f"- **Conv1D**: a kernel of 3 sees 3 timesteps of all {channels} channels and slides along time alone. Every "
        "filter has a weight for each channel, so the order of the channels means nothing.",
        f"- **Conv2D, height 1**: the window as an image of height 1 and width {window} whose “colours” are the "
        "channels, kernels 1 × 3. The same products are summed: it is Conv1D in other words. With the weights of the "
        f"trained Conv1D copied into it, the largest |Δp| over all {data['test']:,} test windows is "
        f"**{results['largest_difference']:.2g}**.",
        f"- **Conv2D, image**: the window as a grey image of {window} × {channels}, kernels 3 × 3. A kernel sees 3 "
        f"timesteps of 3 neighbouring channels (such as {', '.join(data['channels'][2:5])}) and slides over the "
        f"channels, too: the same weights serve at {rows} places among them, although their order is arbitrary. "
        f"Here that takes {cost:.1f} times the multiply-adds.",
        "",
        "## What came of it",
        "",
        f"{data['name']}{generated}: {data['train']:,} windows to train, {data['test']:,} of other subjects to test; "
        f"{classes} classes; network `seed` and its counterparts: two convolutions of 64 filters, dropout, pooling by "
        f"2, dense layers of 100 and {classes}; {count(results['epochs'], 'epoch')}, {count(seeds, 'seed')}.",
        "",
        *table(
            ["network", "parameters", "multiply-adds of a window", "accuracy, mean %", "of each seed, %", "fit, s"],
            [
                [
                    name,
                    f"{seen['parameters']:,}",
                    f"{seen['multiply_adds']:,}",
                    f"{100 * np.mean(seen['accuracies']):.2f}",
                    ", ".join(f"{100 * accuracy:.2f}" for accuracy in seen["accuracies"]),
                    f"{np.mean(seen['fit_s']):.0f}",
                ]
                for name, seen in networks.items()
            ],
            "lrrrrr",
        ),
        "",
        f"{count(seeds, 'fit')} of each: that says little about a difference of a point or two. The spread within a "
        f"row says how much the seed alone moves. {same}",
        "",
        "## One window in ONNX Runtime",
        "",
        "Files as tf2onnx leaves them, and edgeconv's own of Conv1D; one thread, each file in a process of its own, in "
        "interleaved rounds. Conv1D and height 1 carry the same weights, and their answers were compared before they "
        "were timed.",
        "",
        *table(
            ["file", "µs per window", "times the first"],
            [
                [
                    name if name == CANONICAL else f"{name}, as converted",
                    spread(Interval(**seen["us"])),
                    "1" if name == CANONICAL else spread(Interval(**seen["ratio"])),
                ]
                for name, seen in latency.items()
            ],
            "lrr",
        ),
        "",
        "Brackets are 95 % bootstrap intervals of the median over rounds; a ratio is taken round by round.",
        "",
        f"Machine `{machine['id']}`: {machine['processor']}, {machine['architecture']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, onnxruntime {machine['onnxruntime']}; {results['created']}.",
    ]
    if shared > 0.1:
        lines += [
            "",
            f"**Other processes kept {number(shared)} of {machine['cores']} cores busy meanwhile: the timings are "
            "those of a shared machine.** Ratios suffer less.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="UCI HAR as folder or zip; by default the generated set")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each network")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--render", action="store_true", help="measure nothing")
    chosen = parser.parse_args()
    file = DOCS / "conv1d-conv2d.json"
    if chosen.render:
        results = json.loads(file.read_text(encoding="utf-8"))
    else:
        import_keras()
        results = compare(load_data(chosen.data), chosen.seeds, chosen.epochs)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
