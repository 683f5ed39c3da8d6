"""Files whose columns have names: Parquet, Arrow and NPZ, as their first bytes say."""

from __future__ import annotations

from io import BufferedReader

from ..errors import InputError
from .arrow import ARROW_MAGIC, open_arrow
from .named import Read
from .npz import ZIP_MAGIC, open_npz
from .opened import measure
from .parquet import PARQUET_MAGIC, open_parquet

KINDS = {PARQUET_MAGIC: "a Parquet file", ARROW_MAGIC: "an Arrow file", ZIP_MAGIC: "a ZIP archive or NPZ file"}


def open_named(file: BufferedReader, where: str, head: bytes) -> tuple[tuple[str, ...], Read] | None:
    """Return names and columns of a file that begins so, None for one of another kind.

    Raises InputError, also for a pipe, in which nobody can go back and forth, and DependencyError.
    """
    magic = next((magic for magic in KINDS if head.startswith(magic)), None)
    if magic is None:
        return None
    if not measure(file):
        raise InputError(f"{where}: {KINDS[magic]} cannot be read from a pipe; expected a file on disk")
    if magic == ZIP_MAGIC:
        return open_npz(file, where)
    return open_parquet(where) if magic == PARQUET_MAGIC else open_arrow(where)
