"""A published data set at a path: its folder, the folder's parent, the zip, or the zip in which it is served."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import InputError, MissingFileError

from .archive import FileTree, FolderTree, open_zip
from .cache import cached
from .dataset import Dataset


@dataclass(frozen=True)
class Distribution:
    """The files of a published data set, wherever they lie."""

    path: Path
    marker: str
    """A file of the set, relative to its folder, that no other set has there."""
    absent: str
    """What to do where the path is not there."""
    give: str
    """What to give in place of a folder without the set."""

    def load(
        self,
        parse: Callable[[FileTree, str], Dataset],
        files: Callable[[FileTree], Sequence[str]],
        *,
        options: Mapping[str, str] | None = None,
        use_cache: bool = True,
    ) -> Dataset:
        """Return what `parse` makes of the files and the words for their source, with `use_cache` only the first time.

        `files` names what is read, `options` is what the result depends on besides. Raises MissingFileError,
        InputError, and what `parse` raises.
        """
        if self.path.is_dir():
            folder = FolderTree(self._find_folder())
            sha256 = _folder_sha256(folder, files(folder))
        elif self.path.exists():
            folder = None
            sha256 = _file_sha256(self.path)
        else:
            raise MissingFileError(f"{self.path} is not there; {self.absent}")
        name = self.path.resolve().name if folder is None else f"folder {folder.root.resolve().name}"
        source = f"{name} (sha256 {sha256})"

        def read() -> Dataset:
            if folder is not None:
                return parse(folder, source)
            with open_zip(self.path, self.marker) as tree:
                return parse(tree, source)

        # The entry may stem from a copy of another name.
        return replace(cached(sha256, read, options), source=source) if use_cache else read()

    def _find_folder(self) -> Path:
        found = roots(self.path, self.marker)
        if not found:
            raise MissingFileError(f"neither {self.path} nor a folder in it holds {self.marker}; {self.give}")
        if len(found) > 1:
            names = ", ".join(folder.name for folder in found)
            raise InputError(f"{self.path} holds {len(found)} data sets ({names}); give one of them")
        return found[0]


def roots(path: Path, marker: str) -> list[Path]:
    """Return the folder itself if it holds the marker, or else those in it that do."""
    if (path / marker).is_file():
        return [path]
    return sorted(child for child in path.iterdir() if (child / marker).is_file())


def _file_sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


def _folder_sha256(folder: FolderTree, names: Sequence[str]) -> str:
    """Return a SHA-256 over names, sizes and bytes of the files."""
    digest = hashlib.sha256()
    for name in names:
        data = folder.read(name)
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()
