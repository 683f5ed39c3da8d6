"""The conditioner: the same whatever the cutting, resumed from any state, and right about gaps, clocks and rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.conditioner import Conditioner
from edgeconv.runtime.conditioning.signal import Signal, TimeColumn
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.spec import Channel, ModelSpec

SPEC = ModelSpec(
    name="two", version="1", channels=(Channel("acc_x", "g"), Channel("acc_y", "g")), sampling_rate_hz=50.0, window=8,
    hop=4, labels=("a", "b"),
)  # fmt: skip
STAMPED = ("t", "acc_x", "acc_y")
law = settings(derandomize=True, deadline=None, max_examples=120)


def condition(signal, columns, values, cuts=(), *, resume=False):
    """Push the rows of a recording, cut at some places; return all pieces and the report."""
    conditioner, pieces = Conditioner(SPEC, signal, columns), []
    for part in np.split(values, sorted(cut for cut in cuts if cut <= len(values))):
        pieces += conditioner.push(part)
        if resume:
            state = conditioner.state()
            conditioner.push(values[:3])  # what was taken is a copy
            conditioner = Conditioner(SPEC, signal, columns)
            conditioner.restore(state)
    return pieces + conditioner.finish(), conditioner.report


def segments(pieces):
    """Return start and samples of each stretch, put together again."""
    found = []
    for piece in pieces:
        assert len(piece.samples)
        if piece.begins:
            found.append((piece.start_s, [piece.samples]))
        else:
            start_s, parts = found[-1]
            assert piece.start_s == pytest.approx(start_s + sum(map(len, parts)) / 50, abs=1e-9)
            parts.append(piece.samples)
    return [(start_s, np.concatenate(parts)) for start_s, parts in found]


@st.composite
def recordings(draw):
    """A source with all that can be wrong with one: another rate, jitter, gaps, repeats, late ones, jumps, NaN."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rate_hz = draw(st.sampled_from([50.0, 50.0, 50.02, 25.0, 102.4, 60.0]))
    count = draw(st.integers(0, 420))
    jitter = draw(st.sampled_from([0.0, 0.0, 0.02, 0.3]))
    times = (np.arange(count) + rng.uniform(-jitter, jitter, count)) / rate_hz + draw(st.sampled_from([0.0, 1.7e9]))
    values = rng.normal(size=(count, 2))
    for _ in range(draw(st.integers(0, 3)) if count else 0):
        at = draw(st.integers(0, count - 1))
        match draw(st.sampled_from(["gap", "hole", "repeat", "late", "back", "nan", "nan time"])):
            case "gap":
                times[at:] += draw(st.sampled_from([0.5, 3.0]))
            case "hole":
                times[at:] += 2 / rate_hz
            case "repeat":
                times[at:] = np.insert(times[at:-1], 0, times[at - 1]) if at else times[at:]
            case "late":
                times[at] -= draw(st.sampled_from([0.01, 0.1, 1.0]))
            case "back":
                times[at:] -= draw(st.sampled_from([0.3, 3600.0]))
            case "nan":
                values[at : at + draw(st.integers(1, 12)), draw(st.integers(0, 1))] = np.nan
            case "nan time":
                times[at] = np.nan
    return np.column_stack([times, values])


timed = st.builds(
    Signal, time=st.just(TimeColumn("t", "s")), missing=st.sampled_from(["hold", "gap"]),
    max_gap_s=st.sampled_from([None, 0.05, 0.4]), units=st.sampled_from([{}, {"acc": "m/s^2"}]),
)  # fmt: skip
untimed = st.builds(
    Signal, rate_hz=st.sampled_from([None, 50.0, 64.0, 20.0]), missing=st.sampled_from(["hold", "gap"]),
)  # fmt: skip
cuttings = st.lists(st.integers(0, 420), max_size=12)


def outcome(signal, columns, values, cuts=(), *, resume=False):
    """Return all that came out, or why nothing did: what is refused is refused however it is cut."""
    try:
        pieces, report = condition(signal, columns, values, cuts, resume=resume)
    except InputError as error:
        return str(error)
    return [(start_s, samples.tobytes()) for start_s, samples in segments(pieces)], report


