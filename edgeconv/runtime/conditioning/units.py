"""Physical units of signals, and the factors between those of one quantity."""

from __future__ import annotations

import math
from fractions import Fraction

from ..errors import UsageError

_DEGREE = Fraction(math.pi) / 180
_G = Fraction("9.80665")  # standard gravity, defined in 1901 (3rd CGPM)
_MILLI, _MICRO, _NANO = Fraction(1, 10**3), Fraction(1, 10**6), Fraction(1, 10**9)
_ONE = Fraction(1)

QUANTITIES: dict[str, dict[str, Fraction]] = {
    "an acceleration": {"m/s^2": _ONE, "g": _G, "mg": _G * _MILLI, "ug": _G * _MICRO, "cm/s^2": Fraction(1, 100)},
    "an angular velocity": {
        "rad/s": _ONE, "mrad/s": _MILLI, "deg/s": _DEGREE, "mdps": _DEGREE * _MILLI, "rpm": 6 * _DEGREE,
    },
    "a magnetic flux density": {
        "T": _ONE, "mT": _MILLI, "uT": _MICRO, "nT": _NANO, "G": Fraction(1, 10**4), "mG": Fraction(1, 10**7),
    },
    "a pressure": {
        "Pa": _ONE, "hPa": Fraction(100), "kPa": Fraction(1000), "mbar": Fraction(100), "bar": Fraction(10**5),
    },
    "a voltage": {"V": _ONE, "mV": _MILLI, "uV": _MICRO, "nV": _NANO},
    "a current": {"A": _ONE, "mA": _MILLI, "uA": _MICRO},
    "an angle": {"rad": _ONE, "mrad": _MILLI, "deg": _DEGREE},
    "a length": {"m": _ONE, "cm": Fraction(1, 100), "mm": _MILLI, "um": _MICRO},
    "a velocity": {"m/s": _ONE, "cm/s": Fraction(1, 100), "km/h": Fraction(1000, 3600)},
    "a number": {"1": _ONE},
}  # fmt: skip
"""Units of each quantity, with what one of them is in the quantity's first unit."""

SPELLINGS = {
    "m/s²": "m/s^2", "m/s2": "m/s^2", "m/s**2": "m/s^2", "m s^-2": "m/s^2", "ms^-2": "m/s^2",
    "°/s": "deg/s", "dps": "deg/s", "degrees/s": "deg/s", "mdeg/s": "mdps", "°": "deg",
    "µT": "uT", "μT": "uT", "gauss": "G", "µV": "uV", "μV": "uV", "µA": "uA", "μA": "uA", "µg": "ug", "μg": "ug",
    "": "1", "none": "1",
}  # fmt: skip


def factor_between(source: str, target: str, of: str = "the signal") -> float:
    """Return what a value in the unit `source` is multiplied by to be one in the unit `target`.

    source: a unit, or a number, which is the factor itself; of: what it is the unit of, for messages
    Raises UsageError for a unit that is not known, and for units of different quantities.
    """
    number = _number(source)
    if number is not None:
        if not math.isfinite(number) or number == 0:
            raise UsageError(f"the unit of {of} is the factor {source}; give one that is finite and not 0")
        return number
    source, target = canonical(source), canonical(target)
    if source == target:
        return 1.0
    quantity, size = _look_up(source)
    wanted, wanted_size = _look_up(target)
    if not quantity:
        raise UsageError(
            f"the unit of {of} is {source!r}, which is not known here; give one of {known()}, or a number to multiply "
            "the values by"
        )
    if not wanted:
        raise UsageError(
            f"the model wants {of} in {target!r}, into which nothing can be converted here; give a number to multiply "
            "the values by in place of the unit"
        )
    if quantity != wanted:
        raise UsageError(
            f"the unit of {of} is {source!r}, {quantity}; the model wants {target!r}, {wanted}: name another column, "
            "or correct the unit"
        )
    return float(size / wanted_size)


def units_between(source: str, target: str) -> float | None:
    """Return how many of the unit `target` make one of the unit `source`; None where they do not measure the same."""
    (quantity, size), (wanted, wanted_size) = _look_up(canonical(source)), _look_up(canonical(target))
    return float(size / wanted_size) if quantity and quantity == wanted else None


def canonical(unit: str) -> str:
    """Return the spelling of a unit that is used here: `m/s²` is `m/s^2`."""
    stripped = unit.strip()
    return SPELLINGS.get(stripped, stripped)


def known() -> str:
    """Return all units that are known, for messages."""
    return ", ".join(unit for units in QUANTITIES.values() for unit in units)


def _look_up(unit: str) -> tuple[str, Fraction]:
    return next(((quantity, units[unit]) for quantity, units in QUANTITIES.items() if unit in units), ("", _ONE))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
