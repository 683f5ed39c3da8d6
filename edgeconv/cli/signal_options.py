"""The options that say what a source is: which column is which channel, in which unit, at which times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import table

if TYPE_CHECKING:
    from edgeconv.runtime.conditioning.signal import Signal
    from edgeconv.runtime.spec import ModelSpec

SignalOption = Annotated[
    Path | None,
    typer.Option("--signal", help="TOML file that says all of the following; what is given beside it wins."),
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Column of a channel, by name or number from 0; `gyro_y=-gy` turns the sign. May be repeated.",
        metavar="CHANNEL=COLUMN",
    ),
]
UnitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        help="Unit of a channel, or of all whose names begin with GROUP_: g, m/s^2, mg, rad/s, deg/s, mdps …, or a "
        "number to multiply by. May be repeated.",
        metavar="GROUP=UNIT",
    ),
]
TimeColumnOption = Annotated[
    str | None,
    typer.Option("--time-column", help="Column of times, and its unit: s, ms, us, ns or iso8601.", metavar="NAME:UNIT"),
]
RateOption = Annotated[
    float | None, typer.Option("--rate", help="Samples per second, where no column says the times.", metavar="HZ")
]
MaxGapOption = Annotated[
    float | None,
    typer.Option(
        "--max-gap",
        help="Longest time between samples that is bridged; over a longer one no window reaches. By default 5 samples.",
        metavar="SECONDS",
    ),
]
MissingOption = Annotated[
    Literal["reject", "hold", "gap"] | None,
    typer.Option(
        "--missing", help="Where a value is missing: an error (the default), the last value, or no sample there."
    ),
]
JoinOption = Annotated[
    str | None,
    typer.Option(
        "--join",
        help="Names of files that belong together, such as acc_*.txt,gyro_*.txt: row by row, or by their time columns.",
        metavar="NAME,NAME",
    ),
]
SmoothOption = Annotated[
    str | None,
    typer.Option(
        help="Events in place of windows: none, majority:N or exponential:TIME, and ,margin=M ,hold=TIME ,unknown=P: "
        "docs/evaluate.md.",
        metavar="SMOOTHING",
    ),
]
AllowImplausibleOption = Annotated[
    bool,
    typer.Option(
        "--allow-implausible",
        help="Answer a signal that cannot be what the model was trained on, and mark its predictions.",
    ),
]


@dataclass(frozen=True)
class SignalOptions:
    """What was given of the options above."""

    signal: Path | None = None
    map: list[str] | None = None
    unit: list[str] | None = None
    time_column: str | None = None
    rate: float | None = None
    max_gap: float | None = None
    missing: Literal["reject", "hold", "gap"] | None = None
    join: str | None = None

    def read(self) -> Signal | None:
        """Return the signal, or None where nothing was given; raises UsageError and MissingFileError."""
        from dataclasses import replace

        from edgeconv.runtime.conditioning.signal import Signal, TimeColumn, split_pairs

        if self == SignalOptions():
            return None
        found = Signal() if self.signal is None else Signal.load(self.signal)
        if self.map:
            found = replace(found, columns={**found.columns, **split_pairs(self.map, "--map", "acc_x=ax")})
        if self.unit:
            found = replace(found, units={**found.units, **split_pairs(self.unit, "--unit", "acc=m/s^2")})
        if self.time_column is not None:
            found = replace(found, time=TimeColumn.parse(self.time_column))
        if self.rate is not None:
            found = replace(found, rate_hz=self.rate)
        if self.max_gap is not None:
            found = replace(found, max_gap_s=self.max_gap)
        if self.missing is not None:
            found = replace(found, missing=self.missing)
        if self.join is not None:
            found = replace(found, join=tuple(name.strip() for name in self.join.split(",")))
        return found


def as_text(signal: Signal, spec: ModelSpec) -> str:
    """Return what a signal says of each of a model's channels; raises UsageError where it does not fit."""
    from edgeconv.runtime.conditioning.wiring import wires_of

    rows = [
        [wire.channel, wire.column, wire.unit, wire.target, f"{wire.factor:.9g}"] for wire in wires_of(spec, signal)
    ]
    gap = "5 sample periods" if signal.max_gap_s is None else f"{signal.max_gap_s:g} s"
    times = f"in column {signal.time.name!r}, {signal.time.unit}" if signal.time else "none, samples are evenly spaced"
    rate = "as the times show" if signal.time else f"the model's {spec.sampling_rate_hz:g} Hz"
    said = [
        f"times: {times}",
        f"rate: {rate if signal.rate_hz is None else f'{signal.rate_hz:g} Hz'}",
        f"gaps: longer than {gap}",
        f"missing values: {signal.missing}",
        *([f"files side by side: {', '.join(signal.join)}"] if signal.join else []),
    ]
    return table(["channel", "column", "unit there", "model's unit", "factor"], rows) + "\n" + "\n".join(said)
