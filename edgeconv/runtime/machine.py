"""What a figure was measured on: the hardware and the versions, without names of hosts or people."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Machine:
    """The machine and the software that a figure rests on."""

    id: str
    """12 hexadecimal digits of the hardware alone: architecture, processor and number of cores. Memory is left out,
    because what of it a system keeps for itself changes with its version."""
    architecture: str
    """Such as `x86_64` or `aarch64`."""
    processor: str
    """Name of the processor, on small boards with that of the board."""
    cores: int
    """Cores that the system has."""
    cores_available: int
    """Cores that this process may run on."""
    memory_gib: float | None
    """Memory that the system has; None where it does not say."""
    system: str
    """Operating system and its release."""
    python: str
    numpy: str
    onnxruntime: str | None
    """Version, None where it is not installed."""


def fingerprint() -> Machine:
    """Return what this process runs on."""
    architecture, processor, cores = platform.machine(), _processor(), os.cpu_count() or 1
    hardware = "\n".join((architecture, processor, str(cores)))
    return Machine(
        id=hashlib.sha256(hardware.encode()).hexdigest()[:12],
        architecture=architecture,
        processor=processor,
        cores=cores,
        cores_available=_cores_available(cores),
        memory_gib=_memory_gib(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        numpy=np.__version__,
        onnxruntime=_onnxruntime_version(),
    )


def processor_name(cpuinfo: str) -> str:
    """Return the processor and the board that the text of Linux's /proc/cpuinfo names; empty where it names none.

    x86 has `model name`. 64-bit ARM has none: there a board may stand in `Model`, and a core has the numbers of its
    maker and design. Other architectures call it `cpu model`, `uarch` or `cpu`.
    """
    values: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip() and value.strip() not in values.setdefault(key.strip(), []):
            values[key.strip()].append(value.strip())
    names = next((values[key] for key in ("model name", "cpu model", "uarch", "cpu") if values.get(key)), [])
    if not names and "CPU part" in values:
        makers = "/".join(values.get("CPU implementer", ["?"]))
        names = [f"ARM core {'+'.join(values['CPU part'])} of maker {makers}"]
    boards = values.get("Model") or values.get("Hardware") or []
    return ", ".join(" ".join(name.split()) for name in (*boards, *names))


def _processor() -> str:
    """Return the processor's name from what the platform has."""
    name = processor_name(_text_of("/proc/cpuinfo"))
    board = _text_of("/proc/device-tree/model").strip("\0 \n")  # boards whose cpuinfo does not say it
    if board and board not in name:
        name = f"{board}, {name}" if name else board
    if not name and platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            name = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            name = ""
    return name or platform.processor() or platform.machine()


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cores_available(cores: int) -> int:
    # Not every system can tie a process to cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf; others may lack the names
        return None


def _onnxruntime_version() -> str | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    return str(onnxruntime.__version__)
