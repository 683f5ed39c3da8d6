"""`edgeconv serve` between a real broker's topics: nothing lost, nothing twice, whatever is stopped in the middle."""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter

import pytest


def as_rows(samples):
    return json.dumps({"columns": ["acc_y", "acc_x"], "samples": samples[:, ::-1].tolist()})


def as_csv(samples):
    return "acc_y,acc_x,note\n" + "".join(f"{y},{x},ok\n" for x, y in samples.tolist())


def messages_of(serving):
    """How many messages it had taken when it ended."""
    (last,) = [note for note in serving.notes if "processor time" in note][-1:]
    return int(re.search(r"(\d+) messages?,", last)[1])


@pytest.fixture
def addresses(broker):
    return "--from", f"{broker.url}/sensors/+/imu", "--to", broker.url


def test_every_device_has_a_stream_a_topic_and_its_last_state(
    serve, broker, connect, addresses, samples_of, expected, wait_for, by_device, as_json
):
    reader = connect(broker, topic="edgeconv/+/prediction")
    serving = serve(*addresses).ready()
    sender = connect(broker)
    forms = [as_json, as_rows, as_csv]
    for start in range(0, 40, 5):  # the devices take turns
        for device, make in enumerate(forms):
            sender.send_samples(f"d{device}", samples_of(device)[start : start + 5], make, at_once=5)
    wait_for(lambda: len(reader.windows) >= 3 * 19, "all windows")
    found, repeated = by_device(reader.windows)
    assert found == {f"d{device}": expected(device) for device in range(3)}
    assert repeated == 0
    for message in reader.messages:
        window = json.loads(message.payload)
        assert message.topic == f"edgeconv/{window['device']}/prediction"
        assert window["id"] == f"{window['device']}/{window['since_ms']}/{round(window['start_s'] * 10)}"
        assert window["confidence"] == max(window["probabilities"].values())
        assert abs(window["since_ms"] / 1e3 - time.time()) < 60
    late = connect(broker, topic="edgeconv/+/prediction")
    wait_for(lambda: len(late.windows) == 3, "the last states")
    assert {window["start_s"] for window in late.windows} == {3.6}
    assert serving.end() == 0
    assert serving.notes[-1].startswith("3 devices, 24 messages, 120 samples, 57 windows in ")


def test_packed_values_are_taken_where_they_are_said_to_be(
    serve, broker, connect, addresses, samples_of, expected, wait_for, by_device
):
    reader = connect(broker, topic="edgeconv/+/prediction")
    serve(*addresses, "--payload", "float32").ready()
    connect(broker).send_samples("d0", samples_of(0), lambda samples: samples.astype("<f4").tobytes())
    wait_for(lambda: len(reader.windows) >= 19, "all windows")
    assert by_device(reader.windows)[0] == {"d0": expected(0)}


