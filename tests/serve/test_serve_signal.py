"""`edgeconv serve` with what the models of this repository want: other units, and channels that no sensor gives."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
M_S2 = np.array([9.80665] * 3 + [1.0] * 3)
WINDOWS = (1000 - 128) // 64 + 1


@pytest.fixture(scope="module")
def motion():
    """float32 [1000, 6], g and rad/s: 20 s of rest, steps and turns that obey the laws of motion."""
    place = ROOT / "tests" / "runtime" / "worn.py"
    made = importlib.util.module_from_spec(found := importlib.util.spec_from_file_location("worn", place))
    found.loader.exec_module(made)
    return made.worn(11, 20.0)


def as_csv(samples):
    return ",".join(CHANNELS) + "\n" + "".join(",".join(map(repr, row)) + "\n" for row in samples.tolist())


def as_columns(samples):
    return json.dumps(dict(zip(CHANNELS, samples.T.tolist(), strict=True)))


@pytest.fixture
def join():
    """Let a device connect to a port of 127.0.0.1 and send all it has; returns its name."""
    connections = []

    def join(port, samples):
        connections.append(socket.create_connection(("127.0.0.1", port)))
        connections[-1].sendall(as_csv(samples).encode())
        return "{}:{}".format(*connections[-1].getsockname())

    yield join
    for connection in connections:
        connection.close()


def probabilities(windows):
    return np.array([list(window["probabilities"].values()) for window in windows])


def test_a_device_in_another_unit_is_refused_and_with_the_unit_said_agrees(serve, join, motion, wait_for, free_port):
    port, metric = free_port(), free_port()
    serving = serve("--from", f"tcp-listen://127.0.0.1:{port}", model=ROOT / "models" / "har_raw")
    told = serve("--from", f"tcp-listen://127.0.0.1:{metric}", "--unit", "acc=m/s^2", model=ROOT / "models" / "har_raw")
    serving.ready()
    wrong, right = join(port, motion * M_S2), join(port, motion)
    told.ready()
    join(metric, motion * M_S2)
    wait_for(lambda: len(serving.lines) >= WINDOWS and len(told.lines) >= WINDOWS, "all windows")
    serving.wait_for_note(wrong)
    assert (serving.end(), told.end()) == (0, 0)
    assert {window["device"] for window in serving.windows} == {right}
    (said,) = [note for note in serving.notes if note.startswith(f"{wrong}: ")]
    assert "these are probably m/s^2; give --unit acc=m/s^2, or --allow-implausible" in said
    assert "lost or refused" in serving.notes[-1]
    assert serving.notes[-1].startswith("2 devices, ")
    assert "lost or refused" not in told.notes[-1]
    assert [window["start_s"] for window in told.windows] == [window["start_s"] for window in serving.windows]
    np.testing.assert_allclose(probabilities(told.windows), probabilities(serving.windows), rtol=0, atol=1e-5)


def test_what_is_answered_all_the_same_says_so_in_every_payload(serve, broker, connect, motion, wait_for):
    reader = connect(broker, topic="edgeconv/+/prediction")
    addresses = ("--from", f"{broker.url}/sensors/+/imu", "--to", broker.url)
    serving = serve(*addresses, "--allow-implausible", model=ROOT / "models" / "har_raw").ready()
    sender = connect(broker)
    sender.send_samples("wrong", motion * M_S2, as_columns, at_once=100)
    sender.send_samples("right", motion, as_columns, at_once=100)
    wait_for(lambda: len(reader.windows) >= 2 * WINDOWS, "all windows")
    assert serving.end() == 0
    marks = {"right": [], "wrong": []}
    for window in reader.windows:
        marks[window["device"]].append(window.get("implausible"))
    assert marks["right"] == [None] * WINDOWS
    assert len(marks["wrong"]) == WINDOWS
    assert all("unit" in codes for codes in marks["wrong"])
    assert any(note.startswith("wrong: the median norm of acc is ") for note in serving.notes)


def test_a_device_that_sends_what_channels_come_from_is_answered_as_a_file(
    serve, join, motion, tmp_path, wait_for, free_port
):
    port, model = free_port(), ROOT / "models" / "har_edge"
    serving = serve("--from", f"tcp-listen://127.0.0.1:{port}", model=model)
    (tmp_path / "walk.csv").write_text(as_csv(motion))
    streamed = subprocess.run(
        [sys.executable, "-m", "edgeconv", "stream", model, tmp_path / "walk.csv", "--format", "jsonl"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [json.loads(line) for line in streamed.stdout.splitlines()]
    serving.ready()
    join(port, motion)
    wait_for(lambda: len(serving.lines) >= len(expected) - 1, "all windows but what the end completes")
    assert serving.end() == 0
    assert len(expected) == WINDOWS
    for key in ("start_s", "end_s", "label"):
        assert [window[key] for window in serving.windows] == [window[key] for window in expected]
    # float32 sums in another order: a pool of streams runs the stateful form, a recording the dense one
    np.testing.assert_allclose(probabilities(serving.windows), probabilities(expected), rtol=0, atol=1e-5)
