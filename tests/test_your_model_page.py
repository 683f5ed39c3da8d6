"""docs/your-model.md: its snippets are run in the order in which they stand, and what it says is refused is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "your-model.md").read_text()
NET = ROOT / "tests" / "export" / "graph" / "torch_models" / "residual_dynamo.onnx"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def run(folder, *command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_every_snippet_runs_as_it_stands(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "four.npz", test_windows=rng.normal(size=(20, 40, 3)), test_class_ids=np.arange(20) % 4,
             test_subjects=np.ones(20, int))  # fmt: skip
    (tmp_path / "net.onnx").write_bytes(NET.read_bytes())
    (said,) = blocks("json")
    (tmp_path / "net.json").write_text(said)
    run(tmp_path, sys.executable, "-c", "\n".join(blocks("python")))
    for lines in blocks("sh"):
        run(tmp_path, "bash", "-euo", "pipefail", "-c", lines)
    certificates = {
        name: json.loads((tmp_path / name / "certificate.json").read_text()) for name in ("mine", "from-python", "net")
    }
    for name, certificate in certificates.items():
        assert list(certificate["artefacts"]) == ["model.onnx", "dense.onnx", "stateful.onnx"], name
    for name in ("mine", "from-python"):
        assert certificates[name]["artefacts"]["model.onnx"]["reference_accuracy"] > 0.9
        assert certificates[name]["data"]["synthetic"] is True
    same = [(tmp_path / name / "model.onnx").read_bytes() for name in ("mine", "from-python")]
    assert same[0] == same[1], "the command and the function make the same file"
