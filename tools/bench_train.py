"""Ten repeats of `seed`: `edgeconv train` against plain Keras, one fit after another; writes docs/training.md.

Both fit the same network on the same windows with the same settings. Plain Keras is what the tutorial's script does:
one process, TensorFlow's own threads, one call of `fit` after another. Rounds are interleaved, and each is timed as a
whole, with the start of Python and the import of TensorFlow.

    python tools/bench_train.py --data "UCI HAR Dataset.zip"
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgeconv.bench.statistics import median, paired_ratio
from edgeconv.folder import versions
from edgeconv.runtime.machine import fingerprint

DOCS = Path(__file__).resolve().parents[1] / "docs"
KERAS = """
import sys
import keras
from edgeconv.data import load_data

dataset = load_data(sys.argv[1])
repeats, epochs = int(sys.argv[2]), int(sys.argv[3])
windows, targets = dataset.train.windows, dataset.train.one_hot(len(dataset.labels))
for repeat in range(repeats):
    keras.utils.set_random_seed(1 + repeat)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input(windows.shape[1:]),
        layers.Conv1D(64, 3, activation="relu"),
        layers.Conv1D(64, 3, activation="relu"),
        layers.Dropout(0.5),
        layers.MaxPooling1D(2),
        layers.Flatten(),
        layers.Dense(100, activation="relu"),
        layers.Dense(len(dataset.labels), activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    model.fit(windows, targets, epochs=epochs, batch_size=32, verbose=0)
    right = model.predict(dataset.test.windows, verbose=0).argmax(axis=1) == dataset.test.class_ids
    print(f"{right.mean():.4f}")
"""


def measure(data: str, repeats: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Time both, in turn; return wall times in seconds and accuracies of each round."""
    seconds: dict[str, list[float]] = {"keras": [], "edgeconv": []}
    accuracies: dict[str, list[float]] = {"keras": [], "edgeconv": []}
    for number in range(1, rounds + 1):
        order = ["keras", "edgeconv"] if number % 2 else ["edgeconv", "keras"]
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-c", KERAS, data, str(repeats), str(epochs)]
                if name == "edgeconv":
                    command = [
                        sys.executable, "-m", "edgeconv", "train", "--network", "seed", "--data", data,
                        "--repeats", str(repeats), "--epochs", str(epochs), "--out", f"{folder}/m", "--runs", folder,
                    ]  # fmt: skip
                began = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds[name].append(time.perf_counter() - began)
                lines = done.stdout.splitlines()
                found = (
                    [float(line) for line in lines if line[:1].isdigit()][:repeats]
                    if name == "keras"
                    else [float(line.rpartition(" ")[2]) / 100 for line in lines if line.startswith(">#")]
                )
                accuracies[name] += found
            print(f"round {number} of {rounds}: {name} {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return {"seconds": seconds, "accuracies": accuracies}


def render(found: dict[str, Any]) -> str:
    """Return docs/training.md."""
    seconds = found["seconds"]
    ratio = found["ratio"]
    mean = {name: 100 * sum(values) / len(values) for name, values in found["accuracies"].items()}
    return (
        "# How long training takes\n\n"
        f"{found['repeats']} repeats of `seed`, {found['epochs']} epochs each, on {found['data']}, "
        f"{found['machine']['cores_available']} cores of {found['machine']['processor']}, {found['versions']}.\n\n"
        "| | wall time, median of rounds (lowest–highest) | mean accuracy |\n| --- | ---: | ---: |\n"
        + "".join(
            f"| {title} | {median(seconds[name]).value:.1f} s ({min(seconds[name]):.1f}–{max(seconds[name]):.1f}) "
            f"| {mean[name]:.2f} % |\n"
            for name, title in (("keras", "plain Keras, one fit after another"), ("edgeconv", "`edgeconv train`"))
        )
        + f"\n`edgeconv train` takes {ratio['value']:.2f} of the time ({ratio['low']:.2f}–{ratio['high']:.2f} over "
        f"{found['rounds']} interleaved rounds). It fits as many repeats at once as there are cores, each with one "
        "thread, because a small network leaves a second thread little to do, and takes 16 steps for each call from "
        "Python.\n\nBoth are timed from the start of Python to its end. `python tools/bench_train.py` measures "
        "it again.\n"
    )


def main() -> None:
    """Measure and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = measure(given.data, given.repeats, given.epochs, given.rounds)
    ratio = paired_ratio(found["seconds"]["keras"], found["seconds"]["edgeconv"])
    machine = fingerprint()
    found |= {
        "ratio": {"value": ratio.value, "low": ratio.low, "high": ratio.high},
        "repeats": given.repeats,
        "epochs": given.epochs,
        "rounds": given.rounds,
        "data": Path(given.data).name,
        "machine": {"processor": machine.processor, "cores_available": machine.cores_available},
        "versions": ", ".join(f"{name} {version}" for name, version in versions("tensorflow", "keras").items()),
    }
    (given.out / "training.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (given.out / "training.md").write_text(render(found), encoding="utf-8")


if __name__ == "__main__":
    main()
