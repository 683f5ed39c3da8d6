"""Measure how tasks, fits and bulk scoring scale with workers and engines; write docs/scale.json and docs/scale.md.

Local processes and a Ray cluster of two nodes on this machine, with one and two workers, in interleaved rounds. What
travels is measured from what is pickled; the page works out from it where a hundred machines would saturate. With
--render the page is made from docs/scale.json and nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from peers.markdown import table

from edgeconv.data.synthetic import synthetic_har
from edgeconv.runs.engine import Engine, Processes, Tell
from edgeconv.runs.ray_cluster import import_ray
from edgeconv.runs.ray_data import RayData
from edgeconv.runs.ray_engine import Ray
from edgeconv.runs.scored_folder import ScoredFolder, find_recordings
from edgeconv.runs.scoring import Model, Task, score_recording
from edgeconv.runtime.machine import fingerprint
from edgeconv.train.config import TrainConfig
from edgeconv.train.protocol import FitTask, fit_task

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MODEL = ROOT / "models" / "har_conv1d"
RECORDING_S = 60
MACHINES, CORES = 100, 16
LINK_MB_S, DISK_MB_S = 1250.0, 500.0
"""Of the driver, assumed: 10 Gbit/s, and a plain solid-state disk."""
FITS_S = 60.0
"""Of one fit, assumed: a small preset with its whole recipe takes a minute or more on a core."""


def nothing(_shared: Any, task: int, _tell: Tell) -> int:
    return task


@dataclass(frozen=True)
class Known:
    """An engine that knows the result beforehand, so that what is left is the driver's own work."""

    result: Any

    def run(self, _work: Any, _shared: Any, tasks: Sequence[Any], _on_event: Tell) -> Iterator[tuple[int, Any]]:
        """Give the result for every task."""
        return ((position, self.result) for position in range(len(tasks)))


def engines(address: str, *, many: bool) -> dict[str, Engine]:
    ray = RayData if many else Ray
    found: dict[str, Engine] = {f"processes, {n}": Processes(n) for n in (1, 2)}
    return found | {f"Ray, {n}": ray(address, n) for n in (1, 2)}


