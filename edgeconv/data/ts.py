"""Time series of the UCR and UEA archives as `.ts` files: each series is a window.

The format is that of sktime and aeon: lines that begin with @ describe the set, then each line after @data is a series,
its dimensions separated by colons and its label last. Anthony Bagnall, Hoang Anh Dau, Jason Lines, Michael Flynn, James
Large, Aaron Bostrom, Paul Southam, Eamonn Keogh. The UEA multivariate time series classification archive, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.spec import Channel

from .dataset import SPLITS, Dataset, Split, SplitName
from .options import Given, asked_for, positive, read_options

OPTIONS = {"rate": positive(1.0)}
"""Samples per second, which the files do not say."""
ENDS: dict[SplitName, str] = {"train": "_TRAIN.ts", "test": "_TEST.ts"}
NOT_TAKEN = {
    "equallength": ("false", "series of different lengths; pad or cut them to one length"),
    "missing": ("true", "missing values; fill them or leave these series out"),
    "timestamps": ("true", "time stamps; resample the series to a constant rate and write the values alone"),
    "targetlabel": ("true", "numbers to predict; a set with classes is expected (@classLabel true …)"),
    "classlabel": ("false", "no class labels; a set with classes is expected (@classLabel true …)"),
}
"""What a header may say that cannot be used → the value that says it, and what then is to be done."""


@dataclass(frozen=True)
class _Series:
    """What one file holds."""

    name: str
    labels: tuple[str, ...]
    windows: NDArray[np.float32]
    """float32 [n, timesteps, dimensions]."""
    class_ids: NDArray[np.int64]


def is_ts(path: Path) -> bool:
    """Whether a path is a `.ts` file or a folder with some directly in it."""
    if path.is_dir():
        return any(child.name.endswith(".ts") for child in path.iterdir())
    return path.suffix == ".ts"


def load_ts(path: str | Path, options: Given | None = None) -> Dataset:
    """Return `NAME_TRAIN.ts` and `NAME_TEST.ts`: one of the two files, or the folder that holds both.

    Windows are whole series, float32 [n, timesteps, dimensions], of channels dim_0, dim_1 … in the unit 1; the hop is
    the window. Nobody says who was recorded: each series is a subject of its own. Option: `rate`, Hz. Raises
    MissingFileError, InputError that names file and line, and UsageError for options that cannot be.
    """
    values = read_options(str(path), options or {}, OPTIONS)
    paths = _pair(Path(path))
    train, test = (_read(paths[split]) for split in SPLITS)
    if train.windows.shape[1:] != test.windows.shape[1:]:
        raise InputError(
            f"{paths['test']} has series of {_form(test)}, and {paths['train'].name} of {_form(train)}; the same "
            "expected"
        )
    if set(train.labels) != set(test.labels):
        raise InputError(
            f"{paths['test']} has the labels {', '.join(test.labels)}, and {paths['train'].name} "
            f"{', '.join(train.labels)}; the same expected"
        )
    places = np.array([train.labels.index(label) for label in test.labels], np.int64)
    n, timesteps, dimensions = train.windows.shape
    sums = ", ".join(f"{paths[split].name} (sha256 {file_sha256(paths[split])})" for split in SPLITS)
    return Dataset(
        name=train.name or paths["train"].name.removesuffix(ENDS["train"]),
        synthetic=False,
        licence="not stated",
        labels=train.labels,
        channels=tuple(Channel(f"dim_{i}", "1") for i in range(dimensions)),
        sampling_rate_hz=values["rate"],
        hop=timesteps,
        train=Split(train.windows, train.class_ids, np.arange(1, n + 1)),
        test=Split(test.windows, places[test.class_ids], np.arange(n + 1, n + 1 + len(test.windows))),
        source=sums,
        options=asked_for(values, OPTIONS),
        subjects_known=False,
    )


def _pair(path: Path) -> dict[SplitName, Path]:
    if path.is_dir():
        names = sorted(
            {
                child.name.removesuffix(end)
                for child in path.iterdir()
                for end in ENDS.values()
                if child.name.endswith(end)
            }
        )
        if len(names) != 1:
            raise InputError(
                f"{path} holds {len(names)} sets of .ts files{f' ({chr(44).join(names)})' if names else ''}; one pair "
                "NAME_TRAIN.ts and NAME_TEST.ts expected, or give one of its files"
            )
        path = path / f"{names[0]}{ENDS['train']}"
    name = next((path.name.removesuffix(end) for end in ENDS.values() if path.name.endswith(end)), None)
    if name is None:
        raise InputError(f"{path} is called neither NAME_TRAIN.ts nor NAME_TEST.ts; the two belong together")
    pair = {split: path.with_name(name + end) for split, end in ENDS.items()}
    for file in pair.values():
        if not file.is_file():
            raise MissingFileError(f"{file} is not there; NAME_TRAIN.ts and NAME_TEST.ts are expected side by side")
    return pair


def _read(path: Path) -> _Series:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8 ({error})") from None
    header: dict[str, str] = {}
    rows: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "data" in header:
            rows.append((number, text))
        elif text.startswith("@"):
            key, _, value = text[1:].partition(" ")
            header[key.lower()] = value.strip()
            refused, remedy = NOT_TAKEN.get(key.lower(), ("", ""))
            if refused and value.split()[:1] == [refused]:
                raise InputError(f"{path}, line {number}: {text!r} says that there are {remedy}")
        else:
            raise InputError(
                f"{path}, line {number}: a line that begins with @ expected before @data, {text[:40]!r} seen"
            )
    labels = tuple(header.get("classlabel", "").split()[1:])
    if len(labels) < 2 or not rows:
        what = "no series after @data" if rows == [] else "no line @classLabel true with two or more labels"
        raise InputError(f"{path} has {what}; expected both, as in the archive's files")
    parsed = [_parse(path, number, text, labels) for number, text in rows]
    shape = _said_shape(header, parsed[0][0].shape)
    for (number, _), (series, _) in zip(rows, parsed, strict=True):
        if series.shape != shape:
            raise InputError(
                f"{path}, line {number}: {series.shape[0]} values in {series.shape[1]} dimensions; {shape[0]} in "
                f"{shape[1]} expected as in the others: pad or cut the series to one length"
            )
    windows, class_ids = zip(*parsed, strict=True)
    return _Series(header.get("problemname", ""), labels, np.stack(windows), np.array(class_ids, np.int64))


def _said_shape(header: dict[str, str], first: tuple[int, ...]) -> tuple[int, int]:
    """Return timesteps and dimensions as the header says them, or else as the first series has them."""
    dimensions = "1" if header.get("univariate", "").lower() == "true" else header.get("dimensions", "")
    length = header.get("serieslength", "")
    timesteps = int(length) if length.isdecimal() and int(length) else first[0]
    return timesteps, int(dimensions) if dimensions.isdecimal() else first[1]


def _parse(path: Path, number: int, text: str, labels: tuple[str, ...]) -> tuple[NDArray[np.float32], int]:
    """Return a series, float32 [timesteps, dimensions], and its class id."""
    *dimensions, label = (part.strip() for part in text.split(":"))
    where = f"{path}, line {number}"
    if label not in labels or not dimensions:
        raise InputError(f"{where}: a label ({', '.join(labels)}) expected behind the last colon, {label[:40]!r} seen")
    columns = []
    for place, dimension in enumerate(dimensions):
        cells = [cell.strip() for cell in dimension.split(",")]
        try:
            with np.errstate(over="ignore"):
                column = np.array(cells, np.float64).astype(np.float32)
        except ValueError:
            bad = next((cell for cell in cells if not _is_number(cell)), cells[0])
            remedy = NOT_TAKEN["timestamps"][1] if bad.startswith("(") else NOT_TAKEN["missing"][1]
            raise InputError(
                f"{where}, dim_{place}: a number expected, {bad[:40]!r} seen" + (f"; {remedy}" if bad else "")
            ) from None
        if not np.isfinite(column).all():
            at = int(np.argmin(np.isfinite(column)))
            raise InputError(f"{where}, dim_{place}: {cells[at]!r} is no finite number; {NOT_TAKEN['missing'][1]}")
        columns.append(column)
    if len({len(column) for column in columns}) > 1:
        raise InputError(
            f"{where}: dimensions of {', '.join(str(len(c)) for c in columns)} values; one length expected"
        )
    return np.stack(columns, axis=1), labels.index(label)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _form(series: _Series) -> str:
    return f"{series.windows.shape[1]} timesteps in {series.windows.shape[2]} dimensions"
