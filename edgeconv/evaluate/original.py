"""An ONNX file made elsewhere, as something that predicts: run by ONNX Runtime just as it came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.runtime.devices import Device, create_session
from edgeconv.runtime.errors import ArtefactError, MissingFileError
from edgeconv.runtime.spec import ModelSpec

BATCH = 256
ORIGIN_SCHEMA = "edgeconv.origin/1"


@dataclass(frozen=True)
class Reading:
    """How the ends of an ONNX file made elsewhere are to be read."""

    output: str
    """Name of the output that answers."""
    channels_first: bool = False
    """Whether its input is [batch, channels, window] instead of [batch, window, channels]."""
    logits: bool = False
    """Whether a softmax is still to be applied to its answers, or a sigmoid where it is one number."""


class OriginalModel:
    """The file with what the spec and `origin.json` say of its ends."""

    def __init__(self, content: bytes, spec: ModelSpec, reading: Reading, where: str = files.ORIGINAL) -> None:
        """Wrap the bytes of an ONNX file; `where` names it in messages. Raises ArtefactError where it cannot run."""
        self.content, self.spec, self.reading = content, spec, reading
        try:
            self._session, _ = create_session(content, Device.parse("cpu"), 1, False)
        except Exception as error:  # ONNX Runtime's own errors have no common base
            reason = " ".join(str(error).split())[:200]
            raise ArtefactError(
                f"{where} is not a model that ONNX Runtime can load ({reason}); export it again from where it was made"
            ) from None
        self._input = self._session.get_inputs()[0]
        size = self._input.shape[0] if self._input.shape else None
        self.batch: int | None = size if isinstance(size, int) else None
        """How many windows the graph takes at once; None where that is free."""

    @classmethod
    def load(cls, folder: Path) -> OriginalModel:
        """Load the original of a model folder; raises MissingFileError or ArtefactError."""
        path = folder / files.ORIGINAL
        origin = files.read_json(folder / files.ORIGIN, "`edgeconv export FILE --out`")
        try:
            if origin["schema"] != ORIGIN_SCHEMA:
                raise ArtefactError(
                    f"{folder / files.ORIGIN}: schema is {origin['schema']!r}, this edgeconv reads {ORIGIN_SCHEMA!r}"
                )
            reading = Reading(**origin["reading"])
            content = path.read_bytes()
        except (KeyError, TypeError) as error:
            raise ArtefactError(
                f"{folder / files.ORIGIN} is not complete ({error}); `edgeconv export FILE --out` writes it anew"
            ) from None
        except OSError:
            raise MissingFileError(f"{path} cannot be read; `edgeconv export FILE --out` puts it there") from None
        return cls(content, ModelSpec.load(folder / files.SPEC), reading, str(path))

    def answers(self, windows: NDArray[Any], batch: int = BATCH) -> NDArray[np.float32]:
        """Return what the chosen output says, [n, …], as it comes; where the graph's batch is fixed, so many at a time.

        Raises ArtefactError where the graph fails.
        """
        values = windows.transpose(0, 2, 1) if self.reading.channels_first else windows
        if self._input.type == "tensor(int64)":
            values = values.astype(np.int64)
        found = []
        size = self.batch or batch
        for at in range(0, len(values), size):
            part = np.ascontiguousarray(values[at : at + size])
            missing = size - len(part) if self.batch else 0
            if missing:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            try:
                answer = self._session.run([self.reading.output], {self._input.name: part})[0]
            except Exception as error:  # ONNX Runtime's own errors have no common base
                reason = " ".join(str(error).split())[:200]
                raise ArtefactError(f"the graph fails on windows {list(part.shape)} ({reason})") from None
            found.append(answer[: len(answer) - missing])
        return np.concatenate(found)

    def predict(self, windows: NDArray[Any], batch: int = BATCH) -> NDArray[np.float32]:
        """Return the probabilities of each window.

        windows: float32 [n, window, channels], in the spec's units, or int32 [n, window] token ids
        returns: float32 [n, classes]
        """
        answers = self.answers(windows, batch).astype(np.float64)
        if answers.shape[1] == 1:  # one number for two classes: the probability, or the logit, of the second
            if self.reading.logits:
                answers = np.exp(-np.logaddexp(0, -answers))
            answers = np.concatenate([1 - answers, answers], axis=1)
        elif self.reading.logits:
            answers = np.exp(answers - answers.max(axis=1, keepdims=True))
            answers /= answers.sum(axis=1, keepdims=True)
        return answers.astype(np.float32)

    def predict_alone(self, windows: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return the same computed with another number of threads than one, which is what `predict` takes."""
        session, other = self._session, create_session(self.content, Device.parse("cpu"), 2, False)[0]
        try:
            self._session = other
            return self.predict(windows)
        finally:
            self._session = session

    def predict_double(self, _: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return None: ONNX Runtime has no convolution in float64 on the processor."""
        return None