def in_rounds(rounds: int, runs: dict[str, Any]) -> dict[str, float]:
    """Return the median seconds of each run; each round runs all of them once."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
            print(f"round {number + 1}: {name} {seconds[name][-1]:.2f} s", file=sys.stderr)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(rounds: int, toys: int, fits: int, recordings: int) -> dict[str, Any]:
    """Run everything and return the results of the page."""
    ray = import_ray()
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
    node = {"num_cpus": 1, "object_store_memory": 200 * 1024 * 1024, "include_dashboard": False}
    began = time.perf_counter()
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL")
    start_s = time.perf_counter() - began
    data = synthetic_har(train_subjects=4, test_subjects=1)
    config = TrainConfig("tiny", repeats=1, epochs=2)
    tasks = [FitTask(config, "official", seed) for seed in range(fits)]
    model = Model.read(MODEL, precision="float32", hop=None, format_="csv")
    try:
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            write_recordings(here / "recordings", recordings, model)
            found = find_recordings(str(here / "recordings"), here / "out")
            seconds = {
                "toys": in_rounds(
                    rounds,
                    {
                        name: lambda engine=engine: list(engine.run(nothing, None, range(toys), print))
                        for name, engine in engines(cluster.address, many=False).items()
                    },
                ),
                "fits": in_rounds(
                    rounds,
                    {
                        name: lambda engine=engine: list(engine.run(fit_task, data, tasks, lambda _event: None))
                        for name, engine in engines(cluster.address, many=False).items()
                    },
                ),
                "recordings": in_rounds(
                    rounds,
                    {
                        name: lambda engine=engine: ScoredFolder(here / "out").score(
                            found, model, engine, overwrite=True
                        )
                        for name, engine in engines(cluster.address, many=True).items()
                    },
                ),
            }
            task = Task((str(found[0].paths[0]),), found[0].name)
            one = score_recording(model, task, print)
            began = time.perf_counter()
            for _ in range(20):
                score_recording(model, task, print)
            work_s = (time.perf_counter() - began) / 20
            began = time.perf_counter()
            ScoredFolder(here / "again").score(found, model, Known(one))
            driver_s = (time.perf_counter() - began) / len(found)
            recording_bytes = found[0].paths[0].stat().st_size
    finally:
        ray.shutdown()
        cluster.shutdown()
    began = time.perf_counter()
    fitted = fit_task(data, tasks[0], lambda _event: None)
    fit_s = time.perf_counter() - began
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": asdict(fingerprint()),
        "load": os.getloadavg()[1],
        "rounds": rounds,
        "counts": {"toys": toys, "fits": fits, "recordings": recordings},
        "seconds": seconds,
        "cluster_start_s": start_s,
        "fit": {
            "shared": len(pickle.dumps((fit_task, data))),
            "task": len(pickle.dumps(tasks[0])),
            "result": len(pickle.dumps(fitted)),
            "seconds": fit_s,
        },
        "recording": {
            "shared": len(pickle.dumps((score_recording, model))),
            "task": len(pickle.dumps(task)),
            "result": len(pickle.dumps(one)),
            "read": recording_bytes,
            "windows": one.windows,
            "seconds": work_s,
            "driver_s": driver_s,
        },
    }


def write_recordings(folder: Path, number: int, model: Model) -> None:
    """Write recordings of a minute with values that a sensor might give."""
    spec = model.load().spec
    rng = np.random.default_rng(1)
    folder.mkdir()
    samples = rng.normal(0, 0.5, (round(RECORDING_S * spec.sampling_rate_hz), len(spec.channels))).astype(np.float32)
    for position in range(number):
        np.save(folder / f"r{position:05d}.npy", np.roll(samples, position, axis=0))


def render(results: dict[str, Any]) -> str:
    """Return the page, from the results alone."""
    counts, seconds = results["counts"], results["seconds"]
    names = list(seconds["fits"])
    fit, recording = results["fit"], results["recording"]
    cores = MACHINES * CORES
    mb = 1e6
    fits_s = cores / FITS_S
    scored_s = cores / recording["seconds"]
    link_s = LINK_MB_S * mb / recording["result"]
    disk_s = DISK_MB_S * mb / recording["result"]

    def times(kind: str) -> list[list[str]]:
        base = seconds[kind]
        return [
            [
                name,
                f"{base[name]:.2f}",
                f"{counts[kind] / base[name]:.1f}",
                f"{base[name.replace('2', '1')] / base[name]:.2f}",
            ]
            for name in names
        ]

    head = ["engine, workers", "s", "per second", "times as fast as with one"]
    lines = [
        "# Many machines",
        "",
        "Written by `tools/scale.py`; nothing here is edited by hand.",
        "",
        "```sh",
        "edgeconv train --network edge --out models/walk --engine ray --address head:6379",
        "edgeconv score recordings --model models/walk --out scored --engine ray --address head:6379",
        "```",
        "",
        'Ray is in the extra `scale` (`pip install "edgeconv[scale]"`). Without `--engine ray` both commands use '
        "processes of this machine; without `--address` Ray is started here and stopped at the end. A task has one "
        "core and one thread. The bytes of what is written do not depend on the engine or the number of workers, as "
        "long as the processors are of one kind: float32 sums may differ between kinds.",
        "",
        "- Every node needs the same Python, edgeconv, numpy, TensorFlow, Keras and ONNX Runtime. They are compared at "
        "the start, and another version is an error (exit 4) that names both.",
        "- Joining is tested with two nodes of one machine, and with a cluster made by `ray start` that wants a token: "
        "then set RAY_AUTH_MODE=token, with the token in ~/.ray/auth_token or RAY_AUTH_TOKEN. `train` also goes "
        "through `ray://`; `score` refuses it, because Ray Data does not work through Ray's client.",
        "- `score` sends paths, not recordings: every machine must see the folder at the same path. Answers come back "
        "to the driver, which alone writes.",
        "- A task whose worker or node dies is done again; after the third death the run ends with exit 4. What was "
        "finished is on the driver's disk, and the same command goes on from there. The driver itself is not replaced.",
        "- `score` hands out blocks of up to 16 recordings, and a death costs the block.",
        "- A recording whose signal cannot be what the model was trained on is not scored, and its likely cause is in "
        "`errors`; with `--allow-implausible` it is, its predictions say `implausible`, and so do summary and "
        "manifest.",
        "",
        "## Measured",
        "",
        f"On {results['machine'].get('processor', 'one machine')}, {results['at']}, load average {results['load']:.1f} "
        f"during it, medians of {results['rounds']} interleaved rounds. Each run starts its workers, imports included. "
        f"The Ray cluster has two nodes of one core on this machine and was started before, in "
        f"{results['cluster_start_s']:.0f} s.",
        "",
        f"{counts['toys']} tasks that do nothing: what an engine costs.",
        "",
        *table(head, times("toys"), "lrrr"),
        "",
        f"{counts['fits']} fits of the preset `tiny`, 2 epochs.",
        "",
        *table(head, times("fits"), "lrrr"),
        "",
        f"{counts['recordings']} recordings of {RECORDING_S} s ({recording['windows']} windows each), scored to CSV.",
        "",
        *table(head, times("recordings"), "lrrr"),
        "",
        "## What travels",
        "",
        *table(
            ["bytes, pickled", "a fit", "a recording"],
            [
                ["shared, once to each node", f"{fit['shared']:,}", f"{recording['shared']:,}"],
                ["task", f"{fit['task']:,}", f"{recording['task']:,}"],
                ["read from the shared file system", "0", f"{recording['read']:,}"],
                ["result, to the driver", f"{fit['result']:,}", f"{recording['result']:,}"],
            ],
            "lrr",
        ),
        "",
        "## On paper: a hundred machines",
        "",
        f"Assumed, not measured: {MACHINES} machines of {CORES} such cores, a driver with {LINK_MB_S:,.0f} MB/s of "
        f"link (10 Gbit/s) and {DISK_MB_S:,.0f} MB/s of disk, and fits of {FITS_S:.0f} s.",
        "",
        f"- **Shared data of fits**: {fit['shared'] / mb:.1f} MB × {MACHINES} nodes / {LINK_MB_S:,.0f} MB/s = "
        f"{fit['shared'] * MACHINES / mb / LINK_MB_S:.2f} s once, if the driver sends every copy itself; Ray's nodes "
        "also pass copies on.",
        f"- **Fits**: {cores:,} cores / {FITS_S:.0f} s = {fits_s:.1f} fits per second × {fit['result']:,} bytes = "
        f"{fits_s * fit['result'] / mb:.2f} MB/s to the driver, {fits_s * fit['result'] / mb / DISK_MB_S:.1%} of its "
        f"disk. The disk would be full at {DISK_MB_S * mb / fit['result'] * FITS_S:,.0f} cores.",
        f"- **Recordings**: {recording['seconds'] * 1e3:.2f} ms of one core for each here, so {cores:,} cores / "
        f"{recording['seconds'] * 1e3:.2f} ms = {scored_s:,.0f} recordings per second asked of the driver, "
        f"{scored_s * recording['result'] / mb:,.0f} MB/s. Its link takes {link_s:,.0f}, its disk {disk_s:,.0f} "
        f"recordings per second: by bytes it saturates at {min(link_s, disk_s) * recording['seconds']:,.0f} cores. "
        f"But to write a file and a line of the manifest took {recording['driver_s'] * 1e3:.2f} ms here, which is "
        f"{1 / recording['driver_s']:,.0f} recordings per second at most: one driver keeps "
        f"{recording['seconds'] / recording['driver_s']:,.0f} cores busy with recordings this short, and more with "
        "longer ones. For more, give each of several drivers a part of the recordings, with a glob and an `--out` of "
        "its own.",
        f"- **The file system** of the recordings gives {scored_s * recording['read'] / mb:,.0f} MB/s at the rate of "
        "all cores, " + f"and {recording['read'] / recording['driver_s'] / mb:,.0f} MB/s at the rate of one driver.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--render", action="store_true", help="make the page from docs/scale.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--fits", type=int, default=4)
    parser.add_argument("--recordings", type=int, default=2000)
    given = parser.parse_args()
    if not given.render:
        results = measure(given.rounds, given.toys, given.fits, given.recordings)
        (DOCS / "scale.json").write_text(json.dumps(results, indent=2) + "\n")
    (DOCS / "scale.md").write_text(render(json.loads((DOCS / "scale.json").read_text())))


if __name__ == "__main__":
    main()
