"""The named files of a downloaded data set: in a folder, in a zip, or in a zip inside a zip; nothing is extracted."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edgeconv.runtime.errors import InputError, MissingFileError

LARGEST_FILE_BYTES = 1 << 30
"""More than any file of a data set holds (the largest official one has 16 MB); a zip that claims more is refused."""


class FileTree(Protocol):
    """Files below the folder that holds the marker file, wherever that folder lies."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises MissingFileError where it is lacking, InputError where it is damaged, encrypted or too large.
        """

    def place(self, name: str) -> str:
        """Return where a file lies, for messages."""


@dataclass(frozen=True)
class FolderTree:
    """Files in a folder."""

    root: Path

    def place(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.root / name)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises as `FileTree.read` says."""
        path = self.root / name
        try:
            _refuse_size(path.stat().st_size, self.place(name))
            return path.read_bytes()
        except FileNotFoundError:
            raise _lacking(name, f"folder {self.root}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True)
class ZipTree:
    """Files in an open zip, below the member folder `root` (empty or ending in a slash)."""

    archive: zipfile.ZipFile
    where: str
    root: str

    def place(self, name: str) -> str:
        """Return the zip and the member."""
        return f"{self.where}: {self.root}{name}"

    def read(self, name: str) -> bytes:
        """Return the bytes of a member; raises as `FileTree.read` says."""
        try:
            info = self.archive.getinfo(self.root + name)
        except KeyError:
            raise _lacking(self.root + name, self.where) from None
        return _read_member(self.archive, info, self.place(name))


@contextmanager
def open_zip(path: Path, marker: str) -> Iterator[ZipTree]:
    """Open a zip whose one file called `marker`, a name or the end of a path, marks the root, or a zip with such a zip.

    Raises InputError for what is no zip, damaged, encrypted, or has a member whose name leads out of it.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None
    with file, _opened(file, str(path)) as outer:
        root = _find_root(outer, marker, str(path))
        if root is not None:
            yield ZipTree(outer, str(path), root)
            return
        inner_info = _find_inner_zip(outer, marker, str(path))
        where = f"{path}: {inner_info.filename}"
        with _opened(io.BytesIO(_read_member(outer, inner_info, where)), where) as inner:
            root = _find_root(inner, marker, where)
            if root is None:
                raise _lacking(marker, where)
            yield ZipTree(inner, where, root)


def _opened(file: IO[bytes], where: str) -> zipfile.ZipFile:
    start = file.read(2)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # a damaged directory raises BadZipFile, struct.error, UnicodeDecodeError, …
        if start != b"PK":
            raise InputError(f"{where} is not a zip file; a zip or a folder is expected") from None
        raise InputError(f"{where} is a truncated or damaged zip ({error}); download it again") from None
    for info in archive.infolist():
        parts = info.filename.replace("\\", "/").split("/")
        if parts[0] == "" or ".." in parts or re.match("[A-Za-z]:", info.filename):
            archive.close()
            raise InputError(
                f"{where} has a member named {info.filename!r}, which leads out of the archive; it is not used"
            )
    return archive


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files without the copies of attributes that macOS puts beside them."""
    parts = [(info, info.filename.split("/")) for info in archive.infolist() if not info.is_dir()]
    return [info for info, names in parts if "__MACOSX" not in names and not names[-1].startswith("._")]


def _find_root(archive: zipfile.ZipFile, marker: str, where: str) -> str | None:
    found = {i.filename for i in _members(archive) if f"/{i.filename}".endswith(f"/{marker}")}
    if len(found) > 1:
        raise InputError(f"{where} holds {marker} {len(found)} times ({', '.join(sorted(found))}); one is expected")
    return found.pop().removesuffix(marker) if found else None


def _find_inner_zip(archive: zipfile.ZipFile, marker: str, where: str) -> zipfile.ZipInfo:
    found = [info for info in _members(archive) if info.filename.lower().endswith(".zip")]
    if not found:
        raise _lacking(marker, where)
    if len(found) > 1:
        names = ", ".join(info.filename for info in found)
        raise InputError(f"{where} holds {len(found)} zip files ({names}) and no {marker}; give the one that has it")
    return found[0]


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    if info.flag_bits & 1:
        raise InputError(f"{where} is encrypted; the official distribution is not, download it again")
    _refuse_size(info.file_size, where)
    try:
        with archive.open(info) as stream:
            # In pieces: one read() of a member that understates its size would unpack 2 GiB before noticing.
            data = b"".join(iter(lambda: stream.read(1 << 20), b""))
    except Exception as error:  # BadZipFile, zlib.error, EOFError, NotImplementedError, LZMAError, …
        reason = str(error) or type(error).__name__
        raise InputError(f"{where} is truncated or damaged ({reason}); download the zip again") from None
    if len(data) != info.file_size:
        raise InputError(f"{where} is truncated: {info.file_size} bytes expected, {len(data)} seen; download it again")
    return data


def _refuse_size(size: int, where: str) -> None:
    if size > LARGEST_FILE_BYTES:
        raise InputError(f"{where} claims {size} bytes; at most {LARGEST_FILE_BYTES} are read")


def _lacking(name: str, where: str) -> MissingFileError:
    return MissingFileError(f"{where} lacks {name}; the official distribution has it, download it again")
