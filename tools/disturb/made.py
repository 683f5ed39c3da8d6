"""Disturbed recordings: what is in their files."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 50.0
NAMES = tuple(f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz")
PHONE = ("ax", "ay", "az", "gx", "gy", "gz")
EPOCH_NS = 1_772_323_200_000_000_000
GRAVITY, DEGREES = 9.80665, 180 / np.pi
FINER = 16
"""How many times as many samples a spline is laid through."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Table:
    """A file's content."""

    values: Floats
    """float64 [n, columns]; NaN is a missing value."""
    header: tuple[str, ...] | None = NAMES
    """Names of the columns; None for a file without a header."""
    times: tuple[str, NDArray[np.float64] | NDArray[np.int64]] | None = None
    """Name and content of the column of times, which is the first."""
    stretches: tuple[int, ...] = ()
    """Samples at the model's rate of each part over whose ends no window may reach."""
    empty: str = "nan"
    """What stands for a missing value."""

    def write(self, path: Path) -> None:
        """Write what the path's ending says: .npy, or text, .gz compressed."""
        if path.suffix == ".npy":
            np.save(path, self.values.astype(np.float32))
            return
        rows = self.values.tolist()
        if np.isnan(self.values).any():
            rows = [[self.empty if value != value else value for value in row] for row in rows]
        if self.times:
            rows = [[time, *row] for time, row in zip(self.times[1].tolist(), rows, strict=True)]
        with gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w") as file:
            writer = csv.writer(file, lineterminator="\n")
            if self.header:
                writer.writerow([*([self.times[0]] if self.times else []), *self.header])
            writer.writerows(rows)


Change = Callable[[Floats, np.random.Generator], Table]
"""Samples of one recording, in g and rad/s at 50 Hz, and a generator of its own → a file's content."""


def scaled(acc: float = 1.0, gyro: float = 1.0) -> Change:
    return lambda samples, _: Table(samples * np.repeat([acc, gyro], 3))


def ordered(*order: int, header: tuple[str, ...] | None = NAMES) -> Change:
    """Put columns in another order under the names of the right one, or under a header."""
    return lambda samples, _: Table(samples[:, order], header)


def turned(place: int) -> Change:
    return lambda samples, _: Table(np.where(np.arange(6) == place, -samples, samples))


def stuck(place: int) -> Change:
    return lambda samples, _: Table(np.where(np.arange(6) == place, samples[0], samples))


def saturated(place: int) -> Change:
    """Cut a channel off at half of its least and of its largest value."""

    def change(samples: Floats, _: np.random.Generator) -> Table:
        cut = samples.clip(samples.min(axis=0) / 2, samples.max(axis=0) / 2)
        return Table(np.where(np.arange(6) == place, cut, samples))

    return change


def at_times(samples: Floats, times_s: Floats, below_hz: float = RATE_HZ / 2) -> Floats:
    """Return the band-limited signal that has these samples at 50 Hz, at other times.

    The spectrum of the recording, mirrored so that it has no step at its ends, gives 16 times as many samples; a cubic
    spline between these errs by some 1e-5 of a tone of 25 Hz. What is at `below_hz` and above it is taken out first.
    """
    from scipy.fft import irfft, rfft
    from scipy.interpolate import CubicSpline

    count = 2 * len(samples)
    spectrum = rfft(np.concatenate((samples, samples[::-1])), axis=0)
    spectrum[-1] /= 2  # the highest one stands for both signs
    if below_hz < RATE_HZ / 2:
        spectrum[np.arange(len(spectrum)) * RATE_HZ / count >= below_hz] = 0
    fine = irfft(spectrum, FINER * count, axis=0)[: FINER * len(samples)] * FINER
    return np.asarray(CubicSpline(np.arange(len(fine)) / (FINER * RATE_HZ), fine)(times_s))


def sampled(
    source_hz: float, clock: str | None = None, *, jitter: float = 0.0, header: tuple[str, ...] = NAMES
) -> Change:
    """Sample the signal at another rate; `clock` names the column of times, and ends in their unit unless it is ns."""

    def change(samples: Floats, rng: np.random.Generator) -> Table:
        end_s = (len(samples) - 1) / RATE_HZ
        places = np.arange(int(end_s * source_hz + 1e-9) + 1)
        times = (places + rng.uniform(-jitter, jitter, len(places))) / source_hz
        times -= times[0]
        times = times[times <= end_s]
        values = at_times(samples, times, min(source_hz, RATE_HZ) / 2)
        stamped_as = None if clock is None else (clock, stamps(times, clock))
        return Table(values, header, stamped_as, (_grid_points(0.0, times[-1]),))

    return change


