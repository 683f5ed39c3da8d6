"""The device side of edgeconv: numpy and ONNX Runtime, nothing else.

This folder imports only itself, numpy and onnxruntime; it can be copied into an application and works there.
"""

from importlib.util import find_spec

from .errors import DependencyError

if find_spec("onnxruntime") is None:
    raise DependencyError(
        "edgeconv.runtime needs ONNX Runtime, which comes in two builds that exclude each other: "
        'install one with `pip install "edgeconv[cpu]"` or `pip install "edgeconv[gpu]"`'
    )

from .classifier import Classifier
from .conditioning.conditioner import Conditioner, Piece
from .conditioning.report import ConditionReport
from .conditioning.signal import Signal, TimeColumn
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
from .events import Event, EventStream
from .pool import StreamPool
from .score import Scorer
from .smoothing import Smoothing
from .spec import Channel, ModelSpec, Triad
from .stateful import Stepper
from .stream import Prediction, StreamClassifier
from .windows import SlidingWindow

__all__ = [
    "ArtefactError",
    "Channel",
    "CheckError",
    "Classifier",
    "ConditionReport",
    "Conditioner",
    "ConversionError",
    "DependencyError",
    "DeviceError",
    "EdgeconvError",
    "Event",
    "EventStream",
    "InputError",
    "MissingFileError",
    "ModelSpec",
    "Piece",
    "Prediction",
    "Scorer",
    "Signal",
    "SlidingWindow",
    "Smoothing",
    "Stepper",
    "StreamClassifier",
    "StreamPool",
    "TimeColumn",
    "Triad",
    "UsageError",
]
