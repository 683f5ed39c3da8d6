"""Recordings as NPY files: arrays as numpy saves them, read in bounded memory.

The file is read, not mapped: a mapped file that shrinks meanwhile kills the process, and is not closed on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .opened import measure

NPY_MAGIC = b"\x93NUMPY"
BLOCK_BYTES = 1 << 18
"""Read at a time."""


def read_npy(file: BufferedReader, where: str, channels: Sequence[str]) -> Generator[NDArray[np.float32]]:
    """Read an NPY file: yields float32 [n, channels] with n ≥ 1, in blocks of some 256 KiB.

    The array is [timesteps, channels] of any real dtype, byte order and memory order. `where` names the file in
    messages. Raises InputError for a damaged file, another array, and values that are not finite in float32.
    """
    header = _read_header(file, where)
    _require_samples(header[0], header[2], where, channels)
    row = 0
    for values in _read_blocks(file, where, *header):
        with np.errstate(over="ignore", invalid="ignore"):
            samples = values.astype(np.float32)
        finite = np.isfinite(samples)
        if not finite.all():
            at, column = np.argwhere(~finite)[0].tolist()
            value = values[at, column]
            problem = "is too large for float32" if np.isfinite(value) else "is not finite"
            raise InputError(
                f"{where}: row {row + at} (counted from 0), column {channels[column]!r}: {value} {problem}; "
                "expected a finite value in every row: fill the gap, cut the array, or stream it with --missing hold "
                "or gap"
            )
        yield samples
        row += len(samples)


def open_npy(file: BufferedReader, where: str) -> tuple[int, Callable[[Sequence[int]], Generator[NDArray[np.float64]]]]:
    """Return how many columns an NPY file has, and what yields some of them in blocks, float64 [n, columns wanted].

    Raises InputError for a damaged file and another array than [timesteps, columns].
    """
    shape, fortran_order, dtype = _read_header(file, where)
    width = shape[1] if len(shape) == 2 else 1
    _require_samples(shape, dtype, where, [str(column) for column in range(width)])

    def read(used: Sequence[int]) -> Generator[NDArray[np.float64]]:
        for values in _read_blocks(file, where, shape, fortran_order, dtype):
            yield values[:, list(used)].astype(np.float64)

    return width, read


def _read_blocks(
    file: BufferedReader, where: str, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    timesteps, width = shape
    size_bytes = measure(file)
    if fortran_order and not size_bytes and width > 1:
        raise InputError(
            f"{where}: the array lies column by column (Fortran order), which can only be read from a file that is "
            "not compressed, and from no pipe; save numpy.ascontiguousarray(array), or unpack it"
        )
    offset = file.tell() if size_bytes else 0
    expected = offset + timesteps * width * dtype.itemsize
    if 0 < size_bytes < expected:
        raise InputError(
            f"{where}: the file is truncated: it has {size_bytes} bytes; expected {expected} for the {timesteps} "
            "timesteps that its header promises: copy it again"
        )
    step = max(1, BLOCK_BYTES // (width * dtype.itemsize))
    for start in range(0, timesteps, step):
        count = min(step, timesteps - start)
        if fortran_order and size_bytes:
            values = np.empty((count, width), dtype)
            for column in range(width):
                file.seek(offset + (column * timesteps + start) * dtype.itemsize)
                values[:, column] = _read_values(file, count, dtype, where)
        else:
            values = _read_values(file, count * width, dtype, where).reshape(count, width)
        yield values


def _read_header(file: BufferedReader, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version in readers:
            return readers[version](file)
        # Version 3 exists for field names outside Latin-1, so it never holds plain numbers.
        problem = f"has NPY version {version[0]}.{version[1]}, expected 1.0 or 2.0"
    except Exception as error:  # damaged bytes are evaluated as Python literals, which fail in many ways
        problem = f"has a damaged NPY header ({' '.join(str(error).split())[:120]})"
    raise InputError(f"{where}: {problem}; write the file again with numpy.save") from None


def _require_samples(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, channels: Sequence[str]) -> None:
    """Raise InputError unless the array holds samples of these channels."""
    width = len(channels)
    expected = f"expected [timesteps, {width}]"
    if dtype.hasobject:
        raise InputError(
            f"{where}: the array holds pickled Python objects, which are not loaded because they can run code; "
            f"{expected} of a real dtype: save array.astype('float32')"
        )
    if dtype.kind not in "fiu":
        raise InputError(f"{where}: the array has dtype {dtype}; {expected} of a real dtype such as float32")
    if len(shape) == 2 and shape[1] == width:
        return
    hint = ""
    if len(shape) == 1 and width == 1:
        hint = ": save array[:, None]"
    elif len(shape) == 1:
        hint = f": save array.reshape(-1, {width}) if the channels of a timestep lie side by side"
    elif len(shape) == 2 and shape[0] == width:
        hint = ": it seems to have channels first: save array.T"
    elif len(shape) == 3 and shape[2] == width:
        hint = ": it seems to be cut into windows: save the recording as one piece"
    raise InputError(f"{where}: the array has shape {list(shape)}; {expected}, the channels in the model's order{hint}")


def _read_values(file: BufferedReader, count: int, dtype: np.dtype[Any], where: str) -> NDArray[Any]:
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise InputError(
            f"{where}: the file ended before all the timesteps that its header promises; expected a finished recording"
        )
    return np.frombuffer(data, dtype)
