"""Files of recordings, opened, with errors that say what was expected."""

from __future__ import annotations

import os
import stat
from io import BufferedReader, UnsupportedOperation
from pathlib import Path

from ..errors import InputError, MissingFileError
from .growing import STDIN, open_growing, open_stdin


def open_file(path: Path, where: str, *, follow: bool = False) -> BufferedReader:
    """Open a recording, which `where` names in messages; `-` is standard input, and with `follow` a file has no end.

    Raises MissingFileError and InputError.
    """
    try:
        if path == STDIN:
            return open_stdin()
        if path.is_dir():
            raise InputError(f"{where}: this is a folder; expected one recording: name a CSV, NPY or WAV file in it")
        return open_growing(path) if follow else path.open("rb")
    except FileNotFoundError:
        raise MissingFileError(f"{where}: there is no such file; expected a recording as CSV, NPY or WAV") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{where}: cannot be opened ({reason}); expected a file that this user may read") from None


def measure(file: BufferedReader) -> int:
    """Return the size of a file in bytes, and 0 for a pipe, a device or a growing file, of which nobody knows it."""
    try:
        status = os.fstat(file.fileno())
    except UnsupportedOperation:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
