"""edgeconv export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import DataOption, load_data_of, note, progress, table, whole_numbers


def export(
    model: Annotated[Path, typer.Argument(help="Folder that `edgeconv train` filled.", metavar="MODEL_DIR")],
    data: DataOption = None,
    opset: Annotated[int, typer.Option(help="ONNX opset to write, 13 to 18.")] = 17,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Formats, separated by commas: onnx, dense, stateful, tflite, int8; by default all.",
            metavar="LIST",
        ),
    ] = None,
    hops: Annotated[
        str | None,
        typer.Option(help="Write the dense and stateful forms at these hops, too, such as 16,8,1.", metavar="LIST"),
    ] = None,
) -> None:
    """Export to ONNX and TFLite, each compared with Keras on all test windows before it is put in place.

    Without --data, the data that the model was trained on are taken from the cache or generated again.

    Example: edgeconv export models/walk
    """
    from edgeconv.export.pipeline import export as run

    dataset = load_data_of(model, data)
    with progress() as show:
        certificate = run(
            model,
            dataset,
            opset=opset,
            formats=None if formats is None else [name.strip() for name in formats.split(",")],
            hops=whole_numbers(hops, "--hops"),
            on_progress=lambda what: show(f"export: {what}", 0),
        )
    typer.echo(certificate_table(certificate))
    for name, reason in certificate["left_out"].items():
        note(f"no {name}: {reason}")
    note(f"{model} is verified and in place; next: edgeconv stream {model} RECORDING.csv")


def certificate_table(certificate: dict[str, Any]) -> str:
    """Return the certificate's figures as a table."""
    rows = [
        [
            name,
            f"{100 * entry['accuracy']:.2f}",
            f"{100 * entry['reference_accuracy']:.2f}",
            f"{entry['max_abs_diff']:.1e}",
            f"{entry['p999_abs_diff']:.1e}",
            f"{100 * entry['top1_agreement']:.2f}",
            f"{entry['bytes'] / 1024:.0f}",
        ]
        for name, entry in certificate["artefacts"].items()
    ]
    data = certificate["data"]
    head = ["file", "accuracy %", "Keras %", "max |Δp|", "p99.9 |Δp|", "same top class %", "KiB"]
    return f"Compared with Keras on {data['windows']} test windows of {data['name']}:\n" + table(head, rows)
