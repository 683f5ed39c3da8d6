"""The fast way through long text files: plain tables of numbers in large blocks, and nothing that is not plain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engines import Engine
from .lines import LINE_LIMIT_BYTES
from .rows import Layout

NUMBER_BYTES = b"0123456789+-.eE"


def parse_grid(data: bytes, layout: Layout, engine: Engine) -> NDArray[Any] | None:
    """Return the samples in some whole lines, [lines, channels], or None where the lines are not plain.

    Plain means that all cells of all columns are made of the characters of numbers, that all rows have all cells, and
    that the channels' are finite numbers, or empty where values may be missing; then what any engine returns is what
    `Layout.parse_carefully` does.
    """
    if layout.delimiter is None:
        return None
    end = data.find(b"\n")
    line_end = b"\r\n" if data[end - 1 : end] == b"\r" else b"\n"
    unended = len(data) - (data.rfind(b"\n") + 1)
    if unended > LINE_LIMIT_BYTES:
        return None
    if unended:
        data += line_end
    # Without the characters of numbers, one row and all others are nothing but their delimiters and their end.
    row = layout.delimiter.encode() * (len(layout.columns) - 1) + line_end
    if data[: data.find(b"\n") + 1].translate(None, NUMBER_BYTES) != row:
        return None
    frame = data.translate(None, NUMBER_BYTES)
    rows = len(frame) // len(row)
    if frame != row * rows:
        return None
    if line_end == b"\r\n":
        data = data.replace(b"\r\n", b"\n")
    try:
        samples = engine.parse(data, layout.delimiter, len(layout.columns), layout.used, layout.dtype)
    except Exception:  # each engine has its own; what is wrong is for the careful way to say
        return None
    good = samples.shape == (rows, len(layout.used)) and (layout.missing or np.isfinite(samples).all())
    return samples if good else None
