"""What the system says about a process: its processor time, its waiting, its memory, and what others do meanwhile."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clocks:
    """All clocks at one moment."""

    wall_s: float
    cpu_s: float
    """Processor seconds of this process, and of those that it started and waited for."""
    waited_s: float | None
    """Seconds for which the threads of this process could have run and got no core; None where nobody counts them."""
    machine_cpu_s: float | None
    """Processor seconds that all processes on the machine used; None where nobody counts them."""


def read_clocks() -> Clocks:
    """Return all clocks as they are now."""
    return Clocks(time.perf_counter(), _cpu_s(), _waited_s(), _machine_cpu_s())


def peak_memory_mib() -> float | None:
    """Return the most memory that this process, or one that it started and waited for, had resident; None on Windows.

    On Linux from VmHWM: `ru_maxrss` survives exec there, so that a process reports at least its parent's peak.
    """
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    found = re.search(r"^VmHWM:\s*(\d+) kB", _text_of(Path("/proc/self/status")), re.MULTILINE)
    own = int(found[1]) / 2**10 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return max(own, children)


def load_average() -> float | None:
    """Return how many processes wanted to run over the last minute; None where nobody counts them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu_s() -> float:
    own = time.process_time()
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return own
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


def _waited_s() -> float | None:
    # Linux: per thread the nanoseconds on a core, those waiting for one, and how often it ran.
    fields = [_text_of(path).split() for path in Path("/proc/self/task").glob("*/schedstat")]
    return sum(int(values[1]) for values in fields if len(values) == 3) / 1e9 if any(fields) else None


def _machine_cpu_s() -> float | None:
    # Linux: ticks as user, nice, system, idle, iowait, irq, softirq, steal; what virtual machines use is in user.
    fields = _text_of(Path("/proc/stat")).partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return float((user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
