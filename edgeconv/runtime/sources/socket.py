"""Lines over TCP and messages over UDP.

`tcp://host:port` goes to a device or gateway and reads its lines; `tcp-listen://address:port` waits for devices that
come. A connection is one device, by the address at its other end, and one that comes again is a new one. When samples
come faster than they can be run, TCP slows their sender down.

`udp://address:port` takes datagrams, each a whole message, from any address; the device is the sender's address and
port. UDP loses what nobody has read in time, and nothing tells.
"""

from __future__ import annotations

import os
import selectors
import socket

from ..errors import InputError, UsageError
from .link import LinkSource, name_results
from .live import Fleeting
from .messages import Arrival, Decoder, Lines, Loss
from .say import Say, to_nobody

CONNECT_S = 5.0
PIECE_BYTES = 1 << 16
DATAGRAMS = 1000
"""Taken at once."""
BUFFER_BYTES = 4 << 20
"""What the system is asked to keep of datagrams that were not read yet."""


def split_place(place: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[::1]:port` or `:port`; raises UsageError."""
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{place!r} is no address; expected HOST:PORT, such as 127.0.0.1:5000")
    return host.strip("[]"), int(port)


def name_peer(address: tuple[str, int]) -> str:
    """Return the name of the device at an address."""
    return f"{address[0]}:{address[1]}"


class _TcpLink:
    def __init__(self, place: tuple[str, int]) -> None:
        self._socket = socket.create_connection(place, CONNECT_S)

    def read(self, timeout_s: float) -> bytes:
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(PIECE_BYTES)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionError("the other side has closed it")
        return data

    def close(self) -> None:
        self._socket.close()


def open_tcp(place: str, decoder: Decoder, say: Say = to_nobody) -> LinkSource:
    """Connect to `host:port` and read lines; raises UsageError, and InputError where nobody answers."""
    host, port = split_place(place)
    return LinkSource(place, decoder, lambda: _TcpLink((host, port)), say=say)


class TcpServer(Fleeting):
    """Waits for devices, each of which sends lines over a connection of its own."""

    def __init__(self, place: str, decoder: Decoder) -> None:
        """Listen at `address:port`; raises UsageError, and InputError where that is not possible."""
        host, port = split_place(place)
        self._decoder = decoder
        self._selector = selectors.DefaultSelector()
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family)
        except OSError as error:
            raise InputError(f"nothing can listen at {place} ({_reason(error)}); choose another port") from None
        self.port: int = self._listener.getsockname()[1]
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def take(self, timeout_s: float) -> list[Arrival | Loss]:
        """Return what has come, as `LiveSource.take` says: at most one piece of each connection."""
        found: list[Arrival | Loss] = []
        for key, _ in self._selector.select(timeout_s):
            if key.data is None:
                self._accept()
                continue
            device, lines = key.data
            assert isinstance(key.fileobj, socket.socket)
            try:
                data = key.fileobj.recv(PIECE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            found += name_results(device, lines, data or None)
            if not data:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()
        return found

    def close(self) -> None:
        """Close all connections."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError:  # gone again, or too many
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, (name_peer(address), Lines(self._decoder)))


class UdpSource(Fleeting):
    """Takes datagrams, each a whole message."""

    def __init__(self, place: str, decoder: Decoder) -> None:
        """Take what is sent to `address:port`; raises UsageError, and InputError where that is not possible."""
        host, port = split_place(place)
        self._decoder = decoder
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise InputError(f"nothing can be taken at {place} ({_reason(error)}); choose another port") from None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.port: int = self._socket.getsockname()[1]

    def take(self, timeout_s: float) -> list[Arrival | Loss]:
        """Return what has come, as `LiveSource.take` says."""
        found: list[Arrival | Loss] = []
        self._socket.settimeout(timeout_s)
        try:
            for _ in range(DATAGRAMS):
                payload, address = self._socket.recvfrom(PIECE_BYTES)
                self._socket.settimeout(0)
                device = name_peer(address)
                try:
                    found.append(Arrival(device, *self._decoder.decode(payload)))
                except InputError as error:
                    found.append(Loss(device, str(error)))
        except (TimeoutError, BlockingIOError):
            pass
        return found

    def close(self) -> None:
        """Take nothing more."""
        self._socket.close()


def _reason(error: OSError) -> str:
    # Not the error's own text, to which `create_server` adds the address.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
