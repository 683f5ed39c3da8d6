"""Recordings as WAV files: PCM of 8 to 32 bits and floats, of any number of channels, read in bounded memory.

The standard library's `wave` reads neither floats nor, before Python 3.12, the extensible header that most files with
more than 16 bits or two channels have; and it seeks, which a pipe cannot. Layout: Multimedia Programming Interface and
Data Specifications 1.0 (IBM and Microsoft, 1991), with WAVEFORMATEXTENSIBLE.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .opened import open_file

WAV_MAGIC = b"RIFF"
BLOCK_BYTES = 1 << 18
"""Read at a time."""
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNTIL_THE_END = 0xFFFFFFFF
"""Size that a program writes which cannot go back to the header, as it writes into a pipe."""
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}
SAVE_AGAIN = "save it as PCM of 16 bits"


@dataclass(frozen=True)
class Format:
    """How samples lie in a file."""

    code: int
    """`PCM` or `FLOAT`."""
    channels: int
    rate_hz: int
    bits: int
    """Of one value."""


def read_wav(
    file: BufferedReader, where: str, channels: Sequence[str], sampling_rate_hz: float | None, size_bytes: int
) -> Generator[NDArray[np.float32]]:
    """Read a WAV file: yields float32 [n, channels] with n ≥ 1, −1 … 1 of full scale, in blocks of some 256 KiB.

    The file's channels are the model's, in its order; floats are taken as they are. `where` names the file in messages;
    `size_bytes` is 0 where nobody knows it, as of a pipe. Raises InputError for a damaged or truncated file, one of
    another rate or number of channels or without samples, and for values that are not finite.
    """
    form, size = _read_header(file, where)
    if form.channels != len(channels):
        raise InputError(
            f"{where}: the file has {form.channels} channels; expected {len(channels)}, the model's in its order "
            f"({', '.join(map(repr, channels))}): save these alone"
        )
    if sampling_rate_hz is not None and form.rate_hz != sampling_rate_hz:
        raise InputError(
            f"{where}: the file has {form.rate_hz} samples per second; expected the model's {sampling_rate_hz:g}: "
            f"record at {sampling_rate_hz:g} Hz, or resample the file, low-pass and all; nothing is resampled here"
        )
    row = 0
    for samples in _read_blocks(file, where, form, size, size_bytes):
        finite = np.isfinite(samples)
        if not finite.all():
            at, column = np.argwhere(~finite)[0].tolist()
            raise InputError(
                f"{where}: sample {row + at} (counted from 0) of channel {channels[column]!r} is "
                f"{samples[at, column]}; expected finite values: cut the file"
            )
        yield samples
        row += len(samples)


def open_wav(
    file: BufferedReader, where: str, size_bytes: int
) -> tuple[int, float, Callable[[Sequence[int]], Generator[NDArray[np.float64]]]]:
    """Return channels and rate of a WAV file, and what yields some channels in blocks, float64 [n, channels wanted].

    Raises InputError for a damaged or truncated file and one without samples.
    """
    form, size = _read_header(file, where)

    def read(used: Sequence[int]) -> Generator[NDArray[np.float64]]:
        for samples in _read_blocks(file, where, form, size, size_bytes):
            yield samples[:, list(used)].astype(np.float64)

    return form.channels, float(form.rate_hz), read


def _read_blocks(
    file: BufferedReader, where: str, form: Format, size: int, size_bytes: int
) -> Iterator[NDArray[np.float32]]:
    frame = form.channels * form.bits // 8
    if size == UNTIL_THE_END and size_bytes:
        size = size_bytes - file.tell()
    if size_bytes and size > size_bytes - file.tell():
        raise InputError(
            f"{where}: the file is truncated: it holds {size_bytes - file.tell()} bytes of samples; expected {size}, "
            "as its header promises: copy it again"
        )
    endless = size == UNTIL_THE_END  # a pipe
    read = file.read if size_bytes else file.read1
    row, rest = 0, b""
    while size > 0 and (data := read(min(BLOCK_BYTES, size))):
        size -= 0 if endless else len(data)
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        samples = _to_float32(data[:whole], form).reshape(-1, form.channels)
        if len(samples):
            yield samples
        row += len(samples)
    if size > 0 and not endless:
        raise InputError(f"{where}: the file ended {size} bytes before its header says; expected a finished recording")
    if row == 0:
        raise InputError(f"{where}: the file holds no samples; expected a finished recording")


def wav_rate_hz(path: Path) -> float | None:
    """Return the samples per second of a WAV file on disk; None for anything else, and for one that is damaged."""
    try:
        with open_file(path, str(path)) if path.is_file() else nullcontext() as file:
            if file is None or not file.peek(4).startswith(WAV_MAGIC):
                return None
            return float(_read_header(file, str(path))[0].rate_hz)
    except (OSError, InputError):
        return None


def _read_header(file: BufferedReader, where: str) -> tuple[Format, int]:
    """Read up to the first sample; return the format and how many bytes of samples follow."""
    if file.read(12)[8:] != b"WAVE":
        raise InputError(f"{where}: this is a RIFF file but no WAV file; expected WAV, NPY or text in UTF-8")
    form = None
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data" and form is not None:
            return form, size
        if name == b"data":
            break
        if name == b"fmt ":
            form = _parse_format(_read_exactly(file, size, where), where)
            size %= 2  # chunks begin at even places
        else:
            size += size % 2
        while size:  # names, notes and pictures, perhaps large, and a pipe cannot seek
            size -= len(_read_exactly(file, min(size, BLOCK_BYTES), where))
    missing = "what its samples are (no `fmt ` chunk)" if form is None else "where its samples are (no `data` chunk)"
    raise InputError(f"{where}: the WAV file is damaged or truncated: it does not say {missing}; copy it again")


def _read_exactly(file: BufferedReader, size: int, where: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise InputError(f"{where}: the WAV file is truncated in its header; expected samples: copy it again")
    return data


def _parse_format(chunk: bytes, where: str) -> Format:
    """Return what a `fmt ` chunk says; raises InputError where that is damaged or cannot be read here."""
    if len(chunk) < 16:
        raise InputError(f"{where}: the WAV file is damaged: its format has {len(chunk)} bytes, expected 16 or more")
    code, channels, rate_hz, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == EXTENSIBLE and len(chunk) >= 26:
        (code,) = struct.unpack_from("<H", chunk, 24)  # the kind of samples begins their GUID
    if code not in BITS:
        raise InputError(f"{where}: the WAV file is compressed (format {code}); expected PCM or floats: {SAVE_AGAIN}")
    if bits not in BITS[code] or channels == 0 or frame != channels * bits // 8:
        kind = "PCM" if code == PCM else "float"
        raise InputError(
            f"{where}: the WAV file has {kind} values of {bits} bits, {channels} channels and {frame} bytes a "
            f"timestep; expected PCM of 8, 16, 24 or 32 bits or floats of 32 or 64: {SAVE_AGAIN}"
        )
    return Format(code, channels, rate_hz, bits)


def _to_float32(data: bytes, form: Format) -> NDArray[np.float32]:
    """Return the values of whole timesteps as float32 [n · channels], PCM as fractions of full scale."""
    if form.code == FLOAT:
        with np.errstate(over="ignore"):
            return np.frombuffer(data, f"<f{form.bits // 8}").astype(np.float32)
    if form.bits == 8:  # the only one without a sign
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if form.bits == 24:
        # As the upper three bytes of integers of four.
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    return np.frombuffer(data, f"<i{form.bits // 8}").astype(np.float32) / np.float32(1 << (form.bits - 1))
