"""From the device that a user asks for to the ONNX Runtime execution provider that runs.

The device asked for is the device used. ONNX Runtime itself only warns and goes on with the CPU when a provider cannot
be loaded, so the provider is read back from the session that was made.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DeviceError, UsageError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
INSTALL_CUDA = (
    "it needs an NVIDIA GPU with its driver, and `pip uninstall onnxruntime onnxruntime-gpu` followed by "
    '`pip install "edgeconv[gpu]"`; `edgeconv doctor` says what is missing, --device cpu runs on the processor'
)
OPTIONS = ("tf32", "graph")


@dataclass(frozen=True)
class Device:
    """A device as a user names it: `cpu`, `cuda:1`, `auto`, or with options `cuda:0,tf32,graph`."""

    kind: str
    """`cpu`, `cuda` or `auto`."""
    index: int = 0
    """Which CUDA device."""
    tf32: bool = False
    """Whether CUDA may round the factors of products to 10 bits of mantissa: faster, and further from float32."""
    graph: bool = False
    """Whether CUDA records what a shape launches and replays it when the shape comes again (see `binding`)."""

    @classmethod
    def parse(cls, text: str) -> Device:
        """Read `cpu`, `auto`, `cuda` or `cuda:1`, for CUDA with the options `tf32` and `graph` after commas.

        Raises UsageError for anything else.
        """
        name, *options = [part.strip() for part in text.lower().split(",")] if isinstance(text, str) else [""]
        match = re.fullmatch(r"(cpu|auto|cuda)(?::(\d+))?", name)
        if match is None or (match[2] and match[1] != "cuda"):
            raise UsageError(f"device {text!r} is not known; choose cpu, cuda, cuda:1 (its number) or auto")
        if options and match[1] != "cuda":
            raise UsageError(f"device {text!r} has options, which only cuda has; choose {name} or cuda,{options[0]}")
        unknown = [option for option in options if option not in OPTIONS]
        if unknown:
            raise UsageError(f"device {text!r} has the option {unknown[0]!r}; cuda's are {' and '.join(OPTIONS)}")
        return cls(match[1], int(match[2] or 0), "tf32" in options, "graph" in options)

    def __str__(self) -> str:
        options = [f",{name}" for name in OPTIONS if getattr(self, name)]
        return f"cuda:{self.index}{''.join(options)}" if self.kind == "cuda" else self.kind


def create_session(model: bytes, device: Device, threads: int, spin: bool) -> tuple[Any, Device]:
    """Make an ONNX Runtime session on the device, and say on which device it runs.

    model: the bytes of an ONNX file
    returns: the onnxruntime.InferenceSession, and the device read back from it (never `auto`); one with a CUDA graph
        is run by `binding.Bound` alone
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
            raise _not_available(
                wanted,
                f"this onnxruntime {onnxruntime.__version__} is built for "
                f"{', '.join(onnxruntime.get_available_providers())} only",
            )
        try:
            with _printed() as said:
                if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on, for CUDA and cuDNN that pip installed
                    onnxruntime.preload_dlls()
                session = onnxruntime.InferenceSession(model, options, providers=[(CUDA, _cuda_options(wanted)), CPU])
        except Exception as error:
            onnxruntime.InferenceSession(model, options, providers=[CPU])  # raises where the model is at fault
            raise _not_available(wanted, f"ONNX Runtime could not start it ({_first_line(str(error))})") from error
        ran_on = session.get_providers()[0]
        if ran_on != CUDA:
            reason = _reason(said) or _provider_problem() or "no GPU, or a driver that is too old"
            raise _not_available(
                wanted, f"ONNX Runtime dropped {CUDA} and would have run on {ran_on} ({_first_line(reason)})"
            )
        session.disable_fallback()  # otherwise a failing run quietly starts again on the CPU
        if wanted.graph:
            session.run = _refuse_plain_run
        return session

    if device.kind != "auto":
        return session_on(device), device
    try:
        chosen = Device("cuda", 0)
        return session_on(chosen), chosen
    except DeviceError:
        chosen = Device("cpu")
        return session_on(chosen), chosen


def provider_file() -> Path:
    """Return the file of the CUDA provider, which ONNX Runtime loads when it is asked for CUDA."""
    import onnxruntime

    name = "onnxruntime_providers_cuda.dll" if sys.platform == "win32" else "libonnxruntime_providers_cuda.so"
    return Path(onnxruntime.__file__).parent / "capi" / name


def _provider_problem() -> str:
    """Return why the system's loader refuses the CUDA provider, or nothing where it loads."""
    try:
        ctypes.CDLL(str(provider_file()))
    except OSError as error:
        return str(error)
    return ""


def _cuda_options(device: Device) -> dict[str, str]:
    # ONNX Runtime's own default is TF32; here answers stay in float32 unless somebody asks otherwise.
    options = {"device_id": str(device.index), "use_tf32": "1" if device.tf32 else "0"}
    return {**options, "enable_cuda_graph": "1"} if device.graph else options


def _refuse_plain_run(*_arguments: Any, **_options: Any) -> Any:
    # A replay reads and writes the addresses of the recording, whatever this run's arrays are.
    raise DeviceError("a session with a CUDA graph has fixed buffers and is run by `Bound`; its answers would be wrong")


def _not_available(device: Device, reason: str) -> DeviceError:
    without = f"; perhaps without graph: cuda:{device.index}" if device.graph else ""
    return DeviceError(f"device {device} is not available: {reason}; {INSTALL_CUDA}{without}")


@contextlib.contextmanager
def _printed() -> Iterator[list[str]]:
    """Catch what ONNX Runtime prints where results go, and give it line by line when the block has ended."""
    lines: list[str] = []
    with contextlib.redirect_stdout(io.StringIO()) as text:
        yield lines
    lines += text.getvalue().splitlines()


def _reason(said: list[str]) -> str:
    """Return the line in which ONNX Runtime says why it gave CUDA up; it may have none."""
    # The provider's own error says more than the search for libraries that went before it.
    for line in said:
        if line.startswith("EP Error"):
            cuda = re.search(r"CUDA failure \d+: [^;]*[^; ]", line)
            return cuda[0] if cuda else line.rpartition(" : FAIL : ")[2][:300]
    return next((line for line in said if line.startswith("Failed to load")), "")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0]
