"""A TFLite file as something that predicts, whatever its number form."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.folder import SPEC
from edgeconv.runtime.errors import ArtefactError, MissingFileError
from edgeconv.runtime.spec import ModelSpec

from .keras_model import held_back_stderr, import_keras
from .tflite_metadata import read

SIGNATURE = "serving_default"
"""Name of the function in every file: `windows` → `probabilities`."""


def normalise(windows: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Subtract each channel's mean and divide by its deviation, in float32.

    windows: float32 [n, window, channels], in the spec's units
    returns: float32 [n, window, channels], without unit
    """
    mean = np.array([channel.mean for channel in spec.channels], np.float32)
    std = np.array([channel.std for channel in spec.channels], np.float32)
    with np.errstate(over="ignore"):  # a value far beyond the signal becomes infinite, and is clipped
        return (windows - mean) / std


class TfliteModel:
    """A TFLite file that takes windows in physical units and gives probabilities.

    A file that takes normalised windows says so in its metadata; normalising, and for int8 ends quantising and
    dequantising, happen here, with the spec's constants and the file's scale and zero point.
    """

    def __init__(self, interpreter: Any, spec: ModelSpec, normalised: bool, where: str) -> None:
        """Wrap an interpreter whose input and output were checked; use `load`."""
        self._interpreter = interpreter
        self._spec = spec
        self._normalised = normalised
        self._where = where

    @classmethod
    def load(cls, path: Path, spec: ModelSpec) -> TfliteModel:
        """Load a TFLite file.

        Raises MissingFileError, or ArtefactError where it is damaged, was not exported by edgeconv, carries another
        spec or disagrees with it.
        """
        content = content_of(path)
        interpreter = open_interpreter(content, str(path))
        embedded = read(content, str(path))
        if embedded.spec != spec:
            raise ArtefactError(f"{path}: the spec inside differs from {SPEC} beside it; export the model again")
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        seen = [f"{d['name']} {np.dtype(d['dtype'])} {d['shape'].tolist()}" for d in (*inputs, *outputs)]
        tokens = spec.input == "tokens"
        kinds = [(np.int32, np.float32)] if tokens else [(np.float32, np.float32), (np.int8, np.int8)]
        if [d["shape"].tolist() for d in (*inputs, *outputs)] != [[1, *spec.window_shape], [1, len(spec.labels)]] or (
            inputs[0]["dtype"],
            outputs[0]["dtype"],
        ) not in kinds:
            raise ArtefactError(
                f"{path} disagrees with its spec: the file has {', '.join(seen)}; the spec says "
                f"{'tokens' if tokens else 'windows'} {[1, *spec.window_shape]} to probabilities "
                f"[1, {len(spec.labels)}], "
                f"{'int32 to float32' if tokens else 'both float32 or both int8'}; export it again"
            )
        return cls(interpreter, spec, embedded.normalised, str(path))

    @property
    def is_int8(self) -> bool:
        """Whether the file's input and output are int8."""
        return bool(self._interpreter.get_input_details()[0]["dtype"] == np.int8)

    @property
    def interpreter(self) -> Any:
        """TensorFlow's interpreter of the file, its tensors allocated."""
        return self._interpreter

    def predict(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of each window; NaN for a window that holds one.

        windows: float32 [n, window, channels], in the spec's units, or int32 [n, window] token ids
        returns: float32 [n, classes]
        Raises ArtefactError where the interpreter cannot run the file.
        """
        values = normalise(windows, self._spec) if self._normalised else windows
        return run(self._interpreter, values, self._where)


def ends(model: Path | TfliteModel) -> dict[str, dict[str, Any]]:
    """Return what goes in and out of a TFLite file, `windows` and `probabilities` by their names in the signature.

    returns: name → `name` (of the tensor), `shape`, `dtype`, and `scale` and `zero_point`, None where it is not
        quantised: real value = (number - zero_point) · scale
    Raises MissingFileError or ArtefactError for a path to a file that is not there or no TFLite file.
    """
    if isinstance(model, TfliteModel):
        interpreter = model.interpreter
    else:
        interpreter = open_interpreter(content_of(model), str(model))
    runner = interpreter.get_signature_runner(SIGNATURE)
    found = {}
    for name, details in {**runner.get_input_details(), **runner.get_output_details()}.items():
        scale, zero_point = details["quantization"]
        quantised = details["dtype"] != np.float32
        found[name] = {
            "name": details["name"],
            "shape": details["shape"].tolist(),
            "dtype": np.dtype(details["dtype"]).name,
            "scale": float(scale) if quantised else None,
            "zero_point": int(zero_point) if quantised else None,
        }
    return found


def content_of(path: Path) -> bytes:
    """Return a file's bytes; raises MissingFileError."""
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; `edgeconv export` writes it")
    return path.read_bytes()


def open_interpreter(content: bytes, where: str) -> Any:
    """Return TensorFlow's interpreter of a TFLite file on one thread, its tensors allocated.

    `where` names the file in messages. Raises ArtefactError where it cannot be loaded.
    """
    import_keras()
    with warnings.catch_warnings(), held_back_stderr():
        warnings.simplefilter("ignore")  # the interpreter announces its move to another package
        import tensorflow as tf

        try:
            interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ArtefactError(f"{where} is not a TFLite model that can be loaded ({reason(error)})") from None
    return interpreter


def run(interpreter: Any, values: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """Return the answers to windows as the network takes them, but in float32.

    values: float32 [n, window, channels]; NaN cannot be told to an int8 file: such a window is answered with NaN
    returns: float32 [n, classes]
    `where` names the file in messages. Raises ArtefactError where the interpreter cannot run it.
    """
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    coded = quantise(values, *source["quantization"]) if source["dtype"] == np.int8 else values
    answers = np.empty((len(values), result["shape"][-1]), result["dtype"])
    for i in range(len(values)):
        interpreter.set_tensor(source["index"], coded[i : i + 1])
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise ArtefactError(f"{where} cannot be run by TensorFlow's interpreter ({reason(error)})") from None
        answers[i] = interpreter.get_tensor(result["index"])[0]
    if result["dtype"] != np.int8:
        return answers
    scale, zero_point = result["quantization"]
    real = (answers.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    real[np.isnan(values).any(axis=(1, 2))] = np.nan
    return real


def quantise(values: NDArray[np.float32], scale: float, zero_point: int) -> NDArray[np.int8]:
    """Return the nearest int8 for each value: what lies beyond the range gets its end, NaN the zero point.

    In float64, where a tiny scale or a huge value still divides; the numbers are clipped before they are cast.
    """
    with np.errstate(over="ignore"):
        numbers = np.round(np.nan_to_num(values.astype(np.float64), posinf=np.inf, neginf=-np.inf) / scale)
    quantised: NDArray[np.int8] = np.clip(numbers + zero_point, -128, 127).astype(np.int8)
    return quantised


def reason(error: Exception) -> str:
    """Return an error of the interpreter as one short line."""
    return " ".join(str(error).split())[:200]
