"""Files that are not finished: standard input, and a file to which somebody still writes."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError

NAP_S = 0.1
"""How often a file is looked at for more."""
LAST_LOOKS = 10
"""So often in a row nothing may come until a file that was replaced is done: who writes may be late to notice."""
KNOWN_BYTES = 1024
"""By which a file is known again."""
STDIN = Path("-")

Follow = bool | Callable[[float], object]
"""Whether the end of a file is waited for; a function is called in place of `time.sleep`, and may end it by raising."""


def open_stdin() -> io.BufferedReader:
    """Return standard input; closing it leaves the process's own as it is."""
    return io.BufferedReader(io.FileIO(0, "rb", closefd=False))


def open_growing(path: Path, nap: Callable[[float], object] = time.sleep) -> io.BufferedReader:
    """Return a file that has no end: what is behind its last byte is waited for. Raises OSError as `open` does.

    Reading it raises FileReplacedError where the file is not the one that it was: another one has its name, it was
    removed, shortened or written anew.
    """
    return io.BufferedReader(_Growing(path, nap))


class FileReplacedError(InputError):
    """A file that was followed is another one now: nothing more comes of what it was."""


class _Growing(io.RawIOBase):
    """The bytes of a file, and then those that are added; it has no descriptor, so that nobody asks for its size.

    Each read also takes the last bytes that it had before, so that a file which was emptied and written anew is not
    taken for one that grew, however quickly that went.
    """

    def __init__(self, path: Path, nap: Callable[[float], object]) -> None:
        self._path, self._nap = path, nap
        self._file = path.open("rb", buffering=0)
        self._regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)  # a pipe or a port has no second name
        self._known = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        looks = LAST_LOOKS
        while not (taken := self._read(buffer)):
            if problem := self._replaced():
                looks -= 1
                if looks < 0:
                    raise _replaced_error(f"{self._path} {problem}")
            self._nap(NAP_S)
        return taken

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read(self, buffer: Any) -> int:
        """Read what is there; raises InputError where what was there before is not there any more."""
        if not self._regular:
            return self._file.readinto(buffer) or 0
        known = self._known
        place = self._file.seek(-len(known), os.SEEK_CUR)
        data = self._file.read(len(known) + len(buffer))
        if not data.startswith(known):
            shorter = os.fstat(self._file.fileno()).st_size < place + len(known)
            raise _replaced_error(
                f"{self._path} {'has become shorter' if shorter else 'was written anew'} while it was followed"
            )
        found = data[len(known) :]
        buffer[: len(found)] = found
        self._known = data[-KNOWN_BYTES:]
        return len(found)

    def _replaced(self) -> str:
        """Return in words what became of the file's name, or nothing where it is still the file's."""
        if not self._regular:
            return ""
        followed = os.fstat(self._file.fileno())
        try:
            named = self._path.stat()
        except OSError:
            # What was only renamed may still be written to.
            return "" if followed.st_nlink else "was removed while it was followed"
        return "" if os.path.samestat(followed, named) else "was replaced by another file while it was followed"


def _replaced_error(problem: str) -> FileReplacedError:
    return FileReplacedError(
        f"{problem}; what was read before is answered: begin anew with what is there now, as a recording of its own"
    )
