"""Predictions as JSON lines: one object a line (https://jsonlines.org)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, TextIO

from .sink import format_seconds, make_encodable

if TYPE_CHECKING:
    from ..stream import Prediction


class JsonLines:
    """Writes one JSON object a line."""

    def __init__(
        self,
        stream: TextIO,
        labels: Sequence[str],
        *,
        header: bool = True,  # noqa: ARG002
        marks: bool = False,
    ) -> None:
        """Write to this stream; `probabilities` becomes an object with these labels as keys."""
        self._stream, self._marks = stream, marks
        # All that is the same on every line is put together once: a line costs one formatting.
        self._line = _make_template(labels, "%.9g")
        self._line_with_nulls = _make_template(labels, "%s")

    def write(self, recording: str, prediction: Prediction) -> None:
        """Write one line; a probability that is not finite, which JSON cannot say, is null."""
        line = self._line
        numbers = [prediction.confidence, *prediction.probabilities.tolist()]
        if not isfinite(sum(numbers)):
            line = self._line_with_nulls
            numbers = [f"{number:.9g}" if isfinite(number) else "null" for number in numbers]
        self._stream.write(
            line
            % (
                _quote(recording),
                format_seconds(prediction.start_s),
                format_seconds(prediction.end_s),
                _quote(prediction.label),
                *numbers,
                f', "implausible": {json.dumps(prediction.implausible)}' if self._marks else "",
            )
        )

    def close(self) -> None:
        """Flush the stream, and leave it open."""
        self._stream.flush()


@lru_cache(maxsize=1024)
def _quote(text: str) -> str:
    return json.dumps(make_encodable(text), ensure_ascii=False)


def _make_template(labels: Sequence[str], number: str) -> str:
    probabilities = ", ".join(f"{_quote(label).replace('%', '%%')}: {number}" for label in labels)
    return (
        f'{{"recording": %s, "start_s": %s, "end_s": %s, "label": %s, "confidence": {number}, '
        f'"probabilities": {{{probabilities}}}%s}}\n'
    )
