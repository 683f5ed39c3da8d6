"""The Keras model as the reference that every artefact is compared with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ArtefactError, CheckError, DependencyError, MissingFileError, UsageError

from .channels_last import with_channels_last

BATCH = 256


def import_keras() -> Any:
    """Import Keras on TensorFlow, quietly, and return the module.

    Raises DependencyError where they are not installed, UsageError where Keras was told to use another backend.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with held_back_stderr():
            import keras
            import tensorflow as tf
    except ModuleNotFoundError as error:
        raise DependencyError(f'{error.name} is not installed; `pip install "edgeconv[train]"` brings it') from None
    tf.get_logger().setLevel("ERROR")  # it warns of retracing when several models are used one after another
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
    return keras


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, and show it only if the block fails.

    TensorFlow's libraries write several lines while they load, before any of their log levels is in force.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def saved_with(path: Path) -> str:
    """Return, for a message, the version of Keras that wrote a `.keras` file: an older one often cannot load it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f", saved with Keras {json.loads(archive.read('metadata.json'))['keras_version']}"
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


class KerasModel:
    """A `.keras` file as something that predicts."""

    def __init__(self, model: Any, path: Path | None = None) -> None:
        """Wrap a Keras model that maps windows to probabilities; of layers with channels first, the twins without.

        path: the file that it was loaded from
        Raises ConversionError that names a layer which takes channels first and has no twin.
        """
        self.model = with_channels_last(model)
        self.path = path

    @classmethod
    def load(cls, path: Path) -> KerasModel:
        """Load a `.keras` file, in safe mode: it is data, and code inside it is refused.

        Raises MissingFileError, ArtefactError, or ConversionError as making one does.
        """
        if not path.is_file():
            raise MissingFileError(f"{path} is not there; `edgeconv train` writes it")
        keras = import_keras()
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds for a damaged or foreign file
            reason = " ".join(str(error).split())[:200]
            raise ArtefactError(
                f"{path} is not a Keras model that Keras {keras.__version__} can load{saved_with(path)} ({reason}); "
                "train it again"
            ) from None
        return cls(model, path)

    def predict(self, windows: NDArray[np.float32], batch: int = BATCH) -> NDArray[np.float32]:
        """Return the probabilities of each window.

        windows: float32 [n, window, channels], in the spec's units
        returns: float32 [n, classes]
        """
        probabilities: NDArray[np.float32] = self.model.predict(windows, batch_size=batch, verbose=0)
        return probabilities

    def predict_alone(self, windows: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the same computed with one processor thread, in another process; None for a model that has no file."""
        if self.path is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            given, answers = Path(folder) / "windows.npy", Path(folder) / "answers.npy"
            np.save(given, windows)
            done = run_child("edgeconv.evaluate.keras_child", str(self.path.resolve()), str(given), str(answers))
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise CheckError(f"{self.path} could not be run with one thread (exit code {done.returncode}: {last})")
            found: NDArray[np.float32] = np.load(answers)
            return found

    def predict_double(self, windows: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the same computed in float64 and rounded at the end; None where a layer cannot do that."""
        keras = import_keras()
        values = windows.astype(np.float64) if np.issubdtype(windows.dtype, np.floating) else windows
        try:
            text = json.dumps(keras.saving.serialize_keras_object(self.model)).replace('"float32"', '"float64"')
            double = keras.saving.deserialize_keras_object(json.loads(text))
            double.set_weights(self.model.get_weights())
            with held_back_stderr():
                answers = double.predict(values, batch_size=BATCH, verbose=0)
        except Exception:  # layers refuse another type in as many ways as there are layers
            return None
        found = np.asarray(answers, np.float32)
        return found if np.isfinite(found).all() else None


def run_child(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this package in a Python process of its own and return how it ended and what it said."""
    package_root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
