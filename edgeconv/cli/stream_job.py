"""What `edgeconv stream` does once its options are read: recordings through a model into a sink."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, cast

from .console import count, note
from .interrupt import Ending, WholeCalls, WholeLines
from .keeper import Keeper, describe, say_finished
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from edgeconv.runtime import Prediction, StreamClassifier
    from edgeconv.runtime.conditioning.signal import Signal
    from edgeconv.runtime.intake import Doubt
    from edgeconv.runtime.sinks import Sink
    from edgeconv.runtime.sources.growing import Follow
    from edgeconv.runtime.sources.joined import Recording
    from edgeconv.runtime.sources.recording_source import RecordingSource
    from edgeconv.runtime.walk import Step, Walk

TextFormat = Literal["table", "jsonl", "csv"]
Format = Literal["table", "jsonl", "csv", "parquet"]


class Stopped(Exception):  # noqa: N818 (not an error: somebody asked for it)
    """The end was asked for while a source was waited for."""


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    streaming: StreamClassifier
    recordings: list[Recording]
    signal: Signal | None = None
    doubt: Doubt = "refuse"
    follow: bool = False
    real_time: bool = False
    resumable: bool = False

    @property
    def live(self) -> bool:
        """Whether a recording comes bit by bit, so that what is there is answered without waiting for more."""
        return self.follow or not all(path.is_file() for recording in self.recordings for path in recording.paths)

    def walk(self, *, follow: Follow = False, wait: Callable[[float], None] = lambda _seconds: None) -> Walk:
        """Return the way through the recordings.

        follow, wait: as for `RecordingSource` and `Walk`
        """
        from edgeconv.runtime.sources.recording_source import RecordingSource
        from edgeconv.runtime.walk import Walk, rows_at_once, windows_at_once

        spec, hop = self.streaming.classifier.spec, self.streaming.hop

        def open_source(recording: Recording) -> RecordingSource:
            rows = rows_at_once(spec.window)
            return RecordingSource(recording.paths, spec, self.signal, rows, follow=follow, doubt=self.doubt)

        at_once: int | None = windows_at_once(spec.window, hop)
        if self.real_time or (self.follow and self.resumable):
            at_once = 1
        elif self.live:
            at_once = None
        return Walk(self.streaming, self.recordings, open_source, at_once=at_once, wait=wait)


def run_once(job: Job, path: Path | None, form: Format) -> None:
    """Write all predictions to stdout, or to a file."""
    from edgeconv.runtime.sinks.output import OutputFile

    output = None if path is None else OutputFile(path)
    pace = Pace(_hop_s(job), lambda: False) if job.real_time else None
    walk = job.walk(follow=job.follow, wait=pace.wait if pace else lambda _seconds: None)
    labels = job.streaming.classifier.spec.labels
    with output or nullcontext(), WholeLines(cast("TextIO", output or sys.stdout)) as out:
        sink = _open_sink(form, out, labels, marks=job.doubt == "mark")
        with _summary(job, sink, pace) as written:
            for step in walk.steps():
                _write(step, out, sink, walk, job, pace, written)


def _open_sink(form: Format, out: WholeLines, labels: Sequence[str], *, marks: bool) -> Sink:
    """Return the sink for stdout or a file; raises UsageError for Parquet on a terminal."""
    from edgeconv.runtime import UsageError
    from edgeconv.runtime.sinks import open_sink

    if form != "parquet":
        return open_sink(form, cast("TextIO", out), labels, marks=marks)
    if sys.stdout.isatty():
        raise UsageError("--format parquet is nothing to read on a terminal; let it go to a file, with > found.parquet")
    from edgeconv.runtime.sinks.parquet import ParquetRows

    return WholeCalls(out, out.finish(lambda: ParquetRows(sys.stdout.buffer, labels, marks=marks)))


def run_resumably(
    job: Job, path: Path, form: TextFormat, checkpoint: Path, of: Mapping[str, Any], every_s: float
) -> None:
    """Write all predictions to a file, going on where the run of this checkpoint was stopped.

    of: what the run does, by `describe_run`
    """
    from edgeconv.runtime.checkpoint import Checkpoint
    from edgeconv.runtime.errors import EdgeconvError
    from edgeconv.runtime.sinks import open_sink
    from edgeconv.runtime.sinks.output import OutputFile

    kept = Checkpoint.read(checkpoint)
    if kept is not None:
        kept.require(of, checkpoint)
    labels = job.streaming.classifier.spec.labels
    with (
        Ending(until="the current windows") as ending,
        OutputFile(path, kept.state["output"] if kept else None) as output,
        WholeLines(cast("TextIO", output)) as out,
    ):
        pace = Pace(_hop_s(job), lambda: ending.wanted) if job.real_time else None

        def nap(seconds: float) -> None:
            if ending.wanted:
                raise Stopped
            keeper.commit_in_time()
            time.sleep(seconds)

        walk = job.walk(follow=nap if job.follow else False, wait=pace.wait if pace else lambda _seconds: None)
        keeper = Keeper(checkpoint, of, walk, output, every_s)
        if kept is not None:
            walk.restore(kept.state["walk"])
            if walk.done:
                say_finished(checkpoint, path, walk)
                return
            note(f"{checkpoint}: goes on behind {count(walk.all_windows, 'window')}")
        sink = open_sink(form, cast("TextIO", out), labels, header=kept is None, marks=job.doubt == "mark")
        if kept is None:
            keeper.commit()
        with _summary(job, sink, pace) as written:
            try:
                for step in walk.steps():
                    _write(step, out, sink, walk, job, pace, written)
                    if step.whole and ending.wanted and not walk.done:
                        raise Stopped
                    if step.ended:
                        keeper.commit()
                    elif step.whole:
                        keeper.commit_in_time()
            except Stopped:
                keeper.commit()
                note(f"stopped behind {count(walk.all_windows, 'window')}; the same command goes on from {checkpoint}")
            except EdgeconvError:
                note(f"{checkpoint} keeps what was written down before this: the same command goes on from there")
                raise
        ending.check()


def usual_format(path: Path | None) -> TextFormat:
    """Return the format for a file, by its ending, or for stdout: a table on a terminal and JSON lines in a pipe."""
    if path is not None:
        return "csv" if path.suffix == ".csv" else "jsonl"
    return "table" if sys.stdout.isatty() else "jsonl"


def describe_run(model: Path, job: Job, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that decides the bytes of a job's output.

    Raises UsageError for a recording that is no file, and so cannot be read a second time; MissingFileError.
    """
    said = {
        **options,
        "hop": job.streaming.hop,
        "signal": job.signal.to_toml() if job.signal else "",
        "allow-implausible": job.doubt == "mark",
        "pace": "real-time" if job.real_time else "max",
        "follow": job.follow,
    }
    return describe(model, job.streaming, said, job.recordings, follow=job.follow)


