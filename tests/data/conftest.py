"""Tiny data sets in the official layout of UCI HAR: as folder, as zip, and as zip in a zip."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Dataset, Split
from edgeconv.runtime.spec import Channel

ROOT = "UCI HAR Dataset/"
LABELS = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
CHANNELS = [f"{sensor}_{axis}" for sensor in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"]
ROWS = {"train": [(1, 5), (1, 5), (3, 1), (3, 6), (3, 2)], "test": [(2, 3), (2, 4), (4, 1)]}
"""Subject and class id (from 1) of each window."""


def official_number(value: float) -> str:
    """Write -0.07037 as -7.0370000e-002: seven digits, and three in the exponent."""
    mantissa, exponent = f"{value:.7e}".split("e")
    return f"{mantissa}e{exponent[0]}{int(exponent[1:]):03d}"


def plain_number(value: float) -> str:
    return f"{value:.5f}"


@dataclass
class TinySet:
    """The files of a tiny UCI HAR; change `files` to damage it, then write it in one of three forms."""

    folder: Path
    files: dict[str, bytes]
    windows: dict[str, np.ndarray] = field(default_factory=dict)

    def replace(self, name: str, old: bytes, new: bytes) -> None:
        assert old in self.files[name]
        self.files[name] = self.files[name].replace(old, new, 1)

    def edit_line(self, name: str, line: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
        lines = self.files[name].split(b"\n")
        lines[line - 1] = b" ".join(change(lines[line - 1].split()))
        self.files[name] = b"\n".join(lines)

    def as_folder(self) -> Path:
        for name, data in self.files.items():
            path = self.folder / "unpacked" / ROOT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.folder / "unpacked" / ROOT

    def zip_bytes(self, **others: bytes) -> bytes:
        text = io.BytesIO()
        with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.files.items():
                archive.writestr(ROOT + name, data)
            # What a Mac adds: attributes under the names of the files.
            archive.writestr(f"__MACOSX/{ROOT}._activity_labels.txt", b"\0\5\x16\7")
            archive.writestr(f"__MACOSX/{ROOT}activity_labels.txt", b"\0\5\x16\7")
            for name, data in others.items():
                archive.writestr(name, data)
        return text.getvalue()

    def as_zip(self, data: bytes | None = None) -> Path:
        path = self.folder / "UCI HAR Dataset.zip"
        path.write_bytes(self.zip_bytes() if data is None else data)
        return path

    def as_nested_zip(self, inner: bytes | None = None) -> Path:
        path = self.folder / "human+activity+recognition+using+smartphones.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("UCI HAR Dataset.zip", self.zip_bytes() if inner is None else inner)
            archive.writestr("UCI HAR Dataset.names", b"some words")
            archive.writestr("__MACOSX/._UCI HAR Dataset.zip", b"\0\5\x16\7")
        return path


def patch_directory(data: bytes, member: str, offset: int, form: str, value: int) -> bytes:
    """Change a field of a member's entry in the zip's central directory."""
    name = member.encode()
    start = data.index(b"PK\x01\x02")
    while data[start + 46 : start + 46 + len(name)] != name:
        start = data.index(b"PK\x01\x02", start + 1)
    return data[: start + offset] + struct.pack(form, value) + data[start + offset + struct.calcsize(form) :]


@pytest.fixture
def damage() -> Callable[[bytes, str, int, str, int], bytes]:
    return patch_directory


@pytest.fixture
def make_tiny(tmp_path: Path) -> Callable[..., TinySet]:
    """Return a maker of tiny sets; all have the same values, whatever the form of the numbers."""

    def make(form: str = "official", line_end: str = "\n", where: str = "tiny") -> TinySet:
        rng = np.random.default_rng(7)
        number = official_number if form == "official" else plain_number
        files: dict[str, bytes] = {}
        labels = list(enumerate(LABELS, start=1))
        if form == "plain":
            labels[3], labels[4] = labels[4], labels[3]
        files["activity_labels.txt"] = "".join(f"{i} {label}{line_end}" for i, label in labels).encode()
        tiny = TinySet(tmp_path / where, files)
        tiny.folder.mkdir()
        for split, rows in ROWS.items():
            files[f"{split}/subject_{split}.txt"] = "".join(f"{s}{line_end}" for s, _ in rows).encode()
            files[f"{split}/y_{split}.txt"] = "".join(f"{c}{line_end}" for _, c in rows).encode()
            values = rng.integers(-150_000, 150_000, (len(rows), 128, 9)) / 100_000
            tiny.windows[split] = values.astype(np.float32)
            for position, channel in enumerate(CHANNELS):
                text = ""
                for row in values[:, :, position]:
                    numbers = [number(value) for value in row]
                    if form == "official":  # a space stands in for the sign, and another one between values
                        numbers = [f" {n}" if n.startswith("-") else f"  {n}" for n in numbers]
                        text += "".join(numbers) + line_end
                    else:
                        text += " ".join(numbers) + line_end
                files[f"{split}/Inertial Signals/{channel}_{split}.txt"] = text.encode()
        return tiny

    return make


@pytest.fixture
def tiny(make_tiny: Callable[..., TinySet]) -> TinySet:
    return make_tiny()


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """Return a maker of small data sets that come from no file."""

    def make(seed: int = 0, sampling_rate_hz: float = 50.0, rows: int = 6) -> Dataset:
        rng = np.random.default_rng(seed)

        def split(subject: int) -> Split:
            windows = rng.normal(size=(rows, 8, 2)).astype(np.float32)
            return Split(windows, rng.integers(0, 2, rows), np.full(rows, subject, dtype=np.int64))

        return Dataset(
            name="tiny",
            synthetic=True,
            licence="none",
            labels=("REST", "GAIT"),
            channels=(Channel("a", "g"), Channel("b", "rad/s")),
            sampling_rate_hz=sampling_rate_hz,
            hop=4,
            train=split(1),
            test=split(2),
            source="made for a test",
        )

    return make
