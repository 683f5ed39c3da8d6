"""How the columns of a source become the channels of a model: names, units, time, and what to do where samples lack."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..errors import MissingFileError, UsageError

Missing = Literal["reject", "hold", "gap"]
TimeUnit = Literal["s", "ms", "us", "ns", "iso8601"]

SECONDS: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "iso8601": 1.0}
"""What one of a column's numbers is in seconds; dates become seconds where they are read."""


@dataclass(frozen=True)
class TimeColumn:
    """The column that says when each sample was taken."""

    name: str
    """Name, or number from 0 where columns have no names."""
    unit: TimeUnit

    def __post_init__(self) -> None:
        if not self.name or self.unit not in SECONDS:
            raise UsageError(
                f"the time column is {str(self)!r}; give NAME:UNIT, such as timestamp:ns, with a unit of "
                f"{', '.join(SECONDS)}"
            )

    @classmethod
    def parse(cls, text: str) -> TimeColumn:
        """Return what a text such as `timestamp:ns` says; raises UsageError for another form."""
        name, _, unit = text.rpartition(":")
        return cls(name, cast("TimeUnit", unit))

    def __str__(self) -> str:
        return f"{self.name}:{self.unit}"


@dataclass(frozen=True)
class Signal:
    """What is known of a source. All is optional: unless said, columns have the channels' names, units and rate."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Channel → column, by name or by number from 0; `-ax` is the column `ax` with its sign changed."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Channel, or group of channels (`acc` for `acc_x`, `acc_y`, `acc_z`) → unit, or factor to the model's unit."""
    time: TimeColumn | None = None
    rate_hz: float | None = None
    """Samples per second of the source, where it has no time column."""
    max_gap_s: float | None = None
    """Longest time between two samples that is bridged; five sample periods unless given."""
    missing: Missing = "reject"
    """What becomes of a sample with a missing value: an error, the channel's last value, or no sample at all."""
    join: tuple[str, ...] = ()
    """Names of files that belong together, side by side, such as `acc_*.txt` and `gyro_*.txt`."""

    def __post_init__(self) -> None:
        for name, value, unit in (("rate", self.rate_hz, "Hz"), ("max_gap", self.max_gap_s, "s")):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value:g} {unit}; give a positive number")
        if self.missing not in get_args(Missing):
            raise UsageError(f"missing is {self.missing!r}; give one of {', '.join(get_args(Missing))}")
        stars = [name.count("*") for name in self.join]
        if self.join and (len(stars) < 2 or len(set(stars)) > 1 or stars[0] > 1 or len(set(self.join)) < len(stars)):
            raise UsageError(
                f"join is {', '.join(self.join)!r}; give two or more names, each with one * or none with any, such as "
                "acc_*.txt,gyro_*.txt"
            )

    @classmethod
    def load(cls, path: str | Path) -> Signal:
        """Read a TOML file such as `to_toml` writes; raises MissingFileError, and UsageError that names the key."""
        import tomllib

        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingFileError(f"{path} is not there; expected a TOML file that describes a signal") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read as TOML ({error}); docs/signal.md has an example") from None
        try:
            return cls.from_table(table)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Signal:
        """Return what a TOML table says; raises UsageError for a key that is not known or a value of another kind."""
        known = [item.name for item in fields(cls)]
        unknown = [key for key in table if key not in known]
        if unknown:
            raise UsageError(f"there is no key {unknown[0]!r}; known are {', '.join(known)}")
        values: dict[str, Any] = dict(table)
        for key in ("columns", "units"):
            if key in values:
                values[key] = _texts(values[key], key)
        if "time" in values:
            values["time"] = TimeColumn.parse(_of(str, values["time"], "time", 'a text such as "timestamp:ns"'))
        for key in ("rate_hz", "max_gap_s"):
            if key in values:
                values[key] = float(_of((int, float), values[key], key, "a number"))
        if "missing" in values:
            _of(str, values["missing"], "missing", "a text")
        if "join" in values:
            names = _of(list, values["join"], "join", "a list of names")
            values["join"] = tuple(_of(str, name, "join", "a list of names") for name in names)
        return cls(**values)

    def to_toml(self) -> str:
        """Return the signal as a TOML file that `load` reads back."""
        lines = [] if self.time is None else [f"time = {_quote(str(self.time))}"]
        lines += [] if self.rate_hz is None else [f"rate_hz = {self.rate_hz!r}"]
        lines += [] if self.max_gap_s is None else [f"max_gap_s = {self.max_gap_s!r}"]
        lines += [f"missing = {_quote(self.missing)}"] if self.missing != "reject" else []
        lines += [f"join = [{', '.join(map(_quote, self.join))}]"] if self.join else []
        for name, table in (("columns", self.columns), ("units", self.units)):
            if table:
                lines += ["", f"[{name}]", *(f"{_quote(key)} = {_quote(value)}" for key, value in table.items())]
        return "\n".join(lines).removeprefix("\n") + "\n"


def group_of(channel: str) -> str:
    """Return the common name of a channel's group: `acc` for `acc_x`; empty for a channel that has none."""
    return channel.rpartition("_")[0]


def _texts(value: object, key: str) -> dict[str, str]:
    table = _of(dict, value, key, "a table")
    return {
        name: item if isinstance(item, str) else repr(_of((int, float), item, f"{key}.{name}", "a text or a number"))
        for name, item in table.items()
    }


def _of(kind: type | tuple[type, ...], value: Any, key: str, expected: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"{key} is {value!r}; expected {expected}")
    return value


def _quote(text: str) -> str:
    # A JSON string is a basic string of TOML, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def split_pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Return what options such as `acc_x=ax` say; raises UsageError for another form or a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in found:
            problem = "names something for the second time" if name in found else "has another form"
            raise UsageError(f"{option} {text!r} {problem}; give each once, as in {option} {example}")
        found[name] = value
    return found
