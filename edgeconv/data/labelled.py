"""A folder of labelled recordings: CSV, TSV, Parquet, NPY or WAV files, what is when in them, and `dataset.toml`.

The labels are in `labels.csv` or in a column of each file, the subject in either or in the file's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeconv.folder import file_sha256
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError
from edgeconv.runtime.sources.columns import column_names

from .cut import cut_windows
from .dataset import SPLITS, Dataset, Recording, Segment, SplitName
from .described import DESCRIPTION_FILE, Description, read_description
from .distribution import roots
from .label_table import LABELS_FILE, read_labels
from .options import Given, asked_for, names, read_options, whole
from .parts import Part, label_by_column, label_by_table
from .uci_har import LABELS_FILE as UCI_HAR_LABELS

ENDINGS = (".csv", ".tsv", ".parquet", ".npy", ".wav")
OPTIONS = {"window": whole(None), "hop": whole(None), "leave-out": names()}
"""Window and hop are those of `dataset.toml` unless given; of labels left out there are no windows."""


def is_labelled_folder(path: Path) -> bool:
    """Whether a path is a folder with a description, labels or recordings directly in it, and not UCI HAR's."""
    if not path.is_dir() or roots(path, UCI_HAR_LABELS):
        return False
    return any((path / name).is_file() for name in (DESCRIPTION_FILE, LABELS_FILE)) or bool(_recording_files(path))


def load_labelled(path: str | Path, options: Given | None = None) -> Dataset:
    """Return the windows of a folder of recordings, each inside one labelled stretch and counted from its start.

    Options: `window`, `hop`, and `leave-out`, labels of which no windows are made. Recordings come in the order of
    `labels.csv`, or of their names; files without a line in it are left out. Subjects whose names are whole numbers
    keep them, others are numbered from 1 in the order of their names; where nothing says who was recorded, each
    recording is a subject of its own and `subjects_known` is false. Raises InputError, which for the description lists
    all that is missing, MissingFileError, DependencyError for Parquet, and UsageError for options that cannot be.
    """
    folder = Path(path)
    chosen = read_options(str(path), options or {}, OPTIONS)
    files = _recording_files(folder)
    if not files:
        raise MissingFileError(f"{folder} holds no recording; files ending in {', '.join(ENDINGS)} are expected")
    table = read_labels(folder / LABELS_FILE) if (folder / LABELS_FILE).exists() else None
    said = read_description(
        folder,
        has_labels=table is not None,
        seen=_seen(files),
        subjects_in_labels=table is not None and table.has_subjects,
    )
    window, hop = chosen["window"] or said.window, chosen["hop"] or said.hop
    parts = label_by_column(files, said) if table is None else label_by_table(folder, files, said, table)
    labels = _choose_labels(folder, parts, said, chosen["leave-out"])
    class_of = {label: i for i, label in enumerate(labels)}
    numbers = _number_subjects(parts)
    continuous: dict[SplitName, tuple[Recording, ...]] = {"train": (), "test": ()}
    tests = _test_side(folder, parts, said)
    for part, number in zip(parts, numbers, strict=True):
        segments = tuple(Segment(a, b, class_of[label]) for a, b, label in part.segments if label in class_of)
        split: SplitName = "test" if part.name in tests else "train"
        continuous[split] += (Recording(part.name, part.samples, number, segments),)
    train, test = (cut_windows(continuous[split], window, hop, len(said.channels)) for split in SPLITS)
    for split, side in (("train", train), ("test", test)):
        if not len(side) and continuous[split]:
            raise UsageError(
                f"{folder}: no labelled stretch of a {split} recording holds a window of {window} timesteps; "
                "give a smaller window"
            )
    return Dataset(
        name=said.name,
        synthetic=said.synthetic,
        licence=said.licence,
        labels=labels,
        channels=said.channels,
        sampling_rate_hz=said.sampling_rate_hz,
        hop=hop,
        train=train,
        test=test,
        source=f"folder {folder.resolve().name} (sha256 {_sha256(folder, files)})",
        continuous=continuous,
        options=asked_for(chosen, OPTIONS),
        subjects_known=all(part.subject for part in parts),
    )


def _recording_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and path.name != LABELS_FILE and not path.name.startswith(".")
    )


def _seen(files: Sequence[Path]) -> tuple[str, ...]:
    try:
        return column_names(files[0])
    except (InputError, ImportError):
        return ()  # whatever is wrong with the file is said when it is read


def _in_order(texts: Iterable[str]) -> list[str]:
    """Return different texts, whole numbers by their size and before the others."""
    return sorted(set(texts), key=lambda text: (not text.isdecimal(), int(text) if text.isdecimal() else 0, text))


def _choose_labels(folder: Path, parts: Sequence[Part], said: Description, left_out: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of the set; raises InputError for labels not said, UsageError where too few stay."""
    seen = _in_order(label for part in parts for _, _, label in part.segments)
    labels = said.labels or tuple(seen)
    if unknown := [label for label in seen if label not in labels]:
        raise InputError(
            f"{folder}: {', '.join(map(repr, unknown))} in the labels is not one of {DESCRIPTION_FILE}'s "
            f"({', '.join(labels)})"
        )
    if strange := [label for label in left_out if label not in labels]:
        raise UsageError(
            f"{folder}: leave-out names {', '.join(map(repr, strange))}; the labels are {', '.join(labels)}"
        )
    kept = tuple(label for label in labels if label not in left_out)
    if len(kept) < 2:
        raise UsageError(f"{folder}: {len(kept)} labels stay ({', '.join(kept)}); two or more are expected")
    return kept


def _number_subjects(parts: Sequence[Part]) -> list[int]:
    """Return the number of each part's subject: its own, or its place in the order of their names, or of the parts."""
    if not all(part.subject for part in parts):
        return list(range(1, len(parts) + 1))
    known = _in_order(part.subject for part in parts)
    if all(name.isdecimal() for name in known):
        return [int(part.subject) for part in parts]
    return [known.index(part.subject) + 1 for part in parts]


def _test_side(folder: Path, parts: Sequence[Part], said: Description) -> set[str]:
    """Return the names of the recordings of the test side; raises InputError for names that are not there."""
    by_subject = said.test_subjects is not None
    key, asked = ("test_subjects", said.test_subjects) if by_subject else ("test_recordings", said.test_recordings)
    of = {part.name: part.subject if by_subject else part.file.stem for part in parts}
    if absent := sorted(set(asked or ()) - set(of.values())):
        raise InputError(
            f"{folder / DESCRIPTION_FILE}: {key} names {', '.join(absent)}; there are "
            f"{', '.join(_in_order(of.values())[:40])}"
        )
    return {name for name, who in of.items() if who in (asked or ())}


def _sha256(folder: Path, files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in (folder / DESCRIPTION_FILE, folder / LABELS_FILE, *files):
        if path.exists():
            digest.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()
