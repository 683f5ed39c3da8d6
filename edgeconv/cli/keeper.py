"""A run of `edgeconv stream` written down from time to time, so that the same command goes on where it was stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeconv import __version__

from .console import count, note

if TYPE_CHECKING:
    from edgeconv.runtime import Classifier, StreamClassifier
    from edgeconv.runtime.serving import Service
    from edgeconv.runtime.sinks.output import OutputFile
    from edgeconv.runtime.sources.joined import Recording
    from edgeconv.runtime.walk import Walk

HEAD_BYTES = 1 << 16
"""Of a recording, by which it is known again."""


class Keeper:
    """Commits output and state together: the output first, and then the file that says how much of it counts."""

    def __init__(
        self,
        path: Path,
        of: Mapping[str, Any],
        walk: Walk,
        out: OutputFile,
        report: OutputFile | None,
        every_s: float,
    ) -> None:
        """Write to `path` every so many seconds, at most.

        of: what the run does, by `describe_run`
        """
        self.path, self._of, self._walk, self._every_s = path, of, walk, every_s
        self._out, self._report = out, report
        self._last_s = time.monotonic()

    def commit(self) -> None:
        """Write down what was done; call it between two steps of the walk. Raises InputError where it cannot.

        While a walk reads again what it knows, nothing is written: it may turn out to be something else.
        """
        if self._walk.reading_again:
            return
        from edgeconv.runtime.checkpoint import Checkpoint
        from edgeconv.runtime.errors import InputError

        try:
            output = self._out.commit()
            report = None if self._report is None else self._report.commit()
        except OSError as error:
            raise InputError(f"the results cannot be written ({error.strerror or error})") from None
        Checkpoint(self._of, {"output": output, "report": report, "walk": self._walk.state()}).write(self.path)
        self._last_s = time.monotonic()

    def commit_in_time(self) -> None:
        """Do so where the last time is long enough ago."""
        if time.monotonic() - self._last_s >= self._every_s:
            self.commit()


class ServiceKeeper:
    """Writes down what a service holds, often enough that a broker need not wait for acknowledgements."""

    def __init__(self, path: Path, of: Mapping[str, Any], service: Service, every_s: float) -> None:
        """Write to `path` every so many seconds at most, or sooner: when nothing comes, or a device begins."""
        self.path, self._of, self._service, self._every_s = path, of, service, every_s
        self._last_s = time.monotonic()
        self._begun = 0
        self._written = self._seen = self._done()

    @property
    def pending(self) -> bool:
        """Whether something was taken that is not written down."""
        return self._written != self._done()

    def keep(self) -> bool:
        """Write down what was taken if it is time for it; return whether there is nothing that is not."""
        quiet, self._seen = self._seen == self._done(), self._done()
        due = quiet or time.monotonic() - self._last_s >= self._every_s
        # A stream's ids follow from when it began, so that is written down before anybody sees one.
        if self.pending and (due or self._begun != self._service.tally.begun):
            self.write()
        return not self.pending

    def write(self) -> None:
        """Write it down now."""
        from edgeconv.runtime.checkpoint import Checkpoint

        Checkpoint(self._of, self._service.state()).write(self.path)
        self._written, self._begun = self._done(), self._service.tally.begun
        self._last_s = time.monotonic()

    def _done(self) -> tuple[int, ...]:
        tally = self._service.tally
        return tally.arrivals, tally.losses.total(), tally.dropped


def describe(
    model: Path,
    streaming: StreamClassifier,
    options: Mapping[str, Any],
    recordings: Sequence[Recording],
    *,
    follow: bool,
) -> dict[str, Any]:
    """Return all that decides the bytes of an output: versions, the model's files, options and recordings.

    Raises UsageError for a recording that is no file, and so cannot be read a second time; MissingFileError.
    """
    of = {**versions(), "model": files_of(model, streaming.classifier, streaming.hop, many=False), **options}
    paths = [path for recording in recordings for path in recording.paths]
    of["recordings"] = [str(path) for path in paths]
    for path in paths:
        described = _describe_file(path)
        # A file that grows is known by the rows that were taken of it.
        of[str(path)] = "followed" if follow else described
    return of


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers may depend on."""
    import numpy as np
    import onnxruntime

    return {"edgeconv": __version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


def describe_service(model: Path, classifier: Classifier, hop: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that decides what a service's state means."""
    return {**versions(), "model": files_of(model, classifier, hop, many=True), "hop": hop, **options}


def files_of(model: Path, classifier: Classifier, hop: int, *, many: bool) -> dict[str, str]:
    """Return the beginning of the SHA-256 of each of a model's files that may answer at a hop.

    many: many streams at once, or one
    """
    from edgeconv.folder import file_sha256
    from edgeconv.runtime.forms import form_file

    files = [model]
    if model.is_dir():
        forms = classifier.forms(hop)
        stateful = forms.stateful is not None and (many or forms.stateful_for_one)
        asked = {"windowed": True, "dense": forms.dense is not None and not many, "stateful": stateful}
        spec, precision = classifier.spec, classifier.precision
        files = [
            model / form_file(form, spec.hop if form == "windowed" else hop, spec, precision)
            for form in ("windowed", "dense", "stateful")
            if asked[form]
        ]
    return {file.name: file_sha256(file)[:16] for file in files}


def say_finished(path: Path, out: Path, walk: Walk) -> None:
    """Say that a checkpoint is that of a run that came to its end."""
    note(f"{path} says that all is done: {count(walk.all_windows, 'window')} in {out}; remove it to do it again")


def _describe_file(path: Path) -> str:
    from edgeconv.runtime.errors import UsageError
    from edgeconv.runtime.sources.growing import STDIN
    from edgeconv.runtime.sources.opened import measure, open_file

    if path == STDIN or (path.exists() and not path.is_file() and not path.is_dir()):
        raise UsageError(f"{path} is no file, and cannot be read a second time; --checkpoint is for files")
    with open_file(path, str(path)) as file:
        head = file.read(HEAD_BYTES)
        return f"{measure(file)} bytes that begin with {hashlib.sha256(head).hexdigest()[:16]}"
