"""The one function by which commands get their data."""

from __future__ import annotations

from pathlib import Path

from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.spec import ModelSpec

from .arrays import load_arrays
from .dataset import Dataset
from .uci_har import UciHar


def load_data(path: str | Path | None, spec: ModelSpec | None = None) -> Dataset:
    """Return the UCI HAR data set at `path` (folder or zip), or without a path the generated set.

    With a spec `path` may also be an `.npz` file of windows that the spec is about. Raises what `UciHar.load` and
    `load_arrays` raise, and UsageError for an `.npz` file without a spec.
    """
    if path is not None and Path(path).suffix == ".npz":
        if spec is None:
            raise UsageError(
                f"{path} holds windows whose channels, units and labels a model's spec says, and no model is given; "
                "`edgeconv export` and `edgeconv verify` take it, training takes UCI HAR as folder or zip"
            )
        return load_arrays(Path(path), spec)
    if path is None:
        from .synthetic import synthetic_har

        return synthetic_har()
    return UciHar(path).load()
