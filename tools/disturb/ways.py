"""Ways in which a recording is not as the model wants it, what tells of each, and what is then promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .made import (
    DEGREES,
    GRAVITY,
    NAMES,
    PHONE,
    Change,
    Floats,
    cells_empty,
    clock_set_back,
    in_whole_ms,
    on_time,
    ordered,
    part_of,
    phone,
    repeated_and_late,
    rows_left_out,
    sampled,
    saturated,
    scaled,
    stuck,
    turned,
    with_gaps,
)


@dataclass(frozen=True)
class Bound:
    """What is promised of the answers, where a recording is described as it is."""

    agree: float
    """Least share of windows with the reference's top class."""
    largest: float | None = None
    """Largest |Δp|."""

    def words(self) -> str:
        """Return it for the page."""
        share = f"{100 * self.agree:g} %"
        return f"{share}, {self.largest:g}" if self.largest else share


EXACT = Bound(1.0, 1e-4)
"""The same samples, but for the float32 rounding of a conversion there and back."""
RESAMPLED = Bound(0.998)


@dataclass(frozen=True)
class Way:
    """One way, and how it is told."""

    name: str
    files: tuple[tuple[str, Change], ...]
    """Name of each file, in which the star stands for the recording's name, and what is in it."""
    right: tuple[str, ...] = ()
    """The options that tell of it."""
    bound: Bound | None = EXACT
    """What is expected with these; None where nothing is promised."""
    plain: tuple[str, ...] = ()
    """What is said at first: nothing, or something wrong."""
    toml: str = ""
    """Content of the file `signal.toml`, where an option names it."""

    def write(self, samples: Floats, recording: str, folder: Path, seed: Sequence[int]) -> tuple[Path, tuple[int, ...]]:
        """Write one recording's files; return the first, and its stretches."""
        made = []
        for name, change in self.files:
            path = folder / name.replace("*", recording)
            # Files of one recording have the same accidents.
            table = change(samples, np.random.default_rng(list(seed)))
            table.write(path)
            made.append((path, table.stretches or (len(samples),)))
        # Files that are joined end with the shortest.
        return made[0][0], min((stretches for _, stretches in made), key=sum)


PHONE_TOML = """time = "timestamp:ns"

[columns]
acc_x = "ax"
acc_y = "-ay"
acc_z = "az"
gyro_x = "gx"
gyro_y = "-gy"
gyro_z = "gz"

[units]
acc = "m/s^2"
gyro = "deg/s"
"""

SHUFFLED = (4, 2, 0, 5, 1, 3)
AS_IT_IS: Change = scaled()
ACC, GYRO = slice(0, 3), slice(3, 6)


def one(change: Change, ending: str = "csv") -> tuple[tuple[str, Change], ...]:
    return ((f"*.{ending}", change),)


def two(acc: Change, gyro: Change) -> tuple[tuple[str, Change], ...]:
    return (("acc_*.csv", part_of(acc, ACC)), ("gyro_*.csv", part_of(gyro, GYRO)))


