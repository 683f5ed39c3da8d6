"""edgeconv evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import signal_options as by
from .console import count, note, progress
from .evaluate_tables import report
from .stream import without_labels

if TYPE_CHECKING:
    from edgeconv.evaluate.evaluation import Evaluation

SHOWN = 5
"""Names in a note."""


def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder or ONNX file.", metavar="MODEL")],
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="CSV, text, NPY, NPZ, WAV, Parquet or Arrow files, a folder or a glob in quotes.", metavar="RECORDING"
        ),
    ],
    labels: Annotated[
        Path, typer.Option(help="What is when: the labels.csv of `edgeconv data recordings`.", metavar="FILE")
    ],
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    smooth: Annotated[
        str | None,
        typer.Option(
            help="none, majority:N or exponential:TIME, and ,margin=M ,hold=TIME ,unknown=P; by default "
            "exponential and hold of one window.",
            metavar="SMOOTHING",
        ),
    ] = None,
    as_unknown: Annotated[
        list[str] | None,
        typer.Option("--as-unknown", help="Label of the model to take as unknown; may be repeated.", metavar="LABEL"),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, cuda,tf32,graph or auto; never another one than asked for.")
    ] = "cpu",
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Which of a folder's files answer; int8 on the processor only.")
    ] = "float32",
    json: Annotated[
        Path | None, typer.Option("--json", help="File for everything, with the events.", metavar="FILE")
    ] = None,
    require: Annotated[
        float | None,
        typer.Option(help="Least accuracy of the windows without smoothing, 0–1; below it the exit code is 4."),
    ] = None,
    signal: by.SignalOption = None,
    map_: by.MapOption = None,
    unit: by.UnitOption = None,
    time_column: by.TimeColumnOption = None,
    rate: by.RateOption = None,
    max_gap: by.MaxGapOption = None,
    missing: by.MissingOption = None,
    join: by.JoinOption = None,
    allow_implausible: by.AllowImplausibleOption = False,
) -> None:
    """Score a model on labelled recordings: windows, time and events, without smoothing and with it.

    docs/evaluate.md says what each figure is divided by. Needs no tensorflow.

    Example: edgeconv evaluate models/har_conv1d recordings/*.csv --labels recordings/labels.csv
    """
    from edgeconv.evaluate.evaluation import evaluate as run
    from edgeconv.evaluate.labelled import read_labels
    from edgeconv.folder import write_json
    from edgeconv.runtime import Classifier, Smoothing, StreamClassifier
    from edgeconv.runtime.errors import CheckError, InputError, UsageError
    from edgeconv.runtime.sources.found import find_recordings
    from edgeconv.runtime.sources.joined import join_files

    if require is not None and not 0 <= require <= 1:
        raise UsageError(f"--require is {require:g}; give a fraction from 0 to 1, such as 0.9")
    if json is not None and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise InputError(f"{json} cannot be written: give a file in a folder that is there")
    chosen = None if smooth is None else Smoothing.parse(smooth)
    truths = read_labels(labels)
    import onnxruntime  # by now the runtime has said what to install where it is missing

    onnxruntime.set_default_logger_severity(4)  # the error line says why a device does not start
    classifier = Classifier.load(model, device, precision=precision)
    spec = classifier.spec
    strange = [label for label in as_unknown or () if label not in spec.labels]
    if strange:
        raise UsageError(f"--as-unknown is {strange[0]!r}; the model's labels are {', '.join(spec.labels)}")
    source = by.SignalOptions(signal, map_, unit, time_column, rate, max_gap, missing, join).read()
    recordings = without_labels(find_recordings(recordings, source.join if source else ()))
    paths = {found.name: found.paths for found in join_files(recordings, source.join if source else ())}
    with progress(len(paths)) as show:
        found = run(
            StreamClassifier(classifier, hop),
            paths,
            truths,
            chosen or Smoothing.usual(spec.window / spec.sampling_rate_hz),
            as_unknown or (),
            lambda number: show(f"classifying {count(len(paths), 'recording')}", number),
            source,
            "mark" if allow_implausible else "refuse",
        )
    for each in found.answers:
        if each.report is not None and each.report.changed:
            note(f"{each.name}: {each.report.words()}")
    _say_what_is_missing(found)
    typer.echo(report(found))
    if json is not None:
        write_json(json, found.as_json())
        note(f"{json} has everything, with the events of each recording")
    accuracy = found.raw.windows.accuracy
    if require is not None and (accuracy is None or accuracy < require):
        seen = "no window could be scored" if accuracy is None else f"accuracy of the windows is {100 * accuracy:.2f} %"
        raise CheckError(f"{seen}; at least {100 * require:g} % required")


def _say_what_is_missing(found: Evaluation) -> None:
    def few(names: tuple[str, ...]) -> str:
        return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")

    if found.without_labels:
        note(f"without labels, and so left out: {few(found.without_labels)}")
    if found.without_recording:
        note(f"labels of {count(len(found.without_recording), 'recording')} not given: {few(found.without_recording)}")
    for name, late_s in list(found.beyond_s.items())[:SHOWN]:
        note(f"{name}: its labels reach {late_s:.2f} s beyond its end; what lies there is left out")
    if len(found.beyond_s) > SHOWN:
        note(f"the same of {len(found.beyond_s) - SHOWN} more recordings")
    if found.unknown_labels:
        note(f"the model does not know {few(found.unknown_labels)}: unknown, and left out of the accuracies")
