"""A channel that is cut off at one value: its largest samples are equal, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..spec import Channel, ModelSpec
from .seen import Figures, Seen
from .suspicions import Suspicion

EQUAL = 3
"""Samples in a row at the same value that make a plateau."""
WINDOWS = 2
"""Windows with a plateau at one and the same value, none having gone beyond it, that make a finding."""
MOVES = 10.0
"""Deviation of such a window, as a multiple of the least in training: at rest, a sensor's steps are plateaus, too."""
END = 0.98
"""Part of training's own range from which a value is its end: there training was cut off as well."""


class Plateaus:
    """Look for the values at which the channels of a stream are cut off, above and below."""

    def __init__(self, spec: ModelSpec, seen: Seen) -> None:
        self._spec, self._seen = spec, seen
        self._at = np.full((2, len(spec.channels)), np.nan)  # the value above, and below with its sign turned
        self._windows = np.zeros((2, len(spec.channels)), np.int64)

    def look(self, window: NDArray[np.float32], seen: Figures) -> Iterator[Suspicion]:
        """Take the next window, float32 [window, channels], and yield the channels that are cut off by now."""
        moves = seen.deviation[0] > MOVES * np.array(self._seen.deviation_low)
        for side, (sign, end) in enumerate(((1.0, "maximum"), (-1.0, "minimum"))):
            signed = sign * window.astype(np.float64)
            top = signed.max(axis=0)
            gone_beyond = top > self._at[side]
            self._windows[side][gone_beyond], self._at[side][gone_beyond] = 0, np.nan
            runs = sliding_window_view(signed == top, EQUAL, axis=0).all(axis=-1).any(axis=0)
            for i in np.flatnonzero(runs & moves):
                if top[i] != self._at[side, i] and not np.isnan(self._at[side, i]):
                    continue  # below a value that is known
                channel = self._spec.channels[i]
                limit = getattr(channel, end)
                if limit is not None and top[i] >= END * sign * limit > 0:
                    continue
                self._at[side, i] = top[i]
                self._windows[side, i] += 1
            for i in np.flatnonzero(self._windows[side] >= WINDOWS):
                channel = self._spec.channels[i]
                where = "above" if sign > 0 else "below"
                message = (
                    f"{channel.name} is cut off {where} at {sign * self._at[side, i]:.6g} {channel.unit}, "
                    f"where training was not{_range(channel)}: the sensor's range is set too small"
                )
                yield Suspicion("saturated", (channel.name,), message, "")

    def state(self) -> dict[str, Any]:
        """Return all that the next window depends on, as a copy."""
        return {"at": self._at.copy(), "windows": self._windows.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._at, self._windows = np.array(state["at"], np.float64), np.array(state["windows"], np.int64)


def _range(channel: Channel) -> str:
    known = channel.minimum is not None and channel.maximum is not None
    return f", from {channel.minimum:.3g} to {channel.maximum:.3g}" if known else ""
