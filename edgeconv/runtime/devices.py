"""From the device that a user asks for to the ONNX Runtime execution provider that runs.

The device asked for is the device used. ONNX Runtime itself only warns and goes on with the CPU when a provider cannot
be loaded, so the provider is read back from the session that was made.
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import Any

from .errors import DeviceError, UsageError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
INSTALL_CUDA = (
    "it needs an NVIDIA GPU with its driver, and `pip uninstall onnxruntime onnxruntime-gpu` "
    'followed by `pip install "edgeconv[gpu]"`; --device cpu runs on the processor'
)


@dataclass(frozen=True)
class Device:
    """A device as a user names it."""

    kind: str
    """`cpu`, `cuda` or `auto`."""
    index: int = 0
    """Which CUDA device."""

    @classmethod
    def parse(cls, text: str) -> Device:
        """Read `cpu`, `cuda`, `cuda:1` or `auto`; raises UsageError for anything else."""
        match = re.fullmatch(r"(cpu|auto|cuda)(?::(\d+))?", text.strip().lower()) if isinstance(text, str) else None
        if match is None or (match[2] and match[1] != "cuda"):
            raise UsageError(f"device {text!r} is not known; choose cpu, cuda, cuda:1 (its number) or auto")
        return cls(match[1], int(match[2] or 0))

    def __str__(self) -> str:
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


def create_session(model: bytes, device: Device, threads: int, spin: bool) -> tuple[Any, Device]:
    """Make an ONNX Runtime session on the device, and say on which device it runs.

    model: the bytes of an ONNX file
    returns: the onnxruntime.InferenceSession, and the device read back from it (never `auto`)
    Raises DeviceError where CUDA was asked for and the session does not run on it; errors of ONNX Runtime about the
    model itself pass through.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings are answered here with errors
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")

    def session_on(wanted: Device) -> Any:
        if wanted.kind == "cpu":
            return onnxruntime.InferenceSession(model, options, providers=[CPU])
        if CUDA not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"device {wanted} is not available: this onnxruntime {onnxruntime.__version__} is built for "
                f"{', '.join(onnxruntime.get_available_providers())} only; {INSTALL_CUDA}"
            )
        missing = _preload_cuda_libraries(onnxruntime)
        # TF32 keeps 10 bits of the mantissa; answers stay in float32 unless somebody asks otherwise.
        cuda_options = {"device_id": str(wanted.index), "use_tf32": "0"}
        try:
            session = onnxruntime.InferenceSession(model, options, providers=[(CUDA, cuda_options), CPU])
        except Exception as error:
            raise DeviceError(
                f"device {wanted} is not available: ONNX Runtime could not start it "
                f"({_first_line(error)}); {INSTALL_CUDA}"
            ) from error
        if session.get_providers()[0] != CUDA:
            raise DeviceError(
                f"device {wanted} is not available: ONNX Runtime dropped {CUDA} and would have run on "
                f"{session.get_providers()[0]} ({missing or 'no GPU, or a driver that is too old'}); {INSTALL_CUDA}"
            )
        session.disable_fallback()  # otherwise a failing run quietly starts again on the CPU
        return session

    if device.kind != "auto":
        return session_on(device), device
    try:
        chosen = Device("cuda", 0)
        return session_on(chosen), chosen
    except DeviceError:
        chosen = Device("cpu")
        return session_on(chosen), chosen


def _preload_cuda_libraries(onnxruntime: Any) -> str:
    """Load CUDA and cuDNN from where pip installed them; return, in words, the first that cannot be loaded."""
    if not hasattr(onnxruntime, "preload_dlls"):  # onnxruntime before 1.21
        return ""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it misses where results go
        onnxruntime.preload_dlls()
    return next((line.strip() for line in said.getvalue().splitlines() if line.startswith("Failed to load")), "")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
