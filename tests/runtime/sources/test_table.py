"""Recordings as tables: every form, any columns, with what is missing and when."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.sources import engines
from edgeconv.runtime.sources.joined import join_files, side_by_side
from edgeconv.runtime.sources.table import Wanted, open_table

VALUES = np.array([[0.0, 1.5, -2.0], [0.02, 2.5, np.nan], [0.04, -3.25, 4.0]])
NAMES = ("t", "ax", "ay")


def as_text(values, separator=",", names=NAMES, missing=""):
    lines = [separator.join(names)] if names else []
    lines += [separator.join(missing if np.isnan(value) else repr(float(value)) for value in row) for row in values]
    return "\n".join(lines) + "\n"


def read(path, *used, missing=True, dates=(), known=()):
    with open_table(path, known, dates=bool(dates)) as table:
        blocks = list(table.read(Wanted(used, frozenset(dates), missing)))
        assert all(block.dtype == np.float64 for block in blocks)
        return table, np.concatenate(blocks)


@pytest.mark.parametrize("names", [NAMES, None])
@pytest.mark.parametrize(("separator", "missing"), [(",", ""), ("\t", ""), (";", "NaN"), (" ", "nan")])
def test_text_of_any_kind(tmp_path, names, separator, missing):
    (tmp_path / "a.txt").write_text(as_text(VALUES, separator, names, missing))
    table, found = read(tmp_path / "a.txt", 0, 2)
    assert (table.names, table.width, table.rate_hz) == (names, 3, None)
    np.testing.assert_array_equal(found, VALUES[:, [0, 2]])


def test_a_text_that_must_have_all_values_names_the_line_and_the_option(tmp_path):
    (tmp_path / "a.csv").write_text(as_text(VALUES))
    with pytest.raises(InputError, match=r"a\.csv: line 3, column 'ay': the cell is empty.*--missing hold"):
        read(tmp_path / "a.csv", 0, 2, missing=False)
    read(tmp_path / "a.csv", 0, 1, missing=False)  # what is not used may lack


def test_dates_become_seconds(tmp_path):
    lines = ["2026-03-01T00:00:00Z,1", "2026-03-01 01:00:00.25+01:00,2", "2026-03-01T00:00:00.5,3", ",4"]
    for head in ("when,x\n", ""):
        (tmp_path / "a.csv").write_text(head + "\n".join(lines) + "\n")
        _, found = read(tmp_path / "a.csv", 0, 1, dates=[0])
        assert (found[:3, 0] - found[0, 0]).tolist() == [0, 0.25, 0.5]
        assert np.isnan(found[3, 0])
    (tmp_path / "a.csv").write_text("when,x\nyesterday,1\n")
    with pytest.raises(InputError, match=r"line 2, column 'when': 'yesterday' is none; expected a time by ISO 8601"):
        read(tmp_path / "a.csv", 0, 1, dates=[0])


def test_a_first_line_of_names_and_numbers_is_a_header_if_a_name_is_known(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,when\n1,2,3\n")
    table, _ = read(tmp_path / "a.csv", 0, known=["when"])
    assert table.names == ("0", "1", "when")
    with pytest.raises(InputError, match="line 1, column 3: 'when' is not a number, but others on this line are"):
        read(tmp_path / "a.csv", 0)


@pytest.mark.parametrize("name", ["numpy", "pyarrow", "polars"])
def test_a_long_text_is_read_by_the_fast_way_with_all_digits_of_its_times(tmp_path, monkeypatch, name):
    if name != "numpy":
        pytest.importorskip(name)
    monkeypatch.setattr(engines, "PACKAGES", tuple(entry for entry in engines.PACKAGES if entry[0] == name))
    values = np.column_stack([1.75e9 + np.arange(60_000) / 50, np.random.default_rng(0).normal(size=(60_000, 2))])
    values[30_000, 1] = np.nan
    (tmp_path / "a.csv").write_text(as_text(values))
    _, found = read(tmp_path / "a.csv", 0, 1)
    np.testing.assert_array_equal(found, values[:, :2])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file(tmp_path, dtype, order):
    values = np.asarray(np.arange(600).reshape(200, 3), dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    table, found = read(tmp_path / "a.npy", 0, 2)
    assert (table.names, table.width) == (None, 3)
    np.testing.assert_array_equal(found, values[:, [0, 2]])


def test_an_npz_file_has_a_column_for_each_array_and_each_of_its_columns(tmp_path):
    np.savez(tmp_path / "a.npz", t=VALUES[:, 0], acc=VALUES[:, 1:], rate=50.0)
    table, found = read(tmp_path / "a.npz", 0, 2)
    assert table.names == ("t", "acc_0", "acc_1")
    np.testing.assert_array_equal(found, VALUES[:, [0, 2]])
    np.savez(tmp_path / "b.npz", t=np.zeros(4), x=np.zeros(3))
    with pytest.raises(InputError, match="arrays differ in length: t 4, x 3"):
        read(tmp_path / "b.npz", 0, 1)
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(InputError, match="this is a ZIP archive, and no NPZ file that can be read"):
        read(tmp_path / "c.npz", 0)


def test_a_parquet_file_with_missing_values_and_dates(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    when = np.array(["2026-03-01T00:00:00", "2026-03-01T00:00:00.02", "NaT"], "datetime64[ns]")
    columns = {"when": when, "said": ["2026-03-01T00:00:00Z", None, "2026-03-01T00:00:00.04Z"], "x": [1, None, 3]}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    table, found = read(tmp_path / "a.parquet", 0, 1, 2, dates=[0, 1])
    assert table.names == ("when", "said", "x")
    np.testing.assert_allclose(found - found[0], [[0, 0, 0], [0.02, np.nan, np.nan], [np.nan, 0.04, 2]], atol=1e-6)
    with pytest.raises(
        InputError, match=r"column 'when' holds timestamp\[ns\].*the unit of a time column .* is iso8601"
    ):
        read(tmp_path / "a.parquet", 0)


def test_a_wav_file_says_its_rate(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.array([[0, 16384], [-32768, 0]], "<i2").tobytes())
    table, found = read(tmp_path / "a.wav", 1)
    assert (table.names, table.width, table.rate_hz) == (None, 2, 16_000)
    assert found.tolist() == [[0.5], [0.0]]


def test_files_that_belong_together_are_found_by_one_of_them(tmp_path):
    for name in ("acc_e1.txt", "gyro_e1.txt", "acc_e2.txt", "gyro_e2.txt", "acc_e3.txt", "acc/w.csv", "gyro/w.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    flat = ("acc_*.txt", "gyro_*.txt")
    found = join_files([tmp_path / "acc_e1.txt", tmp_path / "gyro_e2.txt", tmp_path / "gyro_e1.txt"], flat)
    assert [(each.name, [path.name for path in each.paths]) for each in found] == [
        ("e1", ["acc_e1.txt", "gyro_e1.txt"]), ("e2", ["acc_e2.txt", "gyro_e2.txt"]),
    ]  # fmt: skip
    (deep,) = join_files([tmp_path / "acc" / "w.csv"], ("acc/*.csv", "gyro/*.csv"))
    assert (deep.name, deep.paths) == ("w", (tmp_path / "acc" / "w.csv", tmp_path / "gyro" / "w.csv"))
    (plain,) = join_files([tmp_path / "acc_e1.txt"], ("acc_e1.txt", "gyro_e2.txt"))
    assert (plain.name, [path.name for path in plain.paths]) == ("acc_e1", ["acc_e1.txt", "gyro_e2.txt"])
    with pytest.raises(MissingFileError, match=r"gyro_e3\.txt is not there; it belongs to .*acc_e3\.txt"):
        join_files([tmp_path / "acc_e3.txt"], flat)
    with pytest.raises(InputError, match=r"w\.csv fits none of the names in --join acc_\*\.txt,gyro_\*\.txt"):
        join_files([tmp_path / "acc" / "w.csv"], flat)


def test_rows_side_by_side_whatever_the_blocks_and_all_lengths_are_said_where_they_differ():
    values = np.arange(40.0).reshape(10, 4)
    left = (values[at : at + 3, :1] for at in range(0, 10, 3))
    right = (values[at : at + 4, 1:] for at in range(0, 10, 4))
    np.testing.assert_array_equal(np.concatenate(list(side_by_side([left, right], ["a", "b"]))), values)
    uneven = [iter([values, values]), iter([values[:4], values]), iter([values])]
    with pytest.raises(InputError, match="differ in length: a has 20, b has 14, c has 10 samples; expected as many"):
        list(side_by_side(uneven, ["a", "b", "c"]))
