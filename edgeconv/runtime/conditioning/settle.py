"""The first samples of a stamped source are held back until its rate is known; then the rate must stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..resumable import Resumable
from ..spec import ModelSpec
from .rate import STRETCH, Rate, require_same_rate, shown_rate
from .signal import Signal
from .stretch import Stretch


class Settle(Resumable):
    """Hold samples back until they show a rate, and watch that the later ones show the same."""

    def __init__(self, spec: ModelSpec, signal: Signal, *, anchored: bool = False) -> None:
        """Decide by `shown_rate`, which says what `anchored` is."""
        self._anchored = anchored
        self.rate: Rate | None = None
        self._spec, self._signal = spec, signal
        self._held = Stretch.even(np.empty(0), np.empty((0, len(spec.channels))))
        self._watched = np.empty(0)

    def push(self, samples: Stretch, *, final: bool) -> Stretch:
        """Take the next samples; return those that need not wait any more. Raises what `shown_rate` raises.

        final: nothing more comes
        """
        if self.rate is None:
            samples = self._held + samples
            if len(samples) < STRETCH and not final:
                self._held = samples
                return samples[:0]
            self.rate = shown_rate(self._spec, self._signal, samples[:STRETCH], anchored=self._anchored)
            self._held = self._held[:0]
        watched = np.concatenate((self._watched, samples.times))
        while len(watched) > STRETCH:
            require_same_rate(self.rate, watched[: STRETCH + 1])
            watched = watched[STRETCH:]
        self._watched = watched.copy()
        return samples

    def state(self) -> dict[str, Any]:
        """Return a copy of all that changes."""
        held = self._held
        return {
            "rate": None if self.rate is None else self.rate.as_dict(),
            "watched": self._watched.copy(),
            "held": [held.times.copy(), held.rows.copy(), held.jumps.copy(), held.repeats.copy()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.rate = None if state["rate"] is None else Rate(**state["rate"])
        self._watched = state["watched"].copy()
        self._held = Stretch(*(part.copy() for part in state["held"]))
