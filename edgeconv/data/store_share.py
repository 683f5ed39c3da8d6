"""Stored data sets exchanged between machines: exported to a folder or a bucket, and fetched from there.

What is exported looks like a version in the store. Files come first and the manifest last, so that whoever finds a
manifest finds a whole data set.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeconv.folder import write_json
from edgeconv.runtime.errors import MissingFileError, UsageError

from .store import SPLITS, Store, Version
from .store_add import Added, Said, adding, existing_version
from .store_check import problems, require_intact
from .store_manifest import FILES, MANIFEST, Manifest, parse_manifest
from .store_place import FolderPlace, Place, read_small
from .store_receive import Progress, receive
from .store_split import Splits, keep_splits, merged_splits, parse_splits, read_splits, splits_json


def read_manifest(place: Place) -> Manifest:
    """Return the manifest of the data set at a place; raises MissingFileError, and InputError for a damaged one."""
    return parse_manifest(read_small(place, MANIFEST), place.where(MANIFEST))


def fetch_exported(
    store: Store, place: Place, manifest: Manifest | None = None, *, progress: Progress | None = None
) -> Added:
    """Add the version exported to a place, with its splits; every file is checked while it arrives.

    What arrived before an interruption is kept, and files that are here already with the right hash are not fetched
    again. Raises CheckError for bytes that are not those of the manifest, UsageError where the store has this name and
    version, or a split's, with something else in it, and InputError for what cannot be read or kept.
    """
    manifest = manifest or read_manifest(place)
    with adding(store, manifest.name, Said(manifest.version)):
        existing = existing_version(store, manifest.name, manifest.version, manifest.sha256)
        if existing and not problems(existing):
            added = Added(existing, new=False)
        else:
            # What the store knows of the version stays: it may have been added here, and only be damaged.
            manifest = existing.manifest if existing else manifest
            added = Added(_fetch(store, place, manifest, existing, progress), new=True)
    keep_splits(store, added.version, _splits_at(place, added.version))
    return added


def _fetch(
    store: Store, place: Place, manifest: Manifest, damaged: Version | None, progress: Progress | None
) -> Version:
    arriving = store.arriving(f"{manifest.name}.{manifest.sha256[:16]}")
    for file in manifest.files:
        target = arriving / FILES / file.path
        if damaged and not target.exists() and (damaged.files / file.path).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(damaged.files / file.path, target)  # where it is good, it need not come again
        receive(place, f"{FILES}/{file.path}", target, file.sha256, file.bytes, progress)
    write_json(arriving / MANIFEST, manifest.to_json())
    return store.publish(arriving, manifest.name, manifest.version)


def _splits_at(place: Place, version: Version) -> Splits:
    try:
        return parse_splits(read_small(place, SPLITS), version, place.where(SPLITS))
    except MissingFileError:
        return {}


def export_version(
    version: Version, place: Place, *, overwrite: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write a version to a place and return the names of the files written; of a version that is there, new splits.

    With `overwrite` every file is written again. Raises UsageError where the place holds something else,
    InputError for a version that is damaged and where reading or writing fails: a new place then has no manifest.
    """
    require_intact(version)
    there = _is_there(place, version)
    written = []
    if overwrite or not there:
        for file in version.manifest.files:
            place.write(f"{FILES}/{file.path}", version.files / file.path)
            written.append(f"{FILES}/{file.path}")
            if progress is not None:
                progress(file.bytes)
    splits = _splits_at(place, version)
    merged = merged_splits(splits, read_splits(version), place.where(""))
    if merged != splits:
        _write_json(place, SPLITS, splits_json(version, merged))
        written.append(SPLITS)
    if overwrite or not there:
        _write_json(place, MANIFEST, version.manifest.to_json())
        written.append(MANIFEST)
    return written


def _is_there(place: Place, version: Version) -> bool:
    try:
        there = read_manifest(place)
    except MissingFileError:
        _require_free(place)
        return False
    if there.reference != version.reference or there.sha256 != version.manifest.sha256:
        raise UsageError(
            f"{place.where('')} holds {there.reference} (sha256 {there.sha256}), not {version}; give another place"
        )
    return True


def _require_free(place: Place) -> None:
    """Refuse a folder of something else; what an interrupted export left is none."""
    if isinstance(place, FolderPlace) and place.root.exists():
        if not place.root.is_dir():
            raise UsageError(f"{place.root} is a file; a folder or a URL is expected")
        others = sorted({path.name for path in place.root.iterdir()} - {FILES, SPLITS})
        if others:
            raise UsageError(f"{place.root} holds other things ({others[0]}); give a new or empty folder")


def _write_json(place: Place, name: str, record: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_json(path, record)
        place.write(name, path)
