"""Predictions and events as a Parquet file (https://parquet.apache.org/docs/file-format), written by pyarrow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Generic

import numpy as np

from ..errors import DependencyError
from .sink import Said, make_encodable

if TYPE_CHECKING:
    from ..events import Event
    from ..stream import Prediction

ROWS = 1 << 14
"""In a row group, which is held in memory until it is full."""
SPAN = {"recording": "string", "start_s": "float64", "end_s": "float64", "label": "string"}


class _ParquetFile(ABC, Generic[Said]):
    """Writes one row for each thing that is said.

    The file can be read when it is closed, and not before: where each row group is stands at its end.
    """

    def __init__(self, stream: BinaryIO, columns: dict[str, str], *, marks: bool) -> None:
        """Write to this stream, a file or a pipe, which stays the caller's to close; marks: a column `implausible`.

        columns: name → type of those behind recording, start_s, end_s and label
        Raises DependencyError where pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise DependencyError(
                'Parquet is written by pyarrow; install it with `pip install "edgeconv[arrow]"`'
            ) from None
        types = {**SPAN, **columns, **({"implausible": "string"} if marks else {})}
        self._schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])
        self._marks = marks
        self._writer: Any = parquet.ParquetWriter(pa.PythonFile(_OnlyForward(stream), "w"), self._schema)
        self._stream = stream
        self._rows: list[tuple[str, Any]] = []

    def write(self, recording: str, said: Said, /) -> None:
        """Take one row; a full row group is written."""
        self._rows.append((recording, said))
        if len(self._rows) == ROWS:
            self._write_rows()

    def close(self) -> None:
        """Write what is left and the file's end, flush the stream, and leave it open."""
        if self._rows:
            self._write_rows()
        self._writer.close()
        self._stream.flush()

    @abstractmethod
    def _columns(self, found: Sequence[Any]) -> Sequence[Any]:
        """Return the columns behind the label."""

    def _write_rows(self) -> None:
        import pyarrow as pa

        recordings: list[str] = [name for name, _ in self._rows]
        found: list[Any] = [said for _, said in self._rows]
        self._rows = []
        columns: list[Any] = [
            [make_encodable(recording) for recording in recordings],
            # As the other formats write them.
            [round(each.start_s, 6) for each in found],
            [round(each.end_s, 6) for each in found],
            [each.label for each in found],
            *self._columns(found),
            *([[" ".join(each.implausible) for each in found]] if self._marks else []),
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema), row_group_size=ROWS)


class ParquetRows(_ParquetFile["Prediction"]):
    """Writes one row a prediction: recording, start_s, end_s, label, confidence, probability_LABEL for each label."""

    def __init__(self, stream: BinaryIO, labels: Sequence[str], *, marks: bool = False) -> None:
        """Write to this stream, which stays the caller's to close; marks: a column `implausible`.

        Raises DependencyError where pyarrow is not installed.
        """
        super().__init__(
            stream, {"confidence": "float", **{f"probability_{label}": "float" for label in labels}}, marks=marks
        )

    def _columns(self, found: Sequence[Prediction]) -> Sequence[Any]:
        probabilities = np.stack([prediction.probabilities for prediction in found], axis=1)
        return [[prediction.confidence for prediction in found], *probabilities]


class ParquetEvents(_ParquetFile["Event"]):
    """Writes one row an event: recording, start_s, end_s, label, confidence, known_s, windows."""

    def __init__(self, stream: BinaryIO, labels: Sequence[str], *, marks: bool = False) -> None:  # noqa: ARG002
        """Write to this stream, which stays the caller's to close; marks: a column `implausible`.

        Raises DependencyError where pyarrow is not installed.
        """
        super().__init__(stream, {"confidence": "float64", "known_s": "float64", "windows": "int64"}, marks=marks)

    def _columns(self, found: Sequence[Event]) -> Sequence[Any]:
        known = [round(event.known_s, 6) for event in found]
        return [[event.confidence for event in found], known, [event.windows for event in found]]


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
