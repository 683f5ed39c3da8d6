"""What the turns of a stream show: axes that are not what they are said to be, or another rate than is said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .suspicions import Suspicion
from .turning import Mistake, Scale, explained, no_turn, scale_of

EXPLAINS, MORE = 0.2, 0.5
"""Part of the turning that a cause must explain, and by how much more than the axes as they are."""
MIXED, MIXED_TURNED = 0.1, 6.0
"""Part of the turning that is explained, by turns scaled as it may be, below which axes are mixed up, and from how much
turning on, in gravity's squared changes per squared gravity. Of every training recording 0.25 and more is, with its
columns permuted 0.05 and less."""
ALIKE = 0.1
"""Difference below which two causes explain the turning alike: about one axis only, several do."""

Mistakes = Mapping[Mistake, NDArray[np.float64]]


def turning_suspicion(
    added: NDArray[np.float64],
    mistakes: Mistakes,
    sensors: tuple[str, str],
    channels: tuple[str, ...],
    sampling_rate_hz: float,
    norm: float,
) -> Suspicion | None:
    """Return what is wrong with the turning of gravity; None for nothing.

    added: what `moments` gave, summed; sensors: that of gravity, and that of the rate of turning; channels: of both
    norm: length of gravity in training
    """
    gravity, rate = sensors
    if (other := _other_rate(added, mistakes)) is not None:
        scale, causes = other
        times, hz = f"{scale.middle:.2g}", float(f"{sampling_rate_hz / scale.middle:.2g}")
        also = f", and as if {' or '.join(cause.words for cause in causes)}" if causes else ""
        message = (
            f"gravity in {gravity} turns {times} times as far as {rate} says, as if samples were {times} times as far "
            f"apart in time as they are said to be, such as {hz:g} Hz said to be {sampling_rate_hz:g} Hz, or as if "
            f"{rate} had to be multiplied by {times}{also}: that explains {100 * scale.explained:.0f} % of its turning"
        )
        option = f"--rate HZ or --unit {rate}=FACTOR"
        return Suspicion("rate", channels, message, f"{causes[0].option} {option}" if causes else option)
    here = explained(added, no_turn())
    parts = {mistake: explained(added, turned) for mistake, turned in mistakes.items()}
    most = max(parts.values())
    if most < max(EXPLAINS, here + MORE):
        scaled = scale_of(added, no_turn())
        related = scaled is not None and scaled.explained >= MIXED
        if related or added[:3, :3].trace() < MIXED_TURNED * norm**2:
            return None
        message = (
            f"gravity in {gravity} does not turn as {rate} says, nor as if a single axis of theirs were another: their "
            "columns are probably mixed up"
        )
        return Suspicion("turning", channels, message, f"--map {channels[0]}=COLUMN …")
    causes = _alike(parts)
    message = (
        f"gravity in {gravity} does not turn as {rate} says, but as if {' or '.join(c.words for c in causes)}: "
        f"that explains {100 * most:.0f} % of its turning, and the axes as they are {100 * max(0.0, here):.0f} %"
    )
    return Suspicion("turning", channels, message, causes[0].option)


def _other_rate(added: NDArray[np.float64], mistakes: Mistakes) -> tuple[Scale, list[Mistake]] | None:
    """Return by how much turns are added up wrongly, and the mistakes that are there as well; None where they are not.

    Scaled, mistakes explain more than they do alone, so the axes as they are get the benefit of the doubt.
    """
    here = scale_of(added, no_turn())
    scales = {mistake: scale for mistake, turned in mistakes.items() if (scale := scale_of(added, turned)) is not None}
    parts = {mistake: scale.explained for mistake, scale in scales.items()}
    most = max(parts.values(), default=0.0)
    causes: list[Mistake] = []
    if most >= max(EXPLAINS, MORE + (here.explained if here is not None else 0.0)):
        causes = _alike(parts)
        here = scales[causes[0]]
    if here is None or not here.elsewhere or here.explained < max(EXPLAINS, most - ALIKE):
        return None
    return here, causes


def _alike(parts: Mapping[Mistake, float]) -> list[Mistake]:
    """Return the mistakes that explain the most, the best one first."""
    most = max(parts.values())
    return sorted((mistake for mistake in parts if parts[mistake] >= most - ALIKE), key=lambda m: -parts[m])
