"""docs/datasets.md: its commands are run as they stand, on the file that docs/data.md makes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.S)


def test_every_example_runs_as_it_stands(tmp_path):
    (code,) = blocks("data.md", "python")
    commands = "".join(blocks("datasets.md", "sh"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"EDGECONV_DATASETS": str(tmp_path / "store"), "EDGECONV_RUNS": str(tmp_path / "runs")}
    env = {**os.environ, **own, "PATH": path, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    out = ""
    for command in ([sys.executable, "-c", code], ["bash", "-euo", "pipefail", "-c", commands]):
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        out += done.stdout
    trained = json.loads((tmp_path / "walk" / "training.json").read_text())
    sha256 = re.search(r"^sha256 +(\w{64})$", out, flags=re.M)[1]
    assert trained["data"]["source"] == f"gait@1 (sha256 {sha256})"
    assert f"read from gait@1 (sha256 {sha256}), split swapped" in out
    assert "intact  gait@1" in out
    assert not (tmp_path / "store" / "gait").exists()
    kept = tmp_path / "another" / "gait" / "1"
    assert (kept / "files" / "own.npz").read_bytes() == (tmp_path / "own.npz").read_bytes()
    assert "swapped" in (kept / "splits.json").read_text()
