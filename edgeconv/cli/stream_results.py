"""What `edgeconv stream` writes and says while a walk goes on: lines, a report of each recording, and notes."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from .console import count, note
from .interrupt import WholeLines
from .pace import Pace

if TYPE_CHECKING:
    from edgeconv.runtime.sinks import Sink
    from edgeconv.runtime.sinks.output import OutputFile
    from edgeconv.runtime.sources.joined import Recording
    from edgeconv.runtime.walk import Step, Walk

    from .stream_job import Job

    AnySink = Sink[Any]


class Results:
    """Writes what a walk gives, and says at the end, however it comes, what was done; use it in a `with`."""

    def __init__(
        self, job: Job, walk: Walk, out: WholeLines, sink: AnySink, pace: Pace | None, report: OutputFile | None
    ) -> None:
        """Write to the sink, whose lines go to `out`; the sink is closed at the end.

        report: takes a line of JSON about each recording that was read to its end, or to an error
        """
        self._job, self._walk, self._out, self._sink, self._pace = job, walk, out, sink, pace
        self._report = report
        self._began_s = time.perf_counter()
        self._windows = self._events = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        from edgeconv.runtime.errors import EdgeconvError

        try:
            self._sink.close()
            if isinstance(error, EdgeconvError) and not self._walk.done and not self._walk.reading_again:
                self._tell(self._job.recordings[self._walk.number], str(error))
        finally:
            job, seconds = self._job, time.perf_counter() - self._began_s
            events = "" if job.smoothing is None else f", {count(self._events, 'event')}"
            note(
                f"{count(self._windows, 'window')} of {count(len(job.recordings), 'recording')}{events} in "
                f"{seconds:.2f} s: {self._windows / max(seconds, 1e-9):.0f} windows per second on "
                f"{job.streaming.classifier.device}"
            )
            if self._pace is not None:
                note(self._pace.words())

    def take(self, step: Step) -> None:
        """Write what a step gave; raises as `WholeLines.write` does."""
        # Each is counted when it is written, because Ctrl-C may come between two.
        for event in step.events:
            self._sink.write(step.recording.name, event)
            self._events += 1
        for prediction in step.predictions:
            if self._job.smoothing is None:
                self._sink.write(step.recording.name, prediction)
            self._windows += 1
        self._out.flush()
        if self._pace is not None:
            self._pace.answered(len(step.predictions))
        say(step, self._walk, self._job)
        if step.ended:
            self._tell(step.recording)
            if self._pace is not None:
                self._pace.begin()

    def _tell(self, recording: Recording, error: str | None = None) -> None:
        """Write what was done to a recording."""
        if (file := self._report) is None:
            return
        walk, report = self._walk, self._walk.report
        said = {
            "recording": recording.name,
            "files": [str(path) for path in recording.paths],
            "samples": walk.samples,
            "windows": walk.windows,
            "times": None if walk.times_found is None else str(walk.times_found),
            "signal": None if report is None else report.as_dict(),
            "findings": [asdict(finding) for finding in walk.findings],
            "error": error,
        }
        line = json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
        self._out.finish(lambda: file.write(line))
        self._out.finish(file.flush)


def say(step: Step, walk: Walk, job: Job) -> None:
    """Note what was found in a recording, and at its end what was done to make it the model's."""
    name, path, window = step.recording.name, step.recording.paths[0], job.streaming.classifier.spec.window
    for finding in step.findings if job.doubt == "mark" else ():
        note(f"{name}: {finding.message}; goes on all the same, from {finding.at_s:.1f} s")
    if not step.ended:
        return
    changed = walk.report is not None and walk.report.changed
    if changed and (time := walk.times_found) is not None:
        note(f"{name}: times are those of its column {time.name!r}, in {time.unit}; --rate leaves them out")
    if walk.report is not None and (changed or job.signal is not None):
        note(f"{name}: {walk.report.words()}")
    if walk.samples < window:
        note(f"{path}: {walk.samples} samples are less than one window of {window}; no predictions")
    elif walk.windows == 0:
        note(f"{path}: no stretch without a gap has the {window} samples of a window; no predictions")
