"""Many devices in one process: who is answered, who is refused, and what becomes of who is silent; over UDP."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import socket
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier, EventStream, Smoothing, StreamClassifier
from edgeconv.runtime.conditioning.signal import Signal, TimeColumn
from edgeconv.runtime.device_stream import Contract
from edgeconv.runtime.serving import LOOK_S, Service
from edgeconv.runtime.sinks import open_served
from edgeconv.runtime.sources.joined import Recording
from edgeconv.runtime.sources.messages import Decoder
from edgeconv.runtime.sources.recording_source import RecordingSource
from edgeconv.runtime.sources.socket import UdpSource
from edgeconv.runtime.walk import Walk

# tests are imported by file, so what stands beside them is, too
_made = importlib.util.spec_from_file_location("worn", Path(__file__).with_name("worn.py"))
made = importlib.util.module_from_spec(_made)
_made.loader.exec_module(made)

MODELS = Path(__file__).resolve().parents[2] / "models"
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
M_S2 = np.array([9.80665] * 3 + [1.0] * 3)
MESSAGE = 25
DECIDED = math.ceil(256 / MESSAGE)
"""Messages after which the first decision is there: two windows of 128."""
PATIENCE_S = 20.0


class Device:
    """Sends one JSON object a datagram."""

    def __init__(self, port):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self.name = "{}:{}".format(*self._socket.getsockname())

    def send(self, samples, names=CHANNELS):
        self._socket.send(json.dumps(dict(zip(names, samples.T.tolist(), strict=True))).encode())

    def send_text(self, text):
        self._socket.send(text.encode())

    def close(self):
        self._socket.close()


class Bench:
    """A service, the devices that send to it, and what it publishes and says."""

    def __init__(self, model, signal=None, doubt="refuse", idle_s=math.inf, smoothing=None):
        self.classifier = Classifier.load(MODELS / model)
        contract = Contract(self.classifier.spec, signal, doubt)
        self.source = UdpSource("127.0.0.1:0", Decoder(contract.columns))
        self.now_s, self.said, self._out = 0.0, [], io.StringIO()
        self.devices = []
        self.service = Service(
            self.classifier, self.source, open_served("-", self._out),
            contract=contract, smoothing=smoothing, idle_s=idle_s, clock=lambda: self.now_s, say=self.said.append,
        )  # fmt: skip

    def join(self):
        self.devices.append(Device(self.source.port))
        return self.devices[-1]

    def step(self):
        """Take the next message, which is on its way."""
        before = self.seen
        self.service.step(PATIENCE_S)
        assert self.seen > before

    @property
    def seen(self):
        return self.service.tally.arrivals + self.service.tally.losses.total()

    def send(self, *of, at_once=MESSAGE):
        """Let pairs of a device and its samples take turns, message by message."""
        for start in range(0, max(len(samples) for _, samples in of), at_once):
            for device, samples in of:
                if start < len(samples):
                    device.send(samples[start : start + at_once])
                    self.step()

    def pass_by(self, seconds):
        self.now_s += seconds
        self.service.step(0.0)

    def windows(self, device):
        found = [json.loads(line) for line in self._out.getvalue().splitlines()]
        return [window for window in found if window["device"] == device.name]

    def close(self):
        for device in self.devices:
            device.close()
        self.source.close()


@pytest.fixture
def bench():
    opened = []

    def open_bench(*arguments, **options):
        opened.append(Bench(*arguments, **options))
        return opened[-1]

    yield open_bench
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def motion():
    """float32 [1500, 6], g and rad/s: half a minute of rest, steps and turns."""
    return made.worn(11, 30.0)


def table(windows):
    """Start and probabilities of each window: float64 [n, 1 + classes]."""
    return np.array([[window["start_s"], *window["probabilities"].values()] for window in windows])


def as_alone(classifier, samples):
    """What a stream of these samples alone gives, as `table`."""
    return np.array([[p.start_s, *p.probabilities] for p in StreamClassifier(classifier).push(samples)])


def test_a_device_in_another_unit_is_refused_with_the_cause_and_the_others_go_on(bench, motion):
    with_one = bench("har_raw")
    right, wrong, other = with_one.join(), with_one.join(), with_one.join()
    with_one.send((right, motion), (wrong, motion * M_S2), (other, made.worn(12, 30.0)))
    (said,) = with_one.said
    assert said.startswith(f"{wrong.name}: this is not the signal that the model was trained on, 5.1 s from the start:")
    assert "these are probably m/s^2" in said
    assert "give --unit acc=m/s^2, or --allow-implausible" in said
    messages = len(motion) // MESSAGE
    assert with_one.service.tally.losses == {wrong.name: messages - DECIDED + 1}
    assert with_one.service.tally.arrivals == 2 * messages + DECIDED - 1
    assert with_one.windows(wrong) == []
    for device, samples in ((right, motion), (other, made.worn(12, 30.0))):
        # float32 sums in another order
        np.testing.assert_allclose(
            table(with_one.windows(device)), as_alone(with_one.classifier, samples), rtol=0, atol=1e-5
        )


def test_a_device_in_another_unit_is_marked_where_that_is_allowed(bench, motion):
    allowing = bench("har_raw", doubt="mark")
    right, wrong = allowing.join(), allowing.join()
    allowing.send((right, motion), (wrong, motion * M_S2))
    assert not any("implausible" in window for window in allowing.windows(right))
    found = allowing.windows(wrong)
    assert len(found) == (len(motion) - 128) // 64 + 1
    assert all("unit" in window["implausible"] for window in found)
    assert f"{wrong.name}: the median norm of acc is " in allowing.said[0]
    assert allowing.said[0].endswith("; goes on all the same, from 5.1 s")
    assert len(allowing.said) == len(set(allowing.said))
    assert not allowing.service.tally.losses


def test_a_device_in_another_unit_that_is_said_is_answered_as_the_right_one(bench, motion):
    told = bench("har_raw", Signal(units={"acc": "m/s^2"}))
    wrong = told.join()
    told.send((wrong, motion * M_S2))
    np.testing.assert_allclose(table(told.windows(wrong)), as_alone(told.classifier, motion), rtol=0, atol=1e-5)
    assert told.said == []


def test_a_refusal_is_named_also_after_another_loss_and_in_one_large_message(bench, motion):
    refusing = bench("har_raw")
    device = refusing.join()
    device.send_text("{")
    refusing.step()
    for start in (0, 500):
        device.send((motion * M_S2)[start : start + 300])
        refusing.step()
    assert [note.partition(" (")[0][len(device.name) :] for note in refusing.said[:1]] == [": this is not JSON"]
    assert "--unit acc=m/s^2" in refusing.said[1]
    assert len(refusing.said) == 2
    assert refusing.service.tally.losses == {device.name: 3}


def test_a_message_that_turns_implausible_behind_a_gap_is_refused_as_a_whole(bench, motion):
    timed = bench("har_raw", Signal(time=TimeColumn.parse("t:s")))
    device, other = timed.join(), timed.join()
    times = np.concatenate([np.arange(350), np.arange(400, 800)]) / 50
    both = np.column_stack([times, np.concatenate([motion[:350], motion[:400] * M_S2])])
    device.send(both.round(4), ("t", *CHANNELS))  # so that it fits into a datagram
    timed.step()
    assert "--unit acc=m/s^2" in timed.said[0]
    other.send(np.column_stack([np.arange(400) / 50, motion[:400]]), ("t", *CHANNELS))
    timed.step()
    timed.service.finish()
    assert timed.windows(device) == []
    assert len(timed.windows(other)) == (400 - 128) // 64 + 1


def test_a_refused_device_is_forgotten_when_it_is_silent_and_answered_when_it_comes_back_in_order(bench, motion):
    idle = bench("har_raw", idle_s=10.0)
    device = idle.join()
    idle.send((device, motion[:500] * M_S2))
    idle.pass_by(9.9)
    idle.send((device, motion[:500]))
    assert idle.windows(device) == []  # it was never silent for so long
    idle.pass_by(10.1)
    assert (list(idle.service.devices), len(idle.service.pool)) == ([], 0)
    idle.send((device, motion))
    found = idle.windows(device)
    np.testing.assert_allclose(table(found), as_alone(idle.classifier, motion), rtol=0, atol=1e-5)
    assert len(idle.said) == 1
    assert idle.service.tally.dropped == 1


def test_a_device_that_is_refused_later_stays_refused_while_it_sends(bench, motion):
    """Its answers stop, and are not to begin again because the model has heard nothing of it for so long."""
    idle = bench("har_raw", idle_s=10.0)
    device = idle.join()
    idle.send((device, motion))
    answered = len(idle.windows(device))
    flat = motion[:500].copy()
    flat[:, 4] = 0.0  # a dead axis
    idle.send((device, flat))
    assert "gyro_y stays at 0" in idle.said[0]
    for _ in range(8):
        idle.now_s += 4.0
        idle.send((device, flat[:MESSAGE]))
    assert idle.service.tally.dropped == 0
    assert len(idle.windows(device)) < answered + 500 // 64
    assert len(idle.said) == 1


def test_what_was_held_back_of_a_device_is_answered_when_it_falls_silent(bench, motion):
    idle = bench("har_raw", idle_s=10.0)
    silent, ended = idle.join(), idle.join()
    idle.send((silent, motion[:200]))
    assert idle.windows(silent) == []  # not judged yet
    idle.pass_by(10.0 + LOOK_S)
    assert [window["start_s"] for window in idle.windows(silent)] == [0, 1.28]
    assert list(idle.service.devices) == []
    idle.send((ended, motion[:200]))
    idle.service.finish()
    np.testing.assert_array_equal(table(idle.windows(ended)), table(idle.windows(silent)))


def test_who_was_refused_is_refused_by_the_one_who_goes_on(bench, motion):
    first, second = bench("har_raw"), bench("har_raw")
    right, wrong = first.join(), first.join()
    first.send((right, motion[:500]), (wrong, motion[:500] * M_S2))
    second.service.restore(first.service.state())
    assert {name: stream.refused for name, stream in second.service.devices.items()} == {
        right.name: False,
        wrong.name: True,
    }


@pytest.mark.parametrize("at_once", [1, 25, 400])
def test_derived_channels_are_answered_as_those_of_a_file(bench, motion, tmp_path, at_once):
    live = bench("har_edge")
    device = live.join()
    live.send((device, motion), at_once=at_once)
    live.service.finish()
    spec = live.classifier.spec
    np.savetxt(tmp_path / "walk.csv", motion, fmt="%.9g", delimiter=",", header=",".join(CHANNELS), comments="")
    walk = Walk(
        StreamClassifier(live.classifier),
        [Recording("walk", (tmp_path / "walk.csv",))],
        lambda recording: RecordingSource(recording.paths, spec),
        at_once=None,
    )
    expected = [prediction for step in walk.steps() for prediction in step.predictions]
    found = live.windows(device)
    assert [window["label"] for window in found] == [prediction.label for prediction in expected]
    assert len(found) == (len(motion) - 128) // 64 + 1
    np.testing.assert_allclose(
        table(found), [[p.start_s, *p.probabilities] for p in expected], rtol=0, atol=1e-5
    )  # float32 sums in another order
    assert live.said == []


SMOOTHING = Smoothing(time_constant_s=2.0, hold_s=2.0, unknown=0.5)


def events_of(bench_of, device):
    """Messages about a device's events: those that say that one has begun, and those that one has ended."""
    found = bench_of.windows(device)
    return [one for one in found if one["end_s"] is None], [one for one in found if one["end_s"] is not None]


