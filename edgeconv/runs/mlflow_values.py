"""What a run says, as MLflow takes it: names, numbers, times in milliseconds."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from edgeconv import folder as files


def params_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decided a run as MLflow's params."""
    settings = {name: value for name, value in about["config"].items() if name != "options"}
    return {
        **settings,
        **{f"options.{name}": value for name, value in about["network"]["options"].items()},
        **{f"data.{name}": about["data"][name] for name in ("name", "synthetic", "content_hash")},
        **{f"version.{name}": value for name, value in about["versions"].items()},
    }


def certified_metrics(certificate: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a certificate's files as metrics, such as `model.int8.onnx/accuracy`."""
    names = ("accuracy", "reference_accuracy", "max_abs_diff", "relative_logit_diff", "top1_agreement", "bytes")
    found: dict[str, float] = {}
    for file, entry in certificate["artefacts"].items():
        figures = {**{name: entry.get(name) for name in names}, "flips": len(entry["flips"])}
        found |= {f"{file}/{name}": value for name, value in numbers(figures).items()}
    return found


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those of the values that are numbers."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def key(name: str) -> str:
    """Return a name with what MLflow does not take in names replaced."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)


def digest_of(folder: Path) -> str:
    """Return a SHA-256 of all files of a folder."""
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    said = [[path.relative_to(folder).as_posix(), files.file_sha256(path)] for path in names]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def milliseconds(when: str | None = None) -> int:
    """Return a time, in ISO 8601, or now, as MLflow counts: milliseconds since 1970."""
    return round(1000 * (time.time() if when is None else datetime.fromisoformat(when).timestamp()))
