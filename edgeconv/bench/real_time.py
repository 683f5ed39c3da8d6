"""The contestants that stand for a device at work: many sensors, samples that come when they are due, a cold start."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import StreamPool
from edgeconv.runtime.errors import CheckError

from .contestant import Contestant
from .contestants import QUERIES, Job, begin_stream, cut, device_facts, load_model, samples_of, stream_answers

PACED_INTERVAL_S = 0.1
PACED_RUN_S = 1.0


def push_packets(job: Job) -> Contestant:
    """One packet of each of many sensors, each into a `StreamClassifier` of its own over one `Classifier`.

    The sensors are out of step with each other, so that every round of packets completes about as many windows.
    """
    classifier = load_model(job)
    samples = samples_of(classifier.spec, job, QUERIES)
    packets = cut(np.resize(samples, (max(len(samples), 16 * job.packet), samples.shape[1])), job.packet)
    streams = [begin_stream(classifier, job, samples, ahead=i * job.hop // job.streams) for i in range(job.streams)]
    step = itertools.count()

    def run() -> None:
        first = next(step)
        for i, stream in enumerate(streams):
            stream.push(packets[(first + i) % len(packets)])

    return Contestant(
        run,
        units=job.streams * job.packet / job.hop,
        check=lambda: stream_answers(classifier, job, samples, job.packet),
        facts=device_facts(classifier.device),
    )


def push_into_pool(job: Job) -> Contestant:
    """One packet of each of many sensors into one `StreamPool`, which runs the windows that are due together."""
    classifier = load_model(job)
    samples = samples_of(classifier.spec, job, QUERIES)
    packets = cut(np.resize(samples, (max(len(samples), 16 * job.packet), samples.shape[1])), job.packet)
    pool, step = StreamPool(classifier, job.hop), itertools.count()
    for i in range(job.streams):
        pool.push(i, np.resize(samples, (classifier.spec.window + i * job.hop // job.streams, samples.shape[1])))
    pool.run()

    def run() -> None:
        first = next(step)
        for i in range(job.streams):
            pool.push(i, packets[(first + i) % len(packets)])
        pool.run()

    def answers() -> NDArray[np.float32]:
        alone = StreamPool(classifier, job.hop)
        for at in range(0, len(samples), job.packet):
            alone.push("one", samples[at : at + job.packet])
        return np.array([prediction.probabilities for _, prediction in alone.run()])

    return Contestant(
        run,
        units=job.streams * job.packet / job.hop,
        check=answers,
        facts={**device_facts(classifier.device), "bytes_per_stream": pool.bytes_per_stream},
    )


def push_on_time(job: Job) -> Contestant:
    """One hop of samples whenever a sensor would have sent it, with nothing to do in between.

    So many sensors, out of step, that about every 0.1 s one of them sends; a run is about a second of that. Timed is
    the push. Its answer is late by what runs from when its last sample was due, so that a slow one makes the next ones
    late too and none is left out.
    """
    classifier = load_model(job)
    samples = samples_of(classifier.spec, job, QUERIES)
    hop_s = job.hop / classifier.spec.sampling_rate_hz
    sensors = max(1, int(hop_s / PACED_INTERVAL_S))
    interval_s = hop_s / sensors
    pushes = max(1, round(PACED_RUN_S / interval_s))
    streams = itertools.cycle([begin_stream(classifier, job, samples) for _ in range(sensors)])
    packets = itertools.cycle(cut(samples, job.hop))
    due_to_answer_ms: list[float] = []

    def run() -> list[float]:
        first, took = time.perf_counter(), []
        for i in range(1, pushes + 1):
            due = first + i * interval_s
            time.sleep(max(0.0, due - time.perf_counter()))
            stream, packet = next(streams), next(packets)
            began = time.perf_counter()
            stream.push(packet)
            ended = time.perf_counter()
            took.append(ended - began)
            due_to_answer_ms.append(1e3 * (ended - due))
        return took

    facts = {"sensors": sensors, "deadline_ms": 1e3 * hop_s, "due_to_answer_ms": due_to_answer_ms}
    return Contestant(
        run,
        units=pushes,
        check=lambda: stream_answers(classifier, job, samples, job.hop),
        facts={**device_facts(classifier.device), **facts},
        own_clock=True,
    )


def start_and_answer(job: Job) -> Contestant:
    """`python -m edgeconv stream` from the start of its process to its first line of answer."""
    command = [sys.executable, "-m", "edgeconv", "stream", job.model, job.recording, "--format", "jsonl"]
    options = ["--hop", str(job.hop), "--device", job.device, "--threads", str(job.threads)]
    options += ["--precision", job.precision]

    def start() -> tuple[float, str]:
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                took = time.perf_counter() - began
                said = process.communicate()[1]
            finally:
                process.kill()  # where it ended, this does nothing
        if process.returncode != 0 or not line:
            last = (said.strip().splitlines() or ["nothing"])[-1]
            raise CheckError(f"`edgeconv stream` ended with exit code {process.returncode} and said: {last}")
        return took, line

    def answer() -> NDArray[np.float32]:
        return np.array([list(json.loads(start()[1])["probabilities"].values())], np.float32)

    return Contestant(run=lambda: [start()[0]], check=answer, own_clock=True)
