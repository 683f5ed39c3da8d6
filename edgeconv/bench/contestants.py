"""The contestants of the scenarios: every form of the model, each as a function that makes it in its own process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgeconv.runtime import Classifier, ModelSpec, Scorer, Stepper, StreamClassifier
from edgeconv.runtime.artefact import Precision
from edgeconv.runtime.devices import CPU, CUDA

from .contestant import Contestant
from .recording import generate_recording

QUERIES = 64
"""Different queries that single-stream goes round, and the answers by which its contestants are judged."""


@dataclass(frozen=True)
class Job:
    """What a contestant is to do."""

    file: str
    """ONNX file of the contestant's form."""
    model: str
    """What the user named: a folder or an ONNX file."""
    recording: str
    """A file that holds a recording of two windows."""
    device: str
    threads: int
    hop: int
    windows: int
    """Windows of the recording in offline."""
    streams: int
    packet: int
    seed: int
    precision: Precision = "float32"
    """Of a folder's files."""


def predict_one_window(job: Job) -> Contestant:
    """One window through `Classifier.predict`."""
    classifier = load(Classifier.load, job)
    windows = windows_of(classifier.spec, job, QUERIES)
    queries = itertools.cycle([windows[i : i + 1].copy() for i in range(QUERIES)])
    return Contestant(
        run=lambda: classifier.predict(next(queries)),
        check=lambda: np.concatenate([classifier.predict(windows[i : i + 1]) for i in range(QUERIES)]),
        facts=device_facts(classifier.device),
    )


def push_one_hop(job: Job) -> Contestant:
    """One hop of samples into `StreamClassifier.push`, which answers each with one prediction, by the form it chose."""
    classifier = load_model(job)
    samples = samples_of(classifier.spec, job, QUERIES)
    stream = begin_stream(classifier, job, samples)
    packets = itertools.cycle(cut(samples, job.hop))
    return Contestant(
        run=lambda: stream.push(next(packets)),
        check=lambda: stream_answers(classifier, job, samples, job.hop),
        facts=device_facts(classifier.device),
    )


def score_one_window(job: Job) -> Contestant:
    """One window's samples through the dense form."""
    scorer = load(Scorer.load, job)
    windows = windows_of(scorer.spec, job, QUERIES)
    queries = itertools.cycle([windows[i].copy() for i in range(QUERIES)])
    return Contestant(
        run=lambda: scorer.score(next(queries)),
        check=lambda: np.concatenate([scorer.score(windows[i]) for i in range(QUERIES)]),
        facts=device_facts(scorer.device),
    )


def step_one_hop(job: Job) -> Contestant:
    """One hop of samples of one stream, and its state, through the stateful form."""
    stepper = load(Stepper.load, job)
    hops = cut(samples_of(stepper.spec, job, QUERIES), job.hop)
    queries = itertools.cycle([hop[None] for hop in hops])
    state = stepper.start()

    def run() -> None:
        nonlocal state
        _, state = stepper.step(next(queries), state)

    def answers() -> NDArray[np.float32]:
        lead = np.zeros((stepper.lead, hops[0].shape[1]), np.float32)
        samples = np.concatenate([lead, samples_of(stepper.spec, job, QUERIES)])
        found, begun = [], stepper.start()
        for packet in cut(samples, job.hop):
            answer, begun = stepper.step(packet[None], begun)
            found.append(answer[0])
        return np.array(found[stepper.warm_up :])

    return Contestant(run, check=answers, facts=device_facts(stepper.device))


def predict_recording(job: Job) -> Contestant:
    """Every window of a recording through `Classifier.predict`, which takes them in batches."""
    classifier = load(Classifier.load, job)
    windows = windows_of(classifier.spec, job, job.windows)

    def run() -> NDArray[np.float32]:
        answers: NDArray[np.float32] = classifier.predict(windows)
        return answers

    return Contestant(run, units=job.windows, check=run, facts=device_facts(classifier.device))


def score_recording(job: Job) -> Contestant:
    """All of a recording through the dense form."""
    scorer = load(Scorer.load, job)
    samples = samples_of(scorer.spec, job, job.windows)

    def run() -> NDArray[np.float32]:
        answers: NDArray[np.float32] = scorer.score(samples)
        return answers

    return Contestant(run, units=job.windows, check=run, facts=device_facts(scorer.device))


def load(how: Callable[..., Any], job: Job) -> Any:
    """Load a form with `how`, its class's `load`."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # what it would say about other devices than the one asked for
    return how(job.file, job.device, threads=job.threads, precision=job.precision)


def load_model(job: Job) -> Classifier:
    """Load what the user named, with all its forms."""
    return cast("Classifier", load(Classifier.load, replace(job, file=job.model)))


def device_facts(device: str) -> dict[str, Any]:
    """Return the device, as read back from the session, and the execution provider that this is."""
    return {"device": device, "provider": CPU if device == "cpu" else CUDA}


def samples_of(spec: ModelSpec, job: Job, windows: int) -> NDArray[np.float32]:
    """Return a recording of so many windows: float32 [samples, channels]."""
    return generate_recording(spec, spec.window + (windows - 1) * job.hop, job.seed)


def windows_of(spec: ModelSpec, job: Job, windows: int) -> NDArray[np.float32]:
    """Return the windows of the recording: float32 [windows, window, channels], a view."""
    samples = samples_of(spec, job, windows)
    return sliding_window_view(samples, spec.window, axis=0)[:: job.hop].transpose(0, 2, 1)


def begin_stream(classifier: Classifier, job: Job, samples: NDArray[np.float32], ahead: int = 0) -> StreamClassifier:
    """Return a stream that has had its first window: from here on every hop of samples completes one more."""
    stream = StreamClassifier(classifier, job.hop)
    stream.push(samples[: classifier.spec.window])
    stream.push(np.resize(samples, (ahead, samples.shape[1])))
    return stream


def cut(samples: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    """Return the whole packets of a recording, each float32 [size, channels]."""
    return [samples[i : i + size].copy() for i in range(0, len(samples) - size + 1, size)]


def stream_answers(classifier: Classifier, job: Job, samples: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the probabilities of a recording that is pushed in pieces: float32 [predictions, classes]."""
    stream = StreamClassifier(classifier, job.hop)
    pieces = (samples[i : i + size] for i in range(0, len(samples), size))
    return np.array([prediction.probabilities for piece in pieces for prediction in stream.push(piece)])
