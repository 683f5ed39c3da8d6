"""What all tests share: a cache of their own, the real data where they are, and tiny ones in the same layout."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Dataset, UciHar
from edgeconv.evaluate.keras_model import KerasModel

REPOSITORY = Path(__file__).resolve().parents[1]
UCI_HAR_ZIP = "UCI HAR Dataset.zip"
HAPT_ZIP = "HAPT Data Set.zip"

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


def pytest_report_header() -> list[str]:
    """Say what the tests run on; nothing in them is drawn from a changing seed."""
    import onnxruntime

    packages = [f"{name} {version(name)}" for name in ("numpy", "onnxruntime")]
    providers = ", ".join(onnxruntime.get_available_providers())
    return [
        f"{', '.join(packages)}; providers: {providers}",
        "seeds: hypothesis is derandomized, numpy generators start from the numbers in the tests",
    ]


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the user's cache, runs and data sets; real data are parsed once per session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECONV_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("EDGECONV_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("EDGECONV_DATASETS", str(tmp_path_factory.mktemp("datasets")))
        yield


REALLY_ALONE = KerasModel.predict_alone


@pytest.fixture(scope="session", autouse=True)
def _no_process_for_one_thread() -> Iterator[None]:
    """Spare each of many exports the process, six seconds long, in which the reference runs with one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KerasModel, "predict_alone", lambda self, windows: None)
        yield


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reference run with one thread, too, as it does for users."""
    monkeypatch.setattr(KerasModel, "predict_alone", REALLY_ALONE)


def real_data(name: str) -> Path:
    """Return the path of a real data set; a test that needs it is skipped where it is not there."""
    chosen = os.environ.get("EDGECONV_DATA")
    folder = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if not (folder / name).is_file():
        pytest.skip(f"real data not found: set EDGECONV_DATA to the folder that holds '{name}'")
    return folder / name


@pytest.fixture(scope="session")
def uci_har_zip() -> Path:
    """The real UCI HAR data set; a test that needs it is skipped where it is not there."""
    return real_data(UCI_HAR_ZIP)


@pytest.fixture(scope="session")
def hapt_zip() -> Path:
    """The real HAPT data set; a test that needs it is skipped where it is not there."""
    return real_data(HAPT_ZIP)


@pytest.fixture(scope="session")
def uci_har(uci_har_zip: Path, _cache_of_the_session: None) -> Dataset:
    """The real UCI HAR data set, loaded."""
    return UciHar(uci_har_zip).load()


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
