"""The one function by which commands get their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.spec import ModelSpec

from .arrays import load_arrays
from .dataset import Dataset
from .hapt import OPTIONS as HAPT_OPTIONS
from .hapt import Hapt, is_hapt
from .options import Given, Known, read_options
from .synthetic import synthetic_har
from .synthetic_tones import NAME as TONES
from .synthetic_tones import synthetic_tones
from .uci_har import UciHar

GENERATED: dict[str, Callable[[], Dataset]] = {"synthetic-har": synthetic_har, TONES: synthetic_tones}
"""What can stand for a path → the generated set that it names."""


def load_data(
    path: str | Path | None, spec: ModelSpec | None = None, options: Given | None = None, *, use_cache: bool = True
) -> Dataset:
    """Return the data set at `path`, UCI HAR or HAPT (folder or zip), or the generated set that it names; None: HAR's.

    With a spec `path` may also be an `.npz` file of windows that the spec is about. `options` are those of HAPT; the
    other sets have none. Raises what `UciHar.load`, `Hapt.load` and `load_arrays` raise, and UsageError for an `.npz`
    file without a spec and for options that the set does not have.
    """
    if path is not None and is_hapt(Path(path)):
        return Hapt(path).load(options, use_cache=use_cache)
    read_options("the generated set" if path is None else str(path), options or {}, {})
    if path is not None and Path(path).suffix == ".npz":
        if spec is None:
            raise UsageError(
                f"{path} holds windows whose channels, units and labels a model's spec says, and no model is given; "
                "`edgeconv export` and `edgeconv verify` take it, training takes UCI HAR or HAPT as folder or zip"
            )
        return load_arrays(Path(path), spec)
    if path is None:
        return synthetic_har()
    generated = GENERATED.get(str(path))
    return UciHar(path).load(use_cache=use_cache) if generated is None else generated()


def known_options(path: Path) -> Known:
    """Return the options that the data set at a path has."""
    return HAPT_OPTIONS if is_hapt(path) else {}
