"""`python -m edgeconv`: the command line where the `edgeconv` command is not on the path."""

from edgeconv.cli import main

if __name__ == "__main__":
    main()
