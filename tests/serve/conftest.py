"""A real broker on loopback, devices that publish to it, somebody who reads the predictions, and the real command."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PATIENCE_S = 20.0


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Return what the condition gives once it is true; fail instead of waiting for ever."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.02)
    return found


def as_json(samples: np.ndarray) -> str:
    return json.dumps({"acc_x": samples[:, 0].tolist(), "acc_y": samples[:, 1].tolist(), "battery": "good"})


def by_device(windows: list[dict[str, Any]]) -> tuple[dict[str, dict[float, str]], int]:
    """Return start → label of every device, each window once; and how many came again."""
    ids = Counter(window["id"] for window in windows)
    found: dict[str, dict[float, str]] = {}
    for window in windows:
        found.setdefault(window["device"], {})[window["start_s"]] = window["label"]
    return found, sum(ids.values()) - len(ids)


# Tests are imported by file, so they cannot import these.
@pytest.fixture(scope="session", name="free_port")
def _free_port() -> Callable[..., int]:
    return free_port


@pytest.fixture(scope="session", name="wait_for")
def _wait_for() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session", name="as_json")
def _as_json() -> Callable[..., str]:
    return as_json


@pytest.fixture(scope="session", name="by_device")
def _by_device() -> Callable[..., Any]:
    return by_device


class Broker:
    """mosquitto with persistence: what it holds for its clients survives that it is stopped and started."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = folder / "mosquitto.log"
        lines = {
            "listener": f"{self.port} 127.0.0.1",
            "allow_anonymous": "true",
            "persistence": "true",
            "persistence_location": f"{folder}/",
            "user": "root",  # where the tests run as root; otherwise it is not looked at
            "max_queued_messages": 0,
            "max_inflight_messages": 200,
            "log_dest": f"file {self.log}",
            **options,
        }
        self._config = folder / "mosquitto.conf"
        self._config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
        assert program, "mosquitto is not installed; tools/debian_packages.sh installs it"
        self._process = subprocess.Popen([program, "-c", str(self._config)])
        wait_for(self._answers, "the broker")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(PATIENCE_S) == 0
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(**options: object) -> Broker:
        folder = tmp_path / f"broker{len(made)}"
        folder.mkdir()
        made.append(Broker(folder, **options))
        made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


