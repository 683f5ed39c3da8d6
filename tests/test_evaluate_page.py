"""docs/evaluate.md: its snippets are run as they stand, and its tables name what the command prints."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "evaluate.md").read_text()


def run(folder, *command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_snippet_runs_as_it_stands(tmp_path):
    (tmp_path / "models").symlink_to(ROOT / "models")
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    printed = run(tmp_path, "bash", "-euo", "pipefail", "-c", lines)
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["smoothed"]["smoothing"] == "majority:5,hold=2.0s,unknown=0.6"
    assert found["as_unknown"] == ["LAYING"]
    (figures,) = re.findall(r"## What the figures.*?\n(\|.*?)\n\n", PAGE, flags=re.S)
    for name in re.findall(
        r"^\| ((?:windows|time|events|onset): [^|]*|false changes per hour) \|", figures, flags=re.M
    ):
        group, _, rest = name.rpartition(": ")
        for each in rest.split(", "):
            assert f"{group}: {each}".removeprefix(": ") in printed, each
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    said = run(tmp_path, sys.executable, "-c", code).splitlines()
    assert re.fullmatch(r"[A-Z_]+ from 0\.00 to 19\.84 s, \d+%", said[-1])  # the last window of 20 s at hop 16