def test_events_are_served_when_they_begin_and_when_they_end(bench, motion):
    live = bench("har_raw", smoothing=SMOOTHING)
    device, other = live.join(), live.join()
    live.send((device, motion), (other, made.worn(12, 30.0)))
    live.service.finish()
    stream, expected = EventStream(live.classifier.spec.labels, 64 / 50, SMOOTHING), []
    for prediction in StreamClassifier(live.classifier).push(motion):
        expected += stream.push(prediction)
    expected += stream.finish()
    begun, ended = events_of(live, device)
    assert len(expected) > 2
    assert [(one["label"], one["start_s"], one["end_s"], one["known_s"], one["windows"]) for one in ended] == [
        pytest.approx((e.label, e.start_s, e.end_s, e.known_s, e.windows), abs=1e-6) for e in expected
    ]
    assert [(one["id"], one["label"]) for one in begun] == [(one["id"], one["label"]) for one in ended]
    assert len({one["id"] for one in ended}) == len(ended)
    # each ends before the next one begins, so that what came last is what the device does
    assert [one["end_s"] is None for one in live.windows(device)] == [True, False] * len(ended)
    assert live.service.tally.events == len(ended) + len(events_of(live, other)[1])


def test_an_event_ends_when_its_device_falls_silent_and_in_front_of_missing_samples(bench, motion):
    idle = bench("har_raw", idle_s=10.0, smoothing=SMOOTHING)
    device = idle.join()
    idle.send((device, motion[:500]))
    assert len(events_of(idle, device)[1]) < len(events_of(idle, device)[0])
    device.send_text("{")  # a message is lost
    idle.step()
    idle.send((device, motion[500:1000]))
    assert any(one["end_s"] == 8.96 for one in events_of(idle, device)[1])
    idle.pass_by(10.0 + LOOK_S)
    begun, ended = events_of(idle, device)
    assert {one["id"] for one in begun} == {one["id"] for one in ended}
    assert not any(one["start_s"] < 10.0 < one["end_s"] for one in ended)


@pytest.mark.parametrize("messages", [3, 21, 40])
def test_who_goes_on_with_the_events_of_another_says_what_that_one_would_have_said(bench, motion, messages):
    whole, first, second = (bench("har_raw", smoothing=SMOOTHING) for _ in range(3))
    devices = whole.join(), first.join()
    whole.send((devices[0], motion))
    first.send((devices[1], motion[: messages * MESSAGE]))
    second.service.restore(first.service.state())
    # the device goes on with the other one
    devices[1]._socket.connect(("127.0.0.1", second.source.port))
    second.send((devices[1], motion[messages * MESSAGE :]))

    def said(bench_of, device):
        return [{**one, "id": one["id"].rpartition("/")[2], "device": "", "since_ms": 0}
                for one in bench_of.windows(device)]  # fmt: skip

    expected, found = said(whole, devices[0]), said(first, devices[1]) + said(second, devices[1])
    assert [{**one, "confidence": None} for one in found] == [{**one, "confidence": None} for one in expected]
    # float32 sums in another order
    assert [one["confidence"] for one in found] == pytest.approx([one["confidence"] for one in expected], abs=1e-5)
    assert len(found) > 2
