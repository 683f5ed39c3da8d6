"""edgeconv stream."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import signal_options as by
from .console import note, why_missing
from .stream_job import Job, describe_run, run_once, run_resumably, run_to_parquet, usual_format

LABELS_HEADER = b"recording,start_s,end_s,label"


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
        Literal["table", "jsonl", "csv", "parquet"] | None,
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
    smooth: by.SmoothOption = None,
    pace: Annotated[
        Literal["max", "real-time"],
        typer.Option(help="real-time: as slow as the sensor was, and say how many answers came too late for it."),
    ] = "max",
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions in place of stdout; NAME.csv is CSV, NAME.parquet Parquet.", metavar="FILE"
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="File for what was done to each recording to make it the model's, a line of JSON each.", metavar="FILE"
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Where to write down how far it is; the same command goes on from there.", metavar="FILE"),
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0.0, help="Seconds between two times; it changes nothing in the output.")
    ] = 5.0,
) -> None:
    """Classify every window of recordings of any length: one prediction per window on stdout, or in --out.

    Columns are matched to the model's channels by name; others are ignored. A WAV file has the model's channels in
    its order. For columns of other names, other units or another rate see docs/signal.md. A signal that cannot be what
    the model was trained on is refused with exit code 3, and the option that puts it right: docs/plausibility.md.
    With --checkpoint the same command goes on where it was stopped, also by kill -9: docs/checkpoints.md.

    Example: edgeconv stream models/har_conv1d walk.csv --hop 16 --format csv
    """
    from edgeconv.runtime import Classifier, Smoothing, StreamClassifier, UsageError
    from edgeconv.runtime.forms import form_file
    from edgeconv.runtime.sources.found import find_recordings
    from edgeconv.runtime.sources.joined import join_files
    from edgeconv.runtime.tuning import read_tuning

    _quieten_onnx_runtime()
    if checkpoint is not None and out is None:
        raise UsageError("--checkpoint says how much of a file was written, and stdout is none; give --out FILE, too")
    smoothing = None if smooth is None else Smoothing.parse(smooth)
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
    found = join_files(recordings, source.join if source else ())
    for written in filter(None, (out, report)):
        if any(written.exists() and written.samefile(path) for path in recordings if path.exists()):
            raise UsageError(f"{written} is one of the recordings; let the results go to another file")
    if report is not None and report in (out, checkpoint):
        raise UsageError(f"{report} cannot hold two things at once; give another file to --report")
    shown = format_ or usual_format(out)
    if shown == "parquet" and out is None and sys.stdout.isatty():
        raise UsageError("--format parquet is nothing to read on a terminal; let it go to a file, with > found.parquet")
    if checkpoint is not None and source is not None and source.join and source.time is not None:
        raise UsageError("--checkpoint cannot go on with files that are joined by time; leave it out")
    job = Job(
        streaming=streaming,
        recordings=found,
        signal=source,
        doubt="mark" if allow_implausible else "refuse",
        smoothing=smoothing,
        follow=follow,
        real_time=pace == "real-time",
        resumable=checkpoint is not None,
        report=report,
    )
    if checkpoint is None or out is None:
        run_once(job, out, shown)
        return
    options = {"device": classifier.device, "precision": precision, "threads": threads, "format": shown}
    of = describe_run(model, job, options)
    if shown == "parquet":
        run_to_parquet(job, out, checkpoint, of, checkpoint_every)
    else:
        run_resumably(job, out, shown, checkpoint, of, checkpoint_every)


def _quieten_onnx_runtime() -> None:
    """Leave it to the error line to say why a device does not start; ONNX Runtime would add several of its own."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)


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
