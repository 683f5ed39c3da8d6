"""What is there of NVIDIA's software: the driver, and the libraries that ONNX Runtime's CUDA provider loads."""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .elf import needed_libraries

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
CUDNN = 9
"""Major version of cuDNN that every ONNX Runtime since 1.19 uses; newer ones load it only when a model needs it."""
PACKAGES = {
    "cublas": "nvidia-cublas",
    "cublasLt": "nvidia-cublas",
    "cudart": "nvidia-cuda-runtime",
    "cudnn": "nvidia-cudnn",
    "cufft": "nvidia-cufft",
    "curand": "nvidia-curand",
    "nvJitLink": "nvidia-nvjitlink",
    "nvrtc": "nvidia-cuda-nvrtc",
}
"""Which of NVIDIA's pip packages brings a library, without the ending for the version of CUDA."""


@dataclass(frozen=True)
class Library:
    """One library that the CUDA provider loads."""

    name: str
    package: str
    """The pip package that brings it, or nothing where the system does."""
    path: str
    """The file it was loaded from, as far as the system tells; empty where it was not loaded."""
    problem: str
    """Why the system's loader does not load it, or nothing."""


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver, as it answers."""

    cuda: tuple[int, int] = (0, 0)
    """Newest version of CUDA that it can run."""
    gpus: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be used, or nothing."""


def find_driver() -> Driver:
    """Ask the driver, where there is one, for its version and its GPUs."""
    try:
        return ask_driver(ctypes.CDLL(DRIVER))
    except OSError as error:
        return Driver(problem=str(error).removeprefix(f"{DRIVER}: "))


def ask_driver(library: Any) -> Driver:
    """Ask a loaded driver for its version and its GPUs (CUDA Driver API)."""
    version, count = ctypes.c_int(), ctypes.c_int()
    code = library.cuDriverGetVersion(ctypes.byref(version))
    code = code or library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    cuda = (version.value // 1000, version.value % 1000 // 10)
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorString(code, ctypes.byref(text))
        return Driver(cuda, problem=f"error {code}: {(text.value or b'unknown').decode(errors='replace')}")
    names = []
    for index in range(count.value):
        name = ctypes.create_string_buffer(128)
        library.cuDeviceGetName(name, len(name), index)
        names.append(name.value.decode(errors="replace"))
    return Driver(cuda, tuple(names))


def find_libraries(provider: Path, cuda_version: str) -> list[Library]:
    """Load each library that the CUDA provider loads, and say from where; the driver is not among them.

    provider: the file of the CUDA provider; cuda_version: the version of CUDA that it was built with, such as `13.0`
    """
    major = int(cuda_version.partition(".")[0] or 0)
    return [_load(name, major) for name in _library_names(provider, major)]


def _library_names(provider: Path, cuda_major: int) -> list[str]:
    if sys.platform == "win32":
        cufft = 12 if cuda_major >= 13 else 11
        names = [f"{name}64_{cuda_major}.dll" for name in ("cublasLt", "cublas", "cudart")]
        return [*names, f"cufft64_{cufft}.dll", f"cudnn64_{CUDNN}.dll"]
    needed = [name for name in needed_libraries(provider) if name != DRIVER]
    # Of the system's own libraries only those that are not there are worth a word.
    names = [name for name in needed if _stem(name) in PACKAGES or _problem(name)]
    return names if any(_stem(name) == "cudnn" for name in names) else [*names, f"libcudnn.so.{CUDNN}"]


def _load(name: str, cuda_major: int) -> Library:
    package = PACKAGES.get(_stem(name), "")
    if package and cuda_major and (cuda_major < 13 or package == "nvidia-cudnn"):  # from 13 on only cuDNN has it
        package = f"{package}-cu{cuda_major}"
    problem = _problem(name)
    return Library(name, package, "" if problem else _loaded_from(name), problem)


def _stem(name: str) -> str:
    match = re.match(r"lib(\w+)\.so|([A-Za-z]+)64_", name)
    return (match[1] or match[2]) if match else ""


def _problem(name: str) -> str:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error).removeprefix(f"{name}: ")
    return ""


def _loaded_from(name: str) -> str:
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return ""
    paths = (line.split(maxsplit=5)[-1] for line in lines if "/" in line)
    return next((path for path in paths if path.rpartition("/")[2].startswith(name)), "")