def classify(streaming: StreamClassifier, paths: Iterable[Path]) -> Iterator[tuple[str, Prediction]]:
    """Yield name and prediction of every window of some recordings, one file each; each starts anew at 0 s."""
    from edgeconv.runtime.sources.joined import join_files

    job = Job(streaming, join_files(list(paths), ()))
    walk = job.walk()
    for step in walk.steps():
        _say(step, walk, job)
        for prediction in step.predictions:
            yield step.recording.name, prediction


@contextmanager
def _summary(job: Job, sink: Sink, pace: Pace | None) -> Iterator[Counter[str]]:
    """Say at the end, however it comes, what was done; count in what is given the windows of each recording."""
    began_s = time.perf_counter()
    written: Counter[str] = Counter()
    try:
        yield written
    finally:
        try:
            sink.close()
        finally:
            seconds, windows = time.perf_counter() - began_s, written.total()
            note(
                f"{count(windows, 'window')} of {count(len(job.recordings), 'recording')} in {seconds:.2f} s: "
                f"{windows / max(seconds, 1e-9):.0f} windows per second on {job.streaming.classifier.device}"
            )
            if pace is not None:
                note(pace.words())


def _write(
    step: Step, out: WholeLines, sink: Sink, walk: Walk, job: Job, pace: Pace | None, written: Counter[str]
) -> None:
    for prediction in step.predictions:
        sink.write(step.recording.name, prediction)
        written[step.recording.name] += 1
    out.flush()
    if pace is not None:
        pace.answered(len(step.predictions))
    _say(step, walk, job)
    if pace is not None and step.ended:
        pace.begin()


def _say(step: Step, walk: Walk, job: Job) -> None:
    """Note what was found in a recording, and at its end what was done to make it the model's."""
    name, path, window = step.recording.name, step.recording.paths[0], job.streaming.classifier.spec.window
    for finding in step.findings:
        note(f"{name}: {finding.message}; goes on all the same, from {finding.at_s:.1f} s")
    if not step.ended:
        return
    if walk.report is not None:
        note(f"{name}: {walk.report.words()}")
    if walk.samples < window:
        note(f"{path}: {walk.samples} samples are less than one window of {window}; no predictions")
    elif walk.windows == 0:
        note(f"{path}: no stretch without a gap has the {window} samples of a window; no predictions")


def _hop_s(job: Job) -> float:
    return job.streaming.hop / job.streaming.classifier.spec.sampling_rate_hz
