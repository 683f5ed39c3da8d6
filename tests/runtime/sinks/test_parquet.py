"""Predictions as Parquet: what was predicted, in row groups, readable whatever ends the run."""

from __future__ import annotations

import builtins
import io

import numpy as np
import pytest

from edgeconv.runtime import Prediction
from edgeconv.runtime.errors import DependencyError
from edgeconv.runtime.sinks import parquet as sink_module
from edgeconv.runtime.sinks.parquet import ParquetRows

pytest.importorskip("pyarrow")
LABELS = ("sit", "walk, fast")


def predictions(count):
    rng = np.random.default_rng(2)
    for at in range(count):
        probabilities = rng.dirichlet([1, 1]).astype(np.float32)
        class_id = int(probabilities.argmax())
        yield Prediction(
            start_s=at / 3, end_s=at / 3 + 1, label=LABELS[class_id], class_id=class_id,
            confidence=float(probabilities[class_id]), probabilities=probabilities,
        )  # fmt: skip


class Forward(io.RawIOBase):
    """A pipe: nobody can ask it where it is."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("count", [0, 1, 40, 95])
def test_each_prediction_is_a_row_and_row_groups_are_of_bounded_size(monkeypatch, count):
    from pyarrow import parquet

    monkeypatch.setattr(sink_module, "ROWS", 40)
    found, stream = list(predictions(count)), Forward()
    sink = ParquetRows(stream, LABELS)
    for at, prediction in enumerate(found):
        sink.write(f"r{at % 2}", prediction)
    sink.close()
    file = parquet.ParquetFile(io.BytesIO(stream.data))
    groups = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert groups == [40] * (count // 40) + [count % 40] * (count % 40 > 0)
    table = file.read()
    assert table.column_names == [
        "recording", "start_s", "end_s", "label", "confidence", "probability_sit", "probability_walk, fast",
    ]  # fmt: skip
    for at, (row, prediction) in enumerate(zip(table.to_pylist(), found, strict=True)):
        assert list(row.values()) == [
            f"r{at % 2}", round(prediction.start_s, 6), round(prediction.end_s, 6), prediction.label,
            prediction.confidence, *prediction.probabilities.tolist(),
        ]  # fmt: skip
    assert not stream.closed


def test_a_name_that_is_no_utf_8_is_written_as_other_sinks_write_it():
    from pyarrow import parquet

    stream = io.BytesIO()
    sink = ParquetRows(stream, LABELS)
    sink.write("walk\udcff", next(predictions(1)))
    sink.close()
    assert parquet.read_table(io.BytesIO(stream.getvalue()))["recording"].to_pylist() == ["walk\\udcff"]


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=r'pip install "edgeconv\[arrow\]"'):
        ParquetRows(io.BytesIO(), LABELS)
