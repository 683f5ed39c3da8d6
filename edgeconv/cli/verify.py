"""edgeconv verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import DataOptionsOption, ModelDataOption, certificate_table, data_options, load_data_of, note, progress

LimitsOption = Annotated[
    Path | None,
    typer.Option("--limits", help="TOML file with limits in place of the built-in ones.", metavar="FILE"),
]


def verify(
    model: Annotated[Path, typer.Argument(help="Folder that `edgeconv export` filled.", metavar="MODEL_DIR")],
    data: ModelDataOption = None,
    data_option: DataOptionsOption = None,
    limits: LimitsOption = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the result as JUnit XML, too.", metavar="FILE")
    ] = None,
) -> None:
    """Derive again, from the files alone, what the certificate says.

    Exit code 6: a file's bytes are not those certified. Exit code 4: a limit is not kept.

    Example: edgeconv verify models/walk --junit verify.xml
    """
    from edgeconv.evaluate.junit import junit_xml
    from edgeconv.evaluate.limits import UserLimits
    from edgeconv.evaluate.reference import reference_file
    from edgeconv.export.verify import verify as run
    from edgeconv.folder import write_text

    given = None if limits is None else UserLimits.load(limits)
    dataset = load_data_of(model, data, data_options(data_option))
    with progress() as show:
        found = run(model, dataset, limits=given, on_progress=lambda name: show(f"verify: {name}", 0))
    if junit is not None:
        write_text(junit, junit_xml(found.examinations, found.failures, found.lies))
    entries = {name: seen.to_json() for name, seen in found.examinations.items()}
    typer.echo(f"Compared with {reference_file(model)} on {len(dataset.test)} test windows of {dataset.name}:")
    typer.echo(certificate_table(entries))
    if not found.same_data:
        note("these are not the windows of the certificate, so its own figures were not compared")
    found.require_passed()
    note(f"{model} is what was certified, and keeps its limits")
