"""edgeconv stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO, cast

import typer

from . import signal_options as by
from .console import count, note, why_missing
from .interrupt import WholeCalls, WholeLines

LABELS_HEADER = b"recording,start_s,end_s,label"
Format = Literal["table", "jsonl", "csv", "parquet"]
LEAST_CHUNK, CHUNK_WINDOWS = 4096, 8
"""Timesteps pushed at once: so many, or so many windows where these are longer."""

if TYPE_CHECKING:
    from edgeconv.runtime import Prediction, StreamClassifier
    from edgeconv.runtime.intake import Doubt
    from edgeconv.runtime.signal import Signal
    from edgeconv.runtime.sinks import Sink


def stream(
    model: Annotated[Path, typer.Argument(help="Model folder or ONNX file.", metavar="MODEL")],
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="CSV, text, NPY, NPZ, WAV, Parquet or Arrow files, a folder, a glob in quotes; - for stdin.",
            metavar="RECORDING",
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", help="The recording is still being written: wait for more at its end.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, cuda,tf32,graph or auto; never another one than asked for.")
    ] = "cpu",
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="By default a table on a terminal and JSON lines in a pipe."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Processor threads within one run; by default 1, or what `export --tune` chose here."),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Which of a folder's files answer; int8 on the processor only.")
    ] = "float32",
    signal: by.SignalOption = None,
    map_: by.MapOption = None,
    unit: by.UnitOption = None,
    time_column: by.TimeColumnOption = None,
    rate: by.RateOption = None,
    max_gap: by.MaxGapOption = None,
    missing_values: by.MissingOption = None,
    join: by.JoinOption = None,
    allow_implausible: by.AllowImplausibleOption = False,
) -> None:
    """Classify every window of recordings of any length: one prediction per window on stdout.

    Columns are matched to the model's channels by name; others are ignored. A WAV file has the model's channels in
    its order. For columns of other names, other units or another rate see docs/signal.md. A signal that cannot be what
    the model was trained on is refused with exit code 3, and the option that puts it right: docs/plausibility.md.

    Example: edgeconv stream models/har_conv1d walk.csv --hop 16 --format csv
    """
    from edgeconv.runtime import Classifier, StreamClassifier, UsageError
    from edgeconv.runtime.forms import form_file
    from edgeconv.runtime.sources.found import find_recordings
    from edgeconv.runtime.sources.joined import join_files
    from edgeconv.runtime.tuning import read_tuning

    _quieten_onnx_runtime()
    if threads is None:
        tuning = read_tuning(model) if model.is_dir() else None
        threads = tuning.threads.get("recording", 1) if tuning else 1
    classifier = Classifier.load(model, device, threads=threads, precision=precision)
    spec = classifier.spec
    chosen = f" (asked for: {device})" if device != classifier.device else ""
    several = f" with {threads} threads" if threads > 1 else ""
    int8 = " in int8" if precision == "int8" and model.is_dir() else ""
    where = f"on {classifier.device}{int8}{several}{chosen}"
    note(f"{spec.name} version {spec.version}, trained on {spec.trained_on}; {where}")
    streaming = StreamClassifier(classifier, hop)
    source = by.SignalOptions(signal, map_, unit, time_column, rate, max_gap, missing_values, join).read()
    if model.is_dir() and classifier.forms(hop).dense is None and streaming.hop < spec.window:
        missing = why_missing(model, form_file("dense", streaming.hop, spec, precision), streaming.hop)
        note(f"window by window, because {missing}")
    recordings = without_labels(find_recordings(recordings, source.join if source else ()))
    if follow and len(recordings) > 1:
        raise UsageError("--follow never comes to the end of a recording; give one recording")
    number = len(join_files(recordings, source.join if source else ()))
    began = time.perf_counter()
    windows = 0
    with WholeLines(sys.stdout) as out:
        sink = _open_sink(format_, out, spec.labels, marks=allow_implausible)
        doubt: Doubt = "mark" if allow_implausible else "refuse"
        try:
            for name, prediction in classify(streaming, recordings, out.flush, source, follow=follow, doubt=doubt):
                sink.write(name, prediction)
                windows += 1
        finally:
            sink.close()
            seconds = time.perf_counter() - began
            note(
                f"{count(windows, 'window')} of {count(number, 'recording')} in {seconds:.2f} s: "
                f"{windows / max(seconds, 1e-9):.0f} windows per second on {classifier.device}"
            )


def _open_sink(format_: Format | None, out: WholeLines, labels: Sequence[str], *, marks: bool) -> Sink:
    """Return the sink for stdout; raises UsageError for Parquet on a terminal."""
    from edgeconv.runtime import UsageError
    from edgeconv.runtime.sinks import open_sink

    if format_ != "parquet":
        shown = format_ or ("table" if sys.stdout.isatty() else "jsonl")
        return open_sink(shown, cast("TextIO", out), labels, marks=marks)
    if sys.stdout.isatty():
        raise UsageError("--format parquet is nothing to read on a terminal; let it go to a file, with > found.parquet")
    from edgeconv.runtime.sinks.parquet import ParquetRows

    return WholeCalls(out, out.finish(lambda: ParquetRows(sys.stdout.buffer, labels, marks=marks)))


def _quieten_onnx_runtime() -> None:
    """Leave it to the error line to say why a device does not start; ONNX Runtime would add several of its own."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)