def maps(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the options that name the columns of all channels, but of those that have their channel's name."""
    pairs = [(name, column) for name, column in zip(NAMES, columns, strict=True) if name != column]
    return tuple(text for name, column in pairs for text in ("--map", f"{name}={column}"))


def clock(column: str) -> tuple[str, ...]:
    return ("--time-column", column)


JOIN = ("--join", "acc_*.csv,gyro_*.csv")
DOUBTED = ("--allow-implausible",)
WAYS = (
    Way("acc in m/s²", one(scaled(acc=GRAVITY)), ("--unit", "acc=m/s^2")),
    Way("acc in mg", one(scaled(acc=1000)), ("--unit", "acc=mg")),
    Way("gyro in deg/s", one(scaled(gyro=DEGREES)), ("--unit", "gyro=deg/s")),
    Way("gyro in mdps", one(scaled(gyro=1000 * DEGREES)), ("--unit", "gyro=mdps")),
    Way(
        "acc in m/s², gyro in deg/s",
        one(scaled(GRAVITY, DEGREES)),
        ("--unit", "acc=m/s^2", "--unit", "gyro=deg/s"),
    ),
    Way(
        "columns in another order, with their names", one(ordered(*SHUFFLED, header=tuple(NAMES[i] for i in SHUFFLED)))
    ),
    Way(
        "columns in another order, without names",
        one(ordered(*SHUFFLED, header=None)),
        maps([str(SHUFFLED.index(place)) for place in range(6)]),
    ),
    Way("columns with other names", one(ordered(*range(6), header=PHONE)), maps(PHONE)),
    Way("acc_y with the other sign", one(turned(1)), ("--map", "acc_y=-acc_y")),
    Way(
        "gyro_x and gyro_y exchanged",
        one(ordered(0, 1, 2, 4, 3, 5)),
        ("--map", "gyro_x=gyro_y", "--map", "gyro_y=gyro_x"),
    ),
    Way("acc and gyro exchanged", one(ordered(3, 4, 5, 0, 1, 2)), maps((*NAMES[3:], *NAMES[:3]))),
    Way(
        "102.4 Hz, jitter of ±0.3 samples, ns",
        one(sampled(102.4, "timestamp", jitter=0.3)),
        clock("timestamp:ns"),
        RESAMPLED,
    ),
    Way(
        "50 Hz, jitter of ±0.3 samples, ns",
        one(sampled(50.0, "timestamp", jitter=0.3)),
        clock("timestamp:ns"),
        RESAMPLED,
    ),
    Way(
        "102.4 Hz, times in whole ms",
        one(in_whole_ms(sampled(102.4, "time_ms"))),
        clock("time_ms:ms"),
        RESAMPLED,
    ),
    Way("100 Hz, times in ms", one(sampled(100.0, "time_ms")), clock("time_ms:ms"), RESAMPLED),
    Way("60 Hz, times in s", one(sampled(60.0, "time_s")), clock("time_s:s"), RESAMPLED),
    Way("52 Hz, times in s", one(sampled(52.0, "time_s")), clock("time_s:s"), RESAMPLED),
    Way("200 Hz, no times", one(sampled(200.0)), ("--rate", "200"), RESAMPLED),
    Way("25 Hz, times in s: nothing above 12.5 Hz", one(sampled(25.0, "time_s")), clock("time_s:s"), None),
    Way("1 % of the rows left out, times in s", one(rows_left_out), clock("time_s:s"), None),
    Way("1 % of the rows with an empty cell, held", one(cells_empty("")), ("--missing", "hold"), None),
    Way("1 % of the rows with NaN, left out", one(cells_empty("NaN")), ("--missing", "gap"), None),
    Way("1 % of the rows twice, 1 % late", one(repeated_and_late), clock("time_s:s"), None),
    Way("a clock that is set back", one(clock_set_back), clock("time_s:s")),
    Way("three gaps of 3 s", one(with_gaps(on_time("time_s"))), clock("time_s:s")),
    Way("100 Hz, three gaps of 3 s", one(with_gaps(sampled(100.0, "time_ms"))), clock("time_ms:ms"), RESAMPLED),
    Way(
        "times of 50 Hz, said to be 60 Hz",
        one(on_time("time_s")),
        clock("time_s:s"),
        plain=(*clock("time_s:s"), "--rate", "60"),
    ),
    Way(
        "times in ms, said to be s",
        one(on_time("time_ms")),
        clock("time_ms:ms"),
        plain=clock("time_ms:s"),
    ),
    Way("acc_y stuck at its first value", one(stuck(1)), DOUBTED, None),
    Way("acc_x cut off at half of its range", one(saturated(0)), DOUBTED, None),
    Way("all zeros", one(scaled(0.0, 0.0)), DOUBTED, None),
    Way("acc and gyro in two files", two(AS_IT_IS, AS_IT_IS), JOIN),
    Way(
        "two files of two clocks, 100 Hz and 60 Hz",
        two(sampled(100.0, "time_s"), sampled(60.0, "time_s")),
        (*JOIN, *clock("time_s:s")),
        RESAMPLED,
    ),
    Way("NPY in float32", one(AS_IT_IS, "npy")),
    Way("CSV in gzip", one(AS_IT_IS, "csv.gz")),
    Way(
        "a phone: names, units, two signs, 102.4 Hz, jitter",
        one(phone),
        ("--signal", "signal.toml"),
        RESAMPLED,
        toml=PHONE_TOML,
    ),
)
