"""How much memory `edgeconv stream` takes for long recordings: the most that was resident, of each way to read text.

A generated recording of six channels is repeated to a CSV file of each size, once with the model's channels and once as
a phone might write it: a time column in milliseconds, m/s² and names of its own, which `--signal` explains. The command
runs in a process in which pyarrow, polars or both cannot be imported; VmHWM of /proc says the peak at its end. Constant
memory means that the sizes do not differ.

    python tools/memory.py                      # 200 MB and 400 MB
    python tools/memory.py --sizes 200,2000     # in MB
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
STILL = (0.99, -0.1, 0.1, 0.0, 0.0, 0.0)
"""A case at rest, in g and rad/s; noise comes on top."""
RATE_HZ = 50
BLOCK_ROWS = 50_000
TIME_DIGITS = 12
GRAVITY = 9.80665
OTHERS = {"numpy": ("pyarrow", "polars"), "pyarrow": ("polars",), "polars": ("pyarrow",)}
"""What text is parsed with, and what cannot be imported then."""
LIMIT_MB = {"numpy": 150, "pyarrow": 250, "polars": 250}
SIGNAL = """time = "ms:ms"
[columns]
acc_x = "ax"
acc_y = "ay"
acc_z = "az"
gyro_x = "gx"
gyro_y = "gy"
gyro_z = "gz"
[units]
acc = "m/s^2"
"""

CHILD = """
import atexit, sys

hidden, report = sys.argv[1].split(","), sys.argv[2]

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def say_peak():
    with open("/proc/self/status") as status, open(report, "w") as file:
        file.writelines(line for line in status if line.startswith("VmHWM:"))

sys.meta_path.insert(0, Hidden())
atexit.register(say_peak)
sys.argv[:] = ["edgeconv", *sys.argv[3:]]
from edgeconv.cli import main
main()
"""
"""Peaks are read inside: what the system says of a child afterwards counts the parent's memory at the fork."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "har_raw")
    parser.add_argument("--sizes", default="200,400", help="of the files, in MB")
    parser.add_argument("--with", dest="packages", default=",".join(OTHERS), help="of numpy, pyarrow, polars")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed again")
    options = parser.parse_args()
    over = False
    print("| text by | recording | file, MB | rows | windows | s | peak, MB | limit, MB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size_mb in map(int, options.sizes.split(",")):
        for signal in (False, True):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                path = Path(folder) / "recording.csv"
                rows = write_csv(path, size_mb * 1_000_000, timed=signal)
                (Path(folder) / "phone.toml").write_text(SIGNAL)
                said = ["--signal", str(Path(folder) / "phone.toml")] if signal else []
                for package in options.packages.split(","):
                    windows, seconds, peak_mb = stream(options.model, path, said, package)
                    limit = LIMIT_MB[package]
                    over |= peak_mb > limit
                    kind = "as a phone writes it" if signal else "the model's channels"
                    print(
                        f"| {package} | {kind} | {path.stat().st_size / 1e6:.0f} | {rows} | {windows} | {seconds:.0f} "
                        f"| {peak_mb:.0f} | {limit} |",
                        flush=True,
                    )
    if over:
        raise SystemExit("a peak is above its limit")


def write_csv(path: Path, size_bytes: int, *, timed: bool) -> int:
    """Write a CSV file of about this size and return its rows; timed: as a phone might write it."""
    rng = np.random.default_rng(1)
    values = np.array(STILL) + rng.normal(0, 0.02, (BLOCK_ROWS, len(CHANNELS)))
    if timed:
        values[:, :3] *= GRAVITY
    head = f"{'0' * TIME_DIGITS}," if timed else ""
    lines = [head + ",".join(f"{value:+08.4f}" for value in row) + "\n" for row in values.tolist()]
    table = np.frombuffer("".join(lines).encode(), np.uint8).reshape(BLOCK_ROWS, -1).copy()  # all lines are as long
    blocks = max(1, round(size_bytes / table.size))
    with path.open("wb") as file:
        file.write((",".join(["ms", "ax", "ay", "az", "gx", "gy", "gz"] if timed else CHANNELS) + "\n").encode())
        for block in range(blocks):
            if timed:
                table[:, :TIME_DIGITS] = np.stack(list(digits_of(block)), axis=1)
            file.write(table)
    return blocks * BLOCK_ROWS


def digits_of(block: int) -> Iterator[np.ndarray]:
    """Yield the digits of a block's times, the highest first: uint8 [rows] each."""
    times_ms = (block * BLOCK_ROWS + np.arange(BLOCK_ROWS, dtype=np.int64)) * (1000 // RATE_HZ)
    for place in reversed(range(TIME_DIGITS)):
        yield (times_ms // 10**place % 10 + ord("0")).astype(np.uint8)


def stream(model: Path, recording: Path, said: list[str], package: str) -> tuple[int, float, float]:
    """Run the command; return how many windows it answered, the seconds it took and its peak, MB."""
    peak = recording.with_name("peak")
    arguments = ["stream", str(model), str(recording), *said, "--format", "csv"]
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, ",".join(OTHERS[package]), str(peak), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        windows = sum(block.count(b"\n") for block in iter(lambda: process.stdout.read1(1 << 20), b"")) - 1
        notes = process.stderr.read().decode()
    if process.returncode:
        raise SystemExit(notes)
    _, kib, _ = peak.read_text().split()
    return windows, time.perf_counter() - began, int(kib) * 1024 / 1e6


if __name__ == "__main__":
    main()
