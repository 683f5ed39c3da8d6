"""edgeconv score."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import signal_options as of
from . import train_options as by
from .console import count, note, progress
from .stream import without_labels

if TYPE_CHECKING:
    from edgeconv.runtime.intake import Doubt


def score(
    recordings: Annotated[
        str,
        typer.Argument(
            help="Folder of recordings as `edgeconv stream` reads them, or a glob in quotes.", metavar="FOLDER"
        ),
    ],
    model: Annotated[Path, typer.Option(help="Model folder or ONNX file.", metavar="MODEL")],
    out: Annotated[Path, typer.Option(help="Folder for one file of answers for each recording.", metavar="DIR")],
    format_: Annotated[
        Literal["csv", "jsonl", "parquet"], typer.Option("--format", help="Of the files that are written.")
    ] = "csv",
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Which of a folder's files answer.")
    ] = "float32",
    engine: by.EngineOption = "local",
    address: by.AddressOption = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Recordings at once, each with one thread; by default as many as there are cores."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Score again what is done.")] = False,
    signal: of.SignalOption = None,
    map_: of.MapOption = None,
    unit: of.UnitOption = None,
    time_column: of.TimeColumnOption = None,
    rate: of.RateOption = None,
    max_gap: of.MaxGapOption = None,
    missing_values: of.MissingOption = None,
    join: of.JoinOption = None,
    allow_implausible: of.AllowImplausibleOption = False,
) -> None:
    """Classify every window of thousands of recordings, with one file of answers for each.

    What is done is not done again unless the recording or the model has changed: the same command goes on where it was
    stopped. A recording that cannot be read, or whose signal cannot be what the model was trained on, stops no other;
    it is named at the end, and the exit code is 3. The summary is printed as JSON.

    Example: edgeconv score recordings --model models/har_conv1d --out scored --workers 2
    """
    from edgeconv.runs.engine import make_engine
    from edgeconv.runs.scored_folder import ScoredFolder, find_recordings
    from edgeconv.runs.scoring import Model
    from edgeconv.runtime.errors import InputError

    source = of.SignalOptions(signal, map_, unit, time_column, rate, max_gap, missing_values, join).read()
    found = find_recordings(recordings, out, source.join if source else ())
    kept = set(without_labels([recording.paths[0] for recording in found]))
    found = [recording for recording in found if recording.paths[0] in kept]
    doubt: Doubt = "mark" if allow_implausible else "refuse"
    read = Model.read(model, precision=precision, hop=hop, format_=format_, signal=source, doubt=doubt)
    chosen = make_engine(engine, workers, address, many=True)
    with progress(len(found)) as show:
        totals = ScoredFolder(out).score(
            found,
            read,
            chosen,
            overwrite=overwrite,
            on_recording=lambda done: show("recordings", done),
        )
    for name, error in sorted(totals.errors.items()):
        note(f"not scored: {name}: {error}")
    for name, causes in sorted(totals.implausible.items()):
        note(f"marked: {name}: {'; '.join(causes.values())}")
    summary = totals.as_dict()
    for line in in_words(summary):
        note(line)
    typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    if totals.errors:
        raise InputError(
            f"{count(len(totals.errors), 'recording')} of {len(found)} could not be scored; the others are in "
            f"{shlex.quote(str(out))}"
        )


def in_words(summary: dict[str, Any]) -> list[str]:
    """Return the summary as lines for people."""
    marked = f", {len(summary['implausible'])} marked as implausible" if summary["implausible"] else ""
    before = f", {summary['done_before']} done before" if summary["done_before"] else ""
    short = f", {summary['without_windows']} shorter than a window" if summary["without_windows"] else ""
    lines = [
        f"{count(summary['recordings'], 'recording')}: {summary['scored']} scored{before}, {summary['failed']} not "
        f"readable{short}{marked}; {count(summary['windows'], 'window')}, {summary['signal_s']:.0f} s of signal",
    ]
    if summary["scored"]:
        lines.append(
            f"{summary['seconds']:.2f} s: {summary['recordings_per_s']:.1f} recordings per second, "
            f"{summary['windows_per_s']:.0f} windows per second"
        )
    labels = sorted(summary["labels"].items(), key=lambda item: (-item[1], item[0]))
    if labels:
        lines.append("windows by label: " + ", ".join(f"{label} {number}" for label, number in labels))
    return lines
