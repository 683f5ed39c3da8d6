"""Columns that are named as times are, and the rate that their first values show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.rate import STRETCH
from edgeconv.runtime.conditioning.signal import SECONDS
from edgeconv.runtime.conditioning.undeclared import NUMBERS, Stamps, times_at_model_rate, units_of
from edgeconv.runtime.errors import InputError

EPOCH_S = 1_772_323_200


@pytest.mark.parametrize(
    "name",
    ["time", "T", "t", "ts", "timestamp", "TimeStamp", "UNIXTime", "epoch", "Datetime", "time (-13:00)", "times"],
)
def test_a_name_of_times_without_a_unit_may_have_any(name):
    assert units_of(name) == NUMBERS


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("Time (s)", "s"), ("seconds_elapsed", "s"), ("elapsed (s)", "s"), ("t_s", "s"), ("seconds", "s"),
        ("time_ms", "ms"), ("timestampMS", "ms"), ("epoch (ms)", "ms"), ("millis", "ms"),
        ("time_us", "us"), ("Timestamp [µs]", "us"), ("time_ns", "ns"), ("loggingTime_nanoseconds", "ns"),
    ],
)  # fmt: skip
def test_a_unit_in_a_name_of_times_is_the_unit(name, unit):
    assert units_of(name) == (unit,)


@pytest.mark.parametrize(
    "name", ["acc_x", "t_acc_x", "tBodyAcc-mean()-X", "acc_t", "temperature", "lifetime", "s_x", "heart rate", "x", ""]
)
def test_other_names_are_none_of_times(name):
    assert units_of(name) == ()


def shown(values, units=NUMBERS, model_hz=50.0):
    times_at_model_rate("walk.csv", [Stamps("t", units, np.asarray(values, np.float64))], model_hz)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    factor=st.floats(0.05, 20.0),
    unit=st.sampled_from(NUMBERS),
    begins_s=st.sampled_from([0, 17, EPOCH_S]),
    jitter=st.sampled_from([0.0, 0.05, 0.3]),
    rows=st.integers(40, 3 * STRETCH),
)
def test_another_rate_is_refused_in_whatever_unit_and_the_model_s_never(seed, factor, unit, begins_s, jitter, rows):
    rng = np.random.default_rng(seed)

    def stamps(hz):
        times = (np.arange(rows) + rng.uniform(-jitter, jitter, rows)) / hz
        holes = rng.integers(0, rows, rows // 20 if jitter < 0.1 else 0)
        return np.delete((begins_s + times) / SECONDS[unit], holes)

    shown(stamps(50.0), (unit,))
    shown(stamps(50.0))
    if 0.9 < factor < 1.12:
        return
    with pytest.raises(
        InputError, match=rf"walk\.csv: the column 't' shows .* Hz in {unit}, and the model wants 50 Hz"
    ):
        shown(stamps(50.0 * factor), (unit,))
    near_a_thousand = any(abs(factor * 1000.0**k - 1) < 0.15 for k in (-3, -2, -1, 1, 2, 3))
    if not near_a_thousand:  # which would be the model's rate in another unit
        with pytest.raises(InputError, match="--rate 50 if the column means something else"):
            shown(stamps(50.0 * factor))


def test_the_message_has_the_rate_the_unit_and_both_options():
    with pytest.raises(InputError) as raised:
        shown(EPOCH_S * 1e9 + np.arange(500) * 9765625.0)
    assert str(raised.value) == (
        "walk.csv: the column 't' shows 102.4 Hz in ns, and the model wants 50 Hz; "
        "give --time-column t:ns to resample, or --rate 50 if the column means something else"
    )


def test_a_unit_in_the_name_wins_over_one_that_would_fit():
    shown(np.arange(200) * 20.0)  # ms
    with pytest.raises(InputError, match=r"shows 0\.05 Hz in s.*--time-column t:UNIT with the unit"):
        shown(np.arange(200) * 20.0, ("s",))


def test_a_column_that_shows_the_model_s_rate_is_enough():
    good, bad = np.arange(200) * 0.02, np.arange(200) * 0.01
    columns = [Stamps("time", NUMBERS, bad), Stamps("seconds_elapsed", ("s",), good)]
    times_at_model_rate("walk.csv", columns, 50.0)
    with pytest.raises(InputError, match="'time' shows 100 Hz in s"):
        times_at_model_rate("walk.csv", columns[:1], 50.0)


@pytest.mark.parametrize(
    "values",
    [
        [], [3.0], np.full(200, 20240531.0), np.full(200, np.nan), np.random.default_rng(5).normal(70, 5, 200),
        np.arange(200)[::-1] * 0.01, np.sin(np.arange(200)), np.repeat(np.arange(4), 50),
        np.arange(200) // 20 * 0.4 + np.arange(200) % 20 * 0.0001,
    ],
    ids=["none", "one", "a date", "missing", "noise", "falling", "a wave", "whole seconds", "packets"],
)  # fmt: skip
def test_what_does_not_increase_as_samples_are_taken_is_no_time(values):
    shown(values)


def test_a_late_stamp_a_gap_and_a_missing_one_hide_no_rate():
    values = np.arange(200) * 0.01
    values[20:] += 7.0
    values[50], values[60] = values[45], np.nan
    with pytest.raises(InputError, match="shows 100 Hz in s"):
        shown(values)
