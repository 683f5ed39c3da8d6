"""Units and the factors between them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.units import QUANTITIES, canonical, factor_between, units_between
from edgeconv.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("g", "g", 1.0),
        ("m/s^2", "g", 1 / 9.80665),
        ("m/s²", "g", 1 / 9.80665),
        ("g", "m/s^2", 9.80665),
        ("mg", "g", 0.001),
        ("deg/s", "rad/s", math.pi / 180),
        ("dps", "rad/s", math.pi / 180),
        ("mdps", "rad/s", math.pi / 180_000),
        ("rad/s", "deg/s", 180 / math.pi),
        ("uT", "G", 0.01),
        ("hPa", "Pa", 100.0),
        ("mV", "V", 0.001),
        ("0.25", "g", 0.25),
        ("-2e3", "whatever", -2000.0),
        ("own", "own", 1.0),
        ("1", "1", 1.0),
        ("none", "1", 1.0),
    ],
)
def test_a_factor_is_what_it_is(source, target, factor):
    assert factor_between(source, target) == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize("units", QUANTITIES.values(), ids=list(QUANTITIES))
def test_there_and_back_is_nothing(units):
    for source in units:
        assert factor_between(source, source) == 1.0
        for target in units:
            assert factor_between(source, target) * factor_between(target, source) == pytest.approx(1.0, rel=1e-15)


@given(st.sampled_from([unit for units in QUANTITIES.values() for unit in units]))
def test_no_unit_is_of_two_quantities_and_each_is_its_own_spelling(unit):
    assert sum(unit in units for units in QUANTITIES.values()) == 1
    assert canonical(f" {unit} ") == unit


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("deg/s", "g", "'deg/s', an angular velocity; the model wants 'g', an acceleration"),
        ("furlong", "g", "'furlong', which is not known here; give one of m/s\\^2, g, mg"),
        ("g", "furlong", "into which nothing can be converted here; give a number"),
        ("nan", "g", "the factor nan; give one that is finite and not 0"),
        ("0", "g", "the factor 0"),
    ],
)
def test_units_that_do_not_fit_are_refused(source, target, message):
    with pytest.raises(UsageError, match=r"the unit of channel 'acc_x'|the model wants channel 'acc_x'") as error:
        factor_between(source, target, "channel 'acc_x'")
    assert error.match(message)


def test_units_of_one_quantity_have_a_size_in_each_other_and_others_have_none():
    assert units_between("g", "m/s²") == pytest.approx(9.80665)
    assert units_between("rad/s", "dps") == pytest.approx(180 / math.pi)
    for source, target in (("g", "rad/s"), ("fathoms", "m"), ("fathoms", "fathoms"), ("0.5", "g")):
        assert units_between(source, target) is None
