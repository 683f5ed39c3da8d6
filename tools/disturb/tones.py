"""What the conditioning makes of tones: how late and how strong they come out, also those that must not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime import Conditioner, ModelSpec, Signal
from edgeconv.runtime.conditioning.signal import TimeColumn

SOURCES = {
    "102.4 Hz, jitter of ±0.3 samples": (102.4, 0.3),
    "100 Hz": (100.0, 0.0),
    "60 Hz": (60.0, 0.0),
    "200 Hz": (200.0, 0.0),
}
"""Rate in Hz, and jitter in samples."""
KEPT_HZ = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0)
"""Below 0.9 of the Nyquist frequency of 50 Hz, where the pass band ends."""
LOST_HZ = (27.0, 30.0, 35.0, 40.0, 45.0)
SECONDS, EDGE_S = 40.0, 4.0
"""Length of a tone, and what is left out at either end, where the filter sees the held first and last sample."""
DELAY_MS, GAIN, WEAKER_DB, WEAKER_JITTER_DB, JITTER_BAND = 0.01, 0.003, -65.0, -60.0, 0.8


def measure(spec: ModelSpec, seed: int) -> list[dict[str, Any]]:
    """Return what comes out of each tone, as plain values.

    delay_ms: how much later its phase is; None for a tone that must not come out
    gain: of the tone; or, by its rms, of whatever comes out in its place
    late_s: how much later the answer is there
    """
    found = []
    for source, (source_hz, jitter) in SOURCES.items():
        for hz in (*KEPT_HZ, *(hz for hz in LOST_HZ if hz < 0.49 * source_hz)):
            times, samples, phases, late_s = _condition(spec, source_hz, jitter, hz, seed)
            delay_ms, gain = None, float(np.sqrt(2 * np.mean(samples**2)))
            if hz < spec.sampling_rate_hz / 2:
                delay_ms, gain = _delay_and_gain(times, samples, hz, phases)
            found.append({"source": source, "hz": hz, "delay_ms": delay_ms, "gain": gain, "late_s": late_s})
    return found


def missed(tone: dict[str, Any]) -> bool:
    """Whether a tone came out late or weaker, or one that must not come out did."""
    source_hz, jitter = SOURCES[tone["source"]]
    if tone["delay_ms"] is not None:
        return abs(tone["delay_ms"]) > DELAY_MS or abs(tone["gain"] - 1) > GAIN
    if jitter:
        return tone["hz"] <= JITTER_BAND * source_hz / 2 and level_db(tone["gain"]) > WEAKER_JITTER_DB
    return level_db(tone["gain"]) > WEAKER_DB


def level_db(gain: float) -> float:
    return float(20 * np.log10(max(gain, 1e-12)))


def _condition(
    spec: ModelSpec, source_hz: float, jitter: float, hz: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return times and samples away from the ends, the phase of each channel, and how late an answer is, s."""
    count = int(SECONDS * source_hz)
    places = np.arange(count) + np.random.default_rng(seed).uniform(-jitter, jitter, count)
    # A tone is sampled at the very times that its stamps say, whole nanoseconds.
    stamps = np.rint((places - places[0]) / source_hz * 1e9)
    phases = np.linspace(0, np.pi, len(spec.channels), endpoint=False)
    rows = np.sin(2e-9 * np.pi * hz * stamps[:, None] + phases)
    conditioner = Conditioner(spec, Signal(time=TimeColumn("t", "ns")), ("t", *spec.channel_names))
    pieces = [*conditioner.push(np.column_stack([stamps, rows])), *conditioner.finish()]
    samples = np.concatenate([piece.samples for piece in pieces]).astype(np.float64)
    times = np.arange(len(samples)) / spec.sampling_rate_hz
    inside = (times >= EDGE_S) & (times <= times[-1] - EDGE_S)
    return times[inside], samples[inside], phases, conditioner.report.delay_s


def _delay_and_gain(
    times: NDArray[np.float64], samples: NDArray[np.float64], hz: float, phases: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the delay, ms, and the gain of a tone, by least squares: that of the channel that is furthest off."""
    turns = 2 * np.pi * hz * times
    sines, cosines = np.linalg.lstsq(np.column_stack([np.sin(turns), np.cos(turns)]), samples)[0]
    ratio = (sines + 1j * cosines) * np.exp(-1j * phases)
    delays_ms = -1e3 * np.angle(ratio) / (2 * np.pi * hz)
    gains = np.abs(ratio)
    return float(delays_ms[np.abs(delays_ms).argmax()]), float(gains[np.abs(gains - 1).argmax()])
