"""The one function by which commands get their data."""

from __future__ import annotations

from pathlib import Path

from .dataset import Dataset
from .uci_har import UciHar


def load_data(path: str | Path | None) -> Dataset:
    """Return the UCI HAR data set at `path` (folder or zip), or without a path the generated set.

    Raises what `UciHar.load` raises.
    """
    if path is None:
        from .synthetic import synthetic_har

        return synthetic_har()
    return UciHar(path).load()
