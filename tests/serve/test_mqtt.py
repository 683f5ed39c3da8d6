"""The MQTT source and sink by themselves, with a real broker."""

from __future__ import annotations

import time
from itertools import cycle

import numpy as np
import pytest

from edgeconv.runtime import Classifier, InputError
from edgeconv.runtime.serving import Service
from edgeconv.runtime.sinks.mqtt import MqttSink
from edgeconv.runtime.sinks.served import Windows
from edgeconv.runtime.sources.messages import Arrival, Decoder, Loss
from edgeconv.runtime.sources.mqtt import MqttSource, device_pattern
from edgeconv.runtime.sources.mqtt_client import Address, public
from edgeconv.runtime.stream import StreamClassifier


def test_two_processes_under_one_name_do_not_fight_for_ever(broker, monkeypatch, wait_for):
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt_client.BACK_OFF_S", (0.05, 0.1))
    twins = [MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), "twin") for _ in range(2)]
    with pytest.raises(InputError, match="is another process connected as 'twin'"):
        wait_for(lambda: [twin.take(0.05) for twin in twins] and False, "one to give up")
    for twin in twins:
        twin.close()


def test_what_was_taken_before_a_crash_is_not_taken_again_after_it(
    broker, connect, models, samples_of, expected, monkeypatch, by_device
):
    """State kept before the acknowledgement, and then the end: whoever restores it goes on to the very sample."""

    monkeypatch.setattr("edgeconv.runtime.sources.mqtt.RECEIVE", 4)  # so that it takes many rounds
    classifier = Classifier.load(models / "tiny.onnx")
    turns = cycle(["not written down", "not acknowledged", "fine", "not now", "not now"])
    reader = connect(broker, topic="edgeconv/+/prediction")
    state = None

    class CrashError(Exception):
        pass

    def begin():
        source = MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("acc_x", "acc_y")), "crashing")
        service = Service(classifier, source, MqttSink(broker.url, "out"))
        if state is not None:
            service.restore(state)
        return service

    def crash(service):
        """End without a word, as a killed process does."""
        for client in (service.source._connection.client, service.sink._connection.client):
            client._thread_terminate = True
            client._sockpairW.send(b"-")  # wakes it
            client.loop_stop()
            client._sock_close()

    service = begin()
    sender = connect(broker)
    for start in range(0, 40, 2):
        for device in range(3):
            sender.send_samples(f"d{device}", samples_of(device)[start : start + 2])
    crashes = 0
    deadline = time.monotonic() + 30
    while len({window["id"] for window in reader.windows}) < 3 * 19:
        assert time.monotonic() < deadline, (crashes, service.tally)

        def keep(service=service):
            nonlocal state
            turn = next(turns)
            if turn == "not written down":  # sent again
                raise CrashError
            if turn == "not now" and state and len(state["devices"]) == len(service.devices):
                return False  # published all the same, and after a crash once more, under the same ids
            state = service.state()
            if turn == "not acknowledged":  # but written down: sent again and known
                raise CrashError
            return True

        try:
            service.step(0.1, keep)
        except CrashError:
            crashes += 1
            crash(service)
            service = begin()
    crash(service)
    assert crashes >= 4
    found, _ = by_device(reader.windows)
    assert found == {f"d{device}": expected(device) for device in range(3)}
    assert len({(window["device"], window["since_ms"]) for window in reader.windows}) == 3


def test_predictions_that_cannot_arrive_are_an_error_when_the_time_is_up(broker, models, monkeypatch):
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt_client.BACK_OFF_S", (0.05, 0.1))
    classifier = Classifier.load(models / "tiny.onnx")
    sink = MqttSink(broker.url, "out")
    (prediction,) = StreamClassifier(classifier).push(np.zeros((4, 2)))
    broker.stop()
    sink.write("d0", Windows(classifier.spec.labels).make("d0", 0, 0, prediction))
    began = time.monotonic()
    with pytest.raises(InputError, match=r"has not confirmed the last predictions \(1\)"):
        sink.flush(lambda: time.monotonic() - began > 0.3)
    sink.close()


