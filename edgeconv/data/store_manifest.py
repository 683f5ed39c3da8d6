"""What a stored data set says of itself: `manifest.json`, schema `edgeconv.dataset/1`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from edgeconv.runtime.errors import UsageError

from .store_record import damaged, read_record, sealed

SCHEMA = "edgeconv.dataset/1"
MANIFEST, FILES = "manifest.json", "files"
VERSION_DIGITS = 12
"""Hexadecimal digits of the hash that are the version where none is given."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """A file of a data set: its path below `files/`, with slashes, its size and hash."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One version of a data set; `files` are in the order of their paths."""

    name: str
    version: str
    created: str
    """When this version was first added anywhere: UTC, ISO 8601. It travels with the set."""
    files: tuple[StoredFile, ...]
    licence: str
    provenance: str
    """How the data came about, in words."""
    source: str
    """The path or address from which it was first added."""
    content: Mapping[str, Any] | None
    """Of the set as parsed: name, content hash, labels, windows and subjects; None where it could not be parsed."""

    @property
    def reference(self) -> str:
        """The name under which commands take it."""
        return f"{self.name}@{self.version}"

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """The hash over all files: SHA-256 of the lines that `sha256sum` prints of them, in the order of paths."""
        return set_sha256(self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it is written."""
        head = {"schema": SCHEMA, "name": self.name, "version": self.version, "created": self.created}
        said = {"licence": self.licence, "provenance": self.provenance, "source": self.source}
        files = [asdict(file) for file in self.files]
        return sealed({**head, "sha256": self.sha256, **said, "content": self.content, "files": files})


def set_sha256(files: Iterable[StoredFile]) -> str:
    """Return one hash over paths and bytes of all files."""
    lines = [f"{file.sha256}  {file.path}\n".encode() for file in sorted(files, key=lambda file: file.path.encode())]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in these bytes; raises InputError that says what is wrong with it, and where it lies."""
    said = read_record(data, SCHEMA, where)
    try:
        files = tuple(StoredFile(**file) for file in said["files"])
        texts = {key: said[key] for key in ("name", "version", "created", "licence", "provenance", "source")}
        manifest = Manifest(files=files, content=said["content"], **texts)
        problem = _problem(manifest, said)
    except (TypeError, KeyError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise damaged(where, problem)
    return manifest


def _problem(manifest: Manifest, said: Mapping[str, Any]) -> str:
    texts = [manifest.created, manifest.licence, manifest.provenance, manifest.source]
    if not all(isinstance(text, str) for text in texts):
        return "a text is expected for created, licence, provenance and source"
    if not (is_word(manifest.name) and is_word(manifest.version)):
        return f"{manifest.name!r} in version {manifest.version!r} is no name of a data set"
    if not manifest.files:
        return "it names no file"
    for file in manifest.files:
        if not is_inside(file.path) or not _SHA256.fullmatch(file.sha256) or type(file.bytes) is not int:
            return f"{file} is no file of a data set"
    paths = [file.path.encode() for file in manifest.files]
    if paths != sorted(set(paths)):
        return "its files are not in the order of their paths, each once"
    if manifest.sha256 != said["sha256"]:
        return f"the hash of its files is {manifest.sha256}, and {said['sha256']} is recorded"
    if manifest.content is not None and not isinstance(manifest.content, dict):
        return "content is no object"
    return ""


def is_word(text: object) -> bool:
    """Return whether a text can be the name or the version of a data set, or the name of a split."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def is_inside(path: object) -> bool:
    """Return whether a path with slashes leads to a file below the folder that it is taken from, on any system."""
    if not isinstance(path, str) or set(path) & set("\\\0\r\n") or re.match("[A-Za-z]:", path):
        return False
    if path != path.encode(errors="ignore").decode() or path in ("", "."):
        return False
    return not path.startswith("/") and str(PurePosixPath(path)) == path and ".." not in path.split("/")


def require_word(text: str, what: str) -> str:
    """Return a name or version; raises UsageError where it cannot be one."""
    if not is_word(text):
        raise UsageError(
            f"{text!r} cannot be the {what}: letters, digits, '.', '_', '+' and '-' are expected, up to 100, the first "
            "one a letter or digit"
        )
    return text


def split_reference(text: str) -> tuple[str, str | None] | None:
    """Return name and version of `NAME` or `NAME@VERSION`, or None for any other text."""
    name, at, version = text.partition("@")
    if not is_word(name) or (at and not is_word(version)):
        return None
    return name, version if at else None
