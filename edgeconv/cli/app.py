"""The verbs, and the options that stand before them."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeconv import __version__

from . import data, demo, export, stream, train, verify
from .console import command

app = typer.Typer(
    name="edgeconv",
    help="Take a 1-D convolutional network for sensor signals from training to the edge.",
    epilog="Exit codes: 0 done · 2 wrong usage · 3 bad input · 4 a check failed · 5 device not available · "
    "6 artefact damaged or not an edgeconv model · 7 cannot be converted · 130 interrupted. "
    "Try it: edgeconv demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeconv {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take a 1-D convolutional network for sensor signals from training to the edge."""


for _verb in (demo.demo, train.train, export.export, verify.verify, stream.stream):
    app.command()(command(_verb))
app.add_typer(data.app, name="data")
