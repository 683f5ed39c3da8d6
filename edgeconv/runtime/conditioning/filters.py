"""Causal filters that run piece by piece: Butterworth filters, medians and delays over all columns at once.

However a recording is cut into pushes, the results have the same bits. A linear filter works in blocks of `BLOCK`
samples that begin where the recording begins: one matrix takes the state at the block's start and the block's samples
to the filtered samples and the next state. A block that is not yet full is computed in the same way with zeros behind,
as often as samples come, so nothing waits for its end: what stands behind a sample has the weight zero in its row, and
adding zeros changes no bit of a sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

BLOCK = 64
"""Samples in a block: few enough that filling it sample by sample is cheap, enough that a long recording is quick."""
KINDS = ("low-pass", "high-pass", "minus-low-pass", "median", "delay")
HIGHEST_ORDER = 99


@dataclass(frozen=True)
class Filter:
    """One step from a signal to another, in the words of the spec."""

    kind: Literal["low-pass", "high-pass", "minus-low-pass", "median", "delay"]
    """Butterworth, or the signal minus its Butterworth low-pass; the median of the last samples; the signal late."""
    order: int
    """Order of the Butterworth filter; for a median its length in samples, which is odd, for a delay its samples."""
    corner_hz: float | None = None
    """Frequency at which a Butterworth filter leaves half the power."""

    @property
    def delay(self) -> int:
        """Samples by which the result is late where a later sample would be needed: a median is centred."""
        return {"median": self.order // 2, "delay": self.order}.get(self.kind, 0)

    def problem(self, sampling_rate_hz: float) -> str | None:
        """Return what is wrong with it at a rate, in words, or None."""
        whole, half = isinstance(self.order, int) and not isinstance(self.order, bool), sampling_rate_hz / 2
        if self.kind not in KINDS:
            return f"the kind of a filter is {self.kind!r}; it must be {', '.join(KINDS)}"
        if not whole or not 1 <= self.order <= HIGHEST_ORDER:
            return f"a {self.kind} has the order {self.order!r}; it must be a whole number from 1 to {HIGHEST_ORDER}"
        if self.kind == "median" and self.order % 2 == 0:
            return f"a median of {self.order} samples has no middle one; take an odd number"
        if self.kind in ("median", "delay"):
            return None if self.corner_hz is None else f"a {self.kind} has no corner_hz, and it is {self.corner_hz}"
        if not isinstance(self.corner_hz, int | float) or not 0 < self.corner_hz < half:
            return f"a {self.kind} has corner_hz {self.corner_hz}; it must be above 0 and below {half:g}, half the rate"
        return None


class Running(Protocol):
    """A filter at work on some columns."""

    def reset(self) -> None:
        """Forget all samples; the next push starts a new recording, as if its first sample had always been there."""

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the filtered samples: float64 [n, columns] for float64 [n, columns], finite."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


def running(filter_: Filter, sampling_rate_hz: float, columns: int) -> Running:
    """Return a filter ready to run."""
    if filter_.kind in ("median", "delay"):
        return LastSamples(filter_)
    assert filter_.corner_hz is not None, "checked by Filter.problem"
    high = filter_.kind == "high-pass"
    system = StateSpace.of(sections(filter_.order, filter_.corner_hz, sampling_rate_hz, high=high))
    return Blocks(system.complement() if filter_.kind == "minus-low-pass" else system, columns)


def sections(order: int, corner_hz: float, sampling_rate_hz: float, *, high: bool = False) -> NDArray[np.float64]:
    """Return a Butterworth filter as second-order sections: float64 [sections, 6], b0 b1 b2 1 a1 a2.

    By the bilinear transform with the corner warped to its place (A. V. Oppenheim and R. W. Schafer, Discrete-Time
    Signal Processing, 3rd edition, section 7.2). Each section has a gain of 1 at 0 Hz, or, high-pass, at half the rate.
    """
    corner = math.tan(math.pi * corner_hz / sampling_rate_hz)
    found = []
    for pair in range(order // 2):  # s² + 2 sin(angle) corner s + corner²
        damping = 2 * math.sin(math.pi * (2 * pair + 1) / (2 * order)) * corner
        a = np.array([1 + damping + corner**2, 2 * corner**2 - 2, 1 - damping + corner**2])
        b = np.array([1.0, -2.0, 1.0]) if high else corner**2 * np.array([1.0, 2.0, 1.0])
        found.append(np.concatenate((b, a)) / a[0])
    if order % 2:  # s + corner
        a = np.array([1 + corner, corner - 1, 0.0])
        b = np.array([1.0, -1.0, 0.0]) if high else corner * np.array([1.0, 1.0, 0.0])
        found.append(np.concatenate((b, a)) / a[0])
    return np.array(found)


@dataclass(frozen=True)
class StateSpace:
    """A linear filter of one signal: state' = a·state + b·u, y = c·state + d·u."""

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    d: float

    @classmethod
    def of(cls, sos: NDArray[np.float64]) -> StateSpace:
        """Return second-order sections, each in transposed direct form II, one behind the other."""
        a, b, c, d = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
        for b0, b1, b2, _, a1, a2 in sos:
            own = np.array([[-a1, 1.0], [-a2, 0.0]])
            enters = np.array([b1 - a1 * b0, b2 - a2 * b0])
            a = np.block([[a, np.zeros((len(b), 2))], [np.outer(enters, c), own]])
            b, c, d = np.concatenate((b, enters * d)), np.concatenate((b0 * c, [1.0, 0.0])), float(b0 * d)
        return cls(a, b, c, d)

    def complement(self) -> StateSpace:
        """Return the filter that gives the signal minus what this one gives."""
        return StateSpace(self.a, self.b, -self.c, 1.0 - self.d)

    def steady(self) -> NDArray[np.float64]:
        """Return the state in which a signal that was 1 for ever has left it: float64 [states]."""
        return np.linalg.solve(np.eye(len(self.b)) - self.a, self.b).astype(np.float64, copy=False)

    def block(self) -> NDArray[np.float64]:
        """Return the matrix from (state, samples of a block) to (filtered samples, next state)."""
        states = len(self.b)
        step = np.zeros((BLOCK + states, states + BLOCK))
        power = np.eye(states)  # a to the power of i
        for i in range(BLOCK):
            step[i, :states] = self.c @ power
            step[BLOCK:, states + BLOCK - 1 - i] = power @ self.b
            response = self.d if i == 0 else float(self.c @ step[BLOCK:, states + BLOCK - i])
            step[np.arange(i, BLOCK), states + np.arange(BLOCK - i)] = response
            power = self.a @ power
        step[BLOCK:, :states] = power
        return step


