"""The command line: parse, call, print; one small module per verb."""

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
    raise SystemExit(run())