def test_a_bad_message_is_counted_with_its_device_and_ends_nothing(
    serve, broker, connect, addresses, samples_of, wait_for, by_device
):
    reader = connect(broker, topic="edgeconv/+/prediction")
    serving = serve(*addresses).ready()
    sender = connect(broker)
    sender.send_samples("good", samples_of(0)[:6])
    sender.send_samples("bad", samples_of(1)[:6])
    for payload in ("{", '{"acc_x": 1}', "words", b"\xff\xfe", '{"acc_x": 1, "acc_y": null}'):
        sender.send("sensors/bad/imu", payload)
    sender.send_samples("bad", samples_of(1)[6:12])
    sender.send_samples("good", samples_of(0)[6:12])
    wait_for(lambda: len(reader.windows) >= 5 + 2 + 2, "all windows")
    found, _ = by_device(reader.windows)
    assert sorted(found["good"]) == [0, 0.2, 0.4, 0.6, 0.8]
    # No window spans the place where something was refused: behind it the stream begins anew.
    assert sorted(found["bad"]) == [0, 0.2, 0.6, 0.8]
    assert serving.end() == 0
    assert [note for note in serving.notes if note.startswith("bad: ")] == [
        "bad: this is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)): '{'"
    ]
    assert "5 lost or refused (bad: 5)" in serving.notes[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_what_is_due_and_nothing_is_sent_again(
    serve, broker, connect, addresses, samples_of, expected, number, code, wait_for, by_device
):
    reader = connect(broker, topic="edgeconv/+/prediction")
    serving = serve(*addresses).ready()
    sender = connect(broker)
    sender.send_samples("d0", samples_of(0), at_once=1)
    wait_for(lambda: reader.windows, "the first window")
    assert serving.end(number) == code
    sender.send_all()
    # What was acknowledged is gone, what was not waits: together they are the recording.
    taken = messages_of(serving)
    again = serve(*addresses, "--report", 0.1).ready()
    if taken < 40:
        again.wait_for_note(f" {40 - taken} message")
    time.sleep(0.1)
    assert again.end() == 0
    assert messages_of(again) == 40 - taken
    _, repeated = by_device(reader.windows)
    assert repeated == 0
    first = min(window["since_ms"] for window in reader.windows)
    found = {window["start_s"]: window["label"] for window in reader.windows if window["since_ms"] == first}
    assert found == {start_s: label for start_s, label in expected(0).items() if start_s <= (taken - 4) / 10 + 1e-9}


def test_a_broker_that_is_stopped_and_started_again_loses_and_repeats_nothing(
    serve, broker, connect, addresses, samples_of, expected, wait_for, by_device
):
    reader = connect(broker, "reader", topic="edgeconv/+/prediction")
    serving = serve(*addresses).ready()
    sender = connect(broker)
    devices = range(6)
    for start in range(0, 40, 2):
        for device in devices:
            sender.send_samples(f"d{device}", samples_of(device)[start : start + 2])
        if start in (12, 24):
            broker.stop()
        if start in (16, 28):
            broker.start()
        time.sleep(0.02)
    wait_for(lambda: len({window["id"] for window in reader.windows}) >= 6 * 19, "all windows", 30)
    found, _ = by_device(reader.windows)
    assert found == {f"d{device}": expected(device) for device in devices}
    assert {window["id"].partition("/")[2].split("/")[0] for window in reader.windows} == {
        str(window["since_ms"]) for window in reader.windows
    }
    assert len({(window["device"], window["since_ms"]) for window in reader.windows}) == 6  # no stream began twice
    assert serving.end() == 0
    assert f"6 devices, {6 * 20} messages, {6 * 40} samples, {6 * 19} windows" in serving.notes[-1]
    assert "reconnect" in serving.notes[-1]


def test_two_processes_share_the_devices_and_one_that_is_killed_is_replaced(
    serve, broker, connect, addresses, samples_of, expected, wait_for
):
    from edgeconv.runtime.shards import owner

    devices = range(10)
    mine = {shard: [d for d in devices if owner(f"d{d}", 2) == shard] for shard in (0, 1)}
    assert all(mine.values())
    reader = connect(broker, topic="edgeconv/+/prediction")
    first, second = serve(*addresses, "--shard", "1/2"), serve(*addresses, "--shard", "2/2", "--report", 0.1)
    first.ready()
    second.ready()
    sender = connect(broker)
    for device in devices:
        sender.send_samples(f"d{device}", samples_of(device)[:20])
    wait_for(lambda: len(reader.windows) >= 10 * 9, "the windows of all devices")
    # Killed between publishing and acknowledging, its last windows would come again from its successor's new streams.
    second.wait_for_note(f" {len(mine[1]) * 9} windows")
    time.sleep(0.2)
    second.process.kill()
    second.process.wait()
    for device in devices:  # while nobody takes those of the second
        sender.send_samples(f"d{device}", samples_of(device)[20:])
    sender.send_all()
    replaced = serve(*addresses, "--shard", "2/2").ready()
    counts = 10 * 9 + len(mine[0]) * 10 + len(mine[1]) * 9
    wait_for(lambda: len(reader.windows) >= counts, "all windows")
    assert (first.end(), replaced.end()) == (0, 0)
    found = {}
    for window in reader.windows:
        found.setdefault((window["device"], window["since_ms"]), {})[window["start_s"]] = window["label"]
    streams = Counter(device for device, _ in found)
    for device in mine[0]:
        assert streams[f"d{device}"] == 1
    whole = {device: labels for (device, _), labels in found.items() if streams[device] == 1}
    assert whole == {f"d{device}": expected(device) for device in mine[0]}
    for device in mine[1]:
        before, after = sorted((since, labels) for (name, since), labels in found.items() if name == f"d{device}")
        assert before[1] == {k: v for k, v in expected(device).items() if k <= 1.6}
        # What came while nobody was there is answered; the window that the killed one held begins anew with it.
        assert after[1] == {round(k - 2.0, 6): v for k, v in expected(device).items() if k >= 2.0}
    assert f"{len(mine[1])} devices, {5 * len(mine[1])} messages" in replaced.notes[-1]


def test_a_reader_that_is_slow_or_away_misses_nothing(
    serve, make_broker, connect, samples_of, expected, wait_for, by_device
):
    broker = make_broker(max_inflight_messages=20)  # as mosquitto has it by itself
    reader = connect(broker, "reader", topic="edgeconv/+/prediction")
    reader.pause_s = 0.005
    serving = serve("--from", f"{broker.url}/sensors/+/imu", "--to", broker.url, "--report", 0.2).ready()
    sender = connect(broker)
    for device in range(8):
        sender.send_samples(f"d{device}", samples_of(device), at_once=1)
    wait_for(lambda: reader.windows, "the first window")
    reader.close()
    serving.wait_for_note(f"{8 * 40} messages")
    assert serving.end() == 0
    back = connect(broker, "reader", topic="edgeconv/+/prediction")
    wait_for(lambda: len({w["id"] for w in reader.windows + back.windows}) == 8 * 19, "all windows")
    assert by_device(reader.windows + back.windows)[0] == {f"d{device}": expected(device) for device in range(8)}


def test_a_silent_device_is_forgotten_and_begins_anew(serve, broker, connect, addresses, samples_of, wait_for):
    reader = connect(broker, topic="edgeconv/+/prediction")
    serving = serve(*addresses, "--idle", 0.2, "--report", 0.1).ready()
    sender = connect(broker)
    sender.send_samples("d0", samples_of(0)[:5])
    serving.wait_for_note("0 devices, 2 messages, 5 samples, 1 window, 1 idle and forgotten")
    sender.send_samples("d0", samples_of(0)[:5])
    wait_for(lambda: len(reader.windows) >= 2, "both windows")
    assert [window["start_s"] for window in reader.windows] == [0, 0]
    assert len({window["id"] for window in reader.windows}) == 2
    assert serving.end() == 0


def test_lines_go_to_stdout_where_no_broker_is_named(
    serve, broker, connect, samples_of, expected, wait_for, by_device, as_json
):
    serving = serve("--from", f"{broker.url}/#").ready()
    sender = connect(broker)
    sender.send("here/and/there", as_json(samples_of(0)))
    wait_for(lambda: len(serving.lines) >= 19, "all lines")
    assert serving.end() == 0
    assert by_device(serving.windows)[0] == {"here/and/there": expected(0)}


def test_a_broker_that_is_not_there_is_named(serve):
    serving = serve("--from", "mqtt://me:secret@127.0.0.1:1/sensors/+/imu")
    assert serving.end(None) == 3
    assert serving.notes == [
        "error: mqtt://127.0.0.1:1 cannot be reached (Connection refused); is a broker running there?"
    ]


def test_a_broker_that_wants_a_password_gets_it_from_the_environment(serve, make_broker, tmp_path, connect):
    import subprocess

    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "me", "secret"], check=True)
    broker = make_broker(allow_anonymous="false", password_file=passwords)
    address = f"mqtt://me@127.0.0.1:{broker.port}/sensors/+/imu"
    refused, serving = serve("--from", address), serve("--from", address, EDGECONV_MQTT_PASSWORD="secret")
    assert refused.end(None) == 3
    assert "the broker refuses the connection (Not authorized)" in refused.notes[-1]
    assert serving.ready().end() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--from", "http://here/x"], "'http://here/x' is no live source; expected mqtt://"),
        (["--from", "mqtt://host"], "mqtt://host names no topic"),
        (["--from", "mqtt://host:x/t"], "is no address of a broker"),
        (["--from", "mqtt://host/a/b+/c"], "'a/b+/c' is no topic filter"),
        (["--from", "mqtt://h/a/+", "--to", "file.txt"], "'file.txt' is no place for predictions"),
        (["--from", "mqtt://h/a/+", "--to", "mqtt://h/b/prediction"], "the topic must name the {device}"),
        (["--from", "mqtt://h/#", "--to", "mqtt://h"], "come back through #"),
        (["--from", "mqtt://h/a", "--shard", "3/2"], "the shard is '3/2'"),
        (["--from", "udp://127.0.0.1:0", "--shard", "1/2"], "with MQTT only"),
        (["--from", "tcp://here"], "'here' is no address"),
        (["--from", "udp://127.0.0.1:0", "--checkpoint", "a.ckpt"], "--checkpoint is for MQTT"),
        (["--from", "serial://"], "is no serial port"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(models, monkeypatch, capsys, options, words):
    import sys

    from edgeconv.cli import main

    monkeypatch.setattr(sys, "argv", ["edgeconv", "serve", str(models / "tiny.onnx"), *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_a_broker_that_forgets_its_sessions_makes_all_streams_begin_anew(
    serve, make_broker, connect, samples_of, wait_for
):
    broker = make_broker(persistence="false")
    serving = serve("--from", f"{broker.url}/sensors/+/imu", "--report", 0.1).ready()
    sender = connect(broker)
    sender.send_samples("d0", samples_of(0)[:7])
    serving.wait_for_note("1 device, 2 messages")
    broker.stop()
    broker.start()
    serving.wait_for_note("all devices: the broker did not keep the session; what came meanwhile is lost")
    sender.send_samples("d0", samples_of(0)[:7])
    wait_for(lambda: len(serving.lines) == 4, "all windows")
    assert [window["start_s"] for window in serving.windows] == [0, 0.2, 0.7, 0.9]
    assert serving.end() == 0


def test_killed_and_started_again_no_window_is_lost_and_repeats_have_their_id(
    serve, broker, connect, addresses, samples_of, expected, tmp_path, wait_for, by_device
):
    checkpoint = tmp_path / "serve.ckpt"
    options = (*addresses, "--checkpoint", checkpoint, "--checkpoint-every", 0.3)
    reader, sender = connect(broker, topic="edgeconv/+/prediction"), connect(broker)
    serving = serve(*options).ready()
    for start in range(0, 40, 14):
        for device in range(3):
            sender.send_samples(f"d{device}", samples_of(device)[start : start + 14], at_once=3)
        wait_for(lambda start=start: len(reader.windows) > start, "windows")
        serving.process.kill()
        serving.process.wait()
        serving = serve(*options).ready()
        assert not start or any("3 devices go on" in note for note in serving.notes)
    wait_for(lambda: len({window["id"] for window in reader.windows}) >= 3 * 19, "all windows")
    found, _ = by_device(reader.windows)
    assert found == {f"d{device}": expected(device) for device in range(3)}
    assert len({(window["device"], window["since_ms"]) for window in reader.windows}) == 3
    assert serving.end() == 0
    refused = serve(*options, "--hop", 1)
    assert refused.end(None) == 3
    assert "hop is 1, there 2" in refused.notes[-1]


def test_a_broker_that_is_away_does_not_keep_it_from_ending(serve, broker, connect, addresses, samples_of):
    serving = serve(*addresses, "--report", 0.1).ready()
    connect(broker).send_samples("d0", samples_of(0))
    serving.wait_for_note("19 windows")
    broker.stop()
    serving.wait_for_note("the connection is lost")
    assert serving.end() == 0


def test_events_have_a_topic_of_their_own_and_the_last_state_is_what_a_device_does(
    serve, broker, connect, addresses, samples_of, wait_for
):
    reader = connect(broker, topic="edgeconv/+/event")
    serving = serve(*addresses, "--smooth", "none").ready()
    connect(broker).send_samples("d0", samples_of(0), at_once=40)
    labels = ["run", "walk", "still"]
    wait_for(lambda: len(reader.windows) >= 3, "events")
    assert serving.end() == 0
    begun = [event for event in reader.windows if event["end_s"] is None]
    wait_for(lambda: sum(event["end_s"] is not None for event in reader.windows) == len(begun), "the last end")
    ended = {event["id"]: event for event in reader.windows if event["end_s"] is not None}
    assert set(ended) == {event["id"] for event in begun}
    assert all(event["label"] in labels for event in begun)
    assert sum(event["windows"] for event in ended.values()) == 19
    assert "19 windows" in serving.notes[-1]
    assert f"{len(ended)} events" in serving.notes[-1]
    late = connect(broker, topic="edgeconv/+/event")
    wait_for(lambda: len(late.windows) == 1, "the last state")
    assert late.windows[0] == max(ended.values(), key=lambda event: event["start_s"])
