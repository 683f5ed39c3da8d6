"""Recordings as Arrow IPC files (https://arrow.apache.org/docs/format/Columnar.html), which Feather's version 2 is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DependencyError, InputError
from .named import Read, numbers_of

ARROW_MAGIC = b"ARROW1"


def open_arrow(path: str) -> tuple[tuple[str, ...], Read]:
    """Return the names of the columns, and what yields some of them, a record batch at a time.

    Raises InputError for a file that is damaged or not finished, and DependencyError where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise DependencyError(
            f'{path}: this is an Arrow file, which pyarrow reads; install it with `pip install "edgeconv[arrow]"`'
        ) from None

    def open_file(file: Any, used: Sequence[int] | None) -> Any:
        chosen = None if used is None else list(used)
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=chosen, use_threads=False))

    def read(used: Sequence[int], dates: frozenset[int]) -> Generator[NDArray[np.float64]]:
        try:
            # Read, not mapped: a mapped file that shrinks meanwhile kills the process.
            with pa.OSFile(path) as file:
                reader = open_file(file, sorted(used))
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    columns = [batch.column(sorted(used).index(at)) for at in used]
                    yield np.column_stack(
                        [
                            numbers_of(path, names[at], column, date=at in dates)
                            for at, column in zip(used, columns, strict=True)
                        ]
                    )
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from None

    try:
        with pa.OSFile(path) as file:
            names = tuple(open_file(file, None).schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    return names, read


def _damaged(path: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:120]
    return InputError(
        f"{path}: the Arrow file cannot be read ({reason}); expected a finished one: copy it again or write it anew"
    )
