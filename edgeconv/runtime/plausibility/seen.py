"""What a window of a signal looks like in a few figures: of the training data, kept in the spec, and of a stream.

The figures are chosen so that they tell apart what is wrong with a signal, not what somebody does: gravity is there
whatever the activity, and a body that turns more also shakes more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..conditioning.units import units_between
from .turning import explained, mistakes, moments, no_turn, scale_of

if TYPE_CHECKING:
    from ..spec import Channel

LEFT_OUT = 0.1
"""Per cent of the training windows that are left out at either end of a range, as not typical."""
MOVING_LEFT_OUT = 1.0
"""The same for directions of gravity while moving: now and then somebody who lies turns over, and moves a lot."""
VALUES_AT_ONCE = 2**22
"""Values of the training windows that are looked at in one piece."""
MOVING = 0.3
"""Activity, as a part of gravity, from which a window counts as moving: on HAPT that is walking."""
"""Units of angular velocity, in rad/s."""


@dataclass(frozen=True)
class Cone:
    """Directions around an axis."""

    x: float
    y: float
    z: float
    angle_deg: float
    """The largest angle from the axis."""


@dataclass(frozen=True)
class SeenTriad:
    """What training saw of a sensor with three axes, in the unit of its channels."""

    name: str
    norm_low: float
    norm_median: float
    norm_high: float
    """Range of a window's median of √(x² + y² + z²)."""
    mean_low: float
    mean_high: float
    """Range of the length of a window's mean vector."""
    still: Cone | None = None
    """Directions of the mean vector where it is gravity and little else."""
    moving: Cone | None = None
    """The same in windows with an activity above `MOVING`."""

    @property
    def has_gravity(self) -> bool:
        """Whether the mean of every window is about as long as its samples: gravity, seen by an accelerometer."""
        return self.mean_low > 0.5 * self.norm_median


@dataclass(frozen=True)
class SeenRatio:
    """Range of the activity of one triad over that of another, both as the root of their axes' summed variances."""

    name: str
    other: str
    low: float
    high: float


@dataclass(frozen=True)
class SeenTurning:
    """How well an angular velocity explains the turning of gravity: at most 1, and below 0 where it does not."""

    gravity: str
    rate: str
    explained: float
    by_mistake: float
    """The most that a flipped or exchanged axis would explain of it."""


@dataclass(frozen=True)
class Seen:
    """What training saw, for recognising a signal that is none of it."""

    windows: int
    deviation_low: tuple[float, ...]
    """Least standard deviation of each channel within a window, in its unit."""
    triads: tuple[SeenTriad, ...]
    ratios: tuple[SeenRatio, ...]
    turning: SeenTurning | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Seen:
        """Return what `asdict` made a dict of; raises KeyError and TypeError for anything else."""
        triads = []
        for one in data["triads"]:
            cones = {name: None if one[name] is None else Cone(**one[name]) for name in ("still", "moving")}
            triads.append(SeenTriad(**{**one, **cones}))
        turning = None if data["turning"] is None else SeenTurning(**data["turning"])
        ratios = tuple(SeenRatio(**one) for one in data["ratios"])
        return cls(int(data["windows"]), tuple(data["deviation_low"]), tuple(triads), ratios, turning)


@dataclass(frozen=True)
class Figures:
    """What each of n windows looks like."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """float64 [n, channels]: the least and the largest value"""
    deviation: NDArray[np.float64]
    """float64 [n, channels]"""
    norm: NDArray[np.float64]
    """float64 [n, triads]: median of √(x² + y² + z²)"""
    mean: NDArray[np.float64]
    """float64 [n, triads, 3]"""
    activity: NDArray[np.float64]
    """float64 [n, triads]: root of the sum of the axes' variances"""

    @property
    def mean_length(self) -> NDArray[np.float64]:
        """Length of the mean vectors: float64 [n, triads]."""
        length: NDArray[np.float64] = np.linalg.norm(self.mean, axis=-1)
        return length


