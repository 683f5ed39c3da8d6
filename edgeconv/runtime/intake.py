"""The last part of a stream's way to a model: derived channels are made, and the signal is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .conditioning.conditioner import Piece
from .conditioning.derive import Derivation
from .conditioning.signal import Signal
from .plausibility.plausible import Finding, Plausibility, refusal
from .resumable import Resumable
from .spec import ModelSpec
from .windows import as_float32

Doubt = Literal["refuse", "mark"]
"""What becomes of a signal that is not plausible: an error, or predictions that say so."""


def given_spec(spec: ModelSpec, signal: Signal | None, columns: Sequence[str] | int) -> ModelSpec:
    """Return the spec with the channels that the source gives: the model's, or those that they are derived from.

    columns: names, or how many there are where they have none
    """
    if not spec.derived:
        return spec
    inputs = Derivation(spec).inputs
    of = signal.columns if signal is not None else {}
    if isinstance(columns, int):
        beside = 1 if signal is not None and signal.time is not None else 0
        derives = any(channel.name in of for channel in inputs) or columns - beside == len(inputs) != len(spec.channels)
    else:
        derives = not all(of.get(name, name).removeprefix("-") in columns for name in spec.channel_names)
    return replace(spec, channels=inputs, derived=(), seen=None, triads=()) if derives else spec


class Intake(Resumable):
    """Take the pieces of one stream, and give those that a model may answer, in its channels.

    What comes before the first decision of the plausibility check is held back until then, or until the end. Results
    are the same however the stream is cut.
    """

    _kept = ("_held", "_last", "_lead", "_begins", "_judged", "_marks")

    def __init__(self, spec: ModelSpec, given: ModelSpec, doubt: Doubt = "refuse") -> None:
        """Take pieces in the channels of `given`, which `given_spec` returned for the spec."""
        self._rate_hz, self._doubt = spec.sampling_rate_hz, doubt
        self._derivation = None if given.channels == spec.channels else Derivation(spec)
        self._check = Plausibility(spec, derived=self._derivation is not None)
        self._held: list[tuple[float, bool, Any]] = []
        self._last: Any = None
        self._lead, self._begins = 0, False
        self._judged = 0
        self._marks: list[tuple[int, str]] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far."""
        return self._check.findings

    def codes(self, samples: int) -> tuple[str, ...]:
        """Return the codes of what was found in so many samples; what was found first holds from the beginning."""
        return tuple(dict.fromkeys(code for since, code in self._marks if since <= samples))

    def push(self, piece: Piece) -> list[Piece]:
        """Take the next piece; raises InputError for what is not plausible, unless it is only to be marked."""
        ended = self._end() if piece.begins else []
        return [found for each in (*ended, *self._derive(piece)) for found in self._judge(each)]

    def finish(self) -> list[Piece]:
        """End the stream and return what was held back."""
        found = [found for each in self._end() for found in self._judge(each)]
        return found + self._release()

    def state(self) -> dict[str, Any]:
        """Return a copy of all that changes."""
        derivation = None if self._derivation is None else self._derivation.state()
        return {**super().state(), "derivation": derivation, "check": self._check.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        super().restore(state)
        self._held = [(start_s, begins, samples) for start_s, begins, samples in self._held]
        self._check.restore(state["check"])
        if self._derivation is not None:
            self._derivation.restore(state["derivation"])

    def _derive(self, piece: Piece) -> list[Piece]:
        if self._derivation is None:
            return [piece]
        late = self._derivation.delay
        if piece.begins:
            self._derivation.reset()
            self._lead, self._begins = late, True
        self._last = (piece.samples[-1:].copy(), piece.start_s + len(piece.samples) / self._rate_hz)
        samples = as_float32(self._derivation.push(piece.samples), "samples")
        # The first results of a stretch are of moments before it.
        lead = min(self._lead, len(samples))
        self._lead -= lead
        return self._some(piece.start_s - (late - lead) / self._rate_hz, samples[lead:])

    def _some(self, start_s: float, samples: NDArray[np.float32]) -> list[Piece]:
        if len(samples) == 0:
            return []
        begins, self._begins = self._begins, False
        return [Piece(start_s, begins, samples)]

    def _end(self) -> list[Piece]:
        """Return what the derivation still has of a stretch, as if its last sample went on."""
        if self._derivation is None or self._last is None:
            return []
        (row, end_s), late = self._last, self._derivation.delay
        self._last = None
        samples = as_float32(self._derivation.push(np.repeat(row, late, axis=0)), "samples")
        lead, self._lead = min(self._lead, late), 0
        return self._some(end_s - (late - lead) / self._rate_hz, samples[lead:])

    def _judge(self, piece: Piece) -> list[Piece]:
        if piece.begins:
            self._check.gap()
        if self._doubt == "mark":
            self._find_marks(piece.samples)
        else:
            self._check.push(piece.samples)
            if self._check.findings:
                raise refusal(self._check.findings)
        self._held.append((piece.start_s, piece.begins, piece.samples))
        return self._release() if self._check.decided else []

    def _find_marks(self, samples: NDArray[np.float32]) -> None:
        """Push window by window, so that from where on predictions are marked does not depend on the cutting either."""
        while len(samples):
            decided, part = self._check.decided, samples[: self._check.lacking]
            new = self._check.push(part)
            self._judged += len(part)
            self._marks += [(self._judged if decided else 0, finding.code) for finding in new]
            samples = samples[len(part) :]

    def _release(self) -> list[Piece]:
        held, self._held = self._held, []
        return [Piece(*each) for each in held]
