"""docs/signal.md: its files are written as the page shows them, and its commands are run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgeconv.runtime.conditioning.signal import Signal

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "signal.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


def write_examples(folder):
    (table,), (description,) = blocks("csv"), blocks("toml")
    header, first, second = table.splitlines()
    rows = [[float(cell) for cell in line.split(",")] for line in (first, second)]
    rng = np.random.default_rng(0)
    values = np.array(rows[0][1:]) + rng.normal(0, 0.05, (2048, 6))
    times = rows[0][0] + np.arange(2048) * (rows[1][0] - rows[0][0])  # 102.4 Hz
    lines = [
        f"{time:.0f}," + ",".join(f"{value:.3f}" for value in row) for time, row in zip(times, values, strict=True)
    ]
    (folder / "phone.csv").write_text("\n".join([header, *lines]) + "\n")
    (folder / "phone.toml").write_text(description)
    (folder / "labels.csv").write_text("recording,start_s,end_s,label\nphone,0,20,STANDING\n")
    for sensor, part in (("acc", values[:, :3] / 9.80665), ("gyro", values[:, 3:])):
        np.savetxt(folder / f"{sensor}_walk.txt", part, fmt="%.5f")
    for sensor, rate_hz in (("accelerometer", 99.7), ("gyroscope", 202.0)):
        stamps = 1_772_323_200_000_000_000 + np.arange(int(20 * rate_hz)) * round(1e9 / rate_hz)
        rows = rng.normal([0.99, 0, 0] if sensor == "accelerometer" else 0, 0.02, (len(stamps), 3)).round(4).tolist()
        names = [f"{'acc' if sensor == 'accelerometer' else 'gyro'}_{axis}" for axis in "xyz"]
        text = [",".join(map(str, [stamp, *row])) for stamp, row in zip(stamps.tolist(), rows, strict=True)]
        (folder / f"{sensor}.csv").write_text("\n".join([",".join(["t", *names]), *text]) + "\n")
    (folder / "models").symlink_to(ROOT / "models")


def test_every_example_runs_as_it_stands(tmp_path):
    write_examples(tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    (code,) = blocks("python")
    out, err = "", ""
    for command in (
        *(["bash", "-euo", "pipefail", "-c", lines] for lines in blocks("sh")),
        [sys.executable, "-c", code],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        out, err = out + done.stdout, err + done.stderr
    assert "phone.toml says:" in out
    assert re.search(r"acc_y +ay +m/s\^2 +g +-0\.101971621", out)
    assert err.count("phone: resampled from 102.4 Hz to 50 Hz, 0.86 s late; 2048 samples in, 1000 out") == 2
    assert '"recording": "walk"' in out
    assert re.search(
        r"accelerometer: joined by time, 1000 samples.* from 99\.7 Hz to 50 Hz.* from 202 Hz to 50 Hz", err
    )


def test_the_keys_of_the_toml_file_are_all_there_are():
    signal = Signal.from_table({})
    for name in ("columns", "units", "time", "rate_hz", "max_gap_s", "missing", "join"):
        assert hasattr(signal, name)
    options = ("--map", "--unit", "--time-column", "--rate", "--max-gap", "--missing", "--join", "--signal")
    assert all(option in PAGE for option in options)
