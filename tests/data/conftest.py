"""What the tests of data sets share: one tiny set, ways to damage a zip, and data sets that come from no file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgeconv.data import Dataset, Split
from edgeconv.runtime.spec import Channel


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
def tiny(make_tiny: Callable[..., Any]) -> Any:
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
