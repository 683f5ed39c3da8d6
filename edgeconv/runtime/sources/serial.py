"""Lines from a serial port, with pyserial."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from ..errors import DependencyError, UsageError
from .link import LinkSource
from .messages import Decoder
from .say import Say, to_nobody

BAUD = 115200


class _SerialLink:
    def __init__(self, port: str, baud: int) -> None:
        import serial

        self._port: Any = serial.Serial(port, baud)

    def read(self, timeout_s: float) -> bytes:
        self._port.timeout = timeout_s
        data: bytes = self._port.read(1)
        return data + self._port.read(self._port.in_waiting) if data else data

    def close(self) -> None:
        self._port.close()


def open_serial(place: str, decoder: Decoder, say: Say = to_nobody) -> LinkSource:
    """Open a port and read lines; its name is the device, and the first line, which may be a part of one, is left out.

    place: `/dev/ttyUSB0`, `COM3` or, for another rate than 115200 baud, `/dev/ttyUSB0?baud=9600`
    Raises UsageError, InputError where the port cannot be opened, and DependencyError where pyserial is not installed.
    """
    try:
        import serial  # noqa: F401
    except ImportError:
        raise DependencyError('a serial port needs pyserial; `pip install "edgeconv[serial]"`') from None
    port, _, query = place.partition("?")
    options = parse_qs(query)
    baud = options.pop("baud", [str(BAUD)])[0]
    if not port or options or not baud.isdecimal():
        raise UsageError(f"serial://{place} is no serial port; expected serial:///dev/ttyUSB0?baud={BAUD}")
    return LinkSource(port, decoder, lambda: _SerialLink(port, int(baud)), starts_inside=True, say=say)
