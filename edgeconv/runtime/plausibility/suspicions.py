"""What looks wrong in one window of a stream, and what it probably is, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..conditioning.units import canonical, units_between
from ..spec import ModelSpec
from .seen import MOVING, Cone, Figures, Seen, SeenTriad

WIDER = 1.5
"""Factor by which the norm may lie beyond what training saw; the nearest units of acceleration are 9.8 apart."""
WIDER_RATIO = 2.0
"""The same for the ratio of two activities; the nearest units of angular velocity are 57 apart."""
WIDER_RANGE = 5.0
"""The same for single values, which have no other limit."""
WIDER_CONE_DEG = 25.0
"""Angle by which gravity may lie outside the directions that training saw."""
STILL = 1e-6
"""Deviation that is none, as a part of the least in training: filters leave rounding where a sensor stands still."""
SAME_UNIT, SAME_UNIT_BY_RATIO = 1.35, 8.0
"""Factor within which a unit is recognised, by the norm of gravity and by a ratio of activities."""

SENSOR_UNITS = ("g", "m/s^2", "mg", "rad/s", "deg/s", "mdps")
"""Units in which sensors give what they measure, and in which the wrong ones may come."""


@dataclass(frozen=True)
class Suspicion:
    """Something about one window."""

    code: str
    channels: tuple[str, ...]
    message: str
    option: str


def judge(spec: ModelSpec, seen: Seen, places: dict[str, list[int]], window: Figures) -> Iterator[Suspicion]:
    """Yield what is wrong in one window, all its figures in row 0; places: of the channels of each triad."""
    names = spec.channel_names
    if not window.low.any() and not window.high.any() and any(seen.deviation_low):
        text = "all channels are 0 all the time: the sensor is not running, or the columns are not its"
        yield Suspicion("zeros", names, text, "")
        return
    stuck = [i for i in range(len(names)) if window.deviation[0, i] < STILL * seen.deviation_low[i]]
    for i in stuck:
        text = f"{names[i]} stays at {window.low[0, i]:.6g} {spec.channels[i].unit}, which it never did in training: "
        yield Suspicion("stuck", (names[i],), text + "the axis is dead, or the column is another one", _map(names[i]))
    wrong: set[str] = set()
    too_large: dict[str, float] = {}
    triads = {triad.name: (k, triad) for k, triad in enumerate(seen.triads)}
    for name, (k, triad) in triads.items():
        own = tuple(names[i] for i in places[name])
        if triad.has_gravity and not set(places[name]) & set(stuck):
            found = list(_gravity(spec, triads, k, triad, own, window))
            if any(one.code == "exchanged" for one in found):
                yield from found
                return
            if any(one.code == "unit" for one in found):
                wrong.add(name)
                too_large[name] = float(window.norm[0, k]) / triad.norm_median
            yield from found
    for ratio in seen.ratios:
        k, i = triads[ratio.name][0], triads[ratio.other][0]
        own = tuple(names[at] for at in places[ratio.name])
        dead = set(places[ratio.name] + places[ratio.other]) & set(stuck)
        if dead or not window.activity[0, i]:
            continue
        now = float(window.activity[0, k] / window.activity[0, i]) * too_large.get(ratio.other, 1.0)
        if not ratio.low / WIDER_RATIO <= now <= ratio.high * WIDER_RATIO:
            wrong.add(ratio.name)
            units = [spec.channels[places[one][0]].unit for one in (ratio.name, ratio.other)]
            text = (
                f"{ratio.name} varies {now:.3g} times as much as {ratio.other} ({units[0]} for each {units[1]}); "
                f"in training it was {ratio.low:.2g} to {ratio.high:.2g}"
            )
            middle = math.sqrt(ratio.low * ratio.high)
            yield _unit(spec, ratio.name, own, now / middle, SAME_UNIT_BY_RATIO, text)
    beyond = {i: size for i in range(len(names)) if (size := _beyond(spec, window, i)) > WIDER_RANGE}
    for name in triads:
        own_places = [i for i in places[name] if i in beyond]
        if own_places and name not in wrong:
            yield _range(spec, name, tuple(names[i] for i in places[name]), max(beyond[i] for i in own_places))
        for i in places[name]:
            beyond.pop(i, None)
    for i, size in beyond.items():
        yield _range(spec, names[i], (names[i],), size)


def _gravity(
    spec: ModelSpec,
    triads: dict[str, tuple[int, SeenTriad]],
    k: int,
    triad: SeenTriad,
    own: tuple[str, ...],
    window: Figures,
) -> Iterator[Suspicion]:
    """Yield what is wrong with gravity in a triad that has it."""
    unit = spec.channels[spec.channel_names.index(own[0])].unit
    norm, length = float(window.norm[0, k]), window.mean_length[0]
    factor = norm / triad.norm_median
    if length[k] < 0.6 * triad.mean_low:
        for other, (i, has) in triads.items():
            if not has.has_gravity and triad.mean_low / WIDER <= length[i] <= triad.mean_high * WIDER:
                theirs = tuple(name for name in spec.channel_names if name.startswith(f"{other}_"))
                text = (
                    f"{other} has a mean of the length {length[i]:.3g} and {triad.name} one of {length[k]:.3g}: "
                    f"gravity is in {other}, so {triad.name} and {other} are probably exchanged"
                )
                yield Suspicion("exchanged", own + theirs, text, f"{_map(own[0])} …")
                return
    if not triad.norm_low / WIDER <= norm <= triad.norm_high * WIDER:
        text = (
            f"the median norm of {triad.name} is {norm:.3g} {unit}; "
            f"in training it was {triad.norm_low:.3g} to {triad.norm_high:.3g} {unit}"
        )
        yield _unit(spec, triad.name, own, factor, SAME_UNIT, text)
        return
    cone = triad.moving if window.activity[0, k] > MOVING * triad.norm_median else triad.still
    if cone is None or not length[k]:
        return
    direction = window.mean[0, k] / length[k]
    angle = _angle(direction, cone)
    if angle > cone.angle_deg + WIDER_CONE_DEG:
        yield Suspicion("gravity", own, *_direction(triad.name, direction, cone, angle))


def _angle(direction: NDArray[np.float64], cone: Cone) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, float(direction @ (cone.x, cone.y, cone.z))))))


def _direction(name: str, direction: NDArray[np.float64], cone: Cone, angle: float) -> tuple[str, str]:
    """Return the message about a direction of gravity and the option, naming the one mistake that would explain it."""
    where = ", ".join(f"{value:.2f}" for value in direction)
    usual = ", ".join(f"{value:.2f}" for value in (cone.x, cone.y, cone.z))
    text = (
        f"gravity in {name} points to ({where}), {angle:.0f}° from the mean direction of training ({usual}), where at "
        f"most {cone.angle_deg:.0f}° were seen: "
    )
    tries = {}
    for i, axis in enumerate("xyz"):
        tries[f"{name}_{axis} is flipped", f"--map {name}_{axis}=-COLUMN"] = direction * np.where(
            np.arange(3) == i, -1, 1
        )
    for i, k in ((0, 1), (0, 2), (1, 2)):
        order = [k if at == i else i if at == k else at for at in range(3)]
        words = f"{name}_{'xyz'[i]} and {name}_{'xyz'[k]} are exchanged"
        tries[words, f"--map {name}_{'xyz'[i]}=COLUMN --map {name}_{'xyz'[k]}=COLUMN"] = direction[order]
    fitting = {said: _angle(tried, cone) for said, tried in tries.items() if _angle(tried, cone) <= cone.angle_deg}
    if not fitting:
        return text + "the sensor is worn in another way than in training", ""
    causes = sorted(fitting, key=lambda said: fitting[said])
    words = " or ".join(said for said, _ in causes)
    return text + f"{words}, or the sensor is worn in another way", causes[0][1]


def _unit(
    spec: ModelSpec, name: str, channels: tuple[str, ...], factor: float, tolerance: float, seen: str
) -> Suspicion:
    """Return the suspicion that a sensor's unit is another one, by the factor between what is and what should be."""
    unit = spec.channels[spec.channel_names.index(channels[0])].unit
    sizes = {other: units_between(unit, other) for other in SENSOR_UNITS if other != canonical(unit)}
    apart = {other: abs(math.log(factor / size)) for other, size in sizes.items() if size and factor > 0}
    best = min(apart, key=lambda other: apart[other], default=None)
    if best is not None and apart[best] <= math.log(tolerance):
        return Suspicion("unit", channels, f"{seen}; these are probably {best}", f"--unit {name}={best}")
    text = (
        f"{seen}; that is about {factor:.2g} times what it should be, which is no known unit; perhaps the columns are "
    )
    text += "another sensor's"
    return Suspicion("unit", channels, text, f"--unit {name}=FACTOR")


def _beyond(spec: ModelSpec, window: Figures, i: int) -> float:
    """Return by which factor a channel exceeds the largest size that it had in training; 0 where that is not known."""
    channel = spec.channels[i]
    if channel.minimum is None or channel.maximum is None:
        return 0.0
    size = max(abs(channel.minimum), abs(channel.maximum))
    now = max(abs(float(window.low[0, i])), abs(float(window.high[0, i])))
    return now / size if size > 0 else 0.0


def _range(spec: ModelSpec, name: str, channels: tuple[str, ...], beyond: float) -> Suspicion:
    unit = spec.channels[spec.channel_names.index(channels[0])].unit
    text = f"{name} reaches {beyond:.3g} times the largest {unit} of training"
    return _unit(spec, name, channels, beyond, SAME_UNIT_BY_RATIO, text)


def _map(channel: str) -> str:
    return f"--map {channel}=COLUMN"
