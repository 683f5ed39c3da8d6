"""Places that fsspec reaches: buckets, web servers and whatever else it has a protocol for.

Credentials and options are those of fsspec and of the service's own client: `FSSPEC_S3_ENDPOINT_URL`,
`FSSPEC_S3_ANON=true`, `AWS_ACCESS_KEY_ID` … This module adds none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from edgeconv.runtime.errors import DependencyError, InputError, MissingFileError, UsageError

from .store_place import PIECE_BYTES, Pieces, public_url

BLOCK_BYTES = 8 << 20
"""Bytes asked for at once where a protocol answers in ranges."""
CONNECT_S, SILENCE_S = 30.0, 60.0
_WEB = ("http", "https")
_NO_FOLDERS = (*_WEB, "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "memory")
"""Here names with slashes need no folder, and making one may make a bucket that somebody only misspelt."""


@dataclass(frozen=True)
class RemotePlace:
    """An fsspec URL, and the file system that it leads to."""

    url: str
    files: Any
    root: str

    @classmethod
    def open(cls, url: str) -> RemotePlace:
        """Return the place of a URL; raises DependencyError for what is not installed, UsageError for no protocol."""
        scheme = urlsplit(url).scheme
        try:
            import fsspec
        except ModuleNotFoundError:
            raise DependencyError(f'{scheme}:// needs fsspec; `pip install "edgeconv[remote]"`') from None
        try:
            files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise DependencyError(
                f'{scheme}:// needs a package that is not installed ({error}); `pip install "edgeconv[remote]"`, and '
                "what fsspec names for this protocol, such as s3fs or gcsfs"
            ) from None
        except Exception as error:  # every protocol has its own
            raise UsageError(f"{public_url(url)} is no address that fsspec can use ({_said(error)})") from None
        files.invalidate_cache()  # it may remember what others have changed since
        return cls(url, files, root)

    def where(self, name: str) -> str:
        """Return the address of a file, without user, password and query."""
        return f"{public_url(self.url).rstrip('/')}/{name}" if name else public_url(self.url)

    def read(self, name: str, start: int = 0) -> Pieces:
        """Yield the bytes of a file from `start` on; raises as `Place.read` says."""
        received = start
        try:
            with self._open(name, start) as file:
                while piece := file.read(PIECE_BYTES):
                    received += len(piece)
                    yield piece
        except FileNotFoundError:
            raise MissingFileError(f"{self.where(name)} is not there") from None
        except Exception as error:  # every protocol has its own
            after = f" after {received} bytes" if received else ""
            raise InputError(
                f"{self.where(name)} cannot be read{after} ({_said(error)}); check the address, the credentials and "
                "the network, and run the same command again"
            ) from None

    def write(self, name: str, source: Path) -> None:
        """Upload a file; raises as `Place.write` says, and UsageError for a web server."""
        if urlsplit(self.url).scheme in _WEB:
            raise UsageError(
                f"{public_url(self.url)} is a web server, which is for reading; export to a folder, and let it serve "
                "that"
            )
        path = self._path(name)
        try:
            if urlsplit(self.url).scheme not in _NO_FOLDERS:
                self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.files.put_file(str(source), path)
        except Exception as error:
            raise InputError(
                f"{self.where(name)} cannot be written ({_said(error)}); check the address, the credentials and the "
                "network, and run the same command again"
            ) from None

    def _path(self, name: str) -> str:
        if not name:
            return self.root
        web = urlsplit(self.url).scheme in _WEB
        return f"{self.root.rstrip('/')}/{quote(name) if web else name}"

    def _open(self, name: str, start: int) -> Any:
        if urlsplit(self.url).scheme not in _WEB:
            file = self.files.open(self._path(name), "rb", block_size=BLOCK_BYTES)
            file.seek(start)
            return file
        from aiohttp import ClientTimeout

        # A block of 0 streams the answer to one request; a size spares the request for it. Without a timeout of our own
        # aiohttp ends every transfer after five minutes.
        options: dict[str, Any] = {"timeout": ClientTimeout(None, sock_connect=CONNECT_S, sock_read=SILENCE_S)}
        if start:
            options["headers"] = {**self.files.kwargs.get("headers", {}), "Range": f"bytes={start}-"}
        file = self.files.open(self._path(name), "rb", block_size=0, size=1, **options)
        if start and file.r.status != 206:  # the server does not know ranges and sends all of it
            left = start
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                left -= len(piece)
        return file


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
