"""The one function by which commands get their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.spec import ModelSpec

from .arrays import load_arrays
from .dataset import Dataset
from .synthetic import synthetic_har
from .synthetic_tones import NAME as TONES
from .synthetic_tones import synthetic_tones
from .uci_har import UciHar

GENERATED: dict[str, Callable[[], Dataset]] = {"synthetic-har": synthetic_har, TONES: synthetic_tones}
"""What can stand for a path → the generated set that it names."""


def load_data(path: str | Path | None, spec: ModelSpec | None = None) -> Dataset:
    """Return the UCI HAR data set at `path` (folder or zip), or the generated set that it names; None names HAR's.

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
        return synthetic_har()
    generated = GENERATED.get(str(path))
    return UciHar(path).load() if generated is None else generated()
