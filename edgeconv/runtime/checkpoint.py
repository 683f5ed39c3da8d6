"""A checkpoint: what a run needs to go on, in one file that is there whole or not at all.

The file is text, two lines of JSON. The first says what it is, in which version, and the SHA-256 of the second, which
has what the run is `of` (model, options, recordings) and its `state`. Arrays are objects with their type, shape and
bytes in base64; numbers that JSON cannot say are objects, too. Nothing in it is ever executed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArtefactError, InputError

VERSION = 1
_ARRAY, _NUMBER = "$array", "$number"


@dataclass(frozen=True)
class Checkpoint:
    """What was written down of a run."""

    of: Mapping[str, Any]
    """What the run does: model, options, sources. Another run may not go on from here."""
    state: Mapping[str, Any]
    """Numbers, texts, numpy arrays, and lists and dicts of these."""

    def write(self, path: Path) -> None:
        """Write the file aside, wait until it is on the disk, and put it in the place of the one before.

        Raises InputError where that is not possible; the one before is still there then.
        """
        data = _to_json({"of": self.of, "state": self.state}).encode()
        head = json.dumps({"edgeconv_checkpoint": VERSION, "sha256": hashlib.sha256(data).hexdigest()})
        aside = path.with_name(f".{path.name}.new")
        try:
            with aside.open("wb") as file:
                file.write(head.encode() + b"\n" + data + b"\n")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise InputError(
                f"{path}: the checkpoint cannot be written ({error.strerror or error}), and the one before stays; "
                "make room, and give the same command again"
            ) from None
        finally:
            with suppress(OSError):
                aside.unlink()

    @classmethod
    def read(cls, path: Path) -> Checkpoint | None:
        """Return what was written; None where there is no file.

        Raises ArtefactError for a file that is damaged, of another version, or something else.
        """
        remedy = "remove it, and its output, to begin anew"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArtefactError(f"{path}: the checkpoint cannot be read ({error.strerror or error})") from None
        head, _, body = data.partition(b"\n")
        try:
            said = json.loads(head)
            version, digest = said["edgeconv_checkpoint"], said["sha256"]
        except (ValueError, KeyError, TypeError):
            raise ArtefactError(f"{path} is no checkpoint, or a damaged one; {remedy}") from None
        if version != VERSION:
            raise ArtefactError(
                f"{path} has version {version} of checkpoints, this edgeconv reads {VERSION}; go on with the edgeconv "
                f"that wrote it, or {remedy}"
            )
        body = body.removesuffix(b"\n")
        if hashlib.sha256(body).hexdigest() != digest:
            raise ArtefactError(f"{path}: the checkpoint is damaged ({len(data)} bytes with another SHA-256); {remedy}")
        found = json.loads(body, object_hook=_decode)
        return cls(found["of"], found["state"])

    def require(self, of: Mapping[str, Any], path: Path) -> None:
        """Raise InputError that says what differs where the checkpoint at `path` is of another run than `of`."""
        here = json.loads(_to_json(of), object_hook=_decode)
        differing = [
            f"{name} is {_shorten(here.get(name))}, there {_shorten(self.of.get(name))}"
            for name in {**self.of, **here}
            if here.get(name) != self.of.get(name)
        ]
        if differing:
            raise InputError(
                f"{path} is the checkpoint of another run: {'; '.join(differing)}. Give the command that began it, or "
                "another --checkpoint and output"
            )


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_json(value: Any) -> str:
    return json.dumps(_as_plain(value), allow_nan=False)


def _as_plain(value: Any) -> Any:
    """Return a state with everything that JSON cannot say as an object."""
    if isinstance(value, np.ndarray):
        # Little-endian, so that the file means the same everywhere.
        plain = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {_ARRAY: [plain.dtype.str, list(value.shape), base64.b64encode(plain.tobytes()).decode()]}
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a state must be texts, and are {list(value)[:3]}")
        return {key: _as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _as_plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: repr(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} cannot be in a state")


def _decode(value: dict[str, Any]) -> Any:
    if _ARRAY in value:
        dtype, shape, text = value[_ARRAY]
        array = np.frombuffer(base64.b64decode(text), np.dtype(dtype)).reshape(shape)
        return array.astype(array.dtype.newbyteorder("="))
    if _NUMBER in value:
        return float(value[_NUMBER])
    return value


def _shorten(value: Any) -> str:
    text = "not said" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
