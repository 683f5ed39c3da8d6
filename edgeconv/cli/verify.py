"""edgeconv verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import DataOption, load_data_of, note, progress, table


def verify(
    model: Annotated[Path, typer.Argument(help="Folder that `edgeconv export` filled.", metavar="MODEL_DIR")],
    data: DataOption = None,
) -> None:
    """Repeat the certificate's check from the files alone.

    Exit code 6: a file's bytes are not those certified. Exit code 4: a limit is not kept.

    Example: edgeconv verify models/walk
    """
    from edgeconv.evaluate.certificate import Verification
    from edgeconv.evaluate.certificate import verify as run

    dataset = load_data_of(model, data)
    with progress() as show:
        found: Verification = run(model, dataset, on_progress=lambda name: show(f"verify: {name}", 0))
    rows = [
        [
            name,
            f"{100 * seen.accuracy:.2f}",
            f"{100 * seen.reference_accuracy:.2f}",
            f"{seen.max_abs_diff:.1e}",
            f"{seen.p999_abs_diff:.1e}",
            f"{100 * seen.top1_agreement:.2f}",
        ]
        for name, seen in found.comparisons.items()
    ]
    typer.echo(f"Compared with Keras on {len(dataset.test)} test windows of {dataset.name}:")
    typer.echo(table(["file", "accuracy %", "Keras %", "max |Δp|", "p99.9 |Δp|", "same top class %"], rows))
    if not found.same_data:
        note("these are not the windows of the certificate, so its own figures were not compared")
    found.require_passed()
    note(f"{model} is what was certified, and keeps its limits")
