"""docs/checkpoints.md: its commands and its code run as they stand, and its figures are those of the code."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgeconv.cli import keeper, serve, stream
from edgeconv.runtime.sinks.output import TAIL_BYTES

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def test_every_example_runs_as_it_stands(tmp_path):
    times = np.arange(600) / 50
    waves = [0.1 * np.sin(2 * np.pi * (1 + channel / 3) * times) for channel in range(6)]
    values = np.stack(waves, axis=1) + np.random.default_rng(0).normal(0, 0.05, (600, 6)) + [0.95, -0.2, 0.1, 0, 0, 0]
    for name in ("walk", "run"):
        header = "acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"
        np.savetxt(tmp_path / f"{name}.csv", values, fmt="%.5f", delimiter=",", header=header, comments="")
    (tmp_path / "models").symlink_to(ROOT / "models")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    (commands,), (code,) = (re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S) for language in ("sh", "python"))
    for command in (["bash", "-euo", "pipefail", "-c", commands], [sys.executable, "-c", code]):
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if command[0] == "bash":
            assert "walk.ckpt says that all is done: 16 windows in predictions.jsonl" in done.stderr
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 16


def test_the_figures_are_those_of_the_code():
    every_s = inspect.signature(stream.stream).parameters["checkpoint_every"].default
    served_s = inspect.signature(serve.serve).parameters["checkpoint_every"].default
    for words in (
        f"`--checkpoint-every` is {every_s:g} s by default",
        f"beginning ({keeper.HEAD_BYTES // 1024} KiB)",
        f"({TAIL_BYTES // 1024} KiB are looked at)",
        f"nothing comes for {1000 * serve.PAUSE_S:g} ms",
    ):
        assert words in PAGE.replace("\n  ", " ").replace("\n", " "), words
    assert served_s == 1
