"""The answers to many recordings: what one recording's worker does, and the bytes of the file that it makes."""

from __future__ import annotations

import hashlib
import io
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgeconv.runtime.artefact import Precision
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

from .engine import Tell

if TYPE_CHECKING:
    from edgeconv.runtime import Classifier, Prediction
    from edgeconv.runtime.conditioning.signal import Signal
    from edgeconv.runtime.intake import Doubt
    from edgeconv.runtime.spec import ModelSpec

Format = Literal["csv", "jsonl", "parquet"]


@dataclass(frozen=True)
class Model:
    """An exported model as values that travel, and how it is to answer."""

    files: tuple[tuple[str, bytes], ...]
    """Names and bytes of the ONNX files of a folder, or of the one file; what was tuned for a machine is not among
    them, so that answers do not depend on the machine."""
    precision: Precision
    hop: int
    format: Format
    signal: str = ""
    """What is known of the recordings, as TOML; empty where they have the model's channels."""
    doubt: Doubt = "refuse"
    """What becomes of a recording whose signal is not plausible: it is not scored, or its predictions say so."""

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        precision: Precision,
        hop: int | None,
        format_: Format,
        signal: Signal | None = None,
        doubt: Doubt = "refuse",
    ) -> Model:
        """Read a model folder or an ONNX file, and see that it can be used.

        Raises MissingFileError, ArtefactError and UsageError as `Classifier.load` and `StreamClassifier` do.
        """
        from edgeconv.runtime import Classifier, StreamClassifier
        from edgeconv.runtime.conditioning.wiring import wires_of

        if hop is not None and hop < 1:
            raise UsageError(f"--hop is {hop}; give a whole number of timesteps from 1")
        classifier = Classifier.load(path, precision=precision)  # before anything is sent anywhere
        hop = StreamClassifier(classifier, hop).hop
        if format_ == "parquet":
            require_pyarrow()
        found = sorted(path.glob("*.onnx")) if path.is_dir() else [path]
        if signal is not None:
            wires_of(classifier.spec, signal)
        told = signal.to_toml() if signal else ""
        return cls(tuple((file.name, file.read_bytes()) for file in found), precision, hop, format_, told, doubt)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the answers: files, precision, hop, format, what is said of the recordings."""
        digest = hashlib.sha256(f"{self.precision} {self.hop} {self.format}".encode())
        for name, data in self.files:
            digest.update(f"\n{name} {len(data)}\n".encode() + data)
        digest.update(self.signal.encode())
        if self.doubt == "mark":
            digest.update(b"\nmark")
        return digest.hexdigest()

    def load(self) -> Classifier:
        """Open the model on the processor, with one thread."""
        import onnxruntime

        from edgeconv.runtime import Classifier

        onnxruntime.set_default_logger_severity(4)
        with tempfile.TemporaryDirectory() as folder:
            for name, data in self.files:
                (Path(folder) / name).write_bytes(data)
            alone = len(self.files) == 1
            classifier = Classifier.load(
                Path(folder) / self.files[0][0] if alone else Path(folder), precision=self.precision
            )
            classifier.forms(self.hop)  # opened while the files are there
        return classifier


@dataclass(frozen=True)
class Task:
    """One recording that is to be scored."""

    paths: tuple[str, ...]
    """Of its file, or of those that belong together."""
    name: str
    """What its predictions call it."""


@dataclass(frozen=True)
class Scored:
    """What came of a recording: the file of its answers, or why there is none."""

    data: bytes = b""
    windows: int = 0
    signal_s: float = 0.0
    labels: tuple[tuple[str, int], ...] = ()
    """How many windows have which label."""
    implausible: tuple[tuple[str, str], ...] = ()
    """Codes of what was found that training never saw, each with what was seen first."""
    error: str | None = None


def score_recording(model: Model, task: Task, _tell: Tell) -> Scored:
    """Score one recording; that it cannot be read is an answer, too.

    The file is the same, byte by byte, as `edgeconv stream RECORDING` with the same options writes it in this format.
    """
    from edgeconv.runtime import StreamClassifier
    from edgeconv.runtime.conditioning.signal import Signal
    from edgeconv.runtime.sources.joined import Recording
    from edgeconv.runtime.walk import Walk

    classifier = _loaded(model)
    spec = classifier.spec
    stream = StreamClassifier(classifier, model.hop)
    samples = 0
    found: list[Prediction] = []
    implausible: dict[str, str] = {}
    try:
        signal = Signal.from_table(tomllib.loads(model.signal)) if model.signal else None
        recording = Recording(task.name, tuple(map(Path, task.paths)))
        walk = Walk.over_files(stream, [recording], signal, model.doubt)
        for step in walk.steps():
            found += step.predictions
            for finding in step.findings:
                implausible.setdefault(finding.code, finding.message)
            samples = max(samples, walk.samples)
    except (InputError, OSError) as error:
        return Scored(error=_in_words(error))
    counted = Counter(prediction.label for prediction in found)
    labels = tuple((label, counted[label]) for label in spec.labels if counted[label])
    data = encode(found, task.name, spec, model.format, marks=model.doubt == "mark")
    return Scored(data, len(found), samples / spec.sampling_rate_hz, labels, tuple(implausible.items()))


def _in_words(error: InputError | OSError) -> str:
    if isinstance(error, MissingFileError):
        import socket

        return f"{error} (looked for on {socket.gethostname()}: every machine must see the recordings at this path)"
    return str(error)


@lru_cache(maxsize=1)
def _loaded(model: Model) -> Classifier:
    """Return the model's one session in this process."""
    return model.load()


def encode(found: list[Prediction], name: str, spec: ModelSpec, format_: Format, *, marks: bool) -> bytes:
    """Return the bytes of a file of predictions; marks: whether they say what was found implausible."""
    from edgeconv.runtime.sinks import Sink, open_sink
    from edgeconv.runtime.sinks.parquet import ParquetRows

    binary, text = io.BytesIO(), io.StringIO()
    sink: Sink[Prediction] = (
        ParquetRows(binary, spec.labels, marks=marks)
        if format_ == "parquet"
        else open_sink(format_, text, spec.labels, marks=marks)
    )
    for prediction in found:
        sink.write(name, prediction)
    sink.close()
    return binary.getvalue() or text.getvalue().encode("utf-8")


def require_pyarrow() -> None:
    """Raise UsageError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UsageError('--format parquet needs pyarrow; install it with `pip install "edgeconv[arrow]"`') from None
