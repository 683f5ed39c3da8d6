"""Compressed recordings, unpacked as they are read: gzip (RFC 1952) and Zstandard (RFC 8878)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from ..errors import DependencyError, InputError

PACKED_BYTES = 1 << 10
"""Unpacked at a time: so little that what becomes of it, which nobody knows before, is bounded: by gzip's format 1 MiB,
by Zstandard's 32 MiB. Numbers become some 4 KiB."""
BUFFER_BYTES = 1 << 17
TEXT_PER_PACKED = 4
"""How much longer numbers as text are than what either makes of them, about."""
ZSTANDARD = "Zstandard"

PACKED: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", ZSTANDARD),
    (b"\x50\x2a\x4d\x18", ZSTANDARD),  # the skippable frame that pzstd begins with
)
COMPRESSED_ITSELF: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "a Parquet file, which is compressed by itself: unpack it once and leave it so"),
    (0, b"ARROW1", "an Arrow file, which is compressed by itself where wanted: unpack it once and leave it so"),
    (0, b"PK\x03\x04", "a ZIP archive or NPZ file, which is compressed by itself: unpack it once and leave it so"),
    (257, b"ustar", "a tar archive: unpack it, and name the recordings in it"),
    *((0, magic, f"compressed a second time, with {kind}: unpack it once") for magic, kind in PACKED),
)
"""Where a file's first bytes are, these, and what it is and what to do."""


def packed_kind(head: bytes) -> str | None:
    """Return what a file that begins so is compressed with; None where it is not."""
    return next((kind for magic, kind in PACKED if head.startswith(magic)), None)


def unpack(file: BufferedReader, where: str, kind: str, size_bytes: int) -> BufferedReader:
    """Return what a compressed file holds; it is closed with it.

    size_bytes: of the compressed file, 0 where nobody knows it, and then all is handed on as it comes
    Raises InputError for contents that are compressed themselves, and DependencyError without what unpacks Zstandard.
    While it is read, InputError is raised for a damaged file, behind all that came before the damage.
    """
    unpacked: BufferedReader = BufferedReader(Unpacked(file, where, kind, size_bytes), BUFFER_BYTES)
    head = unpacked.peek(512)
    for at, magic, what in COMPRESSED_ITSELF:
        if head[at:].startswith(magic):
            raise InputError(f"{where}: the file is compressed with {kind}, and in it is {what}")
    return unpacked


class Unpacked(io.RawIOBase):
    """The contents of a compressed file, all its members or frames one after another.

    It has no descriptor, so that nobody asks for its size.
    """

    def __init__(self, packed: BufferedReader, where: str, kind: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._packed, self._where, self._kind = packed, where, kind
        self._new = _unpacker(kind, where)
        self._part: Any = None  # the member or frame that is being unpacked
        self._rest = b""  # what was read and belongs to the next one
        self._ready = b""
        self._error: InputError | None = None

    def readable(self) -> bool:  # noqa: D102
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or put into it what there is where more has to be waited for."""
        filled = 0
        view = memoryview(buffer).cast("B")
        while filled < len(view):
            if not self._ready and self._error is None and (self.size_bytes or not filled):
                self._ready = self._unpack_more()
            if not self._ready:
                break
            taken = min(len(self._ready), len(view) - filled)
            view[filled : filled + taken] = self._ready[:taken]
            self._ready, filled = self._ready[taken:], filled + taken
        if not filled and self._error is not None:
            raise self._error
        return filled

    def _unpack_more(self) -> bytes:
        """Return the next bytes; none at the end, and with an error to be raised after all before it is taken."""
        found = b""
        while not found:
            data = self._rest or self._packed.read1(PACKED_BYTES)
            self._rest = b""
            if self._part is None:
                if not data:
                    return b""
                data = data.lstrip(b"\0")  # padding, as tapes have it
                if not data:
                    continue
                self._part = self._new()
            elif not data:
                return self._broken("ends in the middle: it is cut off")
            try:
                found = self._part.decompress(data)
            except Exception as error:  # zlib's, or Zstandard's own
                reason = " ".join(str(error).split())[:120]
                return self._broken(f"cannot be unpacked to its end ({reason}): it is damaged")
            if self._part.eof:
                self._rest, self._part = self._part.unused_data, None
        return found

    def _broken(self, how: str) -> bytes:
        self._error = InputError(
            f"{self._where}: the file, compressed with {self._kind}, {how}; what comes before is used, copy the file "
            "again for the rest"
        )
        return b""

    def close(self) -> None:  # noqa: D102
        self._packed.close()
        super().close()


def _unpacker(kind: str, where: str) -> Callable[[], Any]:
    """Return what makes an object that unpacks one member or frame."""
    if kind == "gzip":
        return lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        import zstandard
    except ImportError:
        raise DependencyError(
            f"{where}: this file is compressed with Zstandard, which zstandard unpacks; install it with "
            '`pip install "edgeconv[zstd]"`, or unpack the file first'
        ) from None
    return lambda: zstandard.ZstdDecompressor().decompressobj()
