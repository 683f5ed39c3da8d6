"""What `--data` means where it names a stored data set, or the URL of an exported one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

from .dataset import Dataset
from .options import Given, Option
from .store import Store, Version, read_version
from .store_check import require_intact
from .store_manifest import FILES, MANIFEST, split_reference
from .store_place import as_url, open_place
from .store_share import fetch_exported, read_manifest
from .store_split import SubjectSplit, apply_split, get_split

SPLIT_OPTION = "split"
OPTIONS = {SPLIT_OPTION: Option(None, "the name of a split of the stored version", str)}
NO_OPTIONS: Given = {}


@dataclass(frozen=True)
class Resolved:
    """A stored version whose bytes are those of its manifest, ready to be loaded."""

    version: Version
    split: SubjectSplit | None
    options: Given
    """The options that are left for the loader."""

    @property
    def path(self) -> Path:
        """The file or folder to open."""
        return self.version.path

    def finish(self, dataset: Dataset) -> Dataset:
        """Return the data set that was loaded from `path`, divided as asked for; its source names the exact version."""
        if self.split is None:
            return replace(dataset, source=str(self.version))
        source = f"{self.version}, split {self.split.name} (sha256 {self.split.sha256})"
        options = {**dataset.options, SPLIT_OPTION: self.split.name}
        return replace(apply_split(dataset, self.split), source=source, options=options)


def resolve(reference: str | Path, options: Given = NO_OPTIONS, store: Store | None = None) -> Resolved | None:
    """Return what to load for `NAME`, `NAME@VERSION`, an exported folder or a URL; None for anything else.

    A path that exists comes before a name. `NAME` is its newest version. What a URL names is fetched into the store
    unless it is there. Raises InputError where bytes are not those of the manifest, UsageError for a split that the set
    does not have, MissingFileError for a version that is not there, and what `fetch_exported` raises.
    """
    version = find_version(reference, store)
    if version is None:
        return None
    require_intact(version)
    left = {key: value for key, value in options.items() if key != SPLIT_OPTION}
    split = get_split(version, str(options[SPLIT_OPTION])) if SPLIT_OPTION in options else None
    return Resolved(version, split, left)


def find_version(reference: str | Path, store: Store | None = None) -> Version | None:
    """Return the version that a reference names, unchecked, or None where it names none; raises as `resolve` does."""
    path = Path(reference)
    if path.exists():
        return read_version(path) if (path / MANIFEST).is_file() and (path / FILES).is_dir() else None
    url = as_url(reference)
    if url is not None:
        return _fetched(store or Store.usual(), url)
    parts = split_reference(str(reference))
    if parts is None:
        return None
    here = store or Store.usual()
    # A name alone that the store does not know may be a path that is not there; its loader says what it expects.
    return here.find(str(reference)) if parts[1] or here.version_folders(parts[0]) else None


def recorded_reference(data: Mapping[str, Any], store: Store | None = None) -> Path | None:
    """Return the `NAME@VERSION` that `training.json` says of its data, where the store has exactly that version."""
    reference, _, rest = str(data.get("source")).partition(" (sha256 ")
    parts = split_reference(reference)
    if parts is None or parts[1] is None:
        return None
    try:
        found = (store or Store.usual()).get(parts[0], parts[1])
    except (InputError, UsageError):
        return None
    return Path(reference) if found and rest.startswith(f"{found.manifest.sha256})") else None


def _fetched(store: Store, url: str) -> Version:
    place = open_place(url)
    try:
        manifest = read_manifest(place)
    except MissingFileError as error:
        raise UsageError(
            f"{error}: that is no exported data set; for the one file at an address, `edgeconv data add URL --name "
            "NAME` comes first, and then --data NAME"
        ) from None
    here = store.get(manifest.name, manifest.version)
    if here and here.manifest.sha256 == manifest.sha256:
        return here
    return fetch_exported(store, place, manifest).version
