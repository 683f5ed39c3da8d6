"""The command line: parse, call, print; one small module per verb."""

import io
import sys


def main() -> None:
    """Run the command line and exit with its code; without typer, say how to install it."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print('edgeconv: error: the command line needs `pip install "edgeconv[cli]"`', file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("edgeconv: interrupted before it began", file=sys.stderr)
        raise SystemExit(130) from None
    # A label or file name that the terminal's encoding lacks is shown escaped and ends no run.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    raise SystemExit(run())
