"""Samples with their times, as the parts of the conditioning pass them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Consecutive samples."""

    times: NDArray[np.float64]
    """float64 [n], s from the first stamp, ascending."""
    rows: NDArray[np.float64]
    """float64 [n, channels]."""
    jumps: NDArray[np.int64]
    """int64 [n]: how often the clock was set back before the sample, since the stream began."""
    repeats: NDArray[np.int64]
    """int64 [n]: samples left out before this one because they had the time of the one before."""

    @classmethod
    def even(cls, times: NDArray[np.float64], rows: NDArray[np.float64], jumps: int = 0) -> Self:
        """Return samples of a clock that nothing happened to."""
        return cls(times, rows, np.full(len(times), jumps, np.int64), np.zeros(len(times), np.int64))

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, part: slice) -> Stretch:
        return Stretch(self.times[part], self.rows[part], self.jumps[part], self.repeats[part])

    def __add__(self, other: Stretch) -> Stretch:
        return Stretch(
            np.concatenate((self.times, other.times)),
            np.concatenate((self.rows, other.rows)),
            np.concatenate((self.jumps, other.jumps)),
            np.concatenate((self.repeats, other.repeats)),
        )
