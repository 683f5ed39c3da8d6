"""The device side of edgeconv: numpy and ONNX Runtime, nothing else.

This folder imports only itself, numpy and onnxruntime; it can be copied into an application and works there.
"""

from importlib.util import find_spec

if find_spec("onnxruntime") is None:
    raise ImportError(
        "edgeconv.runtime needs ONNX Runtime, which comes in two builds that exclude each other: "
        'install one with `pip install "edgeconv[cpu]"` or `pip install "edgeconv[gpu]"`'
    )

from .errors import (
    ArtefactError,
    CheckError,
    ConversionError,
    DeviceError,
    EdgeconvError,
    InputError,
    MissingFileError,
    UsageError,
)
from .spec import Channel, ModelSpec, Triad

__all__ = [
    "ArtefactError",
    "Channel",
    "CheckError",
    "ConversionError",
    "DeviceError",
    "EdgeconvError",
    "InputError",
    "MissingFileError",
    "ModelSpec",
    "Triad",
    "UsageError",
]
