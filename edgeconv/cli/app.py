"""The verbs, and the options that stand before them."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeconv import __version__

from . import bench, data, demo, doctor, evaluate, export, inspect, runs, score, search, serve, stream, train, verify
from .console import command, note

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


for _verb in (
    demo.demo,
    train.train,
    search.search,
    export.export,
    verify.verify,
    inspect.inspect,
    stream.stream,
    serve.serve,
    evaluate.evaluate,
    score.score,
    bench.bench,
    doctor.doctor,
):
    app.command()(command(_verb))
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")


def run() -> int:
    """Run the command that the process's arguments ask for, and return its exit code."""
    try:
        # Not standalone, because typer then draws wrong usage as a box; here every error is one line.
        code: int | None = app(prog_name="edgeconv", standalone_mode=False)
    except Exception as error:
        # The base class of these errors has moved between typer's versions; what they can do has not.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        context = getattr(error, "ctx", None)
        message = " ".join(describe().split()).removesuffix(".")
        if message:  # there is none where no argument was given and the help is shown
            note(f"error: {message}; see `{context.command_path if context else 'edgeconv'} --help`")
        return int(getattr(error, "exit_code", 2))
    return code or 0