def triads_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of the channels `<sensor>_x`, `_y`, `_z` of every sensor that has all three."""
    at = {name: place for place, name in enumerate(names)}
    sensors = dict.fromkeys(name.removesuffix("_x") for name in names if name.endswith("_x"))
    return {s: [at[f"{s}_{a}"] for a in "xyz"] for s in sensors if all(f"{s}_{a}" in at for a in "xyz")}


def figures(windows: NDArray[np.float32], triads: Sequence[Sequence[int]]) -> Figures:
    """Return the figures of windows: float32 [n, window, channels]."""
    wide = windows.astype(np.float64)
    axes = np.array(triads, np.int64).reshape(-1, 3)
    deviation, sensors = wide.std(axis=1), wide[:, :, axes]
    return Figures(
        low=wide.min(axis=1),
        high=wide.max(axis=1),
        deviation=deviation,
        norm=np.median(np.linalg.norm(sensors, axis=-1), axis=1),
        mean=sensors.mean(axis=1),
        activity=np.sqrt((deviation[:, axes] ** 2).sum(axis=-1)),
    )


def seen_in(windows: NDArray[np.float32], channels: Sequence[Channel], sampling_rate_hz: float) -> Seen:
    """Return what a spec keeps of its training windows: float32 [n, window, channels], n from 1."""
    units = [channel.unit for channel in channels]
    places = triads_of([channel.name for channel in channels])
    at_once = max(1, VALUES_AT_ONCE // max(1, windows[0].size))
    parts = [windows[at : at + at_once] for at in range(0, len(windows), at_once)]
    found = _joined([figures(part, list(places.values())) for part in parts])
    lengths = found.mean_length
    triads = []
    for k, name in enumerate(places):
        low, median, high = _percentiles(found.norm[:, k], LEFT_OUT, 50, 100 - LEFT_OUT)
        mean_low, mean_high = _percentiles(lengths[:, k], LEFT_OUT, 100 - LEFT_OUT)
        triad = SeenTriad(name, low, median, high, mean_low, mean_high)
        if triad.has_gravity:
            moving = found.activity[:, k] > MOVING * median
            still = _cone(found.mean[~moving, k], LEFT_OUT)
            cones = still, _cone(found.mean[moving, k], MOVING_LEFT_OUT)
            triad = SeenTriad(name, low, median, high, mean_low, mean_high, *cones)
        triads.append(triad)
    ratios = []
    for i, one in enumerate(triads):
        for k, other in enumerate(triads):
            awake = (found.activity[:, i] > 0) & (found.activity[:, k] > 0)
            if one.has_gravity and not other.has_gravity and awake.any():
                ratio = found.activity[awake, k] / found.activity[awake, i]
                ratios.append(SeenRatio(other.name, one.name, *_percentiles(ratio, LEFT_OUT, 100 - LEFT_OUT)))
    turning = None
    heavy = next((triad.name for triad in triads if triad.has_gravity), None)
    rate = next(
        (n for n, own in places.items() if n != heavy and all(units_between(units[i], "rad/s") for i in own)), None
    )
    if heavy and rate:
        sensors = places[heavy], places[rate], sampling_rate_hz, in_radians(units[places[rate][0]])
        added: NDArray[np.float64] = np.sum([moments(part, *sensors) for part in parts], axis=0)
        scale = scale_of(added, no_turn())  # elsewhere: a wrong rate or unit of the training set itself, no measure
        if added[:3, :3].trace() > 0 and not (scale is not None and scale.elsewhere):
            most = max(explained(added, mistake) for mistake in mistakes(heavy, rate).values())
            turning = SeenTurning(heavy, rate, explained(added, no_turn()), most)
    low_deviations = tuple(float(value) for value in np.percentile(found.deviation, LEFT_OUT, axis=0))
    return Seen(len(windows), low_deviations, tuple(triads), tuple(ratios), turning)


def in_radians(unit: str) -> float:
    """Return how many rad/s one of a unit of angular velocity is."""
    radians = units_between(unit, "rad/s")
    assert radians is not None
    return radians


def _joined(parts: Sequence[Figures]) -> Figures:
    return Figures(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Figures)})


def _percentiles(values: NDArray[np.float64], *at: float) -> list[float]:
    return [float(value) for value in np.percentile(values, at)]


def _cone(vectors: NDArray[np.float64], left_out: float) -> Cone | None:
    """Return the directions of vectors, float64 [n, 3], around their mean, but for a few per cent; None for none."""
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    axis = units.sum(axis=0)
    if not len(vectors) or np.linalg.norm(axis) < 1e-6 * len(vectors):
        return None
    axis /= np.linalg.norm(axis)
    (angle,) = _percentiles(np.degrees(np.arccos(np.clip(units @ axis, -1, 1))), 100 - left_out)
    return Cone(float(axis[0]), float(axis[1]), float(axis[2]), angle)