@law
@given(signal=timed, values=recordings(), cuts=cuttings, resume=st.booleans())
def test_the_cutting_of_a_stamped_source_changes_nothing_and_nor_does_a_restart(signal, values, cuts, resume):
    whole = outcome(signal, STAMPED, values)
    assert outcome(signal, STAMPED, values, cuts, resume=resume) == whole


@law
@given(signal=untimed, values=recordings(), cuts=cuttings, resume=st.booleans())
def test_the_cutting_of_a_source_without_stamps_changes_nothing_and_nor_does_a_restart(signal, values, cuts, resume):
    whole = outcome(signal, STAMPED[1:], values[:, 1:])
    assert outcome(signal, STAMPED[1:], values[:, 1:], cuts, resume=resume) == whole


@settings(derandomize=True, deadline=None, max_examples=40)
@given(signal=timed, values=recordings(), size=st.sampled_from([1, 2, 7]))
def test_sample_by_sample_is_as_good_as_at_once(signal, values, size):
    assert outcome(signal, STAMPED, values, range(0, len(values), size)) == outcome(signal, STAMPED, values)


def even(count, rate_hz=50.0, seed=0):
    """A recording [count, 3] of times and two channels, whose values are float32 as files hold them."""
    values = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return np.column_stack([np.arange(count) / rate_hz, values])


def run(values, columns=STAMPED, **said):
    said = {"time": TimeColumn("t", "s"), **said} if "t" in columns else said
    pieces, report = condition(Signal(**said), columns, values)
    return segments(pieces), report


def test_samples_on_the_model_s_grid_pass_bit_for_bit_with_and_without_stamps():
    values = even(500)
    values[:, 0] += np.random.default_rng(1).uniform(-0.0009, 0.0009, 500)  # stamps to a millisecond or so
    expected = values[:, 1:].astype(np.float32).tobytes()
    for columns, rows, said in (
        (STAMPED, values, {}),
        (STAMPED[1:], values[:, 1:], {}),
        (STAMPED[1:], values[:, 1:], {"rate_hz": 50.0}),
        (STAMPED, values, {"rate_hz": 50.5}),  # the stamps are believed, within 2 %
    ):
        ((start_s, samples),), report = run(rows, columns, **said)
        assert start_s == 0
        assert samples.tobytes() == expected
        assert not report.changed
        assert (report.samples_in, report.samples_out, report.segments) == (500, 500, 1)


def test_columns_units_and_signs_are_the_model_s_in_the_end():
    values = even(300)
    mixed = np.column_stack([values[:, 2] * -9.80665, np.full(300, 7.0), values[:, 1] * 1000])
    signal = Signal(columns={"acc_y": "-up", "acc_x": "side"}, units={"acc": "m/s^2", "acc_x": "mg"})
    pieces, _ = condition(signal, ("up", "else", "side"), mixed)
    ((_, samples),) = segments(pieces)
    np.testing.assert_allclose(samples, values[:, 1:], rtol=3e-7)


def test_a_gap_ends_a_stretch_and_the_next_one_has_its_own_time():
    values = np.delete(even(400), slice(150, 200), axis=0)
    found, report = run(values)
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 150), (4.0, 200)]
    assert (report.gaps, report.longest_gap_s) == (1, pytest.approx(1.02))
    assert report.words() == "at the model's 50 Hz, 1 gap, the longest 1.02 s; 350 samples in, 350 out"


@pytest.mark.parametrize(
    ("said", "lacking", "gaps"), [(None, 4, 0), (None, 5, 1), (0.2, 9, 0), (0.2, 10, 1), (0.03, 1, 1)]
)
def test_a_hole_is_bridged_up_to_the_longest_gap(said, lacking, gaps):
    values = np.delete(even(400), slice(150, 150 + lacking), axis=0)
    found, report = run(values, max_gap_s=said)
    assert (report.gaps, report.bridged) == (gaps, 0 if gaps else lacking)
    if not gaps:
        ((_, samples),) = found
        parts = np.linspace(0, 1, lacking + 2)[1:-1, None]
        before, after = values[149, 1:], values[150, 1:]
        np.testing.assert_allclose(samples[150 : 150 + lacking], before + parts * (after - before), rtol=0, atol=1e-6)
        assert samples[:150].tobytes() == values[:150, 1:].astype(np.float32).tobytes()
        assert samples[150 + lacking :].tobytes() == values[150:, 1:].astype(np.float32).tobytes()


