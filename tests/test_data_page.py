"""docs/data.md: each example is written where the page says, and its commands are run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgeconv.data import load_data

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "data.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def write_examples(folder):
    rng = np.random.default_rng(0)
    (labels,), (description,), (series,) = blocks("csv"), blocks("toml"), blocks("ts")
    (folder / "two-days").mkdir()
    for day in ("monday", "tuesday"):
        rows = "".join(f"{x:.3f},{y:.3f}\n" for x, y in rng.normal(size=(600, 2)))
        (folder / "two-days" / f"{day}.csv").write_text(f"acc_x,acc_y\n{rows}")
    (folder / "two-days" / "labels.csv").write_text(labels)
    (folder / "two-days" / "dataset.toml").write_text(description)
    (folder / "waves").mkdir()
    for side in ("TRAIN", "TEST"):
        (folder / "waves" / f"Waves_{side}.ts").write_text(series)


def test_every_example_runs_as_it_stands(tmp_path):
    write_examples(tmp_path)
    (code,) = blocks("python")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    out = ""
    for command in (
        [sys.executable, "-c", code],
        *(["bash", "-euo", "pipefail", "-c", lines] for lines in blocks("sh")),
    ):
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        out += done.stdout
    hashes = dict(re.findall(r"^(.+): content hash (\w{64}), read from", out, flags=re.M))
    days = load_data(tmp_path / "two-days")
    # The one that was written again, Waves at 10 Hz, and the file of windows.
    assert hashes["two days"] == days.content_hash()
    assert hashes["Waves"] == load_data(tmp_path / "waves", options={"rate": 10}).content_hash()
    assert hashes["own"] == load_data(tmp_path / "own.npz").content_hash()
    assert (tmp_path / "walk" / "model.keras").is_file()
    assert (len(days.train), len(days.test), days.subjects_known) == (10, 10, True)
