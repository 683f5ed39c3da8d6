"""Inputs that no recording holds and every copy of a network must treat alike, made to show what real windows hide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.spec import ModelSpec

Floats = NDArray[np.float32]
SEED = 20_240_607
HUGE = 1e4
"""The very large inputs, in units of each channel's largest value."""
WINDOWS = 48
"""Windows, at most, in one adversarial recording."""


def adversarial_recordings(spec: ModelSpec, hop: int) -> dict[str, Floats]:
    """Return recordings by name, each float32 [timesteps, channels] and a few windows long; always the same ones.

    Constants and extremes are those of each channel's range in training, or of its mean and deviation where the spec
    has no range. Spikes stand on single samples of single channels, so that a shift by one sample, a kernel that is
    reversed, or a channel in another's place cannot cancel.
    """
    if spec.input == "tokens":
        return adversarial_tokens(spec)
    rng = np.random.default_rng(SEED)
    channels = len(spec.channels)
    length = spec.window + min(2 * spec.window, (WINDOWS - 1) * hop)
    low = np.array([c.mean - 4 * c.std if c.minimum is None else c.minimum for c in spec.channels], np.float32)
    high = np.array([c.mean + 4 * c.std if c.maximum is None else c.maximum for c in spec.channels], np.float32)
    scale = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.float32(1e-3))
    time = np.arange(length)

    def constant(value: Floats | float) -> Floats:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, np.float32), (length, channels)))

    signs = rng.choice(np.array([-1, 1], np.float32), (length, channels))
    spikes = np.zeros((length, channels), np.float32)
    # A prime apart, so that a spike meets every phase of strides and pools; its channel goes round.
    for number, at in enumerate(range(0, length, 7)):
        spikes[at, number % channels] = 10 * scale[number % channels] * (-1) ** (number // channels)
    lone = np.zeros((length, channels), np.float32)
    lone[spec.window // 2, 0] = 10 * scale[0]
    ramp = (time[:, None] / max(1, length - 1)).astype(np.float32)
    return {
        "zeros": constant(0.0),
        "lowest": constant(low),
        "highest": constant(high),
        "one channel at a time": np.where((time[:, None] // 5) % channels == np.arange(channels), high, np.float32(0)),
        "alternating extremes": np.where((time % 2 == 0)[:, None], low, high),
        "extremes by chance": np.where(signs > 0, low, high),
        "ramp": low + (high - low) * ramp,
        "step": np.where((time < spec.window // 3)[:, None], low, high),
        "noise": (rng.standard_normal((length, channels)) * scale / 2).astype(np.float32),
        "spikes": spikes,
        "single spike": lone,
        "denormal": (signs * np.float32(1e-40)).astype(np.float32),
        "tiny": (signs * np.float32(1e-20)).astype(np.float32),
        "very large": signs * scale * np.float32(HUGE),
    }


def adversarial_tokens(spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """Return texts by name, each int32 [window] of token ids: one id throughout, few, and any."""
    rng = np.random.default_rng(SEED)
    count = spec.vocabulary or 1
    places, last = np.arange(spec.window), count - 1
    return {
        "lowest id": np.zeros(spec.window, np.int32),
        "highest id": np.full(spec.window, last, np.int32),
        "two ids in turn": np.where(places % 2 == 0, 0, last).astype(np.int32),
        "all ids in order": (places % count).astype(np.int32),
        "any ids": rng.integers(0, count, spec.window).astype(np.int32),
        "one id among others": np.where(places == spec.window // 2, last, 0).astype(np.int32),
    }
