"""HAPT: raw smartphone recordings of six activities and six transitions of 30 people, from the official distribution.

Jorge-L. Reyes-Ortiz, Luca Oneto, Albert Samà, Xavier Parra, Davide Anguita. Transition-Aware Human Activity Recognition
Using Smartphones. Neurocomputing, Springer 2015.

`labels.txt` gives each segment's first and last sample. That it counts from 1, and that the last sample belongs to the
segment, its README does not say. The evidence:

* **From 1.** The windows of UCI HAR were cut from these recordings: total_acc is the acceleration after a median filter
  of 3 samples and a causal linear one. Least squares over the segments of walking and walking upstairs gives the linear
  filter's response. It begins exactly at the sample that is the segment's first if counting starts at 1: 0.000 before
  it, then 0.128, 0.515, 0.553. With six poles the fit predicts each sample to 2e-5 g from those before it. All 310
  segments have their best alignment at one and the same offset. Counted from 0, the response would begin one sample
  late, which only a median filter that lags, too, would explain.
* **Inclusive.** Of the 1153 pairs of neighbouring segments 642 adjoin, and in all of these the next first sample is the
  last one plus 1; none shares a sample. Counted so, the segments of walking hold 1226 and 496 windows, those of
  walking upstairs 1073 and 471 (train and test), as many as UCI HAR has; without the last sample there would be fewer.
* Labels lie from sample 136 to 22540, and no recording is labelled up to its first or last sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.conditioning.derive import Derivation, Derived
from edgeconv.runtime.errors import InputError, UsageError
from edgeconv.runtime.spec import Channel, ModelSpec

from .archive import FileTree, open_zip
from .cut import cut_windows
from .dataset import SPLITS, Dataset, Recording, Segment, SplitName
from .distribution import Distribution, roots
from .options import Given, asked_for, choice, read_options, whole
from .table import parse_labels, parse_rows, split_lines
from .uci_har import CHANNELS as UCI_HAR_CHANNELS
from .uci_har import DERIVED as UCI_HAR_DERIVED

MARKER = "RawData/labels.txt"
LABELS_FILE = "activity_labels.txt"
SAMPLING_RATE_HZ = 50.0
CLASSES, BASIC = 12, 6
"""All labels, and how many of them, the first ones, are activities; the others are transitions."""
TRANSITION = "TRANSITION"
CHANNELS = tuple(
    Channel(f"{sensor}_{axis}", unit) for sensor, unit in (("acc", "g"), ("gyro", "rad/s")) for axis in "xyz"
)
TEST_SUBJECTS = frozenset({2, 4, 9, 10, 12, 13, 18, 20, 24})
"""The nine people of UCI HAR's test side, who are the same people."""
OPTIONS = {
    "window": whole(128),
    "hop": whole(64),
    "transitions": choice("leave-out", "class", "each"),
    "derive": choice("none", "uci-har"),
}
LICENCE = (
    "The README inside the data set says that the publication must be acknowledged, that the data set is distributed "
    "AS-IS, and that any commercial use is prohibited. Cite: Jorge-L. Reyes-Ortiz, Luca Oneto, Albert Samà, Xavier "
    "Parra, Davide Anguita. Transition-Aware Human Activity Recognition Using Smartphones. Neurocomputing, Springer "
    "2015."
)


@dataclass(frozen=True)
class _Row:
    """One line of `labels.txt`: samples count from 1, and the last one is part of the segment."""

    line: int
    experiment: int
    user: int
    class_id: int
    first: int
    last: int

    @property
    def recording(self) -> str:
        return f"exp{self.experiment:02d}_user{self.user:02d}"


class Hapt:
    """The HAPT data set at `path`: the folder, its parent, the zip, or the zip in which the repository serves it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def load(self, options: Given | None = None, *, use_cache: bool = True) -> Dataset:
        """Return the data set, split by the people of UCI HAR; with `use_cache` it is parsed only the first time.

        Windows are float32 [n, window, 6]: acc in g, gyro in rad/s, each x, y, z, as recorded, each inside one labelled
        segment and counted from its start. Options: `window` (128), `hop` (64), `transitions`: `leave-out` (the six
        activities only), `class` (all transitions as a seventh label) or `each` (all 12 labels), and `derive`:
        `uci-har` gives UCI HAR's nine channels in place of the six, as `uci_har.DERIVED` says. Recordings carry the
        segments of the labels chosen. Raises UsageError for options that cannot be, MissingFileError where the path or
        a file is not there, and InputError that names file, line, expected and seen for anything else.
        """
        values = read_options("HAPT", options or {}, OPTIONS)
        asked = asked_for(values, OPTIONS)
        distribution = Distribution(
            self.path,
            MARKER,
            absent="give the HAPT data set as zip or as the unpacked folder",
            give="give the folder 'HAPT Data Set', its parent, or its zip",
        )
        dataset = distribution.load(
            lambda tree, source: _parse(tree, source, values),
            lambda tree: _files(_parse_rows(tree)),
            options=asked,
            use_cache=use_cache,
        )
        return replace(dataset, options=asked, derived=_derived(values))


def is_hapt(path: Path) -> bool:
    """Whether a folder, a folder in it, or a zip holds HAPT's labels; what cannot be read does not."""
    if path.is_dir():
        return bool(roots(path, MARKER))
    if not path.is_file() or path.suffix == ".npz":
        return False
    try:
        with open_zip(path, MARKER):
            return True
    except InputError:
        return False


