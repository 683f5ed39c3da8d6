"""Predictions as a Parquet file (https://parquet.apache.org/docs/file-format), written by pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import DependencyError
from .sink import make_encodable

if TYPE_CHECKING:
    from ..stream import Prediction

ROWS = 1 << 14
"""In a row group, which is held in memory until it is full."""


class ParquetRows:
    """Writes one row a prediction: recording, start_s, end_s, label, confidence, and probability_LABEL for each label.

    The file can be read when it is closed, and not before: where each row group is stands at its end.
    """

    def __init__(self, stream: BinaryIO, labels: Sequence[str], *, marks: bool = False) -> None:
        """Write to this stream, a file or a pipe, which stays the caller's to close; marks: a column `implausible`.

        Raises DependencyError where pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise DependencyError(
                'Parquet is written by pyarrow; install it with `pip install "edgeconv[arrow]"`'
            ) from None
        columns = [("recording", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()),
                   ("label", pa.string()), ("confidence", pa.float32())]  # fmt: skip
        columns += [(f"probability_{label}", pa.float32()) for label in labels]
        self._schema = pa.schema(columns + ([("implausible", pa.string())] if marks else []))
        self._marks = marks
        self._writer: Any = parquet.ParquetWriter(pa.PythonFile(_OnlyForward(stream), "w"), self._schema)
        self._stream = stream
        self._rows: list[tuple[str, Prediction]] = []

    def write(self, recording: str, prediction: Prediction) -> None:
        """Take one row; a full row group is written."""
        self._rows.append((recording, prediction))
        if len(self._rows) == ROWS:
            self._write_rows()

    def close(self) -> None:
        """Write what is left and the file's end, flush the stream, and leave it open."""
        if self._rows:
            self._write_rows()
        self._writer.close()
        self._stream.flush()

    def _write_rows(self) -> None:
        import pyarrow as pa

        recordings, found = zip(*self._rows, strict=True)
        self._rows = []
        columns: list[Any] = [
            [make_encodable(recording) for recording in recordings],
            [prediction.start_s for prediction in found],
            [prediction.end_s for prediction in found],
            [prediction.label for prediction in found],
            [prediction.confidence for prediction in found],
            *np.stack([prediction.probabilities for prediction in found], axis=1),
            *([[" ".join(prediction.implausible) for prediction in found]] if self._marks else []),
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema), row_group_size=ROWS)


class _OnlyForward:
    """What pyarrow wants of a file, of which a pipe cannot say where it is."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._place = stream, 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._stream.write(data)
        self._place += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._place

    def flush(self) -> None:
        """Leave it to the sink."""

    def close(self) -> None:
        """Leave the stream open."""
        self.closed = True
