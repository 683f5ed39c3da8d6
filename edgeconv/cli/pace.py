"""Recordings at the pace of a sensor, and whether the answers keep up with it."""

from __future__ import annotations

import time
from collections.abc import Callable

from .console import count

NAP_S = 0.1


class Pace:
    """Lets samples come when a sensor would have sent them; the sensor waits for nobody."""

    def __init__(
        self,
        hop_s: float,
        leaving: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Call an answer late that comes more than `hop_s` after its window's last sample: the next one is due then.

        leaving: whether to wait no longer
        """
        self._hop_s, self._leaving, self._clock, self._sleep = hop_s, leaving, clock, sleep
        self._began_s: float | None = None
        self._due_s = 0.0
        self.windows = self.late = 0
        self.latest_s = 0.0
        """The longest time from a window's last sample to its answer."""

    def begin(self) -> None:
        """Begin another recording."""
        self._began_s = None

    def wait(self, at_s: float) -> None:
        """Wait until the sensor would have reached this time of the recording; the first one is now."""
        if self._began_s is None:
            self._began_s = self._clock() - at_s
        self._due_s = self._began_s + at_s
        while (left_s := self._due_s - self._clock()) > 0 and not self._leaving():
            self._sleep(min(left_s, NAP_S))

    def answered(self, windows: int) -> None:
        """Say that so many windows that end there have been answered and written."""
        if windows:
            after_s = self._clock() - self._due_s
            self.windows += windows
            self.late += windows * (after_s > self._hop_s)
            self.latest_s = max(self.latest_s, after_s)

    def words(self) -> str:
        """Return how it went."""
        return (
            f"at the sensor's pace: {self.late} of {count(self.windows, 'window')} answered later than the next hop's "
            f"samples came ({1000 * self._hop_s:.4g} ms), at the latest {1000 * self.latest_s:.3g} ms after its own"
        )
