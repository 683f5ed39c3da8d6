"""The one function by which commands get their data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeconv.runtime.spec import ModelSpec

from .arrays import load_arrays
from .dataset import Dataset
from .hapt import OPTIONS as HAPT_OPTIONS
from .hapt import Hapt, is_hapt
from .labelled import OPTIONS as LABELLED_OPTIONS
from .labelled import is_labelled_folder, load_labelled
from .options import Given, Known, read_options
from .store_resolve import OPTIONS as STORED_OPTIONS
from .store_resolve import find_version, resolve
from .synthetic import synthetic_har
from .synthetic_tones import NAME as TONES
from .synthetic_tones import synthetic_tones
from .ts import OPTIONS as TS_OPTIONS
from .ts import is_ts, load_ts
from .uci_har import UciHar

GENERATED: dict[str, Callable[[], Dataset]] = {"synthetic-har": synthetic_har, TONES: synthetic_tones}
"""What can stand for a path → the generated set that it names."""


def load_data(
    path: str | Path | None, spec: ModelSpec | None = None, options: Given | None = None, *, use_cache: bool = True
) -> Dataset:
    """Return the data set at `path`, or the generated set that it names; None is the generated HAR-like one.

    A path is UCI HAR or HAPT (folder or zip), a folder of labelled recordings, `.ts` files, or an `.npz` file of
    windows, which a spec or the file itself describes. Where no such path is there, `NAME` or `NAME@VERSION` is a set
    of the store, and a URL one that was exported. `options` are those of the kind of set (`known_options`). Raises what
    the loaders and `resolve` raise, and UsageError for options that the set does not have.
    """
    if path is not None and str(path) not in GENERATED and (stored := resolve(path, options or {})) is not None:
        return stored.finish(load_data(stored.path, spec, stored.options, use_cache=use_cache))
    if path is not None and is_hapt(Path(path)):
        return Hapt(path).load(options, use_cache=use_cache)
    if path is not None and is_ts(Path(path)):
        return load_ts(path, options)
    if path is not None and is_labelled_folder(Path(path)):
        return load_labelled(path, options)
    read_options("the generated set" if path is None else str(path), options or {}, {})
    if path is not None and Path(path).suffix == ".npz":
        return load_arrays(Path(path), spec)
    if path is None:
        return synthetic_har()
    generated = GENERATED.get(str(path))
    return UciHar(path).load(use_cache=use_cache) if generated is None else generated()


def data_path(path: Path) -> Path:
    """Return the file or folder that is opened for `path`: of a stored version its own; raises as `resolve` does."""
    stored = None if str(path) in GENERATED else find_version(path)
    return path if stored is None else stored.path


def known_options(path: Path) -> Known:
    """Return the options that the data set at a path, or in the store, has; raises as `resolve` does."""
    opened = data_path(path)
    return {**_own_options(opened), **(STORED_OPTIONS if opened != path else {})}


def _own_options(path: Path) -> Known:
    if is_hapt(path):
        return HAPT_OPTIONS
    if is_ts(path):
        return TS_OPTIONS
    return LABELLED_OPTIONS if is_labelled_folder(path) else {}
