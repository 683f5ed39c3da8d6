"""Parsed data sets kept in the user's cache folder, so that text is parsed once.

An entry is a folder named after the SHA-256 of what was parsed, and of the options with which. It appears complete or
not at all: written under another name, then renamed. Losing the cache, or not being able to write it, costs time and
nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .cache_entry import CACHE_VERSION, can_be_kept, entry_name, read_dataset, read_meta, write_files
from .dataset import Dataset

_LEFTOVER_S = 24 * 3600.0


@dataclass(frozen=True)
class Entry:
    """A parsed data set in the cache."""

    path: Path
    name: str
    source: str
    source_sha256: str
    options: Mapping[str, str]
    content_sha256: str
    size_bytes: int


def cache_folder() -> Path:
    """Return the folder: `EDGECONV_CACHE`, else `edgeconv` in the user's cache folder of the operating system.

    Raises RuntimeError where the user has no home folder.
    """
    if chosen := os.environ.get("EDGECONV_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "edgeconv"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    return (Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache") / "edgeconv"


def cached(source_hash: str, parse: Callable[[], Dataset], options: Mapping[str, str] | None = None) -> Dataset:
    """Return the data set parsed from the source with this SHA-256, from the cache or else from `parse`.

    options: what the result depends on besides, in normal form
    A damaged entry is written anew. Warns (UserWarning) where the result cannot be kept; raises what `parse` raises. A
    set whose windows are not those of its continuous recordings is returned and not kept.
    """
    name = entry_name(source_hash, options or {})
    try:
        found = read_dataset(_entries_folder() / name)
    except (OSError, RuntimeError):
        found = None
    if found is not None:
        return found
    dataset = parse()
    if can_be_kept(dataset):
        try:
            _write(_entries_folder(), name, source_hash, options or {}, dataset)
        except (OSError, RuntimeError) as error:
            warnings.warn(f"the parsed data set cannot be kept, the next load parses it again: {error}", stacklevel=2)
    return dataset


def entries() -> tuple[Entry, ...]:
    """Return the readable entries, in the order of their names."""
    try:
        folders = sorted(_entries_folder().iterdir())
    except (OSError, RuntimeError):
        return ()
    found = []
    for path in folders:
        meta = None if path.name.startswith(".") else read_meta(path)
        if meta is None:
            continue
        with contextlib.suppress(OSError):  # another process may be replacing it
            size = sum(file.stat().st_size for file in path.iterdir())
            hashes = meta["content_sha256"], size
            found.append(Entry(path, meta["name"], meta["source"], meta["source_sha256"], meta["options"], *hashes))
    return tuple(found)


def read_entry(entry: Entry) -> Dataset | None:
    """Return the data set of an entry, or None where it is damaged or gone."""
    return read_dataset(entry.path)


def verify(entry: Entry) -> bool:
    """Return whether the entry is readable and its data still have the content hash recorded when it was written."""
    return read_entry(entry) is not None


def _entries_folder() -> Path:
    return cache_folder() / f"datasets-v{CACHE_VERSION}"


def _write(folder: Path, name: str, source_hash: str, options: Mapping[str, str], dataset: Dataset) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    aside = folder / f".{source_hash[:16]}.{secrets.token_hex(8)}"
    aside.mkdir()
    try:
        write_files(aside, source_hash, options, dataset)
        _publish(aside, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _publish(aside: Path, entry: Path) -> None:
    """Rename `aside` to `entry`, unless another process has just done the same."""
    if read_dataset(entry) is not None:
        return
    if entry.exists():
        damaged = aside.with_name(f".damaged.{secrets.token_hex(8)}")
        entry.rename(damaged)
        _remove(damaged)
    try:
        aside.rename(entry)
    except OSError:
        if read_dataset(entry) is None:
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while writing left behind, a day later."""
    for path in folder.glob(".*"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if time.time() - path.stat().st_mtime > _LEFTOVER_S:
                _remove(path)
