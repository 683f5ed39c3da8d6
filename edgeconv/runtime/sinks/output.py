"""A file of results: what was committed of it stays, and what was written behind that is cut off again."""

from __future__ import annotations

import io
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..checkpoint import sync_folder
from ..errors import InputError

BINARY = getattr(os, "O_BINARY", 0)  # Windows would write \r\n
TAIL_BYTES = 4096
"""Before the committed end, by whose checksum the file is known again."""


class OutputFile:
    """Text in UTF-8, written to a file that nobody else may write to meanwhile."""

    def __init__(self, path: Path, committed: dict[str, Any] | None = None) -> None:
        """Begin an empty file, or go on behind what was committed, as `commit` returned it.

        What was not committed is cut off at the first `write` or `commit`: until then nothing is lost.
        Raises InputError for a file that cannot be written, is being written by another process, or is not the one
        that was committed; a file that is not the one stays as it is.
        """
        self._path = path
        try:
            # Neither "r+" nor "w+": what is there may have to stay, and what should be there is not made anew.
            flags = os.O_RDWR | BINARY | (os.O_CREAT if committed is None else 0)
            self._file = io.BufferedRandom(io.FileIO(os.open(path, flags, 0o666), "r+b"))
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror or error}); expected a file: let the results go elsewhere"
            ) from None
        try:
            self._lock()
            self._length = 0 if committed is None else int(committed["bytes"])
            if committed is not None:
                self._require(committed)
            self._cut = False
            if committed is None:
                self._cut_off()
            sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def write(self, text: str) -> int:
        """Write text; raises OSError."""
        self._cut_off()
        data = text.encode("utf-8")
        self._file.write(data)
        self._length += len(data)
        return len(text)

    @property
    def binary(self) -> BinaryIO:
        """The file itself, for a format that is no text; what is written there is not counted by `commit`."""
        return self._file

    def flush(self) -> None:
        """Let everybody see what was written; raises OSError."""
        self._file.flush()

    def commit(self) -> dict[str, Any]:
        """Wait until all is on the disk, and return by what the file is known again; raises OSError."""
        self._cut_off()
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"bytes": self._length, "tail": self._tail()}

    def close(self) -> None:
        """Close the file; what was not flushed may be lost."""
        with suppress(OSError):
            self._file.close()

    def _cut_off(self) -> None:
        """Cut off what was not committed, when it is certain that something goes on here, and not before."""
        if not self._cut:
            self._cut = True
            if self._file.seek(0, os.SEEK_END) > self._length:
                self._file.truncate(self._length)
            self._file.seek(self._length)

    def _tail(self) -> int:
        self._file.seek(max(0, self._length - TAIL_BYTES))
        checksum = zlib.crc32(self._file.read(min(self._length, TAIL_BYTES)))
        self._file.seek(self._length)
        return checksum

    def _require(self, committed: dict[str, Any]) -> None:
        size = self._file.seek(0, os.SEEK_END)
        if size < self._length or self._tail() != committed["tail"]:
            seen = f"has {size} bytes" if size < self._length else "holds something else"
            raise InputError(
                f"{self._path} {seen}, and {self._length} bytes were committed; bring back the file that was written, "
                "or remove the checkpoint to begin anew"
            )

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{self._path} is being written by another process; wait for it, or end it") from None