class Blocks:
    """A linear filter of some columns, block by block."""

    def __init__(self, system: StateSpace, columns: int) -> None:
        self._step, self._steady = system.block(), system.steady()
        self._columns = columns
        self.reset()

    def reset(self) -> None:
        """Forget all samples; the next one is taken to have been there for ever."""
        self._held = np.zeros((len(self._steady) + BLOCK, self._columns))  # the state, and the block's samples so far
        self._filled = -1  # below 0 before the first sample

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the filtered samples: float64 [n, columns] for float64 [n, columns], finite."""
        found, states, at = np.empty(samples.shape), len(self._steady), 0
        if self._filled < 0 and len(samples):
            self._held[:states] = self._steady[:, None] * samples[0]
            self._filled = 0
        while at < len(samples):
            count = min(BLOCK - self._filled, len(samples) - at)
            end = self._filled + count
            self._held[states + self._filled : states + end] = samples[at : at + count]
            result = self._step @ self._held
            found[at : at + count] = result[self._filled : end]
            at, self._filled = at + count, end
            if end == BLOCK:
                self._held[:states], self._held[states:], self._filled = result[BLOCK:], 0.0, 0
        return found + 0.0  # a sum of nothing but zeros may be -0.0, depending on what stands behind

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        return {"held": self._held.copy(), "filled": self._filled}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._held, self._filled = np.array(state["held"], np.float64), int(state["filled"])


class LastSamples:
    """The median of the last samples, or the oldest of them; before the first sample there was the same."""

    def __init__(self, filter_: Filter) -> None:
        self._median = filter_.kind == "median"
        self._length = filter_.order if self._median else filter_.order + 1
        self.reset()

    def reset(self) -> None:
        """Forget all samples; the next one is taken to have been there for ever."""
        self._held: NDArray[np.float64] | None = None

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the filtered samples: float64 [n, columns] for float64 [n, columns], finite."""
        if not len(samples):
            return samples
        before = np.repeat(samples[:1], self._length - 1, axis=0) if self._held is None else self._held
        held = np.concatenate((before, samples))
        self._held = held[len(samples) :].copy()
        if not self._median:
            return held[: len(samples)]
        found: NDArray[np.float64] = np.median(sliding_window_view(held, self._length, axis=0), axis=-1)
        return found

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        return {"held": None if self._held is None else self._held.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._held = None if state["held"] is None else np.array(state["held"], np.float64)