def _files(rows: Sequence[_Row]) -> list[str]:
    names = dict.fromkeys(row.recording for row in rows)
    return [MARKER, LABELS_FILE, *(_signal_file(name, sensor) for name in names for sensor in ("acc", "gyro"))]


def _signal_file(recording: str, sensor: str) -> str:
    return f"RawData/{sensor}_{recording}.txt"


def _parse(tree: FileTree, source: str, values: dict[str, Any]) -> Dataset:
    labels, class_of = _choose(parse_labels(tree.read(LABELS_FILE), tree.place(LABELS_FILE), CLASSES), values)
    channels = UCI_HAR_CHANNELS if _derived(values) else CHANNELS
    form = values["window"], values["hop"], len(channels)
    # Without derived channels this passes on what was recorded.
    spec = ModelSpec("HAPT", "", channels, SAMPLING_RATE_HZ, *form[:2], labels, derived=_derived(values))
    derivation = Derivation(spec)
    rows: dict[str, list[_Row]] = defaultdict(list)
    for row in _parse_rows(tree):
        rows[row.recording].append(row)
    continuous: dict[SplitName, tuple[Recording, ...]] = {"train": (), "test": ()}
    for name, own in rows.items():
        samples = derivation.whole(_parse_samples(tree, name)).astype(np.float32)
        _check_rows(tree, own, len(samples))
        segments = tuple(
            Segment(row.first - 1, row.last, class_of[row.class_id]) for row in own if row.class_id in class_of
        )
        split: SplitName = "test" if own[0].user in TEST_SUBJECTS else "train"
        continuous[split] += (Recording(name, samples, own[0].user, segments),)
    train, test = (cut_windows(continuous[split], *form) for split in SPLITS)
    for split, part in (("train", train), ("test", test)):
        if not len(part):
            raise UsageError(
                f"HAPT: no labelled segment of a {split} subject holds a window of {values['window']} samples; "
                "give a smaller window"
            )
    return Dataset(
        name="HAPT",
        synthetic=False,
        licence=LICENCE,
        labels=labels,
        channels=channels,
        sampling_rate_hz=SAMPLING_RATE_HZ,
        hop=values["hop"],
        train=train,
        test=test,
        source=source,
        continuous=continuous,
        options=asked_for(values, OPTIONS),
        derived=_derived(values),
    )


def _derived(values: dict[str, Any]) -> tuple[Derived, ...]:
    return UCI_HAR_DERIVED if values["derive"] == "uci-har" else ()


def _choose(labels: tuple[str, ...], values: dict[str, Any]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the labels of the set, and the class id in it of each label of the file that is in it."""
    if values["transitions"] == "each":
        return labels, {i: i for i in range(CLASSES)}
    if values["transitions"] == "class":
        return (*labels[:BASIC], TRANSITION), {i: min(i, BASIC) for i in range(CLASSES)}
    return labels[:BASIC], {i: i for i in range(BASIC)}


def _parse_rows(tree: FileTree) -> list[_Row]:
    found = []
    for number, line in enumerate(split_lines(tree.read(MARKER)), start=1):
        numbers = [int(part) for part in line.split() if part.isdecimal() and len(part) < 10]
        if len(numbers) != 5 or len(line.split()) != 5 or not 1 <= numbers[2] <= CLASSES:
            raise InputError(
                f"{tree.place(MARKER)}, line {number}: experiment, user, activity from 1 to {CLASSES}, first and last "
                f"sample expected, {line[:40]!r} seen"
            )
        found.append(_Row(number, numbers[0], numbers[1], numbers[2] - 1, numbers[3], numbers[4]))
    if not found:
        raise InputError(f"{tree.place(MARKER)} is empty; one segment per line expected")
    return sorted(found, key=lambda row: (row.experiment, row.user, row.first))


def _parse_samples(tree: FileTree, recording: str) -> NDArray[np.float32]:
    """Return float32 [timesteps, 6]; raises InputError where the two sensors differ in length."""
    acc, gyro = (_signal_file(recording, sensor) for sensor in ("acc", "gyro"))
    parts = [parse_rows(tree.read(name), tree.place(name), 3) for name in (acc, gyro)]
    if len(parts[0]) != len(parts[1]):
        raise InputError(f"{tree.place(gyro)} has {len(parts[1])} rows, {len(parts[0])} expected, as many as {acc} has")
    return np.concatenate(parts, axis=1)


def _check_rows(tree: FileTree, rows: Sequence[_Row], timesteps: int) -> None:
    """Raise InputError where a segment is not inside its recording, or begins before the one in front has ended."""
    before = 0
    for row in rows:
        if not before < row.first <= row.last <= timesteps:
            where = "inside its recording" if row.first > before else "after the segment before it, which ends there"
            raise InputError(
                f"{tree.place(MARKER)}, line {row.line}: samples {row.first} to {row.last} of {row.recording} are not "
                f"{where}; expected {before + 1} to {timesteps}, first before last"
            )
        before = row.last
