"""Files that are not finished: standard input, and a file to which somebody still writes."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError

NAP_S = 0.1
"""How often a file is looked at for more."""
STDIN = Path("-")

Follow = bool | Callable[[float], object]
"""Whether the end of a file is waited for; a function is called in place of `time.sleep`, and may end it by raising."""


def open_stdin() -> io.BufferedReader:
    """Return standard input; closing it leaves the process's own as it is."""
    return io.BufferedReader(io.FileIO(0, "rb", closefd=False))


def open_growing(path: Path, nap: Callable[[float], object] = time.sleep) -> io.BufferedReader:
    """Return a file that has no end: what is behind its last byte is waited for. Raises OSError as `open` does."""
    return io.BufferedReader(_Growing(path, nap))


class _Growing(io.RawIOBase):
    """The bytes of a file, and then those that are added; it has no descriptor, so that nobody asks for its size."""

    def __init__(self, path: Path, nap: Callable[[float], object]) -> None:
        self._path, self._nap = path, nap
        self._file = path.open("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (taken := self._file.readinto(buffer)):
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                raise InputError(
                    f"{self._path} has become shorter while it was followed; begin again with the new file"
                )
            self._nap(NAP_S)
        return taken

    def close(self) -> None:
        self._file.close()
        super().close()