def classify(
    streaming: StreamClassifier,
    recordings: Iterable[Path],
    flush: Callable[[], None] = lambda: None,
    signal: Signal | None = None,
    *,
    follow: bool = False,
    doubt: Doubt = "refuse",
) -> Iterator[tuple[str, Prediction]]:
    """Yield name and prediction of every window of every recording; each recording starts anew at 0 s.

    `flush` is called after every piece that was read: a recording may be a pipe that is still being written, and who
    reads along gets answers as its samples come. What was done to make a recording the model's is noted at its end.
    """
    from edgeconv.runtime.sources.joined import join_files
    from edgeconv.runtime.sources.recording_source import RecordingSource

    spec = streaming.classifier.spec
    # Windows that reach from one piece into the next are in part computed twice.
    most = max(LEAST_CHUNK, CHUNK_WINDOWS * spec.window)
    for recording in join_files(list(recordings), signal.join if signal else ()):
        source = RecordingSource(recording.paths, spec, signal, most, follow=follow, doubt=doubt)
        samples = windows = said = 0
        for piece in source.pieces():
            if piece.begins:
                streaming.reset(piece.start_s)
            samples += len(piece.samples)
            for finding in source.findings[said:]:
                note(f"{recording.name}: {finding.message}; goes on all the same, from {finding.at_s:.1f} s")
            said = len(source.findings)
            codes = tuple(dict.fromkeys(finding.code for finding in source.findings))
            for prediction in streaming.push(piece.samples):
                windows += 1
                yield recording.name, replace(prediction, implausible=codes) if codes else prediction
            flush()
        if source.report is not None:
            note(f"{recording.name}: {source.report.words()}")
        path = recording.paths[0]
        if samples < spec.window:
            note(f"{path}: {samples} samples are less than one window of {spec.window}; no predictions")
        elif windows == 0:
            note(f"{path}: no stretch without a gap has the {spec.window} samples of a window; no predictions")


def without_labels(paths: list[Path]) -> list[Path]:
    """Leave out, and say so, the `labels.csv` and `dataset.toml` that lie beside the recordings of a data set.

    `FOLDER/*.csv` is how a shell names a folder's recordings, and it names the labels too.
    """
    kept = []
    for path in paths:
        if path.name == "labels.csv" and path.is_file() and path.open("rb").read(len(LABELS_HEADER)) == LABELS_HEADER:
            note(f"{path} holds labels, not samples, and is left out")
        elif path.name == "dataset.toml":
            note(f"{path} describes a data set, holds no samples, and is left out")
        else:
            kept.append(path)
    if paths and not kept:
        from edgeconv.runtime.errors import InputError

        raise InputError("without these there are no recordings; give one, or a folder that has some")
    return kept
