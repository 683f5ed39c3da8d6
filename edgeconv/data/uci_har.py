"""UCI HAR: smartphone windows of six activities of 30 people, read from the official distribution.

Davide Anguita, Alessandro Ghio, Luca Oneto, Xavier Parra and Jorge L. Reyes-Ortiz. A Public Domain Dataset for Human
Activity Recognition Using Smartphones. ESANN 2013, Bruges, 24-26 April 2013.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeconv.runtime.conditioning.derive import Derived
from edgeconv.runtime.conditioning.filters import Filter
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.spec import Channel

from .archive import FileTree
from .dataset import SPLITS, Dataset, Split, SplitName
from .distribution import Distribution
from .fetch import UCI_HAR_URL
from .table import parse_integers, parse_labels, parse_rows

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
SMOOTHED = (Filter("median", 3), Filter("low-pass", 10, 20.0))
DERIVED = tuple(
    Derived(f"{name}_{axis}", f"{source}_{axis}", filters)
    for name, source, filters in (
        ("total_acc", "acc", SMOOTHED),
        ("body_acc", "acc", (*SMOOTHED, Filter("minus-low-pass", 3, 0.3))),
        ("body_gyro", "gyro", (*SMOOTHED, Filter("minus-low-pass", 2, 0.1))),
    )
    for axis in "xyz"
)
"""How the nine channels come from what a phone measures.

Found by fitting difference equations of the windows to the raw recordings of HAPT. The low-pass at 20 Hz has order 10,
and the gyroscope lost what is below 0.1 Hz, by order 2. So filtered, the recordings give every window again but for the
rounding of its decimals (5e-6 in a copy with five), and but for those of the first 25 s of a recording: there the
original rings in from zero, by up to 0.09 rad/s, and `Derivation` begins in the steady state of the first sample.
"""
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
        distribution = Distribution(
            self.path,
            LABELS_FILE,
            absent="`edgeconv data fetch` downloads the UCI HAR data set, "
            f"or take it from {UCI_HAR_URL} and give the zip or the unpacked folder",
            give=f"give the folder 'UCI HAR Dataset', its parent, or the zip from {UCI_HAR_URL}",
        )
        dataset = distribution.load(_parse, lambda _: FILES, use_cache=use_cache)
        return replace(dataset, derived=DERIVED)


def _parse(tree: FileTree, source: str) -> Dataset:
    train, test = (_parse_split(tree, split) for split in SPLITS)
    return Dataset(
        name="UCI HAR",
        synthetic=False,
        licence=LICENCE,
        labels=parse_labels(tree.read(LABELS_FILE), tree.place(LABELS_FILE), CLASSES),
        channels=CHANNELS,
        sampling_rate_hz=SAMPLING_RATE_HZ,
        hop=HOP,
        train=train,
        test=test,
        source=source,
        derived=DERIVED,
    )


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
