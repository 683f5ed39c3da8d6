"""How predictions are smoothed before they become events: what can be chosen, and how it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import UsageError

EXPECTED = "expected METHOD[,margin=M][,hold=TIME][,unknown=P], METHOD being none, majority:N or exponential:TIME, and "
EXPECTED += "TIME a number with its unit, such as `exponential:2s,hold=500ms,unknown=0.5`"


@dataclass(frozen=True)
class Smoothing:
    """How predictions become events. Everything is off unless given: each window then says its most probable label."""

    majority: int = 1
    """Vote of so many predictions, the last ones; in a tie the label voted for last wins. Probabilities are shares."""
    time_constant_s: float = 0.0
    """Exponential average instead: a prediction weighs exp(−age / time constant)."""
    margin: float = 0.0
    """How much more probable than the label in force a new one must be, 0–1."""
    hold_s: float = 0.0
    """How long a new label must last to be believed, and so the least duration of an event. What lasts shorter is given
    to the label before it, at the start of a recording to the first label that lasts."""
    unknown: float = 0.0
    """Probability below which the label is `unknown`, 0–1."""

    def __post_init__(self) -> None:
        whole = isinstance(self.majority, int) and not isinstance(self.majority, bool)
        if not whole or self.majority < 1:
            raise UsageError(f"majority is {self.majority!r}; give a whole number of predictions from 1")
        for name, value in (("time constant", self.time_constant_s), ("hold", self.hold_s)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value} s; give a time from 0 s")
        for name, value in (("margin", self.margin), ("unknown", self.unknown)):
            if not 0 <= value < 1:
                raise UsageError(f"{name} is {value}; give a probability from 0 to below 1")
        if self.majority > 1 and self.time_constant_s > 0:
            raise UsageError("majority and exponential exclude each other; give one of them")

    @classmethod
    def usual(cls, window_s: float) -> Smoothing:
        """Return what is taken where nothing is said: a window's length as time constant and as least duration.

        It is not tuned to any data: what is shorter than a window cannot be told apart by the model either.
        """
        return cls(time_constant_s=window_s, hold_s=window_s)

    @classmethod
    def parse(cls, text: str) -> Smoothing:
        """Return what a text such as `exponential:2s,margin=0.1,hold=1s,unknown=0.5` or `majority:5` says.

        The method comes first and may be left out. Raises UsageError for anything else.
        """
        found: dict[str, float] = {}
        for place, item in enumerate(part.strip() for part in text.split(",")):
            method, _, amount = item.partition(":")
            name, equals, value = item.partition("=")
            if place == 0 and item == "none":
                continue
            if place == 0 and method == "majority":
                found["majority"] = _whole(amount, text)
            elif place == 0 and method == "exponential":
                found["time_constant_s"] = _seconds(amount, text)
            elif equals and name == "hold" and "hold_s" not in found:
                found["hold_s"] = _seconds(value, text)
            elif equals and name in ("margin", "unknown") and name not in found:
                found[name] = _number(value, text)
            else:
                raise UsageError(f"smoothing is {text!r}, with {item!r} in it; {EXPECTED}")
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        method = f"majority:{self.majority}" if self.majority > 1 else "none"
        items = [f"exponential:{self.time_constant_s!r}s" if self.time_constant_s else method]
        items += [f"margin={self.margin!r}"] if self.margin else []
        items += [f"hold={self.hold_s!r}s"] if self.hold_s else []
        items += [f"unknown={self.unknown!r}"] if self.unknown else []
        return ",".join(items)


def _seconds(text: str, whole: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if text.endswith(unit):
            return _number(text.removesuffix(unit), whole) * factor
    raise UsageError(f"smoothing is {whole!r}, where {text!r} has no unit; {EXPECTED}")


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"smoothing is {whole!r}, where {text!r} is no number; {EXPECTED}") from None


def _whole(text: str, whole: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"smoothing is {whole!r}, where {text!r} is no number of predictions; {EXPECTED}")
    return int(text)