def test_messages_of_qos_0_are_bounded_and_what_is_left_out_is_said(broker, connect, monkeypatch, wait_for):
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt.UNBOUNDED", 10)
    source = MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), "bounded")
    sender = connect(broker)
    for number in range(50):
        sender.paho.publish("sensors/d0/imu", f"{number}", qos=0)
    sender.send("sensors/mark/imu", "0")  # behind the others
    wait_for(lambda: source._queue.qsize() == 11, "the queue to be full")
    found = source.take(0.1)
    sender.send("sensors/d0/imu", "50")
    found += wait_for(lambda: source.take(0.1), "what comes then")
    of_d0 = [each for each in found if each.device == "d0"]
    assert [each.values.item() for each in of_d0 if isinstance(each, Arrival)] == [*range(10), 50]
    (loss,) = [each for each in of_d0 if isinstance(each, Loss)]
    assert loss.reason.startswith("40 messages of QoS 0")
    assert of_d0.index(loss) == 10
    source.close()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a broker of the tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "broker.crt", tmp_path / "broker.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return paths


def test_tls_is_used_and_the_certificate_is_checked(make_broker, certificate, monkeypatch):

    broker = make_broker(certfile=certificate[0], keyfile=certificate[1])
    url = f"mqtts://127.0.0.1:{broker.port}/sensors/+/imu"
    with pytest.raises(InputError, match=r"mqtts://127.0.0.1:\d+ cannot be reached \(.*certificate verify failed"):
        MqttSource(url, Decoder(("a",)), "trusting")
    monkeypatch.setenv("EDGECONV_MQTT_CA", str(certificate[0]))
    MqttSource(url, Decoder(("a",)), "trusting").close()
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt_client.CONNECT_S", 0.2)
    with pytest.raises(InputError, match="does not answer as a broker does"):
        MqttSource(f"mqtt://127.0.0.1:{broker.port}/sensors/+/imu", Decoder(("a",)), "open")


@pytest.mark.parametrize(
    ("topic_filter", "topic", "device"),
    [
        ("sensors/+/imu", "sensors/a b/imu", "a b"),
        ("sensors/+/imu", "sensors/a/b/imu", None),
        ("$share/group/sensors/+/imu", "sensors/a/imu", "a"),
        ("+/rooms/+/imu", "house/rooms/3/imu", "house/3"),
        ("sensors/#", "sensors/a/b", "a/b"),
        ("#", "anything/at/all", "anything/at/all"),
        ("one/device", "one/device", "one/device"),
        ("a.c", "abc", None),
    ],
)
def test_what_the_wildcards_stand_for_is_the_device(topic_filter, topic, device):

    found = device_pattern(topic_filter).fullmatch(topic)
    assert ("/".join(found.groups()) or topic if found else None) == device


@pytest.mark.parametrize(
    ("url", "shown", "who"),
    [
        ("mqtt://host/t", "mqtt://host:1883", (None, None)),
        ("mqtts://host/t", "mqtts://host:8883", (None, None)),
        ("mqtt://me:p%40ss@host:1/t", "mqtt://host:1", ("me", "p@ss")),
        ("mqtt://[::1]:7/t", "mqtt://::1:7", (None, None)),
    ],
)
def test_an_address_names_broker_user_and_topic(url, shown, who):

    address = Address.parse(url)
    assert (str(address), (address.user, address.password), address.topic) == (shown, who, "t")
    assert "ss" not in public(url)


def test_what_was_acknowledged_before_the_end_is_not_sent_again(broker, connect, wait_for, monkeypatch):
    """Also where the broker is still sending when the connection is closed."""
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt.RECEIVE", 50)  # so that it ends in the middle, many times
    monkeypatch.setattr("edgeconv.runtime.sources.mqtt.CLOSE_S", 60.0)  # however busy the machine is
    sender = connect(broker)
    source = MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), "ending")
    for number in range(500):
        sender.send("sensors/d0/imu", f"{number}")
    values, ends = [], 0
    while len(values) < 500:
        found = wait_for(lambda source=source: source.take(0.1), "messages")
        source.acknowledge()
        source.close()
        ends += 1
        values += [value for each in found for value in each.values[:, 0].tolist()]
        source = MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), "ending")
    source.close()
    assert values == list(range(500))
    assert ends >= 500 / 50


def test_a_state_that_is_older_than_the_broker_s_session_has_lost_what_came_between(broker):
    first = MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), "before")
    state = first.state()
    first.close()
    again, other = (MqttSource(f"{broker.url}/sensors/+/imu", Decoder(("a",)), name) for name in ("before", "after"))
    for source in (again, other):
        source.restore(state)
    assert again.take(0.01) == []
    (loss,) = other.take(0.01)
    assert (loss.device, loss.reason[:33]) == (None, "the broker did not keep the sessi")
    for source in (again, other):
        source.close()
