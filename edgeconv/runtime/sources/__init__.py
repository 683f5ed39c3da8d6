"""Where samples come from: recordings in files, read in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .foreign import refuse_foreign
from .growing import Follow
from .named import read_channels
from .npy import NPY_MAGIC, read_npy
from .opened import measure, measure_text, open_file
from .text import read_text
from .typed import open_named
from .undeclared import Undeclared
from .wav import WAV_MAGIC, read_wav

__all__ = ["read_recording"]


def read_recording(
    path: str | Path,
    channels: Sequence[str],
    chunk: int = 4096,
    sampling_rate_hz: float | None = None,
    *,
    follow: Follow = False,
    undeclared: Undeclared | None = None,
) -> Iterator[NDArray[np.float32]]:
    r"""Read a recording of any length, piece by piece; its content decides how, not the ending of its name.

    An NPY file holds [timesteps, channels], a WAV file the model's channels in its order, as fractions of full scale,
    −1 … 1. Parquet files, which pyarrow or polars reads, Arrow files, which pyarrow reads, and NPZ files have columns
    of the channels' names. Anything else is text in UTF-8, one sample a line, separated by tabs, semicolons, commas or
    white space. Its columns are found by the names in its header, in any order and among others; without a header it
    has the model's channels in the model's order. A long text file is read ahead on a second core, with pyarrow or
    polars where it is installed; a pipe is read as its samples come. Text, NPY and WAV files may be compressed with
    gzip or Zstandard.

    channels: names in the model's order
    chunk: most timesteps in one piece; pieces are also cut where the reader's own blocks end
    path: of a file, or `-` for standard input
    follow: whether the file is still being written, so that its end is waited for
    sampling_rate_hz: the model's, which that of a WAV file must be; None does not ask. Other files do not say theirs.
    undeclared: what is asked of columns that are named as times are; None asks nothing
    Yields float32 [n, channels] with 1 ≤ n ≤ chunk, in the file's unit. All errors come while iterating, those of the
    file as a whole at the first step: MissingFileError where there is no file, and InputError for one that cannot be
    read, is empty, does not have the channels or the rate, or holds a value that is missing, no number or not finite;
    DependencyError for what needs a package that is not installed.
    """
    if chunk < 1:
        raise UsageError(f"chunk is {chunk}; expected 1 or more timesteps")
    where = str(path)
    with open_file(Path(path), where, follow=follow) as file:
        head = file.peek(64)[:64]
        if head.startswith(NPY_MAGIC):
            blocks = read_npy(file, where, channels)
        elif head.startswith(WAV_MAGIC):
            blocks = read_wav(file, where, channels, sampling_rate_hz, measure(file))
        elif named := open_named(file, where, head):
            if undeclared is not None:
                undeclared.look_at_columns(where, *named)
            blocks = read_channels(where, *named, channels)
        else:
            refuse_foreign(head, where)
            look = None if undeclared is None else undeclared.look_at_text
            blocks = read_text(file, where, channels, measure_text(file), look)
        with closing(blocks):
            for block in blocks:
                for start in range(0, len(block), chunk):
                    yield block[start : start + chunk]
