"""edgeconv bench."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from .console import count, note, table

if TYPE_CHECKING:
    from edgeconv.bench import Settings
    from edgeconv.bench.compare import Comparison
    from edgeconv.bench.result import Result, Row

HEADS = {
    "cpu_s_per_1000": "CPU s/1000",
    "us_per_prediction": "µs each",
    "predictions_per_s": "each s",
    "real_time_factor": "real-time factor",
    "first_answer_ms": "first answer ms",
    "cpu_ms_per_start": "CPU ms",
    "due_to_answer_p50_ms": "late p50 ms",
    "due_to_answer_worst_ms": "late worst ms",
}
"""What the columns of figures are called where it is not the figure's name with its unit."""


def bench(
    model: Annotated[
        Path | None, typer.Argument(help="Model folder or ONNX file.", metavar="MODEL", show_default=False)
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            help="Separated by commas: single-stream, offline, multi-stream, paced, cold-start; by default all.",
            metavar="LIST",
        ),
    ] = None,
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto; never another one than asked for.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Processor threads within one run of the model.")] = 1,
    precision: Annotated[Literal["float32", "int8"], typer.Option(help="Which of a folder's files.")] = "float32",
    rounds: Annotated[int, typer.Option(help="Interleaved rounds of each contestant.")] = 20,
    windows: Annotated[int, typer.Option(help="Windows of the recording in offline.")] = 2048,
    streams: Annotated[int, typer.Option(help="Sensors in multi-stream.")] = 100,
    packet: Annotated[int, typer.Option(help="Samples in a packet of multi-stream.")] = 32,
    json: Annotated[
        Path | None, typer.Option("--json", help="File for everything, with the values of each round.", metavar="FILE")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", help="Compare two such files instead of measuring.", metavar="BEFORE AFTER"),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Per cent by which two runs differ anyway, for --compare; tails and paced need 50 %.")
    ] = 3.0,
    across_machines: Annotated[
        bool, typer.Option("--across-machines", help="Let --compare take results of two machines.")
    ] = False,
) -> None:
    """Time a model: each form in a process of its own, in interleaved rounds, with intervals and what they rest on.

    Exit code 4: with --compare, a figure is slower; otherwise, a form answers wrongly. About half a minute.

    Example: edgeconv bench models/har_conv1d --scenario single-stream,offline --json before.json
    """
    from edgeconv.runtime.errors import UsageError

    if (model is None) == (compare is None):
        raise UsageError("give either a MODEL to time or two results to --compare; see `edgeconv bench --help`")
    if compare is not None:
        _compare(*compare, margin / 100, across_machines)
        return
    from edgeconv.bench import Settings

    settings = Settings(hop=hop, device=device, threads=threads, rounds=rounds, windows=windows, streams=streams,
                        packet=packet, precision=precision)  # fmt: skip
    if scenario is not None:
        names = dict.fromkeys(name.strip() for name in scenario.split(","))
        settings = replace(settings, scenarios=tuple(names))
    _measure(cast("Path", model), settings, json)


def _measure(model: Path, settings: Settings, file: Path | None) -> None:
    from edgeconv.bench import bench as run
    from edgeconv.runtime.errors import CheckError, InputError

    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise InputError(f"{file} cannot be written: give a file in a folder that is there")

    def say(name: str, so_far: Result) -> None:
        rows = so_far.scenarios[name]
        typer.echo((heading(so_far) if len(so_far.scenarios) == 1 else "") + "\n" + scenario_table(name, so_far))
        for contestant, row in rows.items():
            if row.unstable:
                note(f"{name} {contestant} is unstable: {'; '.join(row.unstable)}")

    # No bar: drawing it would take time from a small device while that is timed.
    result = run(model, settings, lambda name: note(f"{name}: …"), say)
    for form, reason in result.left_out.items():
        note(f"no {form} form at hop {result.settings['hop']}: {reason}")
    if file is not None:
        result.write(file)
    rows = {f"{name} {one}": row for name, rows in result.scenarios.items() for one, row in rows.items()}
    note(f"{count(len(rows), 'contestant')} in {result.seconds:.0f} s" + (f"; {file} has every round" if file else ""))
    wrong = [f"{name}: {row.problem}" for name, row in rows.items() if row.problem]
    if wrong:
        raise CheckError(f"not timed, because the answers are wrong: {'; '.join(wrong)}")


