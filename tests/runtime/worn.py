"""A made-up case with an accelerometer and a gyroscope that obey the laws of motion, for tests of plausibility."""

from __future__ import annotations

import numpy as np

RATE_HZ = 50.0
WINDOW = 128


def worn(seed: int, seconds: float = 90.0) -> np.ndarray:
    """Return acceleration in g and angular velocity in rad/s: float32 [n, 6], of rest, walking, and bowing down.

    Gravity is near x, but for a bow of about a right angle, every 15 s, about an axis drawn at random in the y-z plane.
    The bowed case is rolled a little about x.
    """
    rng, n = np.random.default_rng(seed), round(seconds * RATE_HZ)
    time = np.arange(n) / RATE_HZ
    phase, part = np.divmod(time, 15.0)
    # A bow of 2 s, 3 s down, 2 s back; walking in every other phase.
    speed = 0.7 * (np.sin(np.pi * np.clip(part - 1, 0, 2) / 2) ** 2 - np.sin(np.pi * np.clip(part - 6, 0, 2) / 2) ** 2)
    angles = rng.uniform(0, 2 * np.pi, int(phase.max()) + 1)[phase.astype(int)]
    rate = 1.5 * speed[:, None] * np.stack([np.zeros(n), np.cos(angles), np.sin(angles)], axis=1)
    rate[:, 0] = 1.2 * np.sin(np.pi * np.clip(part - 3.25, 0, 2.5) / 1.25)  # and, bowed, to one side and back
    walks = (phase % 2 == 1) & (part > 9)
    step = 2 * np.pi * 1.9 * time[:, None] + np.array([0.0, 1.0, 2.0])
    rate = rate + walks[:, None] * np.array([0.5, 0.7, 0.6]) * np.cos(step)
    gravity, f = np.empty((n, 3)), np.array([0.99, -0.1, 0.1])
    for i in range(n):
        gravity[i] = f
        f = f - np.cross(rate[i], f) / RATE_HZ
        f /= np.linalg.norm(f)
    shakes = walks[:, None] * np.array([0.35, 0.2, 0.2]) * np.sin(step + 0.5)
    acc = gravity + shakes + 0.004 * rng.standard_normal((n, 3))
    return np.concatenate((acc, rate + 0.02 * rng.standard_normal((n, 3))), axis=1).astype(np.float32)


def windows_of(recordings: list[np.ndarray]) -> np.ndarray:
    """Return the windows that lie one behind the other in recordings: float32 [n, window, channels]."""
    cut = [samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW, samples.shape[1]) for samples in recordings]
    return np.concatenate(cut)
