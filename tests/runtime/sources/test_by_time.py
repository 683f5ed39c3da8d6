"""Files joined by their times: each on its own clock readings, rate and length, together on one grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.signal import Signal, TimeColumn
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources.by_time import _covered, _Run
from edgeconv.runtime.sources.recording_source import RecordingSource
from edgeconv.runtime.spec import Channel, ModelSpec

SPEC = ModelSpec(
    name="two", version="1", channels=(Channel("acc_x", "g"), Channel("gyro_x", "rad/s"), Channel("acc_y", "g")),
    sampling_rate_hz=50.0, window=8, hop=4, labels=("a", "b"),
)  # fmt: skip
SIGNAL = Signal(time=TimeColumn("t", "s"))
NAMES = {"acc": "t,acc_y,acc_x", "gyro": "gyro_x,t"}
SINCE_S = 1.7e9


def tone(times):
    """Of 3 Hz, which every rate here shows."""
    return np.sin(2 * np.pi * 3 * times)


def write(folder, name, times):
    stamps = times + SINCE_S
    rows = np.column_stack([stamps, -tone(times), tone(times)] if name == "acc" else [0.5 * tone(times), stamps])
    lines = [",".join(f"{value:.9f}" for value in row) for row in rows.tolist()]
    (folder / f"{name}.csv").write_text("\n".join([NAMES[name], *lines]) + "\n")
    return folder / f"{name}.csv"


def read(*paths, signal=SIGNAL, chunk=4096):
    source = RecordingSource(paths, SPEC, signal, chunk)
    pieces = list(source.pieces())
    return pieces, source.report


@pytest.mark.parametrize("chunk", [4096, 7])
@pytest.mark.parametrize(("acc_hz", "gyro_hz", "late_s"), [(50, 50, 0.007), (102.4, 50, 0.31), (99.7, 201.3, -0.4)])
def test_what_the_sensors_measured_at_one_time_stands_in_one_row(tmp_path, acc_hz, gyro_hz, late_s, chunk):
    acc = write(tmp_path, "acc", np.arange(0, 20, 1 / acc_hz))
    gyro = write(tmp_path, "gyro", late_s + np.arange(0, 21, 1 / gyro_hz))
    pieces, report = read(acc, gyro, chunk=chunk)
    assert [piece.begins for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    samples = np.concatenate([piece.samples for piece in pieces])
    assert pieces[0].start_s == pytest.approx(np.ceil(max(late_s, 0) * 50 - 1e-6) / 50)
    times = pieces[0].start_s + np.arange(len(samples)) / 50
    assert 19.9 < times[-1] < 20.0
    inner = (times > 1.5) & (times < 18.5)  # nearer to their ends, files that are resampled are held
    # The resampler passes tones within 0.003; a row apart, 0.02 s, would be 0.37 off.
    for column, factor in ((0, 1), (1, 0.5), (2, -1)):
        np.testing.assert_allclose(samples[inner, column], factor * tone(times[inner]), rtol=0, atol=0.004)
    assert list(report.files) == [str(acc), str(gyro)]
    assert report.files[str(acc)].resampled == (acc_hz != 50)
    assert report.files[str(gyro)].resampled
    assert report.samples_out == len(samples)


def test_samples_on_the_grid_of_the_first_file_pass_bit_for_bit(tmp_path):
    times = np.arange(400) / 50
    pieces, report = read(write(tmp_path, "acc", times), write(tmp_path, "gyro", times[3:]))
    samples = np.concatenate([piece.samples for piece in pieces])
    expected = np.stack([tone(times), 0.5 * tone(times), -tone(times)], axis=1)[3:]
    np.testing.assert_array_equal(samples, np.round(expected, 9).astype(np.float32))
    assert "joined by time, 397 samples, 0.06 s that not all of them cover left out; " in report.words()


def test_a_gap_in_either_file_is_a_gap_of_both(tmp_path):
    times = np.arange(1000) / 50
    acc = write(tmp_path, "acc", times[(times < 4) | (times >= 6)])
    gyro = write(tmp_path, "gyro", times[(times < 5) | (times >= 9)])
    pieces, _ = read(acc, gyro, chunk=64)
    found = []
    for piece in pieces:
        if piece.begins:
            found.append([piece.start_s, piece.start_s])
        found[-1][1] = round(piece.start_s + len(piece.samples) / 50, 6)
    assert found == [[0, 4], [9, 20]]


def test_dates_are_one_clock_too(tmp_path):
    for name, first in (("acc", 0), ("gyro", 2)):
        rows = [(f"2026-03-01T00:00:{at / 50:09.6f}Z", at) for at in range(first, 300)]
        lines = [f"{when},{at},{at}" if name == "acc" else f"{at},{when}" for when, at in rows]
        (tmp_path / f"{name}.csv").write_text("\n".join([NAMES[name], *lines]) + "\n")
    signal = Signal(time=TimeColumn("t", "iso8601"))
    pieces, _ = read(tmp_path / "acc.csv", tmp_path / "gyro.csv", signal=signal)
    samples = np.concatenate([piece.samples for piece in pieces])
    np.testing.assert_array_equal(samples, np.repeat(np.arange(2, 300)[:, None], 3, axis=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t + 3600, r"no time in common: .*acc\.csv has 0 to 10 s, .*gyro\.csv has 3600 to 3610 s"),
        (lambda t: np.where(t < 5, t, t - 3), r"gyro\.csv: its clock was set back"),
        (lambda t: np.where(t < 5, t, 2 * t), r"gyro\.csv: from .* the time stamps show 25 Hz, and 50 Hz before"),
        (lambda t: t[:0], r"gyro\.csv: there are no samples"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_by_name(tmp_path, change, words):
    times = np.arange(500) / 50
    with pytest.raises(InputError, match=words) as caught:
        read(write(tmp_path, "acc", times), write(tmp_path, "gyro", change(times)))
    assert str(caught.value).count("gyro.csv") == 1


def test_what_is_wrong_behind_the_time_in_common_is_not_passed_over(tmp_path):
    times = np.arange(500) / 50
    acc, gyro = write(tmp_path, "acc", times[:100]), write(tmp_path, "gyro", times)
    with gyro.open("a") as file:
        file.write("spam,0\n")
    with pytest.raises(InputError, match=r"gyro\.csv: line 502, column 'gyro_x': 'spam' is not a number"):
        read(acc, gyro)


runs_of = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9), st.booleans()), max_size=12)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(runs_of, min_size=1, max_size=3))
def test_what_all_cover_is_given_once_in_order_and_cut_where_any_begins(files):
    def runs(parts):
        at, found = 0, []
        for skip, length, begins in parts:
            at += skip
            found.append(
                _Run(at, begins or skip > 0 or not found, np.arange(at, at + length, dtype=np.float32)[:, None])
            )
            at += length
        return found

    sources = [runs(parts) for parts in files]
    covered = [{number for run in source for number in range(run.first, run.end)} for source in sources]
    starts = {run.first for source in sources for run in source if run.begins}
    given_out, cuts, end = [], set(), None
    for together in _covered([iter(source) for source in sources]):
        assert len({(run.first, run.end) for run in together}) == 1
        for run in together:
            np.testing.assert_array_equal(run.samples[:, 0], np.arange(run.first, run.end))
        if together[0].first != end or any(run.begins for run in together):
            cuts.add(together[0].first)
        end = together[0].end
        given_out += range(together[0].first, end)
    both = sorted(set.intersection(*covered))
    assert given_out == both
    broken = {number for number in both if number - 1 not in both}
    assert cuts == broken | (starts & set(both))