def stamps(times_s: Floats, clock: str) -> NDArray[np.float64] | NDArray[np.int64]:
    """Return times as a column of this name has them: time_s, time_ms from 0, or timestamp in ns since 1970."""
    if clock == "timestamp":
        return EPOCH_NS + np.rint(times_s * 1e9).astype(np.int64)
    return times_s.round(6) if clock == "time_s" else (times_s * 1e3).round(3)


def stamped(samples: Floats, kept: NDArray[np.intp] | None = None, clock: str = "time_s") -> Table:
    """Return the samples, or those kept and in that order, with the times when they were taken."""
    places = np.arange(len(samples)) if kept is None else kept
    return Table(samples[places], times=(clock, stamps(places / RATE_HZ, clock)), stretches=(len(samples),))


def on_time(clock: str) -> Change:
    return lambda samples, _: stamped(samples, clock=clock)


def some(samples: Floats, rng: np.random.Generator, share: float = 0.01) -> NDArray[np.intp]:
    """Draw samples, neither the first nor the last nor two neighbours."""
    drawn = 1 + np.flatnonzero(rng.random(len(samples) - 2) < share)
    return drawn[np.diff(drawn, prepend=-1) > 1]


def rows_left_out(samples: Floats, rng: np.random.Generator) -> Table:
    return stamped(samples, np.delete(np.arange(len(samples)), some(samples, rng)))


def cells_empty(empty: str) -> Change:
    def change(samples: Floats, rng: np.random.Generator) -> Table:
        lost = samples.copy()
        places = some(samples, rng)
        lost[places, rng.integers(0, 6, len(places))] = np.nan
        return Table(lost, empty=empty)

    return change


def repeated_and_late(samples: Floats, rng: np.random.Generator) -> Table:
    """One row in a hundred comes twice, and another one after the row behind it."""
    places, late, twice = np.arange(len(samples)), some(samples, rng), some(samples, rng)
    places[late], places[late + 1] = places[late + 1], places[late]
    return stamped(samples, np.insert(places, twice, places[twice]))


def clock_set_back(samples: Floats, _: np.random.Generator) -> Table:
    half = len(samples) // 2
    table = stamped(samples)
    times = np.arange(len(samples)) / RATE_HZ
    times[half:] -= times[half] / 2
    return replace(table, times=("time_s", times.round(6)), stretches=(half, len(samples) - half))


def with_gaps(change: Change) -> Change:
    """Take 3 s out at three places, of what has its times in s or ms."""

    def cut(samples: Floats, rng: np.random.Generator) -> Table:
        table = change(samples, rng)
        assert table.times is not None
        name, stamps = table.times
        times = stamps / (1e3 if name == "time_ms" else 1.0)
        quarter_s = times[-1] / 4
        begins = quarter_s * (np.arange(1, 4) + rng.uniform(0.0, 0.25, 3))
        kept = ~((times[:, None] >= begins) & (times[:, None] < begins + 3.0)).any(axis=1)
        ends = np.flatnonzero(np.diff(times[kept]) > 1.0) + 1
        grids = [_grid_points(part[0], part[-1]) for part in np.split(times[kept], ends)]
        return replace(table, values=table.values[kept], times=(name, stamps[kept]), stretches=tuple(grids))

    return cut


def _grid_points(start_s: float, end_s: float) -> int:
    """Return how many samples at 50 Hz lie in a stretch."""
    return int(np.floor(end_s * RATE_HZ + 1e-6)) - int(np.ceil(start_s * RATE_HZ - 1e-6)) + 1


def in_whole_ms(change: Change) -> Change:
    """Round a file's times, in ms, to whole ones."""

    def rounded(samples: Floats, rng: np.random.Generator) -> Table:
        table = change(samples, rng)
        assert table.times is not None
        return replace(table, times=(table.times[0], np.rint(table.times[1]).astype(np.int64)))

    return rounded


def part_of(change: Change, columns: slice) -> Change:
    """Return a file that has some of the channels only."""

    def narrow(samples: Floats, rng: np.random.Generator) -> Table:
        table = change(samples, rng)
        assert table.header is not None
        return replace(table, values=table.values[:, columns], header=table.header[columns])

    return narrow


def phone(samples: Floats, rng: np.random.Generator) -> Table:
    """Everything at once: names, units, a sign, the rate, jitter, stamps in ns since 1970."""
    table = sampled(102.4, "timestamp", jitter=0.3, header=PHONE)(samples, rng)
    factors = np.array([GRAVITY, -GRAVITY, GRAVITY, DEGREES, -DEGREES, DEGREES])
    return replace(table, values=table.values * factors)
