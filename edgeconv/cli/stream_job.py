"""What `edgeconv stream` does once its options are read: recordings through a model into a sink."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, cast

from .console import count, note
from .interrupt import Ending, WholeCalls, WholeLines
from .keeper import Keeper, describe, say_finished
from .pace import Pace
from .stream_results import Results, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeconv.runtime import Prediction, Smoothing, StreamClassifier
    from edgeconv.runtime.conditioning.signal import Signal
    from edgeconv.runtime.intake import Doubt
    from edgeconv.runtime.sources.growing import Follow
    from edgeconv.runtime.sources.joined import Recording
    from edgeconv.runtime.sources.recording_source import RecordingSource
    from edgeconv.runtime.walk import Walk

    from .stream_results import AnySink

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
    smoothing: Smoothing | None = None
    """How windows become events, which then are what is written."""
    follow: bool = False
    real_time: bool = False
    resumable: bool = False
    report: Path | None = None
    """Where to say of each recording what was done to it."""

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
        return Walk(self.streaming, self.recordings, open_source, at_once=at_once, smoothing=self.smoothing, wait=wait)


def run_once(job: Job, path: Path | None, form: Format) -> None:
    """Write everything to stdout, or to a file."""
    from edgeconv.runtime.sinks.output import OutputFile

    output = None if path is None else OutputFile(path)
    pace = Pace(_hop_s(job), lambda: False) if job.real_time else None
    walk = job.walk(follow=job.follow, wait=pace.wait if pace else lambda _seconds: None)
    with (
        output or nullcontext(),
        OutputFile(job.report) if job.report else nullcontext() as report,
        WholeLines(cast("TextIO", output or sys.stdout)) as out,
    ):
        sink: AnySink
        if form == "parquet":
            binary = sys.stdout.buffer if output is None else output.binary
            sink = WholeCalls(out, out.finish(lambda: open_parquet(job, binary)))
        else:
            sink = open_text(job, form, cast("TextIO", out), header=True)
        with Results(job, walk, out, sink, pace, report) as results:
            for step in walk.steps():
                results.take(step)


def run_resumably(
    job: Job, path: Path, form: TextFormat, checkpoint: Path, of: Mapping[str, Any], every_s: float
) -> bool:
    """Write everything to a file, going on where the run of this checkpoint was stopped; return whether all is done.

    of: what the run does, by `describe_run`
    """
    from edgeconv.runtime.checkpoint import Checkpoint
    from edgeconv.runtime.errors import EdgeconvError
    from edgeconv.runtime.sinks.output import OutputFile

    kept = Checkpoint.read(checkpoint)
    if kept is not None:
        kept.require(of, checkpoint)
    with (
        Ending(until="the current windows") as ending,
        OutputFile(path, kept.state["output"] if kept else None) as output,
        OutputFile(job.report, kept.state["report"] if kept else None) if job.report else nullcontext() as report,
        WholeLines(cast("TextIO", output)) as out,
    ):
        pace = Pace(_hop_s(job), lambda: ending.wanted) if job.real_time else None

        def nap(seconds: float) -> None:
            if ending.wanted:
                raise Stopped
            keeper.commit_in_time()
            time.sleep(seconds)

        walk = job.walk(follow=nap if job.follow else False, wait=pace.wait if pace else lambda _seconds: None)
        keeper = Keeper(checkpoint, of, walk, output, report, every_s)
        if kept is not None:
            walk.restore(kept.state["walk"])
            if walk.done:
                say_finished(checkpoint, path, walk)
                return True
            note(f"{checkpoint}: goes on behind {count(walk.all_windows, 'window')}")
        sink = open_text(job, form, cast("TextIO", out), header=kept is None)
        if kept is None:
            keeper.commit()
        with Results(job, walk, out, sink, pace, report) as results:
            try:
                for step in walk.steps():
                    results.take(step)
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
                if not walk.reading_again:
                    note(f"{checkpoint} keeps what was written down before this: the same command goes on from there")
                raise
        ending.check()
        return walk.done


def run_to_parquet(job: Job, path: Path, checkpoint: Path, of: Mapping[str, Any], every_s: float) -> None:
    """Do so with a Parquet file, which cannot be gone on with: rows are kept in a file beside it until all are there.

    of: what the run does, by `describe_run`
    """
    from edgeconv.runtime.checkpoint import Checkpoint
    from edgeconv.runtime.sinks.from_lines import write_parquet

    rows = path.with_name(f"{path.name}.rows")
    kept = Checkpoint.read(checkpoint)
    if kept is not None and path.exists() and not rows.exists():
        kept.require(of, checkpoint)
        walk = job.walk()
        walk.restore(kept.state["walk"])
        if walk.done:
            say_finished(checkpoint, path, walk)
            return
    if run_resumably(job, rows, "jsonl", checkpoint, of, every_s):
        labels = job.streaming.classifier.spec.labels
        write_parquet(rows, path, labels, events=job.smoothing is not None, marks=job.doubt == "mark")
        rows.unlink()


def open_text(job: Job, form: TextFormat, stream: TextIO, *, header: bool) -> AnySink:
    """Return the sink for what a job gives, windows or events; header: whether the stream is empty."""
    from edgeconv.runtime.sinks import open_event_sink, open_sink

    labels, marks = job.streaming.classifier.spec.labels, job.doubt == "mark"
    if job.smoothing is not None:
        return open_event_sink(form, stream, labels, header=header, marks=marks)
    return open_sink(form, stream, labels, header=header, marks=marks)


def open_parquet(job: Job, stream: BinaryIO) -> AnySink:
    """Return the same for Parquet; raises DependencyError where pyarrow is not installed."""
    from edgeconv.runtime.sinks.parquet import ParquetEvents, ParquetRows

    labels, marks = job.streaming.classifier.spec.labels, job.doubt == "mark"
    return (ParquetRows if job.smoothing is None else ParquetEvents)(stream, labels, marks=marks)


def usual_format(path: Path | None) -> Format:
    """Return the format for a file, by its ending, or for stdout: a table on a terminal and JSON lines in a pipe."""
    if path is not None:
        endings: dict[str, Format] = {".csv": "csv", ".parquet": "parquet"}
        return endings.get(path.suffix, "jsonl")
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
        "report": str(job.report or ""),
        "smooth": "" if job.smoothing is None else str(job.smoothing),
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
        say(step, walk, job)
        for prediction in step.predictions:
            yield step.recording.name, prediction


def _hop_s(job: Job) -> float:
    return job.streaming.hop / job.streaming.classifier.spec.sampling_rate_hz
