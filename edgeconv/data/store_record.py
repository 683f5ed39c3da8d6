"""JSON records that carry their own hash, so that a changed byte in them is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from edgeconv.runtime.errors import InputError

_SEAL = "record_sha256"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the SHA-256 of all else in it, as JSON with sorted keys and without spaces."""
    return {**record, _SEAL: _sha256(record)}


def read_record(data: bytes, schema: str, where: str) -> dict[str, Any]:
    """Return the record in these bytes; raises InputError for another schema, and for one that was changed."""
    try:
        said = json.loads(data)
        seen = said["schema"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{where} is no record of a data set ({schema}); `edgeconv data export` writes one") from None
    if seen != schema:
        raise InputError(f"{where} has the schema {str(seen)[:60]!r}, {schema} expected; a newer edgeconv may read it")
    seal = said.pop(_SEAL, None)
    if seal != _sha256(said):
        raise damaged(where, f"SHA-256 {seal} recorded, {_sha256(said)} seen")
    return dict(said)


def damaged(where: str, problem: str) -> InputError:
    """Return the error of a record that cannot be used."""
    return InputError(f"{where} was changed or damaged ({problem}); take the data set from where it came, once more")


def _sha256(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
