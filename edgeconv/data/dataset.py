"""What every data set is turned into: windows with class ids and subjects, and continuous recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.conditioning.derive import Derived
from edgeconv.runtime.spec import Channel

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class Split:
    """One side of a data set's division into train and test; row i of every array belongs to window i."""

    windows: NDArray[np.float32]
    """float32 [n, window, channels], in the channels' units."""
    class_ids: NDArray[np.int64]
    """int64 [n], from 0."""
    subjects: NDArray[np.int64]
    """int64 [n], the number of the person recorded."""

    def __len__(self) -> int:
        return len(self.windows)

    def one_hot(self, classes: int) -> NDArray[np.float32]:
        """Return the class ids as float32 [n, classes], the form that categorical cross-entropy takes."""
        return np.eye(classes, dtype=np.float32)[self.class_ids]


@dataclass(frozen=True)
class Segment:
    """A labelled stretch of a recording, from sample `start` up to but not including sample `end`."""

    start: int
    end: int
    class_id: int


@dataclass(frozen=True)
class Recording:
    """A continuous recording of one subject with its labelled segments."""

    name: str
    samples: NDArray[np.float32]
    """float32 [timesteps, channels], in the channels' units."""
    subject: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Dataset:
    """A data set split by subject into train and test."""

    name: str
    """Name for people, such as `UCI HAR`; a generated set is called synthetic here."""
    synthetic: bool
    licence: str
    """What its publishers say about use."""
    labels: tuple[str, ...]
    channels: tuple[Channel, ...]
    sampling_rate_hz: float
    hop: int
    """Timesteps between the starts of consecutive windows of one recording."""
    train: Split
    test: Split
    source: str
    """Where it was read from, or how it was generated."""
    continuous: Mapping[SplitName, tuple[Recording, ...]] = field(default_factory=dict)
    """Continuous recordings where the set has them; otherwise they are stitched from the windows."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What was asked for beyond the path, in normal form; defaults are left out."""
    subjects_known: bool = True
    """Whether the subjects are people. Where nobody knows whom a recording is of, each is a subject of its own, and
    then no split is known to be one by people."""
    derived: tuple[Derived, ...] = ()
    """How channels come from what a sensor gives, for a source that has only that."""

    @property
    def window(self) -> int:
        """Timesteps per window."""
        return int(self.train.windows.shape[1])

    def split(self, name: SplitName) -> Split:
        """Return the split of that name."""
        return self.train if name == "train" else self.test

    def content_hash(self) -> str:
        """Return the SHA-256 of what the set says, whatever file it came from.

        It covers labels, channels, rate and, split by split, windows, class ids and subjects.
        """
        digest = hashlib.sha256()
        header: Any = (self.labels, [(c.name, c.unit) for c in self.channels], float(self.sampling_rate_hz))
        digest.update(repr(header).encode())
        for name in SPLITS:
            split = self.split(name)
            digest.update(f"{name} {split.windows.shape}".encode())
            digest.update(np.ascontiguousarray(split.windows, dtype="<f4").tobytes())
            digest.update(np.ascontiguousarray(split.class_ids, dtype="<i8").tobytes())
            digest.update(np.ascontiguousarray(split.subjects, dtype="<i8").tobytes())
        return digest.hexdigest()
