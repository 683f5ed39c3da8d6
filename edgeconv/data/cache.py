"""Parsed data sets kept in the user's cache folder, so that text is parsed once.

An entry is a folder named after the SHA-256 of what was parsed. It appears complete or not at all: written under
another name, then renamed. Losing the cache, or not being able to write it, costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.spec import Channel

from .dataset import SPLITS, Dataset, Split

CACHE_VERSION = 1
"""Counted up when a parser gives something else for the same file, or the form of an entry changes."""
_DTYPES = {"windows": "<f4", "class_ids": "<i8", "subjects": "<i8"}
_LEFTOVER_S = 24 * 3600.0


@dataclass(frozen=True)
class Entry:
    """A parsed data set in the cache."""

    path: Path
    name: str
    source: str
    source_sha256: str
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


def cached(source_hash: str, parse: Callable[[], Dataset]) -> Dataset:
    """Return the data set parsed from the source with this SHA-256, from the cache or else from `parse`.

    A damaged entry is written anew. Warns (UserWarning) where the result cannot be kept; raises what `parse` raises. A
    set with continuous recordings of its own is returned and not kept.
    """
    try:
        folder = _entries_folder()
        found = _read(folder / source_hash)
    except (OSError, RuntimeError):
        found = None
    if found is not None:
        return found
    dataset = parse()
    if not dataset.continuous:
        try:
            _write(_entries_folder(), source_hash, dataset)
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
        meta = None if path.name.startswith(".") else _read_meta(path)
        if meta is None:
            continue
        with contextlib.suppress(OSError):  # another process may be replacing it
            size = sum(file.stat().st_size for file in path.iterdir())
            hashes = meta["source_sha256"], meta["content_sha256"]
            found.append(Entry(path, meta["name"], meta["source"], *hashes, size))
    return tuple(found)


def read_entry(entry: Entry) -> Dataset | None:
    """Return the data set of an entry, or None where it is damaged or gone."""
    return _read(entry.path)


def verify(entry: Entry) -> bool:
    """Return whether the entry is readable and its data still have the content hash recorded when it was written."""
    return read_entry(entry) is not None


def _entries_folder() -> Path:
    return cache_folder() / f"datasets-v{CACHE_VERSION}"


def _read_meta(path: Path) -> dict[str, Any] | None:
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        usable = meta["cache_version"] == CACHE_VERSION and meta["source_sha256"] == path.name
        usable = usable and {"name", "source", "content_sha256"} <= meta.keys()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return meta if usable else None


def _read(path: Path) -> Dataset | None:
    """Return the data set of an entry, or None where there is none or it is damaged."""
    meta = _read_meta(path)
    if meta is None:
        return None
    try:
        train, test = (
            Split(*(_read_array(path, f"{split}_{part}", dtype, meta) for part, dtype in _DTYPES.items()))
            for split in SPLITS
        )
        dataset = Dataset(
            name=meta["name"],
            synthetic=meta["synthetic"],
            licence=meta["licence"],
            labels=tuple(meta["labels"]),
            channels=tuple(Channel(**channel) for channel in meta["channels"]),
            sampling_rate_hz=meta["sampling_rate_hz"],
            hop=meta["hop"],
            train=train,
            test=test,
            source=meta["source"],
        )
    except Exception:  # damaged files raise OSError, ValueError, KeyError, SyntaxError, …; all mean: parse again
        return None
    # Hashing is a small part of a load; training on a flipped bit would cost trust.
    return dataset if dataset.content_hash() == meta["content_sha256"] else None


def _read_array(path: Path, name: str, dtype: str, meta: dict[str, Any]) -> NDArray[Any]:
    file, expected = path / f"{name}.npy", meta["arrays"][name]
    if file.stat().st_size != expected["bytes"]:
        raise ValueError(f"{name} has another size than when it was written")
    # Mapped first: a damaged header may claim an array that does not fit into memory.
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if array.dtype != np.dtype(dtype) or list(array.shape) != expected["shape"]:
        raise ValueError(f"{name} has another shape or type than when it was written")
    return np.array(array)


def _write(folder: Path, source_hash: str, dataset: Dataset) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    aside = folder / f".{source_hash[:16]}.{secrets.token_hex(8)}"
    aside.mkdir()
    try:
        arrays = {}
        for split in SPLITS:
            for part, dtype in _DTYPES.items():
                name, file = f"{split}_{part}", aside / f"{split}_{part}.npy"
                array = np.ascontiguousarray(getattr(dataset.split(split), part), dtype=dtype)
                np.save(file, array, allow_pickle=False)
                arrays[name] = {"shape": list(array.shape), "bytes": file.stat().st_size}
        meta = {
            "cache_version": CACHE_VERSION,
            "source": dataset.source,
            "source_sha256": source_hash,
            "content_sha256": dataset.content_hash(),
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "licence": dataset.licence,
            "labels": dataset.labels,
            "channels": [asdict(channel) for channel in dataset.channels],
            "sampling_rate_hz": dataset.sampling_rate_hz,
            "hop": dataset.hop,
            "arrays": arrays,
        }
        (aside / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False), encoding="utf-8")
        _publish(aside, folder / source_hash)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _publish(aside: Path, entry: Path) -> None:
    """Rename `aside` to `entry`, unless another process has just done the same."""
    if _read(entry) is not None:
        return
    if entry.exists():
        damaged = aside.with_name(f".damaged.{secrets.token_hex(8)}")
        entry.rename(damaged)
        _remove(damaged)
    try:
        aside.rename(entry)
    except OSError:
        if _read(entry) is None:
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
