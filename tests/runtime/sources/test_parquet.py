"""Recordings as Parquet files, by each of the two packages that read them."""

import builtins

import numpy as np
import pytest

from edgeconv.runtime.errors import DependencyError, InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.columns import column_names, read_columns
from edgeconv.runtime.sources.parquet import BLOCK_ROWS

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(params=["pyarrow", "polars"])
def package(request, monkeypatch):
    """Which package reads; the other one is not installed."""
    pytest.importorskip(request.param)
    block(monkeypatch, *({"pyarrow", "polars"} - {request.param}))
    return request.param


def block(monkeypatch, *names):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in names:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def read(path, chunk=4096):
    return np.concatenate(list(read_recording(path, ("x", "y"), chunk)))


def test_columns_are_found_by_name_whatever_their_type_of_number(package, tmp_path):
    n = BLOCK_ROWS + 3
    x = np.arange(n, dtype=np.int32)
    y = np.linspace(-1, 1, n)
    path = write(tmp_path / "walk.any", other=["a"] * n, y=y, x=x)
    np.testing.assert_array_equal(read(path), np.stack([x, y.astype(np.float32)], axis=1).astype(np.float32))
    assert max(map(len, read_recording(path, ("x", "y"), 100))) == 100


def test_texts_are_read_beside_the_numbers(package, tmp_path):
    path = write(tmp_path / "walk.parquet", x=[1.0, 2.0, 3.0], who=[4, None, 5], what=["a", " b ", None])
    assert read_columns(path, ["what", "who"]) == [["a", "b", ""], ["4", "", "5"]]
    assert column_names(path) == ("x", "who", "what")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": [1.0], "z": [1.0]}, "no columns called 'y'.*there are 'x', 'z'"),
        ({"x": [1.0], "y": ["a"]}, "column 'y' holds .*expected numbers"),
        ({"x": [1.0], "y": [True]}, "column 'y' holds .*expected numbers"),
        ({"x": [1.0, 2.0], "y": [1.0, None]}, "row 1 .*column 'y': the value is missing"),
        ({"x": [1.0, 1e300], "y": [1, 2]}, "row 1 .*column 'x': .*too large for float32"),
        ({"x": pa.array([], pa.float32()), "y": pa.array([], pa.float32())}, "the file has no rows"),
    ],
)
def test_what_cannot_be_used_is_named(package, tmp_path, columns, words):
    path = write(tmp_path / "walk.parquet", **columns)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_truncated_file_is_refused(package, tmp_path):
    path = write(tmp_path / "walk.parquet", x=np.arange(100.0), y=np.arange(100.0))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="the Parquet file cannot be read"):
        read(path)


def test_without_a_package_the_extras_are_named(monkeypatch, tmp_path):
    path = write(tmp_path / "walk.parquet", x=[1.0], y=[1.0])
    block(monkeypatch, "pyarrow", "polars")
    with pytest.raises(DependencyError, match=r'pip install "edgeconv\[arrow\]"'):
        read(path)
