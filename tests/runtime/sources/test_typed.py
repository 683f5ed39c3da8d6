"""Arrow and NPZ files, whose columns have names."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from edgeconv.runtime.errors import DependencyError, InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.table import Wanted, open_table

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")

CHANNELS = ("x", "y")


def write(path, rows=1000, **columns):
    """Write record batches of some rows each."""
    table = pa.table(columns)
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=rows)
    return path


def read(path):
    return np.concatenate(list(read_recording(path, CHANNELS)))


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_an_arrow_file_is_read_batch_by_batch_whatever_its_types(tmp_path, compression):
    y = np.linspace(-1, 1, 5000)
    table = pa.table({"name": ["a"] * 5000, "y": y, "x": np.arange(5000, dtype=np.int32)})
    path = tmp_path / "walk.any"
    feather.write_feather(table, str(path), compression=compression, chunksize=700)
    np.testing.assert_array_equal(read(path), np.stack([np.arange(5000), y], axis=1).astype(np.float32))
    with open_table(path) as found:
        assert found.names == ("name", "y", "x")
        blocks = list(found.read(Wanted((1, 2))))
    assert [len(block) for block in blocks] == [700] * 7 + [100]
    np.testing.assert_array_equal(np.concatenate(blocks), np.stack([y, np.arange(5000)], axis=1))


def test_missing_values_and_dates_of_an_arrow_file(tmp_path):
    when = np.array(["2026-03-01T00:00:00", "2026-03-01T00:00:00.02", "NaT"], "datetime64[ns]")
    path = write(tmp_path / "a.arrow", when=when, x=pa.array([1, None, 3]))
    with open_table(path) as table:
        (found,) = table.read(Wanted((0, 1), frozenset([0])))
    np.testing.assert_allclose(found - found[0], [[0, 0], [0.02, np.nan], [np.nan, 2]], atol=1e-6)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": [1.0], "z": [1.0]}, "no columns called 'y'.*there are 'x', 'z'"),
        ({"x": [1.0], "y": ["a"]}, "column 'y' holds string; expected numbers"),
        ({"x": [1.0, 2.0], "y": [1.0, None]}, "row 1 .*column 'y': the value is missing"),
        ({"x": pa.array([], pa.float32()), "y": pa.array([], pa.float32())}, "the file has no rows"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, columns, words):
    path = write(tmp_path / "walk.arrow", **columns)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("kept", [8, 20, -1, -20, -200])
def test_an_unfinished_arrow_file_is_refused(tmp_path, kept):
    path = write(tmp_path / "walk.arrow", x=np.arange(5000.0), y=np.arange(5000.0))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"the Arrow file cannot be read.*expected a finished one"):
        read(path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "walk.arrow", x=[1.0], y=[1.0])
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=r'pip install "edgeconv\[arrow\]"'):
        read(path)


def test_a_feather_file_of_the_first_version_is_refused_by_name(tmp_path):
    (tmp_path / "a.feather").write_bytes(b"FEA1" + b"\0" * 60)
    with pytest.raises(InputError, match=r"a Feather file of version 1.*save it as Feather version 2"):
        read(tmp_path / "a.feather")


def test_an_npz_file_gives_the_channels_by_its_arrays_names(tmp_path):
    values = np.random.default_rng(1).normal(size=(40_000, 2)).astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", y=values[:, 1], x=values[:, 0], other=np.zeros(3))
    np.testing.assert_array_equal(read(tmp_path / "a.npz"), values)
    np.savez(tmp_path / "b.npz", x=values[:, 0])
    with pytest.raises(InputError, match=r"b\.npz: no columns called 'y'"):
        read(tmp_path / "b.npz")
