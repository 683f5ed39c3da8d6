"""Contestants over a recording in memory: other engines and edgeconv's forms."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.bench import Contestant
from edgeconv.runtime import Classifier, Scorer, Stepper, StreamClassifier

from .engines import Engine
from .material import FORMS, Sizes, beginning, read_spec_of, windows_of

QUERIES = 64
"""Different windows that a contestant with one window at a time goes round."""
CHECKED_STEPS = 16
STEPS = 32
TRIAL_S = 0.05


@dataclass(frozen=True)
class Job:
    """What a contestant is to do; `file` is in the folder."""

    folder: Path
    file: str
    hop: int
    sizes: Sizes
    threads: int = 1

    def samples(self) -> NDArray[np.float32]:
        """Return the recording, as much of it as this hop needs: float32 [n, channels]."""
        window, most = read_spec_of(self.folder).window, self.sizes.most_windows
        return beginning(np.load(self.folder / "recording.npy"), window, self.hop, most)

    def windows(self) -> NDArray[np.float32]:
        """Return its windows, float32 [windows, window, channels], a view."""
        return windows_of(self.samples(), read_spec_of(self.folder).window, self.hop)


Open = Callable[..., Engine]


def score_windows(job: Job, open_engine: Open, batch: int, options: Mapping[str, Any]) -> Contestant:
    """Take all windows of the recording through an engine: from its samples to the probabilities."""
    engine = open_engine(job.folder, job.file, batch, job.threads, **options)
    samples, window = job.samples(), read_spec_of(job.folder).window

    def run() -> NDArray[np.float32]:
        windows = windows_of(engine.encode(samples), window, job.hop)
        whole = len(windows) // batch * batch
        return engine.decode(engine.score_all(windows[:whole]))

    answers = run()
    return Contestant(run, units=len(answers), check=lambda: answers, facts={"batch": batch, **engine.facts})


def score_dense_windows(job: Job, open_engine: Open, batch: int, options: Mapping[str, Any]) -> Contestant:
    """Take the recording through edgeconv's dense file in another engine; a batch is a piece with so many windows."""
    engine = open_engine(job.folder, job.file, batch, job.threads, **options)
    samples, window = job.samples(), read_spec_of(job.folder).window
    count = (len(samples) - window) // job.hop + 1
    pieces = range(0, count // batch * batch, batch)

    def run() -> NDArray[np.float32]:
        ends = (window + (i + batch - 1) * job.hop for i in pieces)
        return np.concatenate([engine.answer(samples[i * job.hop : end]) for i, end in zip(pieces, ends, strict=True)])

    answers = run()
    return Contestant(run, units=len(answers), check=lambda: answers, facts={"batch": batch, **engine.facts})


def find_best_batch(
    job: Job, make: Callable[..., Contestant], open_engine: Open, options: Mapping[str, Any], batches: Sequence[int]
) -> Contestant:
    """Try batch sizes, and say with `check` in which of them a window takes least."""

    def us_per_window(batch: int) -> float:
        contestant = make(job, open_engine, batch, options)
        times: list[float] = []
        while len(times) < 5 or sum(times) < TRIAL_S:
            began = time.perf_counter()
            contestant.run()
            times.append(time.perf_counter() - began)
        return 1e6 * float(np.median(times[1:])) / contestant.units

    fitting = [batch for batch in batches if batch <= len(job.windows())]
    seen = {batch: us_per_window(batch) for batch in fitting}
    return Contestant(run=lambda: None, check=lambda: min(seen, key=seen.__getitem__), facts=seen)


def answer_one_window(job: Job, open_engine: Open, options: Mapping[str, Any]) -> Contestant:
    """Take one window through an engine, as a stream gives them."""
    engine = open_engine(job.folder, job.file, 1, job.threads, **options)
    queries = [np.ascontiguousarray(window[None]) for window in job.windows()[:QUERIES]]
    turn = itertools.cycle(queries)
    if engine.encode(queries[0]) is queries[0]:

        def run() -> NDArray[np.float32]:
            return engine.answer(next(turn))
    else:

        def run() -> NDArray[np.float32]:
            return engine.decode(engine.answer(engine.encode(next(turn))))

    answers = np.concatenate([np.array(run()) for _ in queries])
    return Contestant(run, check=lambda: answers, facts=dict(engine.facts))


def predict_windows(job: Job) -> Contestant:
    """Take all windows through `Classifier.predict`."""
    classifier, windows = Classifier.load(job.folder / job.file, threads=job.threads), job.windows()
    return Contestant(
        run=lambda: classifier.predict(windows), units=len(windows), check=lambda: classifier.predict(windows)
    )


def predict_one_window(job: Job) -> Contestant:
    """Take one window through `Classifier.predict`."""
    classifier = Classifier.load(job.folder / job.file, threads=job.threads)
    queries = [np.ascontiguousarray(window[None]) for window in job.windows()[:QUERIES]]
    turn = itertools.cycle(queries)
    return Contestant(
        run=lambda: classifier.predict(next(turn)),
        check=lambda: np.concatenate([classifier.predict(query) for query in queries]),
    )


def push_one_hop(job: Job) -> Contestant:
    """Push one hop of samples into a `StreamClassifier`, with every form at hand."""
    classifier = Classifier.load(job.folder / FORMS, threads=job.threads)
    window = classifier.spec.window
    samples = job.samples()[: window + (QUERIES - 1) * job.hop]

    def check() -> NDArray[np.float32]:
        beside = StreamClassifier(classifier, job.hop)
        pieces = [samples[:window], *(samples[i : i + job.hop] for i in range(window, len(samples), job.hop))]
        return np.array([said.probabilities for piece in pieces for said in beside.push(piece)])

    stream = StreamClassifier(classifier, job.hop)
    stream.push(samples[:window])
    packets = itertools.cycle([samples[i : i + job.hop].copy() for i in range(0, len(samples) - job.hop, job.hop)])
    return Contestant(run=lambda: stream.push(next(packets)), check=check)


def score_recording(job: Job) -> Contestant:
    """Take the whole recording through `Scorer.score`."""
    scorer, samples = Scorer.load(job.folder / job.file, threads=job.threads), job.samples()
    count = (len(samples) - scorer.spec.window) // job.hop + 1
    return Contestant(run=lambda: scorer.score(samples), units=count, check=lambda: scorer.score(samples))


def step_streams(job: Job, streams: int, steps: int) -> Contestant:
    """Take one hop of every stream through `Stepper.step` at once; `steps` of that are a run."""
    stepper = Stepper.load(job.folder / job.file, threads=job.threads)
    length = stream_length(job, streams)
    parts = job.samples()[: streams * length].reshape(streams, length // job.hop, job.hop, -1)
    packets = [np.ascontiguousarray(parts[:, i]) for i in range(parts.shape[1])]
    turn, state = itertools.cycle(packets), stepper.start(streams)

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            _, state = stepper.step(next(turn), state)

    def check() -> NDArray[np.float32]:
        before, seen = stepper.start(streams), []
        for packet in packets[: stepper.warm_up + checked_steps(job, streams)]:
            answer, before = stepper.step(packet, before)
            seen.append(answer)
        return np.concatenate(seen[stepper.warm_up :])

    return Contestant(run, units=streams * steps, check=check, facts={"state_bytes": stepper.state_bytes})


def stream_length(job: Job, streams: int) -> int:
    """Return how many samples of the recording each stream gets."""
    return len(job.samples()) // streams // job.hop * job.hop


def checked_steps(job: Job, streams: int) -> int:
    """Return how many steps of each stream are compared with Keras."""
    full = stream_length(job, streams) // job.hop - read_spec_of(job.folder).window // job.hop + 1
    return min(CHECKED_STEPS, full)


def rows_of_steps(job: Job, streams: int) -> NDArray[np.intp]:
    """Return which window of the recording each answer that `step_streams` checks belongs to: [steps · streams]."""
    first = np.arange(streams) * (stream_length(job, streams) // job.hop)
    return (np.arange(checked_steps(job, streams))[:, None] + first).ravel()
