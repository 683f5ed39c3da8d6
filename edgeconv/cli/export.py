"""edgeconv export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .adopt import (
    ChannelsOption,
    Given,
    HopOption,
    LabelsOption,
    LayoutOption,
    LogitsOption,
    NameOption,
    OutOption,
    OutputOption,
    OverwriteOption,
    RateOption,
    SpecOption,
    VersionOption,
    VocabularyOption,
    WindowOption,
    adopt_file,
    is_foreign,
)
from .console import (
    DataOptionsOption,
    ModelDataOption,
    certificate_table,
    data_options,
    load_data_of,
    note,
    progress,
    table,
    whole_numbers,
)
from .verify import LimitsOption


def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="Folder that `edgeconv train` filled, or a .keras or .onnx file made elsewhere.",
            metavar="MODEL_DIR|FILE",
        ),
    ],
    data: ModelDataOption = None,
    data_option: DataOptionsOption = None,
    opset: Annotated[int, typer.Option(help="ONNX opset to write, 13 to 18.")] = 17,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Formats, separated by commas, by default all: onnx, dense, stateful, tflite, each of these with "
            "-int8, tflite-float16, tflite-dynamic.",
            metavar="LIST",
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Time layouts and threads on this machine, and take what is fastest.")
    ] = False,
    hops: Annotated[
        str | None,
        typer.Option(help="Write the dense and stateful forms at these hops, too, such as 16,8,1.", metavar="LIST"),
    ] = None,
    limits: LimitsOption = None,
    out: OutOption = None,
    spec: SpecOption = None,
    name: NameOption = None,
    model_version: VersionOption = None,
    channels: ChannelsOption = None,
    sampling_rate: RateOption = None,
    window: WindowOption = None,
    hop: HopOption = None,
    labels: LabelsOption = None,
    vocabulary: VocabularyOption = None,
    output: OutputOption = None,
    layout: LayoutOption = None,
    logits: LogitsOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Export to ONNX and TFLite, each compared with the model on all test windows before it is put in place.

    Without --data, the data that the model was trained on are taken from the cache or generated again.
    A file made elsewhere becomes the model folder --out first; what it does not say itself, the options or --spec do.

    Example: edgeconv export models/walk
    """
    from edgeconv import folder as files
    from edgeconv.evaluate.limits import UserLimits
    from edgeconv.export.pipeline import export as run

    user_limits = None if limits is None else UserLimits.load(limits)
    given = Given(
        out=out, spec=spec, name=name, version=model_version, channels=channels, sampling_rate_hz=sampling_rate,
        window=window, hop=hop, labels=labels, vocabulary=vocabulary, output=output, layout=layout, logits=logits,
        overwrite=overwrite,
    )  # fmt: skip
    if is_foreign(model):
        model, dataset = adopt_file(model, data, given, data_options(data_option))
    else:
        given.require_none(model)
        dataset = load_data_of(model, data, data_options(data_option))
    with progress() as show:
        certificate = run(
            model,
            dataset,
            opset=opset,
            formats=None if formats is None else [name.strip() for name in formats.split(",")],
            tuned=tune,
            limits=user_limits,
            hops=whole_numbers(hops, "--hops"),
            on_progress=lambda what: show(f"export: {what}", 0),
        )
    data_used, reference = certificate["data"], certificate["reference"]["file"]
    typer.echo(f"Compared with {reference} on {data_used['windows']} test windows of {data_used['name']}:")
    typer.echo(certificate_table(certificate["artefacts"]))
    if tune:
        typer.echo(tuning_table(files.read_json(model / files.TUNING, "`edgeconv export --tune`")))
        int8 = files.read_json(model / files.TUNING, "`edgeconv export --tune`").get("int8")
        if int8:
            typer.echo(int8_table(int8))
    in_float = float_layers_note(model) if "model.int8.onnx" in certificate["artefacts"] else ""
    if in_float:
        note(in_float)
    for name, reason in certificate["left_out"].items():
        note(f"no {name}: {reason}")
    following = f"stream {model} RECORDING.csv" if dataset.channels else f"inspect {model}"
    note(f"{model} is verified and in place; next: edgeconv {following}")


def int8_table(int8: dict[str, Any]) -> str:
    """Return what was timed of the int8 files, and the form that they have, as a table."""
    rows = []
    for row in int8["table"]:
        time_us, part = row["us_per_prediction"], row["of_default"]
        rows.append(
            [
                row["use"],
                row["form"],
                f"{time_us['value']:.1f} ({time_us['low']:.1f}–{time_us['high']:.1f})",
                f"{part['value']:.2f} ({part['low']:.2f}–{part['high']:.2f})",
                "chosen" if row["form"] == int8["form"] else "",
            ]
        )
    return "\n" + table(["int8, one thread", "form", "µs a prediction (95 %)", "of the default", ""], rows)


def float_layers_note(model: Path) -> str:
    """Return which layers of the int8 ONNX files stay in float32 and what that brings; nothing where none must."""
    from edgeconv import folder as files

    chosen = files.read_json(model / files.CALIBRATION, "`edgeconv export`").get("onnx", {})
    if not chosen.get("float_layers"):
        return ""
    seen = {name: f"{100 * accuracy:.2f} %" for name, accuracy in chosen["accuracy"].items()}
    return (
        f"int8 ONNX: {', '.join(chosen['float_layers'])} in float32, because int8 costs too much there: on held-back "
        f"training subjects {seen['float32']} in float32, {seen['all_int8']} with all layers in int8, {seen['int8']} so"
    )


def tuning_table(tuning: dict[str, Any]) -> str:
    """Return what was timed, and what was chosen, as a table."""
    rows = []
    for row in tuning["table"]:
        time_us, part = row["us_per_prediction"], row["of_default"]
        rows.append(
            [
                row["use"],
                row["layout"],
                str(row["threads"]),
                f"{time_us['value']:.1f} ({time_us['low']:.1f}–{time_us['high']:.1f})",
                f"{part['value']:.2f} ({part['low']:.2f}–{part['high']:.2f})",
                row["verdict"],
                "chosen" if row["chosen"] else "",
            ]
        )
    head = ["use", "convolutions", "threads", "µs a prediction (95 %)", "of the default", "verdict", ""]
    machine = tuning["machine"]
    one = {"stateful": "goes by the stateful form", "windowed": "goes window by window"}[tuning["choice"]["one stream"]]
    return (
        f"\nTimed on {machine['processor']}, {machine['cores_available']} cores; a verdict needs "
        f"{100 * tuning['margin']:.0f} % beyond the interval:\n{table(head, rows)}\nA stream that is alone {one}."
    )
