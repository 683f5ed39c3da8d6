"""Where data sets are read from and exported to: a folder here, anything else in `remote.py`."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol
from urllib.parse import unquote, urlsplit

from edgeconv.runtime.errors import InputError, MissingFileError

PIECE_BYTES = 1 << 20
Pieces = Generator[bytes, None, None]
LARGEST_JSON_BYTES = 1 << 26


class Place(Protocol):
    """Files by their names, which are paths with slashes; the name "" is the address itself."""

    def where(self, name: str) -> str:
        """Return the address of a file, for people: without what may be secret in it."""

    def read(self, name: str, start: int = 0) -> Pieces:
        """Yield the bytes of a file from `start` on; raises MissingFileError, and InputError where reading fails."""

    def write(self, name: str, source: Path) -> None:
        """Write a file, in place of what has this name; raises InputError where that fails."""


@dataclass(frozen=True)
class FolderPlace:
    """A folder of this machine."""

    root: Path

    def where(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.root / name)

    def read(self, name: str, start: int = 0) -> Pieces:
        """Yield the bytes of a file; raises as `Place.read` says."""
        try:
            with (self.root / name).open("rb") as file:
                file.seek(start)
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFileError(f"{self.where(name)} is not there") from None
        except OSError as error:
            raise InputError(f"{self.where(name)} cannot be read ({error.strerror or error})") from None

    def write(self, name: str, source: Path) -> None:
        """Write a file aside and rename it."""
        target = self.root / name
        aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(source, aside)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{target} cannot be written ({error.strerror or error}); give another place") from None


def as_url(reference: str | PurePath) -> str | None:
    """Return the URL that a text is, or None; a path made of one has lost one of its slashes, which comes back."""
    text = reference.as_posix() if isinstance(reference, PurePath) else reference
    # One letter and a colon is a drive of Windows.
    found = re.fullmatch("([A-Za-z][A-Za-z0-9+.-]+):(/+)(.+)", text, flags=re.S)
    if found is None:
        return None
    scheme, _, rest = found.groups()
    return f"{scheme.lower()}://{'/' if scheme.lower() == 'file' else ''}{rest}"


def open_place(address: str | Path) -> Place:
    """Return the folder or remote place of this path or URL; raises what `RemotePlace.open` raises."""
    url = as_url(address)
    if url is None:
        return FolderPlace(Path(address))
    if url.startswith("file://"):
        return FolderPlace(Path(unquote(urlsplit(url).path)))
    from .remote import RemotePlace

    return RemotePlace.open(url)


def public_url(url: str) -> str:
    """Return a URL without user, password, query and fragment, any of which may be a secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def read_small(place: Place, name: str) -> bytes:
    """Return the bytes of a JSON file; raises what `Place.read` raises, and InputError for one that is too long."""
    data = bytearray()
    with closing(place.read(name)) as pieces:
        for piece in pieces:
            data += piece
            if len(data) > LARGEST_JSON_BYTES:
                raise InputError(f"{place.where(name)} has more than {LARGEST_JSON_BYTES} bytes; no manifest has")
    return bytes(data)
