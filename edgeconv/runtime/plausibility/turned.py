"""What the turns of a stream show: axes that are not what they are said to be, or another rate than is said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .suspicions import Suspicion
from .turning import Mistake, Scale, explained, no_turn, scale_of

EXPLAINS, MORE = 0.2, 0.5
"""Part of the turning that a cause must explain, and by how much more than the axes as they are."""
MUCH_TURNED = 6.0
"""Turning from which less will do, in gravity's squared changes per squared gravity: much walking hides the turns in
accelerations of its own. What is explained then is looked at with turns scaled as may be."""
UNRELATED, MORE_THEN = 0.1, 0.15
"""Part below which turning has nothing to do with the axes as they are (of every training recording 0.25 and more is
explained, with its columns permuted 0.05 and less), and how much more a mistake must explain (in training none does by
more than 0.05)."""
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
        much = added[:3, :3].trace() >= MUCH_TURNED * norm**2
        return _unlike(added, mistakes, sensors, channels) if much else None
    causes = _alike(parts)
    message = (
        f"gravity in {gravity} does not turn as {rate} says, but as if {' or '.join(c.words for c in causes)}: "
        f"that explains {100 * most:.0f} % of its turning, and the axes as they are {100 * max(0.0, here):.0f} %"
    )
    return Suspicion("turning", channels, message, causes[0].option)


def _unlike(
    added: NDArray[np.float64], mistakes: Mistakes, sensors: tuple[str, str], channels: tuple[str, ...]
) -> Suspicion | None:
    """Return that gravity does not turn as it is said to, where no cause explains enough of it to be sure."""
    here = _scaled(added, no_turn())
    parts = {mistake: _scaled(added, turned) for mistake, turned in mistakes.items()}
    likely = max(parts.values()) >= max(EXPLAINS, here + MORE_THEN)
    if not likely and here >= UNRELATED:
        return None
    causes = _alike(parts) if likely else []
    words = "".join(f", or {cause.words}" for cause in causes)
    message = (
        f"gravity in {sensors[0]} does not turn as {sensors[1]} says, and no single mistake explains most of it: "
        f"columns are mixed up{words}"
    )
    return Suspicion("mixed", channels, message, causes[0].option if causes else f"--map {channels[0]}=COLUMN …")


def _scaled(added: NDArray[np.float64], turned: NDArray[np.float64]) -> float:
    scale = scale_of(added, turned)
    return 0.0 if scale is None else scale.explained


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
