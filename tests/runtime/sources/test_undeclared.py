"""Recordings with times that nobody mentioned: read as before at the model's rate, and refused at another."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from edgeconv.runtime.conditioning.signal import Signal, TimeColumn
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.recording_source import RecordingSource
from edgeconv.runtime.sources.undeclared import Undeclared
from edgeconv.runtime.spec import Channel, ModelSpec

EPOCH_NS = 1_772_323_200_000_000_000
SPEC = ModelSpec("walk", "1", (Channel("x", "g"), Channel("y", "g")), 50.0, 32, 16, ("a", "b"))
ROWS = 1000


def columns(hz, rows=ROWS):
    """Stamps in ns, and two channels."""
    values = np.random.default_rng(3).normal(size=(rows, 2)).astype(np.float32)
    return EPOCH_NS + np.round(np.arange(rows) * 1e9 / hz).astype(np.int64), values


def as_text(stamps, values, separator=",", name="timestamp"):
    rows = [separator.join(map(str, [at, *row])) for at, row in zip(stamps, values.tolist(), strict=True)]
    return "\n".join([separator.join([name, "x", "y"]), *rows]) + "\n"


def write_text(path, stamps, values):
    path.write_text(as_text(stamps, values))


def write_quoted(path, stamps, values):
    path.write_text(as_text([f'"{at}"' for at in stamps], values, ";", '"Time (ns)"'))


def write_dates(path, stamps, values):
    path.write_text(as_text(stamps.astype("datetime64[ns]").astype("datetime64[us]"), values, "\t", "date"))


def write_gzip(path, stamps, values):
    path.write_bytes(gzip.compress(as_text(stamps, values).encode()))


def write_npz(path, stamps, values):
    with path.open("wb") as file:
        np.savez(file, timestamp=stamps, x=values[:, 0], y=values[:, 1])


def write_arrow(path, stamps, values):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"x": values[:, 0], "time": stamps.astype("datetime64[ns]"), "y": values[:, 1]})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=50)


def write_parquet(path, stamps, values):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"time_ns": stamps, "x": values[:, 0], "y": values[:, 1]}), path)


WRITERS = [write_text, write_quoted, write_dates, write_gzip, write_npz, write_arrow, write_parquet]


def samples_of(path, signal=None, **options):
    source = RecordingSource((path,), SPEC, signal, **options)
    return np.concatenate([piece.samples for piece in source.pieces()]), source.report


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("signal", [None, Signal(units={"x": "g"})], ids=["as it is", "with a signal"])
def test_every_form_is_refused_at_another_rate_and_passes_as_it_is_at_the_model_s(tmp_path, write, signal):
    path = tmp_path / "walk.any"
    for hz in (102.4, 100.0, 25.0):
        write(path, *columns(hz))
        with pytest.raises(
            InputError, match=rf"walk\.any: the column .*\b{hz:g} Hz.*the model wants 50 Hz; give --time-"
        ):
            samples_of(path, signal)
    stamps, values = columns(50.0)
    write(path, stamps, values)
    found, report = samples_of(path, signal)
    np.testing.assert_array_equal(found, values)
    assert not report.changed


SAID = {
    write_quoted: "Time (ns):ns",
    write_dates: "date:iso8601",
    write_arrow: "time:iso8601",
    write_parquet: "time_ns:ns",
}
"""How --time-column would say it, where it is not timestamp:ns."""


@pytest.mark.parametrize(("write", "follow"), [*((write, False) for write in WRITERS), (write_text, True)])
def test_times_that_nobody_mentioned_are_believed_as_if_somebody_had(tmp_path, write, follow):
    """Rows that are left out, twice or late, and a gap, behind as many as decide."""
    stamps, values = columns(50.0)
    rows = np.delete(np.arange(ROWS), np.r_[40, 50, 333, 500:650])
    rows = np.insert(rows, [200, 300], [190, 290])
    path = tmp_path / "walk.any"
    write(path, stamps[rows], values[rows])
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) > 3:
            raise InputError("enough")

    def pieces(signal):
        source, found = RecordingSource((path,), SPEC, signal, follow=nap if follow else False), []
        try:
            found.extend(source.pieces())
        except InputError:
            assert follow
        return source, found

    time = TimeColumn.parse(SAID.get(write, "timestamp:ns"))
    (found, by_itself), (told, by_word) = pieces(None), pieces(Signal(time=time))
    assert [(piece.start_s, piece.begins, len(piece.samples)) for piece in by_itself] == [
        (piece.start_s, piece.begins, len(piece.samples)) for piece in by_word
    ]
    for one, other in zip(by_itself, by_word, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    assert found.report == told.report
    assert (found.report.gaps, found.report.bridged, found.report.out_of_order) == (1, 3, 2)
    assert found.times_found == time
    assert told.times_found is None
    _, evenly = pieces(Signal(rate_hz=50.0))
    assert sum(len(piece.samples) for piece in evenly) == len(rows) or follow


@pytest.mark.parametrize("rows", [2, 40, 127, 128, 129])
def test_a_short_text_is_read_to_its_end(tmp_path, rows):
    path = tmp_path / "walk.csv"
    stamps, values = columns(50.0, rows)
    write_text(path, stamps, values)
    np.testing.assert_array_equal(samples_of(path)[0], values)
    write_text(path, *columns(100.0, rows))
    if rows == 2:  # which show nothing
        np.testing.assert_array_equal(samples_of(path)[0], values)
    else:
        with pytest.raises(InputError, match="100 Hz in ns"):
            samples_of(path)


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_pipe_is_looked_at_as_it_comes_and_nothing_of_it_is_lost(tmp_path, monkeypatch, piece):
    """Bytes that come in pieces of any size, which cannot be read twice."""

    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self._data = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self._data.readinto(memoryview(buffer)[: 40 * piece])

    asked = Undeclared(50.0, frozenset({"x", "y"}))

    def read(hz):
        data = as_text(*columns(hz)).encode()
        monkeypatch.setattr("edgeconv.runtime.sources.opened.open_stdin", lambda: io.BufferedReader(Pipe(data), 64))
        return np.concatenate(list(read_recording("-", ("x", "y"), undeclared=asked)))

    np.testing.assert_array_equal(read(50.0), columns(50.0)[1])
    with pytest.raises(InputError, match="-: the column 'timestamp' shows 100 Hz in ns"):
        read(100.0)


@pytest.mark.parametrize(
    "signal", [Signal(rate_hz=50.0), Signal(time=TimeColumn("timestamp", "ns"))], ids=["--rate", "--time-column"]
)
def test_both_options_of_the_message_are_believed(tmp_path, signal):
    write_text(tmp_path / "walk.csv", *columns(100.0))
    found, _ = samples_of(tmp_path / "walk.csv", signal)
    assert len(found) == (ROWS if signal.time is None else ROWS / 2)


def test_a_column_that_is_a_channel_is_no_time(tmp_path):
    write_text(tmp_path / "walk.csv", *columns(100.0))
    for mapped in ("timestamp", "-timestamp", "0"):
        samples_of(tmp_path / "walk.csv", Signal(columns={"y": mapped}))
    asked = Undeclared(50.0, frozenset({"timestamp", "x"}))
    assert (
        len(np.concatenate(list(read_recording(tmp_path / "walk.csv", ("timestamp", "x"), undeclared=asked)))) == ROWS
    )


def test_a_name_that_occurs_twice_is_called_by_its_number(tmp_path):
    text = as_text(*columns(100.0)).replace("timestamp,x,y\n", "timestamp,x,y,timestamp\n")
    lines = text.splitlines()
    (tmp_path / "walk.csv").write_text("\n".join([lines[0], *(f"{line},0" for line in lines[1:])]) + "\n")
    with pytest.raises(InputError, match="--time-column 0:ns to resample"):
        samples_of(tmp_path / "walk.csv")
    samples_of(tmp_path / "walk.csv", Signal(time=TimeColumn("0", "ns")))


def test_every_file_that_is_joined_is_looked_at(tmp_path):
    stamps, values = columns(50.0)
    fast, _ = columns(100.0)
    for name, at, column in (("x", stamps, 0), ("y", fast, 1)):
        rows = [f"{time},{value}" for time, value in zip(at, values[:, column].tolist(), strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"t,{name}", *rows]) + "\n")
    source = RecordingSource((tmp_path / "x.csv", tmp_path / "y.csv"), SPEC, Signal(join=("x.csv", "y.csv")))
    with pytest.raises(InputError, match=r"y\.csv: the column 't' shows 100 Hz in ns"):
        list(source.pieces())


def test_bad_rows_are_the_reader_s_to_name(tmp_path):
    text = as_text(*columns(50.0)).splitlines()
    text[4], text[9] = "1,2", f'{EPOCH_NS},"1,2'
    (tmp_path / "walk.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match="line 5 has 2 cells"):
        samples_of(tmp_path / "walk.csv")
