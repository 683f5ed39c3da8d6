"""How `edgeconv serve` does with many devices, and with a broker that is restarted under it.

mosquitto is started on loopback with persistence. A process publishes what every device measures, in messages of some
samples each, at the time at which a sensor would send them; what it could not send it sends as soon as it can. In the
middle the broker is stopped and, seconds later, started again. Then windows are counted: expected are those of every
recording as a whole; each must have arrived with the answer that it has there.

    python tools/serve_load.py                             # 200 devices at 50 Hz for 60 s
    python tools/serve_load.py --devices 20 --seconds 15   # a short one
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.runtime import Classifier
from edgeconv.runtime.machine import fingerprint

ROOT = Path(__file__).resolve().parents[1]
AWAY_S = 2.0
PATIENCE_S = 60.0
DECIMALS = 6
"""Of a number in JSON."""
DIFFERENCE = 1e-4
"""Largest allowed difference of a probability from that of the recording as a whole: float32 sums in another order."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "har_raw")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--message", type=int, default=25, help="samples in one message")
    parser.add_argument("--payload", choices=("text", "float32"), default="text")
    parser.add_argument("--no-restart", action="store_true", help="leave the broker alone")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    parser.add_argument("--publish", nargs=2, metavar=("PORT", "AT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        publish(options, int(options.publish[0]), float(options.publish[1]))
        return
    table = run(options)
    print(table)
    if options.out:
        options.out.write_text(table + "\n")
    if "| lost | 0 |" not in table or "| wrong | 0 |" not in table:
        raise SystemExit(4)


def samples_of(channels: list[tuple[float, float]], device: int, n: int) -> np.ndarray:
    """Return what a device measures: float32 [n, channels], as random as the training data are wide."""
    mean, std = np.array(channels, np.float32).T
    return np.random.default_rng(device).normal(mean, std, (n, len(mean))).astype(np.float32)


def channels_of(model: Path) -> list[tuple[float, float]]:
    spec = json.loads((model / "spec.json").read_text())
    return [(channel["mean"], channel["std"]) for channel in spec["channels"]]


def client(port: int, client_id: str) -> Any:
    from paho.mqtt.client import Client, MQTTv5
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 3600
    made = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
    made.reconnect_delay_set(1, 1)
    made.connect("127.0.0.1", port, clean_start=False, properties=session)
    made.loop_start()
    return made


def publish(options: argparse.Namespace, port: int, at: float) -> None:
    """Send what all devices measure, each message when its last sample is there; the devices are out of step."""
    spec = json.loads((options.model / "spec.json").read_text())
    names, rate_hz = [channel["name"] for channel in spec["channels"]], spec["sampling_rate_hz"]
    n = round(options.seconds * rate_hz)
    recordings = [samples_of(channels_of(options.model), device, n) for device in range(options.devices)]
    sender = client(port, "devices")
    lost: list[bool] = []
    sender.on_disconnect = lambda *_: lost.append(True)
    sent = 0
    for first in range(0, n, options.message):
        for device, samples in enumerate(recordings):
            part = samples[first : first + options.message]
            due = at + (first + len(part) + options.message * device / options.devices) / rate_hz
            time.sleep(max(0.0, due - time.time()))
            if options.payload == "float32":
                payload: bytes | str = part.astype("<f4").tobytes()
            else:
                columns = np.round(part.T.astype(float), DECIMALS).tolist()
                payload = json.dumps(dict(zip(names, columns, strict=True)))
            # paho lets a new message go ahead of those that it sends again after a reconnect; a device may not.
            while lost and (sender._out_messages or not sender.is_connected()):
                time.sleep(0.01)
            lost.clear()
            sender.publish(f"sensors/d{device}/imu", payload, qos=1)
            sent += 1
    deadline = time.monotonic() + PATIENCE_S
    while sender._out_messages and time.monotonic() < deadline:
        time.sleep(0.05)
    print(json.dumps({"sent": sent, "unconfirmed": len(sender._out_messages)}))
    sender.disconnect()
    sender.loop_stop()


class Broker:
    """mosquitto on loopback, whose sessions and messages survive a stop."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 1000\nlog_dest none\n"
        )

    def start(self) -> None:
        """Return when it takes connections."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise SystemExit("mosquitto is not installed; tools/debian_packages.sh installs it")
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", self.port)) != 0:
                time.sleep(0.02)

    def stop(self) -> None:
        """Return when all is written to disk."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def run(options: argparse.Namespace) -> str:
    """Return the table of one run."""
    classifier = Classifier.load(options.model)
    spec = classifier.spec
    n = round(options.seconds * spec.sampling_rate_hz)
    expected = {}
    for device in range(options.devices):
        samples = samples_of(channels_of(options.model), device, n)
        if options.payload == "text":
            samples = np.round(samples.astype(float), DECIMALS).astype(np.float32)
        expected[f"d{device}"] = classifier.score(samples)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            return measure(options, broker, expected, spec.hop, spec.sampling_rate_hz)
        finally:
            broker.stop()


def measure(
    options: argparse.Namespace, broker: Broker, expected: dict[str, np.ndarray], hop: int, rate_hz: float
) -> str:
    got: list[tuple[float, dict[str, Any]]] = []
    reader = client(broker.port, "reader")
    reader.on_message = lambda _client, _data, message: got.append((time.time(), json.loads(message.payload)))
    reader.subscribe("edgeconv/+/prediction", qos=1)
    url = f"mqtt://127.0.0.1:{broker.port}"
    command = [
        sys.executable,
        "-m",
        "edgeconv",
        "serve",
        str(options.model),
        "--allow-implausible",
        "--from",
        f"{url}/sensors/+/imu",
    ]
    serving = subprocess.Popen(
        [*command, "--to", url, "--payload", options.payload, "--report", "10"], stderr=subprocess.PIPE, text=True
    )
    notes: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert serving.stderr is not None
        for line in serving.stderr:
            notes.append(line.rstrip())
            print(line.rstrip(), file=sys.stderr, flush=True)
            if ": serving" in line:
                ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(PATIENCE_S):
        raise SystemExit("edgeconv serve did not start")
    began = time.time() + 2.0
    own = [sys.executable, __file__, "--publish", str(broker.port), str(began), "--model", str(options.model)]
    own += ["--devices", str(options.devices), "--seconds", str(options.seconds)]
    own += ["--message", str(options.message), "--payload", options.payload]
    sender = subprocess.Popen(own, stdout=subprocess.PIPE, text=True)
    if not options.no_restart:
        time.sleep(began - time.time() + options.seconds / 2)
        broker.stop()
        print("the broker is stopped", file=sys.stderr)
        time.sleep(AWAY_S)
        broker.start()
        print("the broker is started again", file=sys.stderr)
    said = json.loads(sender.communicate()[0])
    total = sum(len(answers) for answers in expected.values())
    deadline = time.monotonic() + PATIENCE_S
    while len({window["id"] for _, window in got}) < total and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)  # for what comes twice
    serving.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(serving.pid, 0)
    reader.disconnect()
    reader.loop_stop()
    ids = Counter(window["id"] for _, window in got)
    windows = {window["id"]: window for _, window in got}
    found = {(window["device"], round(window["start_s"] * rate_hz / hop)): window for window in windows.values()}
    places = {(device, k) for device, answers in expected.items() for k in range(len(answers))}
    wrong = sum(
        np.abs(np.array(list(found[place]["probabilities"].values())) - expected[place[0]][place[1]]).max() > DIFFERENCE
        for place in places & found.keys()
    )
    # A stream begins when its first message is there; a window's last message is there so much later.
    in_messages = options.message / rate_hz
    late_s = [
        at - window["since_ms"] / 1e3 - (math.ceil(round(window["end_s"] / in_messages, 6)) - 1) * in_messages
        for at, window in got
        if at < began + options.seconds / 2
    ]
    machine = fingerprint()
    rows = [
        ("devices, rate, time", f"{options.devices} at {rate_hz:g} Hz for {options.seconds:g} s"),
        ("messages", f"{said['sent']} of {options.message} samples, {options.payload}"),
        ("broker", "left alone" if options.no_restart else f"stopped in the middle, started {AWAY_S:g} s later"),
        ("windows expected", total),
        ("received", len(places & found.keys())),
        ("repeated", sum(ids.values()) - len(ids)),
        ("lost", len(places - found.keys())),
        ("not expected", len(found.keys() - places) + len(windows) - len(found)),
        ("wrong", wrong),
        ("from message to prediction, before the stop, median", f"{1e3 * float(np.median(late_s)):.0f} ms"),
        ("the same, 99 %", f"{1e3 * float(np.quantile(late_s, 0.99)):.0f} ms"),
        ("processor time of serve", f"{usage.ru_utime + usage.ru_stime:.1f} s"),
        ("largest memory of serve", f"{usage.ru_maxrss / 1024:.0f} MiB"),
        ("exit code", os.waitstatus_to_exitcode(status)),
        ("machine", f"{machine.processor}, {machine.cores_available} cores, {machine.system}"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    main()