def test_stamps_that_repeat_or_come_late_are_left_out_and_counted():
    values = even(300)
    broken = np.insert(values, [100, 200], [[values[99, 0], 9, 9], [values[190, 0], 8, 8]], axis=0)
    ((_, samples),), report = run(broken)
    assert samples.tobytes() == values[:, 1:].astype(np.float32).tobytes()
    assert (report.duplicates, report.out_of_order, report.clock_jumps) == (1, 1, 0)


@pytest.mark.parametrize("back_s", [0.5, 3600.0, 1e9])
def test_where_the_clock_is_set_back_a_new_stretch_goes_on_from_there(back_s):
    values = even(400)
    values[200:, 0] -= back_s
    found, report = run(values)
    assert [(round(start_s, 6), len(samples)) for start_s, samples in found] == [(0, 200), (4.0, 200)]
    assert (report.clock_jumps, report.gaps, report.out_of_order) == (1, 0, 0)
    assert "the clock was set back 1 time" in report.words()


def test_where_the_clock_is_set_forward_there_is_a_gap():
    values = even(400)
    values[200:, 0] += 3600
    found, report = run(values)
    assert [start_s for start_s, _ in found] == [0, 3604.0]
    assert (report.clock_jumps, report.gaps) == (0, 1)


def test_a_missing_value_is_refused_with_its_row_and_column_unless_something_else_is_said():
    values = even(300)
    values[200, 2] = np.nan
    with pytest.raises(InputError, match=r"row 200 \(counted from 0\), column 'acc_y'.*--missing hold .*--missing gap"):
        run(values)
    ((_, held),), report = run(values, missing="hold")
    assert held[200].tolist() == [np.float32(values[200, 1]), np.float32(values[199, 2])]
    assert (report.missing, report.held, report.bridged) == (1, 1, 0)
    ((_, bridged),), report = run(values, missing="gap")
    np.testing.assert_allclose(bridged[200], values[[199, 201], 1:].mean(axis=0), rtol=0, atol=1e-6)
    assert (report.missing, report.held, report.bridged) == (1, 0, 1)


@pytest.mark.parametrize("missing", ["hold", "gap"])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_channel_that_is_silent_for_long_is_a_gap_under_either_policy(missing, stamped):
    values = even(300)
    values[100:140, 1] = np.nan
    rows, columns = (values, STAMPED) if stamped else (values[:, 1:], STAMPED[1:])
    found, report = run(rows, columns, missing=missing)
    held = 5 if missing == "hold" else 0
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 100 + held), (2.8, 160)]
    assert (report.gaps, report.held, report.missing) == (1, held, 40)


def test_a_missing_time_is_a_missing_value():
    values = even(300)
    values[50, 0] = np.nan
    with pytest.raises(InputError, match=r"row 50 \(counted from 0\), the time: the value is missing"):
        run(values)
    ((_, samples),), report = run(values, missing="gap")
    assert (len(samples), report.missing, report.bridged) == (300, 1, 1)


def test_another_rate_is_resampled_and_said_so():
    found, report = run(even(1024, 102.4))
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 500)]
    assert report.words() == "resampled from 102.4 Hz to 50 Hz, 0.86 s late; 1024 samples in, 500 out"
    assert report.as_dict()["source_hz"] == pytest.approx(102.4)
    found, report = run(even(1000, 100.0)[:, 1:], STAMPED[1:], rate_hz=100.0)
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 500)]


def test_a_slower_source_is_resampled_and_said_to_lack_a_band():
    found, report = run(even(250, 25.0))
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 499)]
    assert report.words().startswith("resampled from 25 Hz, which shows nothing above 12.5 Hz, to 50 Hz, 1.7 s late")


