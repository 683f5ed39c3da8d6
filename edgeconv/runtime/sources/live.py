"""What every live source does, and which one an address means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..errors import UsageError
from .messages import Arrival, Decoder, Loss
from .say import Say, to_nobody

SCHEMES = "mqtt://, mqtts://, tcp://, tcp-listen://, udp:// or serial://"


class LiveSource(Protocol):
    """Brings what devices send, while they send it."""

    ended: bool
    """Whether nothing will come any more."""

    def take(self, timeout_s: float) -> list[Arrival | Loss]:
        """Return what has come; wait for something so long, and return nothing where nothing came.

        Raises InputError where the source is gone for good.
        """
        ...

    def acknowledge(self) -> None:
        """Say that all that was taken is dealt with: what can send it again does so no longer."""
        ...

    def close(self) -> None:
        """Let go of the source; what was not acknowledged stays where it is."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to know what was taken, should it be sent again."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on behind what was taken when `state` was called."""
        ...


class Fleeting:
    """A source that sends nothing twice: there is nothing to acknowledge, and nothing to know again."""

    ended = False

    def acknowledge(self) -> None:
        """Do nothing."""

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing."""


def open_live(
    address: str,
    decoder: Decoder,
    *,
    client_id: str = "",
    takes: Callable[[str], bool] | None = None,
    say: Say = to_nobody,
) -> LiveSource:
    """Open the live source that an address names.

    client_id: what an MQTT broker keeps the session under
    takes: whether a device is for this process, where every message reaches several; None for all
    say: is told what people should know, such as a connection that is lost and found again
    Raises UsageError for an address that makes no sense, InputError for what cannot be reached, DependencyError.
    """
    scheme, separator, rest = address.partition("://")
    if takes is not None and not scheme.startswith("mqtt"):
        raise UsageError(f"{address}: devices are shared out among processes with MQTT only, where messages reach all")
    if decoder.payload == "float32" and scheme in ("tcp", "tcp-listen", "serial"):
        raise UsageError(f"{address}: packed values come in messages, and this source brings lines of text")
    if separator and scheme in ("mqtt", "mqtts"):
        from .mqtt import MqttSource

        return MqttSource(address, decoder, client_id, takes=takes, say=say)
    if separator and scheme in ("tcp", "tcp-listen", "udp"):
        from .socket import TcpServer, UdpSource, open_tcp

        if scheme == "tcp":
            return open_tcp(rest, decoder, say)
        return TcpServer(rest, decoder) if scheme == "tcp-listen" else UdpSource(rest, decoder)
    if separator and scheme == "serial":
        from .serial import open_serial

        return open_serial(rest, decoder, say)
    raise UsageError(f"{address!r} is no live source; expected {SCHEMES}")
