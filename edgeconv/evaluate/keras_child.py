"""A Keras model with one processor thread, in a process of its own: TensorFlow fixes its threads when it starts.

python -m edgeconv.evaluate.keras_child MODEL.keras WINDOWS.npy OUT.npy
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np


def main(keras_file: str, windows: str, out: str) -> None:
    """Write what the model says of some windows."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    from .keras_model import KerasModel

    np.save(out, KerasModel.load(Path(keras_file)).predict(np.load(windows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
