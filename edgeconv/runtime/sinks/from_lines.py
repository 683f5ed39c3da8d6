"""Parquet of JSON lines: a Parquet file cannot be gone on with, because where its rows are stands at its end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import sync_folder
from ..errors import InputError
from ..events import Event
from ..stream import Prediction
from .parquet import ParquetEvents, ParquetRows


def write_parquet(lines: Path, out: Path, labels: Sequence[str], *, events: bool, marks: bool) -> None:
    """Write what `open_sink` or, with `events`, `open_event_sink` wrote as JSON lines into a Parquet file.

    The file is written aside and renamed, with the very bytes that its sink writes by itself.
    Raises InputError where it cannot be written, DependencyError where pyarrow is not installed.
    """
    aside = out.with_name(f".{out.name}.writing")
    try:
        with aside.open("wb") as file:
            if events:
                of_events = ParquetEvents(file, labels, marks=marks)
                for said in _objects(lines):
                    of_events.write(said.pop("recording"), _event(said))
                of_events.close()
            else:
                of_windows = ParquetRows(file, labels, marks=marks)
                for said in _objects(lines):
                    of_windows.write(said.pop("recording"), _prediction(said))
                of_windows.close()
            os.fsync(file.fileno())
        aside.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}); {lines} has all rows: the same command goes on there"
        ) from None


def _objects(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _prediction(said: dict[str, Any]) -> Prediction:
    probabilities = np.array([*said.pop("probabilities").values()], np.float32)  # null is NaN
    confidence = said.pop("confidence")
    return Prediction(
        **_tuples(said),
        class_id=-1,
        confidence=np.nan if confidence is None else confidence,
        probabilities=probabilities,
    )


def _event(said: dict[str, Any]) -> Event:
    return Event(**_tuples(said))


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
