"""TCP and UDP on loopback."""

import socket
import time

import numpy as np
import pytest

from edgeconv.runtime import InputError, UsageError
from edgeconv.runtime.sources.live import open_live
from edgeconv.runtime.sources.messages import Arrival, Decoder, Loss

TEXT = Decoder(("acc_x", "acc_y"))
PATIENCE_S = 10.0


def take_until(source, enough):
    found, deadline = [], time.monotonic() + PATIENCE_S
    while not enough(found):
        assert time.monotonic() < deadline, found
        found += source.take(0.05)
    return found


def rows(found, device=None):
    mine = [each for each in found if isinstance(each, Arrival) and device in (None, each.device)]
    return np.concatenate([each.values for each in mine]).tolist() if mine else []


def test_each_connection_is_a_device_with_a_header_of_its_own():
    server = open_live("tcp-listen://127.0.0.1:0", TEXT)
    first, second = (socket.create_connection(("127.0.0.1", server.port)) for _ in range(2))
    first.sendall(b"acc_y,acc_x\n2,1\n4,")
    second.sendall(b"5,6\n")
    found = take_until(server, lambda found: len(rows(found)) == 2)
    first.sendall(b"3\n7,7")
    first.close()
    found += take_until(server, lambda found: any(isinstance(each, Loss) for each in found))
    names = ["{}:{}".format(*each.getsockname()) for each in (second,)]
    assert rows(found, names[0]) == [[5, 6]]
    (other,) = {each.device for each in found} - set(names)
    assert rows(found, other) == [[1, 2], [3, 4]]
    assert [each.reason for each in found if isinstance(each, Loss)] == ["the last line never ended: '7,7'"]
    second.close()
    assert server.take(0.05) == []
    server.close()


def test_a_sender_that_is_too_fast_is_slowed_down_and_loses_nothing():
    server = open_live("tcp-listen://127.0.0.1:0", TEXT)
    server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that it is soon full
    sender = socket.create_connection(("127.0.0.1", server.port))
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    sender.setblocking(False)
    sent, line = 0, b"0.25,0.5\n" * 1000
    try:
        while sent < 1 << 30:
            sent += sender.send(line[sent % len(line) :])
    except BlockingIOError:  # nobody reads
        pass
    assert 0 < sent < 1 << 30
    lines = sent // len(b"0.25,0.5\n")
    found = take_until(server, lambda found: sum(len(each.values) for each in found) >= lines)
    assert sum(len(each.values) for each in found) == lines
    sender.close()
    server.close()


def test_a_device_that_goes_is_looked_for_until_it_is_back(monkeypatch):
    monkeypatch.setattr("edgeconv.runtime.sources.link.FIRST_S", 0.05)
    said = []
    device = socket.create_server(("127.0.0.1", 0))
    port = device.getsockname()[1]
    source = open_live(f"tcp://127.0.0.1:{port}", TEXT, say=said.append)
    connection, _ = device.accept()
    connection.sendall(b"acc_y,acc_x\n2,1\n")
    found = take_until(source, lambda found: len(rows(found)) == 1)
    connection.close()
    found += take_until(source, lambda found: any(isinstance(each, Loss) for each in found))
    device.settimeout(PATIENCE_S)
    source.take(0.1)
    source.take(0.1)
    connection, _ = device.accept()
    connection.sendall(b"3,4\n")  # no header this time: by position
    found += take_until(source, lambda found: len(rows(found)) == 1)
    assert rows(found) == [[1, 2], [3, 4]]
    assert {each.device for each in found} == {f"127.0.0.1:{port}"}
    assert source.reconnects == 1
    assert said == [
        f"127.0.0.1:{port}: the connection is lost (the other side has closed it); opening it again",
        f"127.0.0.1:{port} is there again",
    ]
    for each in (source, connection, device):
        each.close()


def test_each_datagram_is_a_message_of_its_sender():
    source = open_live("udp://127.0.0.1:0", TEXT)
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sender in senders:
        sender.connect(("127.0.0.1", source.port))
    senders[0].send(b"acc_y,acc_x\n2,1\n")
    senders[1].send(b'{"acc_x": 5, "acc_y": 6}')
    senders[0].send(b"3,4")
    senders[1].send(b"?")
    found = take_until(source, lambda found: len(found) == 4)
    one, two = ("{}:{}".format(*sender.getsockname()) for sender in senders)
    assert rows(found, one) == [[1, 2], [3, 4]]
    assert rows(found, two) == [[5, 6]]
    assert [(each.device, each.reason[:30]) for each in found if isinstance(each, Loss)] == [
        (two, "column 0 holds '?', which is n")
    ]
    assert source.take(0.01) == []
    for each in (source, *senders):
        each.close()


def test_packed_values_come_over_udp():
    source = open_live("udp://127.0.0.1:0", Decoder(("acc_x", "acc_y"), "float32"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(np.float32([[1, 2], [3, 4]]).tobytes(), ("127.0.0.1", source.port))
    assert rows(take_until(source, bool)) == [[1, 2], [3, 4]]
    source.close()


def test_an_address_that_is_taken_or_empty_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"nothing can listen at 127.0.0.1:{port} \(Address already in use\)"):
            open_live(f"tcp-listen://127.0.0.1:{port}", TEXT)
    with pytest.raises(InputError, match=rf"127.0.0.1:{port} cannot be opened \(Connection refused\); is it there"):
        open_live(f"tcp://127.0.0.1:{port}", TEXT)
    with pytest.raises(UsageError, match="'nowhere' is no address"):
        open_live("udp://nowhere", TEXT)


@pytest.mark.parametrize("scheme", ["tcp", "tcp-listen"])
def test_lines_cannot_hold_packed_values(scheme):
    with pytest.raises(UsageError, match="lines of text"):
        open_live(f"{scheme}://127.0.0.1:1", Decoder(("a",), "float32"))
