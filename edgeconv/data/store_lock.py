"""One process at a time, whatever becomes of it: the operating system lets go of the lock when the process ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeconv.runtime.errors import InputError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of this file, waiting for whoever holds it.

    The file stays: removing it would let two processes hold locks of one name. Raises InputError where it cannot be
    made or the disk has no locks.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("a+b")
    except OSError as error:
        raise InputError(
            f"{file.parent} cannot be written ({error.strerror or error}); EDGECONV_DATASETS names another store"
        ) from None
    with opened:
        try:
            _lock(opened.fileno())
        except OSError as error:
            raise InputError(
                f"{file} cannot be locked ({error.strerror or error}); put the store on a disk that has locks"
            ) from None
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except PermissionError:
                time.sleep(0.1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