class Client:
    """A client of the tests; sends with QoS 1, in order, and keeps what cannot be sent yet."""

    def __init__(self, broker: Broker, client_id: str = "", topic: str | None = None) -> None:
        from paho.mqtt.client import Client as Paho
        from paho.mqtt.client import MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self._topic = topic
        self._lock = threading.Lock()
        self._messages: list[Any] = []
        self._subscribed = threading.Event()
        self._to_send: queue.SimpleQueue[tuple[str, str | bytes] | None] = queue.SimpleQueue()
        self._lost = False
        self.pause_s = 0.0
        """How long it takes over every message that it reads."""
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600 if client_id else 0
        self.paho = Paho(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        self.paho.reconnect_delay_set(0.1, 0.1)
        self.paho.on_connect = self._on_connect
        self.paho.on_message = self._on_message
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = lambda *_: self._subscribed.set()
        self.paho.connect("127.0.0.1", broker.port, clean_start=not client_id, properties=session)
        self.paho.loop_start()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()
        if topic is not None:
            assert self._subscribed.wait(PATIENCE_S)

    def _on_connect(self, client: Any, *_: Any) -> None:
        if self._topic is not None:
            client.subscribe(self._topic, qos=1)

    def _on_disconnect(self, *_: Any) -> None:
        self._lost = True

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        time.sleep(self.pause_s)
        with self._lock:
            self._messages.append(message)

    @property
    def messages(self) -> list[Any]:
        with self._lock:
            return list(self._messages)

    @property
    def windows(self) -> list[dict[str, Any]]:
        """The predictions that it has read, without repeats that a broker makes of them."""
        return [json.loads(message.payload) for message in self.messages]

    def send(self, topic: str, payload: str | bytes) -> None:
        self._to_send.put((topic, payload))

    def send_samples(
        self, device: str, samples: np.ndarray, make: Callable[[np.ndarray], str | bytes] = as_json, at_once: int = 4
    ) -> None:
        for start in range(0, len(samples), at_once):
            self.send(f"sensors/{device}/imu", make(samples[start : start + at_once]))

    def _send(self) -> None:
        while (message := self._to_send.get()) is not None:
            # paho lets a new message go ahead of those that it sends again after a reconnect.
            while self._lost and (self.paho._out_messages or not self.paho.is_connected()):
                time.sleep(0.01)
            self._lost = False
            self.paho.publish(*message, qos=1)

    def send_all(self) -> None:
        """Wait until the broker has confirmed everything."""
        wait_for(lambda: self._to_send.empty(), "its turn")
        time.sleep(0.02)
        wait_for(lambda: not self.paho._out_messages, "the broker's confirmations")

    def close(self) -> None:
        self._lost = False
        self._to_send.put(None)
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def connect(*arguments: Any, **options: Any) -> Client:
        made.append(Client(*arguments, **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


class Serving:
    """`edgeconv serve` as a process, and the notes that it makes."""

    def __init__(self, *arguments: object, stdout: int = subprocess.PIPE, **environment: str) -> None:
        usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeconv", "serve", *map(str, arguments)],
            stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8", env={**usual, **environment},
            # A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        self.notes: list[str] = []
        self.lines: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stderr, self.notes), (self.process.stdout, self.lines))
            if pair[0] is not None
        ]
        for reader in self._readers:
            reader.start()

    @property
    def windows(self) -> list[dict[str, Any]]:
        """The predictions that it has written to stdout."""
        return [json.loads(line) for line in self.lines]

    @staticmethod
    def _read(stream: Any, into: list[str]) -> None:
        into.extend(line.rstrip("\n").removeprefix("edgeconv: ") for line in stream)

    def wait_for_note(self, words: str) -> str:
        def find() -> str | None:
            return next((note for note in self.notes if words in note), None)

        deadline = time.monotonic() + PATIENCE_S
        while (found := find()) is None:
            assert self.process.poll() is None, self.notes
            assert time.monotonic() < deadline, (words, self.notes)
            time.sleep(0.02)
        return found

    def ready(self) -> Serving:
        self.wait_for_note(": serving")
        return self

    def end(self, number: int | None = signal.SIGTERM) -> int:
        """Send a signal, or none, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        assert not any("Traceback" in note for note in self.notes), self.notes
        return code


@pytest.fixture
def serve(models: Path) -> Iterator[Callable[..., Serving]]:
    """Start `edgeconv serve`, with the tiny model where none is named; what still runs after the test is killed."""
    started: list[Serving] = []

    def serve(*arguments: object, model: Path = models / "tiny.onnx", **options: Any) -> Serving:
        started.append(Serving(model, *arguments, **options))
        return started[-1]

    yield serve
    for serving in started:
        if serving.process.poll() is None:
            serving.process.kill()
        serving.process.wait()
        for stream in (serving.process.stdout, serving.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="session")
def models() -> Path:
    """The tiny models: windows [4, 2] of acc_x and acc_y at 10 Hz, hop 2, labels still, walk and run."""
    return Path(__file__).parents[1] / "runtime" / "models"


@pytest.fixture(scope="session")
def samples_of() -> Callable[..., np.ndarray]:
    """Return the samples of a device: float32 [n, 2], the same every time."""

    def samples_of(device: int, n: int = 40) -> np.ndarray:
        return np.random.default_rng(100 + device).normal(0.3, 1.0, (n, 2)).astype(np.float32)

    return samples_of


@pytest.fixture(scope="session")
def expected(models: Path, samples_of: Callable[..., np.ndarray]) -> Callable[..., dict[float, str]]:
    """Return start → label of all windows of a device, as a stream alone has them."""
    from edgeconv.runtime import Classifier, StreamClassifier

    classifier = Classifier.load(models / "tiny.onnx")

    def expected(device: int, n: int = 40) -> dict[float, str]:
        return {p.start_s: p.label for p in StreamClassifier(classifier).push(samples_of(device, n))}

    return expected
