"""Augmentation for inertial signals: what a phone worn a little differently, by somebody else, would have measured.

Rotation, scaling, jitter and warping in time after Um et al., Data Augmentation of Wearable Sensor Data for Parkinson's
Disease Monitoring using Convolutional Neural Networks, ICMI 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.plausibility.seen import triads_of

from .config import TrainConfig

KNOTS = 4
"""Places in a window between which its pace changes smoothly."""


def augment(
    windows: NDArray[np.float32],
    names: Sequence[str],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    config: TrainConfig,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return each window as another wearer might have given it.

    windows: float32 [n, window, channels], in the channels' units
    mean, std: float64 [channels], of the training windows, in the channels' units
    returns: float32 [n, window, channels], another array
    """
    triads = list(triads_of(names).values())
    changed = warp_time(windows, config.time_warp, rng) if config.time_warp else windows.copy()
    if config.rotation_deg and triads:
        turns = rotations(len(windows), config.rotation_deg, rng).transpose(0, 2, 1)
        for axes in triads:  # the sensors share one case, so they turn together
            changed[:, :, axes] = changed[:, :, axes] @ turns
    if config.scaling:
        changed *= 1 + config.scaling * rng.standard_normal((len(windows), 1, 1), np.float32)
    if config.noise:
        changed += rng.standard_normal(windows.shape, np.float32) * (config.noise * std).astype(np.float32)
    if config.channel_dropout:
        alone = sorted(set(range(windows.shape[2])) - {place for axes in triads for place in axes})
        for places in [*triads, *([place] for place in alone)]:
            silent = rng.random(len(windows)) < config.channel_dropout
            for place in places:
                changed[silent, :, place] = np.float32(mean[place])
    return changed


def rotations(count: int, deviation_deg: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return rotations about axes of any direction by angles drawn from a normal distribution: float32 [count, 3, 3].

    By Rodrigues' formula.
    """
    axes = rng.standard_normal((count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.deg2rad(deviation_deg) * rng.standard_normal((count, 1, 1))
    x, y, z = axes.T
    zero = np.zeros(count)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    turns: NDArray[np.float64] = np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross)
    return turns.astype(np.float32)


def warp_time(windows: NDArray[np.float32], deviation: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return windows whose pace changes smoothly, about 1 and within the window; samples between are interpolated.

    windows: float32 [n, window, channels]; returns: the same shape
    The pace never stands still or goes back; a window is stretched about its middle and its ends are held.
    """
    count, length, _ = windows.shape
    knots = np.clip(1 + deviation * rng.standard_normal((count, KNOTS)), 0.2, 5)
    at = np.linspace(0, KNOTS - 1, length)
    left = np.minimum(at.astype(int), KNOTS - 2)
    share = (at - left)[None]
    share = (1 - np.cos(np.pi * share)) / 2
    pace = knots[:, left] * (1 - share) + knots[:, left + 1] * share
    times = np.cumsum(pace, axis=1) - pace / 2
    middle = (length - 1) / 2
    times = np.clip(times - times.mean(axis=1, keepdims=True) + middle, 0, length - 1)
    before = np.minimum(times.astype(int), length - 2)
    rows = np.arange(count)[:, None]
    part = (times - before)[:, :, None].astype(np.float32)
    warped: NDArray[np.float32] = windows[rows, before] * (1 - part) + windows[rows, before + 1] * part
    return warped