def test_after_a_gap_resampled_samples_are_on_the_same_grid_at_the_right_place():
    times = np.delete(np.arange(3000) / 102.4, slice(1000, 1200))
    found, report = run(np.column_stack([times, np.sin(2 * np.pi * times), np.cos(2 * np.pi * times)]))
    assert report.gaps == 1
    for start_s, samples in found:
        assert start_s * 50 == pytest.approx(round(start_s * 50), abs=1e-9)
        grid = start_s + np.arange(len(samples)) / 50
        inside = slice(50, -50)  # the ends see the held first and last sample
        np.testing.assert_allclose(samples[inside, 0], np.sin(2 * np.pi * grid)[inside], rtol=0, atol=0.003)


@pytest.mark.parametrize("rate_hz", [49.97, 50.03])
def test_a_clock_that_is_a_little_off_stays_within_half_a_sample(rate_hz):
    values = even(20_000, rate_hz)
    values[:, 1] = values[:, 0]  # the samples say when they were taken
    ((_, samples),), report = run(values)
    assert not report.resampled
    late = samples[:, 0] - np.arange(len(samples)) / 50
    assert np.abs(late).max() <= 0.5 / 50 + 1e-5
    assert report.bridged + report.duplicates == pytest.approx(abs(len(samples) - 20_000), abs=1)


@pytest.mark.parametrize(
    ("change", "said", "message"),
    [
        (lambda t: t * 0.5, {"rate_hz": 50.0}, "the time stamps show 100 Hz, and 50 Hz is declared.*--rate"),
        (lambda t: t / 1.03, {"rate_hz": 50.0}, "the time stamps show 51.5 Hz, and 50 Hz is declared"),
        (lambda t: t * 1000, {}, "in s, show 0.05 Hz, and the model wants 50 Hz.*--time-column t:UNIT"),
        (lambda t: t, {"max_gap_s": 0.02}, "--max-gap is 0.02 s, and samples are 0.02 s apart; expected more"),
        (lambda t: np.floor(t), {}, "repeat the one before.*leave the time column out and give --rate"),
        (lambda t: np.floor(t * 5) / 5 + (t * 50 % 10) / 1000, {}, "stamped as they arrive, in packets.*give --rate"),
        (lambda t: np.where(t < 10, t, 5 + t / 2), {}, "time stamps show 100 Hz, and 50 Hz before.*cut it there"),
    ],
)  # fmt: skip
def test_stamps_that_cannot_be_right_are_refused_with_what_to_do(change, said, message):
    values = even(1000)
    values[:, 0] = change(values[:, 0])
    with pytest.raises(InputError, match=message):
        run(values, **said)


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_stamps_since_1970_lose_no_samples(unit, per_s):
    values = even(4000, 200.0)
    values[:, 0] = np.rint((values[:, 0] + 1.75e9) * per_s * 1e4) / 1e4
    found, report = run(values, time=TimeColumn("t", unit))
    assert [(start_s, len(samples)) for start_s, samples in found] == [(0, 1000)]
    assert (report.duplicates, report.bridged, report.gaps) == (0, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_very_short_recording_is_what_it_is(count):
    found, report = run(even(count))
    assert sum(len(samples) for _, samples in found) == count == report.samples_out


def test_times_can_be_given_beside_the_values():
    values = even(1024, 102.4)
    conditioner = Conditioner(SPEC, Signal(), STAMPED[1:])
    pieces = conditioner.push(values[:, 1:], values[:, 0] + 12.0) + conditioner.finish()
    ((start_s, samples),) = segments(pieces)
    assert (start_s, len(samples)) == (0, 500)
    with pytest.raises(InputError, match="rows have no times, and those before had"):
        conditioner.push(values[:, 1:])


def test_rows_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"values have shape \[3, 2\]; expected \[n, 3\]"):
        Conditioner(SPEC, Signal(time=TimeColumn("t", "s")), STAMPED).push(np.zeros((3, 2)))
