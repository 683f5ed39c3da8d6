"""What can be asked of a data set beyond its path, as `NAME=VALUE`: known names, checked values, one normal form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeconv.runtime.errors import UsageError

Given = Mapping[str, "str | int | float"]
"""Options as a caller gives them: the command line as text, Python perhaps as numbers."""


@dataclass(frozen=True)
class Option:
    """One option of a kind of data set."""

    default: Any
    """Its value where nothing is asked for; None where the data say it."""
    expected: str
    """What a value may be, in words."""
    parse: Callable[[str], Any]
    """From text to a value; raises ValueError."""


Known = Mapping[str, Option]


def whole(default: int | None) -> Option:
    """Return an option that is a whole number from 1."""
    return Option(default, "a whole number from 1", _whole)


def positive(default: float | None) -> Option:
    """Return an option that is a number above 0."""
    return Option(default, "a number above 0", _positive)


def choice(*names: str) -> Option:
    """Return an option that is one of some names, by default the first."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return Option(names[0], " or ".join([", ".join(names[:-1]), names[-1]]), parse)


def names() -> Option:
    """Return an option that is names separated by commas, by default none; its value is a sorted tuple."""

    def parse(text: str) -> tuple[str, ...]:
        found = sorted({name.strip() for name in text.split(",")} - {""})
        if not found:
            raise ValueError
        return tuple(found)

    return Option((), "names separated by commas", parse)


def read_options(what: str, given: Given, known: Known) -> dict[str, Any]:
    """Return the value of every option that `what` knows, its default where it is not given.

    Raises UsageError for an unknown name, naming the known ones, and for a value that cannot be.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        names = "; ".join(f"{name} ({option.expected})" for name, option in known.items())
        there = f"its options are {names}" if known else "it has no options"
        raise UsageError(f"{what} has no option {', '.join(map(repr, unknown))}; {there}")
    values = {name: option.default for name, option in known.items()}
    for name, value in given.items():
        try:
            values[name] = known[name].parse(str(value).strip())
        except ValueError:
            raise UsageError(f"{what}: option {name} is {str(value)!r}; expected {known[name].expected}") from None
    return values


def asked_for(values: Mapping[str, Any], known: Known) -> dict[str, str]:
    """Return, in normal form and in the order of their names, the options whose value is not the default."""
    return {name: as_text(values[name]) for name in sorted(values) if values[name] != known[name].default}


def as_text(value: object) -> str:
    """Return a value in its normal form: `50` and `50.0` are the same rate, names are sorted."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _whole(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and int(text) >= 1):
        raise ValueError
    return int(text)


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise ValueError
    return number
