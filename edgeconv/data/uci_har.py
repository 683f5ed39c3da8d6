"""UCI HAR: smartphone windows of six activities of 30 people, read from the official distribution.

Davide Anguita, Alessandro Ghio, Luca Oneto, Xavier Parra and Jorge L. Reyes-Ortiz. A Public Domain Dataset for Human
Activity Recognition Using Smartphones. ESANN 2013, Bruges, 24-26 April 2013.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.spec import Channel

from .archive import FileTree, FolderTree, open_zip
from .cache import cached
from .dataset import SPLITS, Dataset, Split, SplitName
from .fetch import UCI_HAR_URL
from .table import parse_integers, parse_rows, split_lines

WINDOW = 128
HOP = 64
SAMPLING_RATE_HZ = 50.0
CLASSES = 6
LABELS_FILE = "activity_labels.txt"
CHANNELS = tuple(
    Channel(f"{sensor}_{axis}", unit)
    for sensor, unit in (("total_acc", "g"), ("body_acc", "g"), ("body_gyro", "rad/s"))
    for axis in "xyz"
)
LICENCE = (
    "CC BY 4.0 as listed by the UCI Machine Learning Repository (data set 240). The README inside the data set says "
    "instead that the publication must be acknowledged, that the data set is distributed AS-IS, and that any "
    "commercial use is prohibited. Cite: Davide Anguita, Alessandro Ghio, Luca Oneto, Xavier Parra and Jorge L. "
    "Reyes-Ortiz. A Public Domain Dataset for Human Activity Recognition Using Smartphones. 21st European Symposium "
    "on Artificial Neural Networks, Computational Intelligence and Machine Learning, ESANN 2013. Bruges, "
    "24-26 April 2013."
)


def _signal_file(split: SplitName, channel: str) -> str:
    return f"{split}/Inertial Signals/{channel}_{split}.txt"


FILES = (
    LABELS_FILE,
    *(f"{split}/{kind}_{split}.txt" for split in SPLITS for kind in ("y", "subject")),
    *(_signal_file(split, channel.name) for split in SPLITS for channel in CHANNELS),
)
"""The files that are read, relative to the folder `UCI HAR Dataset`."""


class UciHar:
    """The UCI HAR data set at `path`: the folder, its parent, the zip, or the zip in which the repository serves it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def load(self, *, use_cache: bool = True) -> Dataset:
        """Return the data set in its official split; with `use_cache` it is parsed only the first time.

        Windows are float32 [n, 128, 9]: total_acc and body_acc in g, body_gyro in rad/s, each x, y, z. Class ids start
        at 0. Raises MissingFileError where the path or a file is not there, and InputError that names file, line,
        expected and seen for anything else.
        """
        if self.path.is_dir():
            folder = FolderTree(_find_folder(self.path))
            sha256 = _folder_sha256(folder)
        elif self.path.exists():
            folder = None
            sha256 = _file_sha256(self.path)
        else:
            raise MissingFileError(
                f"{self.path} is not there; `edgeconv data fetch` downloads the UCI HAR data set, "
                f"or take it from {UCI_HAR_URL} and give the zip or the unpacked folder"
            )
        name = self.path.resolve().name if folder is None else f"folder {folder.root.resolve().name}"
        source = f"{name} (sha256 {sha256})"

        def parse() -> Dataset:
            if folder is not None:
                return _parse(folder, source)
            with open_zip(self.path, LABELS_FILE) as tree:
                return _parse(tree, source)

        # The entry may stem from a copy of another name.
        return replace(cached(sha256, parse), source=source) if use_cache else parse()


def _find_folder(path: Path) -> Path:
    if (path / LABELS_FILE).is_file():
        return path
    found = sorted(child.parent for child in path.glob(f"*/{LABELS_FILE}"))
    if not found:
        raise MissingFileError(
            f"neither {path} nor a folder in it holds {LABELS_FILE}; give the folder 'UCI HAR Dataset', its parent, "
            f"or the zip from {UCI_HAR_URL}"
        )
    if len(found) > 1:
        raise InputError(f"{path} holds {len(found)} data sets ({', '.join(f.name for f in found)}); give one of them")
    return found[0]


def _file_sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


def _folder_sha256(folder: FolderTree) -> str:
    """Return a SHA-256 over names, sizes and bytes of the files that are read."""
    digest = hashlib.sha256()
    for name in FILES:
        data = folder.read(name)
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _parse(tree: FileTree, source: str) -> Dataset:
    train, test = (_parse_split(tree, split) for split in SPLITS)
    return Dataset(
        name="UCI HAR",
        synthetic=False,
        licence=LICENCE,
        labels=_parse_labels(tree),
        channels=CHANNELS,
        sampling_rate_hz=SAMPLING_RATE_HZ,
        hop=HOP,
        train=train,
        test=test,
        source=source,
    )


def _parse_labels(tree: FileTree) -> tuple[str, ...]:
    labels: dict[int, str] = {}
    for number, line in enumerate(split_lines(tree.read(LABELS_FILE)), start=1):
        parts = line.split()
        if len(parts) != 2 or parts[0] not in {str(i) for i in range(1, CLASSES + 1)} or int(parts[0]) in labels:
            raise InputError(
                f"{tree.place(LABELS_FILE)}, line {number}: an id from 1 to {CLASSES}, each once, and a name "
                f"expected, {line[:40]!r} seen"
            )
        labels[int(parts[0])] = parts[1]
    if len(labels) != CLASSES or len(set(labels.values())) != CLASSES:
        raise InputError(f"{tree.place(LABELS_FILE)}: {CLASSES} different labels expected, {labels} seen")
    return tuple(labels[i] for i in sorted(labels))


def _parse_split(tree: FileTree, split: SplitName) -> Split:
    y_file, subject_file = f"{split}/y_{split}.txt", f"{split}/subject_{split}.txt"
    ids = parse_integers(tree.read(y_file), tree.place(y_file), "class id", CLASSES)
    subjects = parse_integers(tree.read(subject_file), tree.place(subject_file), "subject number")
    _same_rows(tree, subject_file, len(subjects), y_file, len(ids))
    windows = np.empty((len(ids), WINDOW, len(CHANNELS)), dtype=np.float32)
    for position, channel in enumerate(CHANNELS):
        signal_file = _signal_file(split, channel.name)
        signal = parse_rows(tree.read(signal_file), tree.place(signal_file), WINDOW)
        _same_rows(tree, signal_file, len(signal), y_file, len(ids))
        windows[:, :, position] = signal
    return Split(windows, ids - 1, subjects)


def _same_rows(tree: FileTree, name: str, rows: int, other: str, expected: int) -> None:
    if rows != expected:
        raise InputError(f"{tree.place(name)} has {rows} rows, {expected} expected, as many as {other} has")
