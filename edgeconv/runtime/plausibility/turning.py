"""Whether an accelerometer and a gyroscope agree about how the case turns, whatever it is turned for.

Gravity stands still in the room, so in the case it turns against the angular velocity: df/dt = −ω × f. Over half a
second the mean acceleration is gravity well enough, and the law holds for whoever wears the case and wherever. It
breaks when an axis of one sensor is flipped or exchanged for another. Both sides of the law are linear in the three
changes of f and the nine products of a turn and f, so one matrix of moments is all that has to be kept to try every
such mistake. Where samples come at another rate than they are said to, turns are added up over wrong times, and gravity
turns the wrong number of times as far: the same moments show that, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEAN_S, STEP_S, SPAN_S = 0.64, 0.16, 0.64
"""Time over which acceleration is averaged, between two such means, and over which a turn is looked at."""

TOO_SHORT, TOO_FAR = 0.57, 1.4
"""Scales beyond which turns are added up wrongly: 1.29 times beyond the furthest that training recordings keep up for
two windows, 0.736 and 1.086."""

_CROSS = np.zeros((3, 3, 3))  # (u × v)[i] = Σ _CROSS[i, j, k] u[j] v[k]
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _CROSS[_i, _j, _k], _CROSS[_i, _k, _j] = 1.0, -1.0


def moments(
    windows: NDArray[np.float32], force: Sequence[int], rate: Sequence[int], sampling_rate_hz: float, radians: float
) -> NDArray[np.float64]:
    """Return Σ z zᵀ over the turns inside windows, float64 [12, 12]: z is the change of f and the products turn · f.

    windows: float32 [n, window, channels]; force, rate: places of the two sensors' x, y, z
    radians: the unit of the rate in rad/s
    Zeros where a window is too short for a turn.
    """
    step = max(1, round(STEP_S * sampling_rate_hz))
    mean, span = round(MEAN_S / STEP_S), round(SPAN_S / STEP_S)
    cells = windows.shape[1] // step
    if cells < mean + span or not len(windows):
        return np.zeros((12, 12))
    wide = windows[:, : cells * step].astype(np.float64).reshape(len(windows), cells, step, -1).mean(axis=2)
    # Means of `mean` cells, each one cell later than the one before; a turn is summed between their middles.
    total = np.concatenate((np.zeros((len(wide), 1, wide.shape[2])), wide.cumsum(axis=1)), axis=1)
    f = (total[:, mean:] - total[:, :-mean])[:, :, list(force)] / mean
    middle = total[:, mean // 2 : cells - mean // 2 + 1, list(rate)] * (step / sampling_rate_hz * radians)
    change, turn = f[:, span:] - f[:, :-span], middle[:, span:] - middle[:, :-span]
    between = (f[:, span:] + f[:, :-span]) / 2
    products = (turn[..., :, None] * between[..., None, :]).reshape(*turn.shape[:2], 9)
    z = np.concatenate((change, products), axis=2).reshape(-1, 12)
    added: NDArray[np.float64] = z.T @ z
    return added


def no_turn() -> NDArray[np.float64]:
    """Return the matrix of sensors whose axes agree: float64 [3, 3]."""
    return np.eye(3)


def explained(added: NDArray[np.float64], turned: NDArray[np.float64]) -> float:
    """Return the part of gravity's changes that the turns explain if the rate is `turned` · ω: 1 for all of them.

    added: what `moments` gave, summed; turned: float64 [3, 3], a matrix that permutes and flips axes
    """
    residual = np.concatenate((np.eye(3), -_law(turned)), axis=1)
    left = float(np.einsum("ij,jk,ik->", residual, added, residual))
    return 1.0 - left / float(added[:3, :3].trace())


@dataclass(frozen=True)
class Scale:
    """How many times as far as the rate says gravity turns: the truth is between two least-squares slopes.

    Of gravity's changes on the turns, and the other way round; with errors in both the one is too small and the other
    too large (Frisch, Statistical Confluence Analysis, 1934).
    """

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The geometric mean of both."""
        return math.sqrt(self.low * self.high)

    @property
    def explained(self) -> float:
        """The part of gravity's changes that the turns explain when they are scaled: at most 1."""
        return self.low / self.high

    @property
    def elsewhere(self) -> bool:
        """Whether it is nowhere near 1."""
        return self.high < TOO_SHORT or self.low > TOO_FAR


def scale_of(added: NDArray[np.float64], turned: NDArray[np.float64]) -> Scale | None:
    """Return the scale if the rate is `turned` · ω, as in `explained`; None where the turns go the other way."""
    law = _law(turned)
    both, turns = float(np.vdot(law, added[:3, 3:])), float(np.einsum("ij,jk,ik->", law, added[3:, 3:], law))
    if both <= 0:
        return None
    return Scale(both / turns, float(added[:3, :3].trace()) / both)


def _law(turned: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what makes gravity's change of the products of a turn and gravity: float64 [3, 9]."""
    law: NDArray[np.float64] = -np.einsum("ikb,ka->iab", _CROSS, turned).reshape(3, 9)
    return law


@dataclass(frozen=True)
class Mistake:
    """Axes that are not what they are said to be."""

    words: str
    option: str
    """The option that puts it right."""


def mistakes(force: str, rate: str) -> dict[Mistake, NDArray[np.float64]]:
    """Return single mistakes, each with the matrix by which the rate then seems to be turned.

    A flipped axis of the accelerometer looks like the gyroscope's two other axes flipped. An axis flipped in both
    sensors, two axes exchanged in both, and a gyroscope with all signs turned look alike, as in a mirror.
    """
    mirror = f"one axis is flipped or two are exchanged in both {force} and {rate}, or {rate} has the other sign"
    found = {Mistake(mirror, " ".join(f"--map {rate}_{axis}=-COLUMN" for axis in "xyz")): -np.eye(3)}
    for sensor, sign in ((force, -1.0), (rate, 1.0)):
        for i, axis in enumerate("xyz"):
            flip = np.diag(np.where(np.arange(3) == i, -1.0, 1.0))
            found[Mistake(f"{sensor}_{axis} is flipped", f"--map {sensor}_{axis}=-COLUMN")] = sign * flip
        for i, k in ((0, 1), (0, 2), (1, 2)):
            one, other = f"{sensor}_{'xyz'[i]}", f"{sensor}_{'xyz'[k]}"
            swap = np.eye(3)[[k if at == i else i if at == k else at for at in range(3)]]
            mistake = Mistake(f"{one} and {other} are exchanged", f"--map {one}=COLUMN --map {other}=COLUMN")
            found[mistake] = sign * swap
    return found
