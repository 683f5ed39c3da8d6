"""The files of a folder of recordings, each read with its labels and its subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.columns import read_columns

from .described import Description, subject_text
from .label_table import LABELS_FILE, LabelTable


@dataclass(frozen=True)
class Part:
    """A recording of one subject, before labels and subjects have numbers."""

    name: str
    file: Path
    samples: NDArray[np.float32]
    segments: tuple[tuple[int, int, str], ...]
    """First sample, the one after the last, and label; in their order, none overlaps another."""
    subject: str
    """Empty where nothing says who was recorded."""


def _read_samples(path: Path, said: Description) -> NDArray[np.float32]:
    channels = [channel.name for channel in said.channels]
    blocks = list(read_recording(path, channels, sampling_rate_hz=said.sampling_rate_hz))
    if not blocks:
        raise InputError(f"{path} holds no samples; expected a finished recording")
    return np.concatenate(blocks)


def _named_subject(path: Path, said: Description) -> str:
    """Return the subject that the file's name says; raises InputError where the pattern does not fit."""
    if not said.subject_pattern:
        return ""
    found = re.search(said.subject_pattern, path.stem)
    if found is None or not found[1]:
        raise InputError(f"{path}: subject_pattern {said.subject_pattern!r} finds no subject in {path.stem!r}")
    return subject_text(found[1])


def label_by_column(files: Sequence[Path], said: Description) -> list[Part]:
    """Read files in which a column says the label of each sample, nothing for none; a part for each run of a subject.

    Raises what `read_recording` and `read_columns` raise.
    """
    parts: list[Part] = []
    wanted = [name for name in (said.label_column, said.subject_column) if name]
    for path in files:
        samples = _read_samples(path, said)
        labels, *subjects = (np.array(column) for column in read_columns(path, wanted))
        own = _by_subject(path, samples, subjects[0] if subjects else None, said)
        for name, start, end, subject in own:
            inside = labels[start:end]
            segments = tuple((a, b, str(inside[a])) for a, b in _runs(inside) if inside[a])
            parts.append(Part(name, path, samples[start:end], segments, subject))
    _refuse_same_names([part.name for part in parts])
    return parts


def label_by_table(folder: Path, files: Sequence[Path], said: Description, table: LabelTable) -> list[Part]:
    """Read the files that `labels.csv` names, in its order.

    Raises MissingFileError for a recording without file, InputError for a stretch that is not inside its recording or
    overlaps another, and what `read_recording` raises.
    """
    by_name = {path.stem: path for path in files}
    _refuse_same_names([path.stem for path in files])
    parts = []
    for name, rows in table.rows.items():
        where = f"{folder / LABELS_FILE}, line {rows[0].line}"
        if name not in by_name:
            raise MissingFileError(f"{where}: there is no recording called {name!r}; the name without ending expected")
        path, rate = by_name[name], said.sampling_rate_hz
        samples = _read_samples(path, said)
        subject = subject_text(rows[0].subject) or _named_subject(path, said)
        if said.subject_column:
            subject = _one_subject(path, read_columns(path, [said.subject_column])[0])
        segments = []
        before = 0
        for row in sorted(rows, key=lambda row: row.start_s):
            start, end = round(row.start_s * rate), round(row.end_s * rate)
            if not before <= start < end <= len(samples):
                raise InputError(
                    f"{folder / LABELS_FILE}, line {row.line}: {row.start_s:g} to {row.end_s:g} s is samples {start} "
                    f"to {end} of {name}; expected a stretch between {before} and {len(samples)}, where the one before "
                    "it and the recording end"
                )
            segments.append((start, end, row.label))
            before = end
        parts.append(Part(name, path, samples, tuple(segments), subject))
    return parts


def _by_subject(
    path: Path, samples: NDArray[np.float32], subjects: NDArray[Any] | None, said: Description
) -> list[tuple[str, int, int, str]]:
    """Return name, first and last place and subject of each stretch of one subject in a file."""
    if subjects is None:
        return [(path.stem, 0, len(samples), _named_subject(path, said))]
    if not all(subjects):
        at = subjects.tolist().index("")
        raise InputError(
            f"{path}: row {at} (counted from 0), column {said.subject_column!r} is empty; a subject expected"
        )
    runs = list(_runs(subjects))
    if len(runs) == 1:
        return [(path.stem, 0, len(samples), subject_text(subjects[0]))]
    return [
        (f"{path.stem}_{number:03d}", start, end, subject_text(subjects[start]))
        for number, (start, end) in enumerate(runs, start=1)
    ]


def _one_subject(path: Path, subjects: Sequence[str]) -> str:
    different = sorted(set(subjects))
    if len(different) != 1 or not different[0]:
        raise InputError(
            f"{path}: with labels.csv a file is of one subject, and {len(different)} are in it "
            f"({', '.join(map(repr, different[:5]))}); cut it, or use label_column"
        )
    return subject_text(different[0])


def _runs(values: NDArray[Any]) -> Iterable[tuple[int, int]]:
    """Yield where each run of equal values begins, and where the next one does."""
    bounds = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return pairwise(bounds)


def _refuse_same_names(found: Sequence[str]) -> None:
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise InputError(f"several recordings are called {', '.join(twice)}; names without ending must differ")
