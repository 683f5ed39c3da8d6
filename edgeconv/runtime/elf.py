"""Read from a shared library of Linux which other libraries it needs, without loading it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_STRSZ = 1, 5, 10


def needed_libraries(path: Path) -> list[str]:
    """Return the names under which the system's loader will look for the libraries that this one needs.

    Raises ValueError for what is no little-endian 64-bit ELF file with a dynamic section (System V ABI, chapter 5).
    """
    try:
        with path.open("rb") as file:
            return _needed(file)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"a damaged ELF file ({error})") from None


def _needed(file: BinaryIO) -> list[str]:
    header = file.read(64)
    if header[:6] != b"\x7fELF\x02\x01":  # 64 bit, little-endian
        raise ValueError("not a little-endian 64-bit ELF file")
    (offset,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    if size < 56:
        raise ValueError(f"program headers of {size} bytes")
    segments = []
    for index in range(count):
        kind, _flags, place, address, _, length, _, _ = struct.unpack(
            "<IIQQQQQQ", _read(file, offset + index * size, 56)
        )
        segments.append((kind, place, address, length))
    dynamic = next((_read(file, place, length) for kind, place, _, length in segments if kind == PT_DYNAMIC), b"")
    entries = list(struct.iter_unpack("<QQ", dynamic[: len(dynamic) // 16 * 16]))
    tags = dict(entries)
    if DT_STRTAB not in tags or DT_STRSZ not in tags:
        raise ValueError("it has no dynamic section")
    for kind, place, address, length in segments:
        if kind == PT_LOAD and address <= tags[DT_STRTAB] < address + length:
            names = _read(file, place + tags[DT_STRTAB] - address, tags[DT_STRSZ])
            return [_name(names, value) for tag, value in entries if tag == DT_NEEDED]
    raise ValueError("its table of names lies outside of the file")


def _name(names: bytes, start: int) -> str:
    end = names.find(b"\0", start)
    if end < 0:
        raise ValueError("a name lies outside of its table")
    return names[start:end].decode("ascii")


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    if offset + length > file.seek(0, os.SEEK_END):
        raise ValueError("a part of it lies outside of the file")
    file.seek(offset)
    return file.read(length)