def _compare(before: Path, after: Path, margin: float, across_machines: bool) -> None:
    from edgeconv.bench import read_result
    from edgeconv.bench.compare import compare as run

    found = run(read_result(before), read_result(after), margin, across_machines=across_machines)
    for warning in found.warnings:
        note(f"warning: {warning}")
    typer.echo(comparison_table(found))
    verdicts = [change.verdict for change in found.changes]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("faster", "slower", "not resolvable"))
    note(f"{count(len(verdicts), 'figure')}: {counted}, at a margin of {100 * margin:g} %")
    found.require_not_slower()


def heading(result: Result) -> str:
    """Return what the figures rest on, in three lines."""
    machine, settings = result.machine, result.settings
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    rows = [row for rows in result.scenarios.values() for row in rows.values()]
    providers = ", ".join(dict.fromkeys(row.facts["provider"] for row in rows if "provider" in row.facts))
    return (
        f"{result.model['name']} version {result.model['version']}, hop {settings['hop']}, on {settings['device']}"
        f"{f' ({providers})' if providers else ''}, {count(settings['threads'], 'thread')}\n"
        f"{machine['processor']}, {machine['cores_available']} of {count(machine['cores'], 'core')}{memory}, "
        f"{machine['system']}; hardware {machine['id']}\n"
        f"Python {machine['python']}, numpy {machine['numpy']}, onnxruntime {machine['onnxruntime']}\n"
        f"Medians of up to {settings['rounds']} interleaved rounds; ±% is half of the first figure's 95 % interval.\n"
    )


def scenario_table(name: str, result: Result) -> str:
    """Return a scenario's rows as a table."""
    from edgeconv.bench.scenarios import SCENARIOS

    rows = result.scenarios[name]
    timed = [row for row in rows.values() if row.figures]
    main, *others = [*timed[0].figures, *timed[0].details] if timed else [""]
    others.sort(key=lambda figure: figure.startswith("cpu"))  # the processor's time comes last
    to = next((row.relative["to"] for row in timed if row.relative), None)
    head = ["", "file", _head(main), "±%", *map(_head, others)]
    head += [*([f"× {to}"] if to else []), "peak MiB", "file KiB", "verdict"]
    body = [
        [
            contestant,
            row.file,
            _cell(row, main),
            f"{100 * row.figures[main].half_width:.1f}" if main in row.figures else "",
            *(_cell(row, figure) for figure in others),
            *([_relative(row)] if to else []),
            "" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.0f}",
            f"{row.file_bytes / 1024:.0f}",
            row.verdict,
        ]
        for contestant, row in rows.items()
    ]
    return f"{name}: {SCENARIOS[name].about}\n{table(head, body)}"


def comparison_table(found: Comparison) -> str:
    """Return every figure that was compared, before and after."""
    rows = [
        [
            change.scenario,
            change.contestant,
            _head(change.figure),
            number(change.before.median),
            number(change.after.median),
            f"{change.ratio.value:.3f}",
            f"[{change.ratio.low:.3f}, {change.ratio.high:.3f}]",
            f"{100 * change.margin:g}",
            change.verdict + ("" if change.stable else " (unstable)"),
        ]
        for change in found.changes
    ]
    return table(["scenario", "", "figure", "before", "after", "ratio", "95 % interval", "margin %", "verdict"], rows)


def number(value: float) -> str:
    """Return a number with four digits that count, and never with an exponent."""
    digits = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, digits)}f}" if value != int(value) or abs(value) >= 1e15 else f"{value:.0f}"


def _head(name: str) -> str:
    unit = {"_us": " µs", "_ms": " ms"}.get(name[-3:])
    return HEADS.get(name) or (f"{name[:-3]}{unit}" if unit else name).replace("_", " ")


def _cell(row: Row, name: str) -> str:
    values = {**{name: figure.median for name, figure in row.figures.items()}, **row.details}
    return number(values[name]) if name in values else ""


def _relative(row: Row) -> str:
    change = row.relative
    return f"{change['ratio']:.3f} [{change['low']:.3f}, {change['high']:.3f}]" if change else ""
