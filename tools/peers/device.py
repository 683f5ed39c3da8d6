"""Contestants that stand for a device at work: many sensors, a CSV file on disk, a cold start."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.bench import Contestant
from edgeconv.bench.contestants import Job as StartJob
from edgeconv.bench.real_time import start_and_answer
from edgeconv.runtime import Classifier, StreamClassifier, StreamPool
from edgeconv.runtime.sources import read_recording

from .contestants import QUERIES, Job
from .material import CSV, FORMS, SHORT

PARSERS = ("polars", "pyarrow")


def push_packets(job: Job) -> Contestant:
    """Push a packet of every sensor into a `StreamPool`, and run what is due.

    The sensors are out of step, so that every round of packets completes about as many windows.
    """
    sizes, samples = job.sizes, job.samples()
    classifier = Classifier.load(job.folder / FORMS, threads=job.threads)
    pool, window = StreamPool(classifier, job.hop), classifier.spec.window
    ahead = np.resize(samples, (window + job.hop, samples.shape[1]))
    for sensor in range(sizes.sensors):
        pool.push(sensor, ahead[: window + sensor * job.hop // sizes.sensors])
    pool.run()
    packets = [samples[i : i + sizes.packet].copy() for i in range(0, 64 * sizes.packet, sizes.packet)]
    packets = [packet for packet in packets if len(packet) == sizes.packet]
    turn = itertools.count()

    def run() -> None:
        first = next(turn)
        for sensor in range(sizes.sensors):
            pool.push(sensor, packets[(first + sensor) % len(packets)])
        pool.run()

    def check() -> NDArray[np.float32]:
        beside = StreamPool(classifier, job.hop)
        end = window + (QUERIES - 1) * job.hop
        for i in range(0, end, sizes.packet):
            beside.push("one", samples[i : min(i + sizes.packet, end)])
        return np.array([said.probabilities for _, said in beside.run()])

    units = sizes.sensors * sizes.packet / job.hop
    return Contestant(run, units=units, check=check, facts={"bytes_per_stream": pool.bytes_per_stream})


def hide_parsers(but: str | None) -> None:
    """Let this process find none of the optional parsers but one."""
    for name in PARSERS:
        if name != but:
            sys.modules[name] = None  # type: ignore[assignment]
    if but is not None:
        __import__(but)  # as in a program that uses it anyway


def classify_csv(job: Job, parser: str | None) -> Contestant:
    """Take a CSV file to predictions by `read_recording` and `StreamClassifier.push`; parser None is numpy."""
    hide_parsers(but=parser)
    classifier = Classifier.load(job.folder / FORMS, threads=job.threads)
    names = classifier.spec.channel_names

    def predictions() -> list[Any]:
        stream = StreamClassifier(classifier, job.hop)
        return [said for chunk in read_recording(job.folder / CSV, names) for said in stream.push(chunk)]

    return Contestant(run=predictions, check=lambda: np.array([said.probabilities for said in predictions()]))


def parse_with_numpy(job: Job) -> Contestant:
    """Parse the same file with `numpy.loadtxt` alone, into float32."""
    return Contestant(run=lambda: np.loadtxt(job.folder / CSV, np.float32, delimiter=",", skiprows=1))


def parse_with_polars(job: Job) -> Contestant:
    """Parse the same file with `polars.read_csv` alone."""
    import polars as pl

    return Contestant(run=lambda: pl.read_csv(job.folder / CSV))


def start_edgeconv(job: Job) -> Contestant:
    """Start `edgeconv stream` and wait for its first line."""
    cold = StartJob(
        file=str(job.folder / job.file),
        model=str(job.folder / FORMS),
        recording=str(job.folder / SHORT),
        device="cpu",
        threads=job.threads,
        hop=job.hop,
        windows=1,
        streams=1,
        packet=1,
        seed=0,
    )
    return start_and_answer(cold)


def start_python(job: Job) -> Contestant:
    """Start a process that imports numpy and ONNX Runtime and opens the file: what no start can do without."""
    code = (
        "import sys, numpy, onnxruntime\n"
        "onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        "print('ready', flush=True)"
    )
    return Contestant(run=lambda: [_seconds_to_first_line(code, str(job.folder / job.file))], own_clock=True)


def _seconds_to_first_line(code: str, argument: str) -> float:
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", code, argument], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
    if line != "ready\n":
        raise RuntimeError(f"the process ended with exit code {process.returncode}")
    return took
