"""The store: a folder with every version of every data set, NAME/VERSION, each whole and never changed.

A version holds `manifest.json`, the files as they came in `files/`, and in `splits.json` how they were divided later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeconv.runtime.errors import EdgeconvError, InputError, MissingFileError, UsageError

from .store_lock import locked
from .store_manifest import FILES, MANIFEST, Manifest, parse_manifest, split_reference

SPLITS = "splits.json"
_ARRIVING = ".arriving"
"""Where versions are put together; what an interrupted transfer has brought waits here."""
_LOCKS = ".locks"
_LEFTOVER_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Version:
    """A version on this machine: in the store, or a folder to which one was exported."""

    folder: Path
    manifest: Manifest

    @property
    def reference(self) -> str:
        """The name under which commands take it."""
        return self.manifest.reference

    @property
    def files(self) -> Path:
        """The folder with the files as they came."""
        return self.folder / FILES

    @property
    def path(self) -> Path:
        """What is to be opened: the file where it is one, else the folder."""
        files = self.manifest.files
        return self.files / files[0].path if len(files) == 1 else self.files

    def __str__(self) -> str:
        return f"{self.reference} (sha256 {self.manifest.sha256})"


def store_folder() -> Path:
    """Return the store's place: `EDGECONV_DATASETS`, else `edgeconv/datasets` in the user's data folder.

    Raises UsageError where the user has no home folder.
    """
    if chosen := os.environ.get("EDGECONV_DATASETS"):
        return Path(chosen).expanduser()
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "edgeconv" / "datasets"
        xdg = os.environ.get("XDG_DATA_HOME", "")
        # The XDG specification says to ignore a relative path.
        data = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise UsageError(f"there is no folder for data sets ({error}); name one in EDGECONV_DATASETS") from None
    return data / "edgeconv" / "datasets"


@dataclass(frozen=True)
class Store:
    """A folder of data sets."""

    root: Path

    @classmethod
    def usual(cls, folder: Path | None = None) -> Store:
        """Return the store in this folder, or the user's; raises as `store_folder` does."""
        return cls(store_folder() if folder is None else folder)

    def folder(self, name: str, version: str) -> Path:
        """Return where a version lies, or would."""
        return self.root / name / version

    def versions(self, name: str | None = None) -> list[Version]:
        """Return all readable versions, of one name or of all: names in order, of each the oldest first."""
        found = []
        for folder in self.version_folders(name):
            with contextlib.suppress(EdgeconvError):  # `data verify` names it
                found.append(read_version(folder))
        return sorted(found, key=lambda version: (version.manifest.name, version.manifest.created, version.reference))

    def version_folders(self, name: str | None = None) -> list[Path]:
        """Return the folders of versions, readable or not, of one name or of all."""
        pattern = f"{name}/*" if name else "*/*"
        return sorted(folder for folder in self.root.glob(pattern) if not folder.parent.name.startswith("."))

    def get(self, name: str, version: str) -> Version | None:
        """Return a version, or None where it is not there; raises InputError where it cannot be read."""
        folder = self.folder(name, version)
        return read_version(folder) if folder.exists() else None

    def find(self, reference: str) -> Version:
        """Return the version that `NAME@VERSION` says, or the newest that `NAME` has.

        Raises UsageError for what is no such text, MissingFileError for what is not there, and InputError for a version
        that cannot be read: without `@VERSION` any, because it may be the newest.
        """
        parts = split_reference(reference)
        if parts is None:
            raise UsageError(f"{reference!r} names no data set; NAME or NAME@VERSION is expected, such as gait@2")
        name, wanted = parts
        if wanted is None:
            for folder in self.version_folders(name):
                read_version(folder)
        found = self.get(name, wanted) if wanted else next(reversed(self.versions(name)), None)
        if found is None:
            there = ", ".join(version.reference for version in self.versions(name))
            raise MissingFileError(
                f"{reference} is not in {self.root}, which has {there or f'no {name}'}; `edgeconv data list` shows all "
                "data sets, `edgeconv data add` adds one"
            )
        return found

    def remove(self, name: str, version: str) -> None:
        """Remove a version with its splits, readable or not; raises InputError where that fails."""
        folder = self.folder(name, version)
        with self.lock(name):
            aside = self.arriving(f"removed.{secrets.token_hex(8)}")
            try:
                aside.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(aside)  # gone in one step; what a kill leaves behind is removed later
            except OSError as error:
                raise InputError(f"{folder} cannot be removed ({error.strerror or error})") from None
            remove_tree(aside)
            with contextlib.suppress(OSError):  # it has other versions
                folder.parent.rmdir()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Let one process at a time change what there is of a name."""
        with locked(self.root / _LOCKS / f"{name}.lock"):
            yield

    def arriving(self, key: str) -> Path:
        """Return the folder in which something that is not whole yet is put together."""
        return self.root / _ARRIVING / key

    def remove_leftovers(self) -> None:
        """Remove what killed processes left behind, a week later; until then an interrupted transfer may go on."""
        for path in (self.root / _ARRIVING).glob("*"):
            with contextlib.suppress(OSError):  # another process may be removing it
                if time.time() - path.stat().st_mtime > _LEFTOVER_S:
                    remove_tree(path)

    def publish(self, arrived: Path, name: str, version: str) -> Version:
        """Put a whole folder in its place, with one rename; a damaged version there gives way, its splits stay."""
        target = self.folder(name, version)
        _protect(arrived)
        target.parent.mkdir(parents=True, exist_ok=True)
        damaged = self.arriving(f"damaged.{secrets.token_hex(8)}")
        if target.exists():
            if (target / SPLITS).exists():
                shutil.copy2(target / SPLITS, arrived / SPLITS)
            target.rename(damaged)
        arrived.rename(target)
        remove_tree(damaged)
        return read_version(target)


def read_version(folder: Path) -> Version:
    """Return the version in a folder; raises MissingFileError without a manifest, InputError for a damaged one."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(
            f"{path} is not there, so {folder} is not a data set that was added or exported"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None
    return Version(folder, parse_manifest(data, str(path)))


def remove_tree(folder: Path) -> None:
    """Remove a folder of files that may be read-only; what cannot be removed stays."""
    if sys.platform == "win32":
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                path.chmod(0o666)
    shutil.rmtree(folder, ignore_errors=True)


def _protect(arrived: Path) -> None:
    """Take the right to write from the files, so that a slip does not change them."""
    for path in (arrived / MANIFEST, *(arrived / FILES).rglob("*")):
        if path.is_file():
            path.chmod(path.stat().st_mode & ~0o222)
