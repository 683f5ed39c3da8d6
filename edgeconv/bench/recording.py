"""A generated signal for timing: what the values are hardly matters, that they are in range does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import ModelSpec


def generate_recording(spec: ModelSpec, samples: int, seed: int) -> NDArray[np.float32]:
    """Return a recording inside the ranges that the spec's channels saw in training: a slow oscillation with noise.

    returns: float32 [samples, channels], in the spec's units
    Where a channel has no range, mean ± 2 standard deviations stand in for it.
    """
    rng = np.random.default_rng(seed)
    # Filled in place, because the memory that a contestant takes is measured too.
    recording = rng.random((samples, len(spec.channels)), np.float32)
    time_s = np.arange(samples) / spec.sampling_rate_hz
    for i, channel in enumerate(spec.channels):
        low = channel.mean - 2 * channel.std if channel.minimum is None else channel.minimum
        high = channel.mean + 2 * channel.std if channel.maximum is None else channel.maximum
        oscillation_hz, phase = rng.uniform(0.01, 0.1) * spec.sampling_rate_hz, rng.uniform()
        wave = np.sin(2 * np.pi * (oscillation_hz * time_s + phase))
        recording[:, i] = (low + high) / 2 + (high - low) / 2 * (0.7 * wave + 0.6 * (recording[:, i] - 0.5))
    return recording
