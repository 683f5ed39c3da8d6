"""Continuous recordings made again from overlapping windows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import UsageError

from .dataset import Dataset, Recording, Segment, Split, SplitName


def stitch(split: Split, prefix: str, hop: int | None = None) -> tuple[Recording, ...]:
    """Join consecutive rows of one subject and class that overlap bit for bit into recordings, in row order.

    Rows overlap when the last window - hop samples of one are the first of the next, in all channels; `hop` is half the
    window unless given. Cutting the recordings at `hop` gives all rows again. Without an overlap (hop at or above the
    window) nothing tells which rows belong together, and every row is a recording of its own. Recordings are named
    `<prefix>_s<subject>_<number within the subject>` and have one segment. Raises UsageError for a hop below 1.
    """
    window = split.windows.shape[1]
    hop = window // 2 if hop is None else hop
    if hop < 1:
        raise UsageError(f"hop must be at least 1 timestep, and is {hop}")
    bounds = np.append(np.flatnonzero(~_continues(split, window - hop)), len(split))
    numbers: Counter[int] = Counter()
    found = []
    for start, end in pairwise(bounds.tolist()):
        subject, class_id = int(split.subjects[start]), int(split.class_ids[start])
        numbers[subject] += 1
        tails = split.windows[start + 1 : end, max(0, window - hop) :].reshape(-1, split.windows.shape[2])
        samples = np.concatenate([split.windows[start], tails])
        name = f"{prefix}_s{subject:02d}_{numbers[subject]:03d}"
        found.append(Recording(name, samples, subject, (Segment(0, len(samples), class_id),)))
    return tuple(found)


def recordings(dataset: Dataset, split_name: SplitName) -> tuple[Recording, ...]:
    """Return the continuous recordings of a split: the set's own where it has them, else stitched from the windows."""
    own = dataset.continuous.get(split_name)
    return own if own else stitch(dataset.split(split_name), split_name, dataset.hop)


def _continues(split: Split, overlap: int) -> NDArray[np.bool_]:
    """Return bool [n]: whether row i goes on where row i - 1 stopped."""
    continues = np.zeros(len(split), dtype=np.bool_)
    if overlap < 1 or len(split) < 2:
        return continues
    # As integers, so that 0.0 and -0.0 differ: the recording must give back the very bits of both rows.
    bits = np.ascontiguousarray(split.windows, dtype=np.float32).view(np.uint32)
    same = (bits[:-1, -overlap:] == bits[1:, :overlap]).all(axis=(1, 2))
    same &= split.subjects[1:] == split.subjects[:-1]
    same &= split.class_ids[1:] == split.class_ids[:-1]
    continues[1:] = same
    return continues
