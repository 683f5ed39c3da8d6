"""Files of recordings, opened, with errors that say what was expected."""

from __future__ import annotations

import os
import stat
from io import BufferedReader, UnsupportedOperation
from pathlib import Path

from ..errors import InputError, MissingFileError
from .growing import STDIN, Follow, open_growing, open_stdin
from .packed import TEXT_PER_PACKED, Unpacked, packed_kind, unpack


def open_file(path: Path, where: str, *, follow: Follow = False) -> BufferedReader:
    """Open a recording, which `where` names in messages; `-` is standard input, and with `follow` a file has no end.

    What is compressed, as its first bytes say, is unpacked. Raises MissingFileError, InputError and DependencyError.
    """
    file = _open(path, where, follow)
    try:
        kind = packed_kind(file.peek(4))
        return file if kind is None else unpack(file, where, kind, measure(file))
    except BaseException:
        file.close()
        raise


def _open(path: Path, where: str, follow: Follow) -> BufferedReader:
    try:
        if path == STDIN:
            return open_stdin()
        if path.is_dir():
            raise InputError(f"{where}: this is a folder; expected one recording: name a file in it")
        if not follow:
            return path.open("rb")
        return open_growing(path, follow) if callable(follow) else open_growing(path)
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


def measure_text(file: BufferedReader) -> int:
    """Return what `measure` does, and about how much text is in a compressed file."""
    raw = file.raw
    return TEXT_PER_PACKED * raw.size_bytes if isinstance(raw, Unpacked) else measure(file)
