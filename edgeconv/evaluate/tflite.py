"""A TFLite file as something that predicts, whatever its number form."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ArtefactError, MissingFileError
from edgeconv.runtime.spec import ModelSpec

from .keras_model import held_back_stderr, import_keras


def normalise(windows: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Subtract each channel's mean and divide by its deviation, in float32.

    windows: float32 [n, window, channels], in the spec's units
    returns: float32 [n, window, channels], without unit
    """
    mean = np.array([channel.mean for channel in spec.channels], np.float32)
    std = np.array([channel.std for channel in spec.channels], np.float32)
    return (windows - mean) / std


class TfliteModel:
    """A TFLite file that takes windows in physical units and gives probabilities.

    A float file carries the normalisation itself. An int8 file takes the normalised window in int8; normalising,
    quantising and dequantising happen here, with the spec's constants and the file's scale and zero point.
    """

    def __init__(self, interpreter: Any, spec: ModelSpec) -> None:
        """Wrap an interpreter whose input and output were checked; use `load`."""
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]
        self._output = interpreter.get_output_details()[0]
        self._spec = spec

    @classmethod
    def load(cls, path: Path, spec: ModelSpec) -> TfliteModel:
        """Load a TFLite file.

        Raises MissingFileError, or ArtefactError where it is damaged or disagrees with the spec.
        """
        if not path.is_file():
            raise MissingFileError(f"{path} is not there; `edgeconv export` writes it")
        import_keras()
        with warnings.catch_warnings(), held_back_stderr():
            warnings.simplefilter("ignore")  # the interpreter announces its move to another package
            import tensorflow as tf

            try:
                interpreter = tf.lite.Interpreter(model_content=path.read_bytes(), num_threads=1)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise ArtefactError(f"{path} is not a TFLite model that can be loaded ({reason})") from None
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        seen = [f"{d['name']} {np.dtype(d['dtype'])} {d['shape'].tolist()}" for d in (*inputs, *outputs)]
        if (
            [d["shape"].tolist() for d in (*inputs, *outputs)]
            != [[1, spec.window, len(spec.channels)], [1, len(spec.labels)]]
            or inputs[0]["dtype"] != outputs[0]["dtype"]
            or inputs[0]["dtype"] not in (np.float32, np.int8)
        ):
            raise ArtefactError(
                f"{path} disagrees with its spec: the file has {', '.join(seen)}; the spec says windows "
                f"[1, {spec.window}, {len(spec.channels)}] to probabilities [1, {len(spec.labels)}], "
                "both float32 or both int8; export it again"
            )
        return cls(interpreter, spec)

    @property
    def is_int8(self) -> bool:
        """Whether the file's input and output are int8."""
        return bool(self._input["dtype"] == np.int8)

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of each window.

        windows: float32 [n, window, channels], in the spec's units
        returns: float32 [n, classes]
        """
        values = self._quantise(normalise(windows, self._spec)) if self.is_int8 else windows
        answers = np.empty((len(windows), len(self._spec.labels)), self._output["dtype"])
        for i in range(len(windows)):
            self._interpreter.set_tensor(self._input["index"], values[i : i + 1])
            self._interpreter.invoke()
            answers[i] = self._interpreter.get_tensor(self._output["index"])[0]
        return self._dequantise(answers) if self.is_int8 else answers

    def _quantise(self, values: NDArray[np.float32]) -> NDArray[np.int8]:
        scale, zero_point = self._input["quantization"]
        quantised: NDArray[np.int8] = np.clip(np.round(values / np.float32(scale)) + zero_point, -128, 127).astype(
            np.int8
        )
        return quantised

    def _dequantise(self, values: NDArray[np.int8]) -> NDArray[np.float32]:
        scale, zero_point = self._output["quantization"]
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
