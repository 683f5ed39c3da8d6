"""A model folder: its fixed file names, and how files get into it whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeconv import __version__
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ArtefactError, MissingFileError

KERAS = "model.keras"
ORIGINAL = "original.onnx"
"""An ONNX file made elsewhere, as it came; it takes the place of `model.keras`."""
ORIGIN = "origin.json"
"""Where a model made elsewhere came from, and how it is read."""
SPEC = "spec.json"
TRAINING = "training.json"
ONNX = "model.onnx"
DENSE = "dense.onnx"
STATEFUL = "stateful.onnx"
TFLITE = "model.tflite"
INT8_TFLITE = "model.int8.tflite"
CALIBRATION = "calibration.json"
TUNING = "tuning.json"
CERTIFICATE = "certificate.json"
CARD = "README.md"

KINDS = tuple(
    Artefact(form, precision) for form in ("windowed", "dense", "stateful") for precision in ("float32", "int8")
) + tuple(Artefact("windowed", precision, "tflite") for precision in ("float32", "float16", "dynamic", "int8"))
"""All kinds of exported files, in the order in which they are written and listed."""
RECORDS = (CALIBRATION, TUNING, CERTIFICATE, CARD)
"""What is written about the exported files."""


def exported_files(folder: Path) -> list[str]:
    """Return the names of the files derived from the model that are there: they go when another takes its place."""
    return sorted(
        path.name for path in folder.iterdir() if path.name in RECORDS or Artefact.parse(path.name) is not None
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, written_by: str) -> dict[str, Any]:
    """Read a JSON object; `written_by` names the command to run where the file is missing or broken.

    Raises MissingFileError or ArtefactError.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; {written_by} writes it") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} cannot be read as JSON ({error}); {written_by} writes it anew") from None
    if not isinstance(data, dict):
        raise ArtefactError(f"{path} holds a {type(data).__name__}, not a JSON object; {written_by} writes it anew")
    return data


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file aside and rename it, so that it is there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *endings: str) -> None:
    """Remove what a killed process left of files with these endings that it was writing into a folder or below it.

    endings: such as `.csv`. Only for a folder into which nobody else writes meanwhile.
    """
    aside = re.compile(rf"\..+({'|'.join(map(re.escape, endings))})\.\d+")  # as `write_bytes` names it
    for path in folder.rglob(".*"):
        if aside.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file aside and rename it, so that it is there whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file aside and rename it, so that it is there whole or not at all."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a temporary folder inside `folder`, on the same file system, that is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=folder))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of edgeconv and of each package that is there."""
    found = {"edgeconv": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
