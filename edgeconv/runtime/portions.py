"""The samples of a recording in portions whose ends depend on nothing but the samples.

float32 sums depend on which form of a network answers and on how many windows at once. Readers cut where their blocks
end, and a run that goes on in the middle of a recording reads other blocks than one that was never stopped; so what is
pushed into a `StreamClassifier` is cut once more, counted from where the stretch began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .conditioning.conditioner import Piece


class Portions:
    """Collect pieces, and hand out portions that complete so many windows each, but for the last of a stretch."""

    def __init__(self, window: int, hop: int, rate_hz: float, windows: int | None) -> None:
        """Portions of so many windows of `window` timesteps, one every `hop`; None passes pieces as they come."""
        self._first = 0 if windows is None else window + (windows - 1) * hop
        self._next = 0 if windows is None else windows * hop
        self._rate_hz = rate_hz
        self._pieces: list[Piece] = []

    def push(self, piece: Piece) -> None:
        """Take the next piece; `take` until nothing is left before what made it is asked for more."""
        self._pieces.append(piece)

    def take(self, *, final: bool = False) -> Piece | None:
        """Return the next portion, None where more is needed for it.

        final: nothing more comes, so that what is left is a portion
        """
        if not self._pieces:
            return None
        size = self._first if self._pieces[0].begins else self._next
        if size == 0:
            return self._pieces.pop(0)
        count = have = 0
        for piece in self._pieces:
            if have >= size or (count and piece.begins):
                break
            count, have = count + 1, have + len(piece.samples)
        if have < size and count == len(self._pieces) and not final:
            return None
        first, samples = self._pieces[0], np.concatenate([piece.samples for piece in self._pieces[:count]])
        self._pieces[:count] = []
        if have > size:
            # A copy, so that a long piece is not kept alive by the little that is left of it.
            rest = Piece(first.start_s + size / self._rate_hz, False, samples[size:].copy())
            self._pieces.insert(0, rest)
        return Piece(first.start_s, first.begins, samples[:size])

    def state(self) -> dict[str, Any]:
        """Return a copy of what was not handed out."""
        return {"pieces": [[piece.start_s, piece.begins, piece.samples.copy()] for piece in self._pieces]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, of portions of the same size."""
        self._pieces = [Piece(start_s, begins, samples.copy()) for start_s, begins, samples in state["pieces"]]
