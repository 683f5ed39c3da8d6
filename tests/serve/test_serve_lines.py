"""`edgeconv serve` over TCP, UDP and a serial port, to stdout."""

from __future__ import annotations

import os
import pty
import socket
import tty

import pytest

PATIENCE_S = 20.0


def as_csv(samples):
    return "".join(f"{x},{y}\n" for x, y in samples.tolist()).encode()


def test_devices_that_connect_are_answered(serve, samples_of, expected, wait_for, by_device, free_port):
    port = free_port()
    serving = serve("--from", f"tcp-listen://127.0.0.1:{port}").ready()
    devices = {}
    for device in range(3):
        connection = socket.create_connection(("127.0.0.1", port))
        devices["{}:{}".format(*connection.getsockname())] = device
        connection.sendall(b"acc_x,acc_y\n" + as_csv(samples_of(device)))
        connection.close()
    wait_for(lambda: len(serving.lines) >= 3 * 19, "all windows")
    assert by_device(serving.windows)[0] == {name: expected(device) for name, device in devices.items()}
    assert serving.end() == 0


def test_datagrams_are_answered(serve, samples_of, expected, wait_for, by_device, free_port):
    port = free_port(socket.SOCK_DGRAM)
    serving = serve("--from", f"udp://127.0.0.1:{port}", "--payload", "float32").ready()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for start in range(0, 40, 8):
            sender.send(samples_of(0)[start : start + 8].tobytes())
        name = "{}:{}".format(*sender.getsockname())
        wait_for(lambda: len(serving.lines) >= 19, "all windows")
    assert by_device(serving.windows)[0] == {name: expected(0)}
    assert serving.end() == 0


@pytest.fixture
def port():
    """A serial port, as a terminal that passes bytes on as they are: what writes to it, and its name."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield ours, os.ttyname(theirs)
    os.close(theirs)
    os.close(ours)


def test_a_serial_port_is_a_device(serve, port, samples_of, expected, wait_for, by_device):
    ours, name = port
    serving = serve("--from", f"serial://{name}?baud=9600").ready()
    os.write(ours, b"7,0.5\n" + as_csv(samples_of(0)))  # the first line may be the end of one
    wait_for(lambda: len(serving.lines) >= 19, "all windows")
    assert by_device(serving.windows)[0] == {name: expected(0)}
    assert serving.end() == 0


def test_a_serial_port_that_is_not_there_is_named(serve):
    serving = serve("--from", "serial:///dev/no_such_port")
    assert serving.end(None) == 3
    assert serving.notes[-1].startswith("error: /dev/no_such_port cannot be opened (")


def test_a_serial_port_that_breaks_is_opened_again(port, monkeypatch, samples_of, wait_for):
    from edgeconv.runtime.sources.live import open_live
    from edgeconv.runtime.sources.messages import Arrival, Decoder, Loss

    monkeypatch.setattr("edgeconv.runtime.sources.link.FIRST_S", 0.01)
    ours, name = port
    source = open_live(f"serial://{name}", Decoder(("acc_x", "acc_y")))
    os.write(ours, b"acc_y,acc_x\n2,1\n")
    found = wait_for(lambda: source.take(0.05), "a sample")
    source._link._port.close()  # as if the cable were pulled
    found += wait_for(lambda: source.take(0.05), "the loss")
    wait_for(lambda: source.take(0.05) or source.reconnects, "the port")
    os.write(ours, b"1,1\n3,4\n")
    found += wait_for(lambda: source.take(0.05), "a sample")
    assert [type(each) for each in found] == [Arrival, Loss, Arrival]
    assert [each.values.tolist() for each in found if isinstance(each, Arrival)] == [[[1, 2]], [[3, 4]]]
    source.close()


def test_a_reader_that_is_gone_ends_it_quietly(serve, samples_of, free_port):
    port = free_port()
    reading, writing = os.pipe()
    serving = serve("--from", f"tcp-listen://127.0.0.1:{port}", stdout=writing).ready()
    os.close(writing)
    os.close(reading)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(as_csv(samples_of(0)))
        assert serving.process.wait(PATIENCE_S) == 0
    assert not any("error" in note for note in serving.notes)


@pytest.mark.parametrize(
    ("package", "address", "extra"),
    [("paho", "mqtt://127.0.0.1:1/a/+", "mqtt"), ("serial", "serial:///dev/null", "serial")],
)
def test_a_missing_package_is_named_with_its_extra(models, monkeypatch, capsys, package, address, extra):
    import sys

    from edgeconv.cli import main

    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys, "argv", ["edgeconv", "serve", str(models / "tiny.onnx"), "--from", address])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert f'`pip install "edgeconv[{extra}]"`' in capsys.readouterr().err
