"""The command line: parse, call, print; one small module per verb."""

import sys


def main() -> None:
    """Run the command line; without typer, say how to install it."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print('The edgeconv command needs `pip install "edgeconv[cli]"`.', file=sys.stderr)
        raise SystemExit(2) from None
    app()
