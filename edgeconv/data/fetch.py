"""Downloads that appear only when complete and of the SHA-256 expected."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import CheckError, InputError, UsageError

from .cache import cache_folder

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

UCI_HAR_URL = (
    "https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip"  # 61 005 872 bytes
)
UCI_HAR_SHA256 = "c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031"
TIMEOUT_S = 30.0
_PIECE_BYTES = 1 << 18


def fetch(
    url: str,
    sha256: str,
    target: str | Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Download `url` to the file `target` and return its path; a target that has the SHA-256 is left as it is.

    Without a target the file goes to `downloads` in the cache folder. `progress` is told the bytes received and the
    bytes expected (None where the server does not say). Raises UsageError for an address that is not http or https,
    InputError where the download fails or ends early, and CheckError for another SHA-256; the target then stays as it
    was.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url} cannot be downloaded: an address that begins with http:// or https:// is expected")
    expected = sha256.lower()
    path = _default_target(url) if target is None else Path(target)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; the path of the file to write is expected")
    try:
        if path.exists() and file_sha256(path) == expected:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            seen = _download(url, aside, progress)
            if seen != expected:
                raise CheckError(
                    f"{url} has another content than expected, and is not kept: SHA-256 {expected} expected, {seen} "
                    "seen; try again, or compare with what the publisher states"
                )
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); give another place") from None
    return path


def _default_target(url: str) -> Path:
    name = unquote(urlsplit(url).path).replace("\\", "/").split("/")[-1]
    if name in ("", ".", ".."):
        raise UsageError(f"{url} ends in no file name; say where to write the file")
    try:
        return cache_folder() / "downloads" / name
    except RuntimeError as error:
        raise UsageError(f"there is no cache folder ({error}); say where to write the file") from None


def _opener() -> OpenerDirector:
    """Return an opener for http and https alone, so that no redirection leads to ftp or a file."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "edgeconv")]
    return opener


def _download(url: str, aside: Path, progress: Callable[[int, int | None], None] | None) -> str:
    """Write the body to `aside` and return its SHA-256; raises InputError, and OSError where `aside` fails."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    try:
        response = _opener().open(url, timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        raise InputError(f"{url} cannot be downloaded: the server answers {error.code} {error.reason}") from None
    except URLError as error:
        raise InputError(f"{url} cannot be reached ({error.reason}); check the address and the network") from None
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(f"{url} cannot be reached ({error}); check the address and the network") from None
    digest = hashlib.sha256()
    received = 0
    with response, aside.open("wb") as file:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        while True:
            try:
                piece = response.read(_PIECE_BYTES)
            except (OSError, HTTPException) as error:
                raise InputError(f"{url}: the download broke off after {received} bytes ({error}); try again") from None
            if not piece:
                break
            file.write(piece)
            digest.update(piece)
            received += len(piece)
            if progress is not None:
                progress(received, total)
    if total is not None and received != total:
        raise InputError(f"{url}: the download broke off, {total} bytes expected, {received} received; try again")
    return digest.hexdigest()
