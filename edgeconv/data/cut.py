"""Windows cut from continuous recordings with labelled segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import Recording, Split


def cut_windows(recordings: Sequence[Recording], window: int, hop: int, channels: int) -> Split:
    """Cut every window that lies wholly inside one segment, hop by hop from the segment's start.

    Rows follow the order of the recordings and, in each, of its segments. There may be none.
    """
    windows, class_ids, subjects = [np.empty((0, window, channels), np.float32)], [], []
    for recording in recordings:
        for segment in recording.segments:
            if segment.end - segment.start < window:
                continue
            inside = recording.samples[segment.start : segment.end]
            views = np.lib.stride_tricks.sliding_window_view(inside, window, axis=0)[::hop]
            windows.append(views.transpose(0, 2, 1))
            class_ids += [segment.class_id] * len(views)
            subjects += [recording.subject] * len(views)
    return Split(np.concatenate(windows), np.array(class_ids, np.int64), np.array(subjects, np.int64))
