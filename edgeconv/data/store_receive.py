"""One file arriving from a place: whole and with the right hash, or not at all; what broke off goes on later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from edgeconv.runtime.errors import CheckError, InputError

from .store_place import PIECE_BYTES, Place

Progress = Callable[[int], None]
"""Told how many bytes more have arrived."""


def receive(
    place: Place,
    name: str,
    target: Path,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> tuple[int, str]:
    """Bring a file to `target`, whole and of this hash and size where they are known; return its size and hash.

    What arrived lies beside it as `.part` until then, and the next call goes on from there if the hash is known. Raises
    InputError where reading or writing fails, and CheckError for other bytes than expected.
    """
    part = target.with_name(f"{target.name}.part")
    if sha256 is None:
        part.unlink(missing_ok=True)
    if target.exists():
        found, seen = _digest(target)
        if sha256 is not None and seen.hexdigest() == sha256:
            _tell(progress, found)
            return found, sha256
        target.unlink()
    resumed, digest = _digest(part) if part.exists() else (0, hashlib.sha256())
    if size is not None and resumed > size:
        part.unlink()
        resumed, digest = 0, hashlib.sha256()
    _tell(progress, resumed)
    received = resumed
    if not (received and digest.hexdigest() == sha256) and (size is None or received < size):
        with closing(place.read(name, received)) as pieces, _Writer(part) as writer:
            for piece in pieces:
                received += len(piece)
                if size is not None and received > size:
                    break
                writer.write(piece)
                digest.update(piece)
                _tell(progress, len(piece))
    if size is not None and received < size:
        raise InputError(
            f"{place.where(name)}: {size} bytes expected, {received} received; the same command goes on from there"
        )
    if sha256 is not None and digest.hexdigest() != sha256:
        part.unlink()
        if resumed:  # the file may have changed since its first part arrived
            _tell(progress, -received)
            return receive(place, name, target, sha256, size, progress)
        longer = f"; it has more than {size} bytes" if size is not None and received > size else ""
        raise CheckError(
            f"{place.where(name)} has another content than expected, and is not kept: SHA-256 {sha256} expected, "
            f"{digest.hexdigest()} seen{longer}; it was changed or damaged where it lies"
        )
    part.replace(target)
    return received, digest.hexdigest()


class _Writer:
    """Appends to a part; where the disk does not take it, the part goes, so that it does not fill the disk."""

    def __init__(self, part: Path) -> None:
        self._part = part

    def __enter__(self) -> _Writer:
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("ab")
        except OSError as error:
            raise _unwritable(self._part, error) from None
        return self

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # closing tries to write once more
                self._file.close()
            self._part.unlink(missing_ok=True)
            raise _unwritable(self._part, error) from None

    def __exit__(self, *_error: object) -> None:
        if not self._file.closed:
            self._file.close()


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path.parent} cannot take the data ({error.strerror or error}); make room or give another place"
    )


def _digest(path: Path) -> tuple[int, hashlib._Hash]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest


def _tell(progress: Progress | None, count: int) -> None:
    if progress is not None and count:
        progress(count)
