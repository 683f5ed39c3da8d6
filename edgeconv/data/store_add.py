"""New data sets in the store: from files, or from a URL."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from edgeconv.folder import write_json
from edgeconv.runtime.errors import EdgeconvError, InputError, MissingFileError, UsageError

from .dataset import SPLITS, Dataset
from .store import Store, Version, remove_tree
from .store_check import problems
from .store_manifest import FILES, MANIFEST, VERSION_DIGITS, Manifest, StoredFile, is_inside, require_word, set_sha256
from .store_place import FolderPlace, open_place, public_url
from .store_receive import Progress, receive

Parse = Callable[[Path], Dataset]


@dataclass(frozen=True)
class Said:
    """What the user says of a data set; None is left to what the data set says itself."""

    version: str | None = None
    licence: str | None = None
    provenance: str | None = None


NOTHING_SAID = Said()


@dataclass(frozen=True)
class Added:
    """A version that is in the store now."""

    version: Version
    new: bool
    """False where it was there before, whole."""
    unparsed: str = ""
    """Why it could not be parsed, where it could not; it is kept nevertheless."""


def add_path(
    store: Store,
    name: str,
    path: Path,
    said: Said = NOTHING_SAID,
    *,
    parse: Parse | None = None,
    progress: Progress | None = None,
) -> Added:
    """Add a file, or a folder with all below it.

    Files are copied: a hard link would share its bytes, and the right to write them, with a file outside. Raises
    UsageError for a name that cannot be or a version that has other bytes, InputError for files that cannot be read or
    kept; the store then stays as it was.
    """
    sources = _sources(path)
    with adding(store, name, said):
        arriving = store.arriving(f"{name}.{secrets.token_hex(8)}")
        try:
            files = [
                StoredFile(
                    target, *receive(FolderPlace(file.parent), file.name, arriving / FILES / target, progress=progress)
                )
                for target, file in sources.items()
            ]
            return _put(store, name, said, arriving, files, str(path), parse)
        finally:
            remove_tree(arriving)


def add_url(
    store: Store,
    name: str,
    url: str,
    sha256: str | None = None,
    said: Said = NOTHING_SAID,
    *,
    parse: Parse | None = None,
    progress: Progress | None = None,
) -> Added:
    """Add the one file at a URL; with its SHA-256 an interrupted transfer goes on where it stopped.

    Raises what `add_path` and `open_place` raise, and CheckError for another SHA-256.
    """
    place = open_place(url)
    file = PurePosixPath(unquote(urlsplit(url).path)).name
    if not file:
        raise UsageError(
            f"{public_url(url)} ends in no file name; give the address of a file, or of an exported data set"
        )
    with adding(store, name, said):
        key = hashlib.sha256(f"{public_url(url)} {sha256}".encode()).hexdigest()[:16]
        arriving = store.arriving(f"{name}.{key}")
        size, seen = receive(place, "", arriving / FILES / file, sha256, progress=progress)
        added = _put(store, name, said, arriving, [StoredFile(file, size, seen)], public_url(url), parse)
        remove_tree(arriving)
        return added


@contextmanager
def adding(store: Store, name: str, said: Said) -> Iterator[None]:
    """Check the words, be alone with this name, and say what the disk says in one line."""
    require_word(name, "name of a data set")
    if said.version is not None:
        require_word(said.version, "version of a data set")
    with store.lock(name):
        store.remove_leftovers()
        try:
            yield
        except EdgeconvError:
            raise
        except OSError as error:
            raise InputError(f"{store.root} cannot take the data set ({error.strerror or error})") from None


def _put(
    store: Store, name: str, said: Said, arriving: Path, files: list[StoredFile], source: str, parse: Parse | None
) -> Added:
    """Make a version of the files that have arrived, unless it is there."""
    files.sort(key=lambda file: file.path.encode())
    sha256 = set_sha256(files)
    same = [found for found in store.versions(name) if found.manifest.sha256 == sha256]
    version = said.version or (same[-1].manifest.version if same else sha256[:VERSION_DIGITS])
    existing = existing_version(store, name, version, sha256)
    if existing:
        _require_same_words(existing.manifest, said)
        if not problems(existing):
            return Added(existing, new=False)
    if existing:  # it is being repaired, and stays what it was
        manifest, unparsed = existing.manifest, ""
    else:
        opened = arriving / FILES / files[0].path if len(files) == 1 else arriving / FILES
        content, unparsed, licence = _parsed(opened, parse)
        manifest = Manifest(
            name=name,
            version=version,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            files=tuple(files),
            licence=said.licence or licence or "not stated",
            provenance=said.provenance or "",
            source=source,
            content=content,
        )
    write_json(arriving / MANIFEST, manifest.to_json())
    return Added(store.publish(arriving, name, version), new=True, unparsed=unparsed)


def _require_same_words(manifest: Manifest, said: Said) -> None:
    for word, old, new in (
        ("licence", manifest.licence, said.licence),
        ("provenance", manifest.provenance, said.provenance),
    ):
        if new is not None and new != old:
            raise UsageError(
                f"{manifest.reference} is there with the {word} {old!r}, and a version never changes; remove it and "
                "add it again, or add it as another version"
            )


def existing_version(store: Store, name: str, version: str, sha256: str) -> Version | None:
    """Return the version if the store has it; raises UsageError where it has other bytes."""
    existing = store.get(name, version)
    if existing and existing.manifest.sha256 != sha256:
        raise UsageError(
            f"{existing} is there, and these are other data (sha256 {sha256}); a version never changes, so give them "
            "another one with --version, or none"
        )
    return existing


def _parsed(path: Path, parse: Parse | None) -> tuple[dict[str, Any] | None, str, str]:
    """Return what a set says when it is parsed, why it cannot be, and its licence."""
    if parse is None:
        return None, "", ""
    try:
        dataset = parse(path)
    except EdgeconvError as error:
        return None, str(error), ""
    parts = {side: dataset.split(side) for side in SPLITS}
    content = {
        "name": dataset.name,
        "content_sha256": dataset.content_hash(),
        "labels": list(dataset.labels),
        "channels": [channel.name for channel in dataset.channels],
        "sampling_rate_hz": dataset.sampling_rate_hz,
        "windows": {side: len(part) for side, part in parts.items()},
        "subjects": {side: sorted(set(part.subjects.tolist())) for side, part in parts.items()},
    }
    return content, "", dataset.licence


def _sources(path: Path) -> dict[str, Path]:
    """Return the files to copy by the path that each gets below `files/`."""
    if not path.exists():
        raise MissingFileError(f"{path} is not there; give a file, a folder or a URL")
    found = _files_below(path) if path.is_dir() else {path.name: path}
    for name in found:
        if not is_inside(name):
            raise InputError(f"a file is called {name!r}, which is not a name on every system; rename it")
    return found


def _files_below(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        linked = [name for name in folders if (Path(parent) / name).is_symlink()]
        odd = [name for name in names if not (Path(parent) / name).is_file()]
        if linked or odd:
            what = "a link to a folder" if linked else "no file"
            raise InputError(f"{Path(parent) / (linked or odd)[0]} is {what}; only files and folders can be added")
        found |= {(Path(parent) / name).relative_to(folder).as_posix(): Path(parent) / name for name in names}
    if not found:
        raise MissingFileError(f"{folder} holds no file; give the folder of a data set")
    return found
