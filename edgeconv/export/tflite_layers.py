"""Which layer TFLite's converter fails at: … tflite_layers MODEL.keras WEIGHTS [ARRAYS.npz].

Prints the name of each layer before it converts the network up to it, and stops where that fails or crashes.
"""

from __future__ import annotations

import sys

from .prefixes import prefixes
from .tflite_child import convert, prepared

FEW = 8
"""Calibration windows: enough to convert, too few to be exact."""


def main(keras_file: str, weights: str, arrays_file: str | None = None) -> None:
    """Convert longer and longer parts of a network."""
    model, calibration = prepared(keras_file, arrays_file)
    for name, prefix in prefixes(model):
        print(name, flush=True)
        convert(prefix, weights, None if calibration is None else calibration[:FEW])


if __name__ == "__main__":
    main(*sys.argv[1:])
