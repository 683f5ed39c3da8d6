"""Recordings as NPZ files: named arrays, side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from io import BufferedReader

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .named import Read

ZIP_MAGIC = b"PK\x03\x04"
BLOCK_ROWS = 1 << 15


def open_npz(file: BufferedReader, where: str) -> tuple[tuple[str, ...], Read]:
    """Return the names of the columns, and what yields some of them in blocks; dates are none of its numbers.

    An array [timesteps] is a column of its name; of an array `acc` [timesteps, 3] the columns are acc_0, acc_1, acc_2.
    The arrays that are wanted are held in memory. Raises InputError for what is no such file.
    """
    try:
        arrays = np.load(file, allow_pickle=False)
        shapes = {name: arrays[name].shape for name in arrays.files}
    except Exception as error:  # damaged archives fail in many ways
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{where}: this is a ZIP archive, and no NPZ file that can be read ({reason}); expected arrays saved with "
            "numpy.savez: unpack it first, or save a spreadsheet as CSV"
        ) from None
    places: list[tuple[str, str, int | None]] = []
    for name, shape in shapes.items():
        if len(shape) == 1:
            places.append((name, name, None))
        elif len(shape) == 2:
            places += [(f"{name}_{column}", name, column) for column in range(shape[1])]
    lengths = {name: shapes[array][0] for name, array, _ in places}

    def read(used: Sequence[int], _dates: frozenset[int]) -> Generator[NDArray[np.float64]]:
        chosen = [places[at] for at in used]
        if len({lengths[name] for name, _, _ in chosen}) > 1:
            said = ", ".join(f"{name} {lengths[name]}" for name, _, _ in chosen)
            raise InputError(f"{where}: arrays differ in length: {said}; expected one value of each for every sample")
        columns = []
        for name, array, column in chosen:
            values = arrays[array]
            if values.dtype.kind not in "fiu":
                raise InputError(f"{where}: array {name!r} has dtype {values.dtype}; expected real numbers")
            columns.append(values if column is None else values[:, column])
        for start in range(0, len(columns[0]), BLOCK_ROWS):
            yield np.column_stack([values[start : start + BLOCK_ROWS] for values in columns]).astype(np.float64)

    return tuple(name for name, _, _ in places), read
