"""tools/memory.py in short: what it writes is read as it was meant, and streaming stays below its limit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_recording_streams_below_the_limit_without_optional_packages(tmp_path):
    command = [sys.executable, ROOT / "tools" / "memory.py", "--sizes", "6", "--with", "numpy", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [row[1] for row in rows] == ["the model's channels", "as a phone writes it"]
    for _, _, size_mb, samples, windows, _, peak_mb, limit_mb in rows:
        assert re.fullmatch(r"[567]", size_mb)
        assert int(windows) == (int(samples) - 128) // 64 + 1
        assert 40 < int(peak_mb) < int(limit_mb) == 150
    assert list(tmp_path.iterdir()) == []
