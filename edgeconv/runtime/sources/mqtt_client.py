"""One connection to an MQTT broker that is made again whenever it is lost: what source and sink share.

MQTT 5, because a persistent session then has an end (a process that never comes back fills no broker), the client says
how many messages it holds (Receive Maximum, which bounds its memory) and refusals have reasons. Source: OASIS Standard
MQTT Version 5.0 (2019).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from ..errors import DependencyError, InputError, UsageError
from .say import Say, to_nobody

USER, PASSWORD, CA = "EDGECONV_MQTT_USER", "EDGECONV_MQTT_PASSWORD", "EDGECONV_MQTT_CA"
"""Environment variables: who connects where the address does not say, and a file of certificates to trust."""
CONNECT_S = 10.0
KEEPALIVE_S = 30
BACK_OFF_S = (1, 30)
"""The first and the longest wait before connecting again; each wait is twice the one before."""
BRIEF_S, BRIEF_LIMIT = 5.0, 3
"""So many connections in a row that were lost so soon mean that the broker will not have this client."""


@dataclass(frozen=True)
class Address:
    """A broker and a topic: `mqtts://user@host:8883/sensors/+/imu`."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None
    topic: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address; user and password come from the environment where it has none. Raises UsageError.

        The topic is all behind the first slash after the host, as it stands: it may hold `+`, `#` and `$`.
        """
        scheme, separator, rest = url.partition("://")
        place, _, topic = rest.partition("/")
        login, _, place = place.rpartition("@")
        host, _, port = place.rpartition(":") if ":" in place.rpartition("]")[2] else (place, "", "")
        if scheme not in ("mqtt", "mqtts") or not separator or not host or (port and not port.isdecimal()):
            raise UsageError(
                f"{public(url)} is no address of a broker; expected mqtt://HOST:PORT/TOPIC, or mqtts:// for TLS"
            )
        user, _, password = map(unquote, login.partition(":"))
        return cls(
            host.strip("[]"),
            int(port) if port else 8883 if scheme == "mqtts" else 1883,
            scheme == "mqtts",
            user or os.environ.get(USER),
            password or os.environ.get(PASSWORD),
            topic,
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def public(url: str) -> str:
    """Return an address without user and password."""
    scheme, separator, rest = url.partition("://")
    place, slash, topic = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{topic}"


def session_name(model: str, address: str, suffix: str) -> str:
    """Return the client id of whoever runs a model over a source: always the same, another for another topic."""
    return f"edgeconv-{model}-{blake2b(public(address).encode(), digest_size=4).hexdigest()}{suffix}"


class Connection:
    """A client of one broker; its callbacks run in a thread of the client's own."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        *,
        session_s: int = 0,
        receive: int = 0,
        on_connect: Callable[[bool, int], None],
        say: Say = to_nobody,
    ) -> None:
        """Prepare a client; `open` connects it. Raises DependencyError where paho-mqtt is not installed.

        session_s: for how long the broker keeps what is not acknowledged while the client is away; 0 for not at all
        receive: how many messages the client holds without an acknowledgement at most; 0 for the protocol's limit
        on_connect: told after every connect whether the broker had kept the session, and how many messages it takes
            without acknowledging them
        say: told when the connection is lost and when it is there again
        """
        try:
            from paho.mqtt.client import Client, MQTTv5
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise DependencyError('MQTT needs paho-mqtt; `pip install "edgeconv[mqtt]"`') from None
        self.address = address
        self.connected = False
        self.losses = self.reconnects = 0
        """How often the connection was lost, and made again."""
        self.client: Any = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, manual_ack=True)
        self.client.reconnect_delay_set(*BACK_OFF_S)
        self.client.max_inflight_messages_set(0)  # the sink counts for itself
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self._client_id, self._session_s, self._receive = client_id, session_s, receive
        self._told, self._say = on_connect, say
        self._answered = threading.Event()
        self._closing = False
        self._failure: str | None = None
        self._since_s: float | None = None
        self._brief = 0

    def open(self) -> None:
        """Connect; raises InputError where there is no broker, or one that refuses."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        wishes = Properties(PacketTypes.CONNECT)
        wishes.SessionExpiryInterval = self._session_s
        if self._receive:
            wishes.ReceiveMaximum = self._receive
        address = self.address
        if address.user is not None:
            self.client.username_pw_set(address.user, address.password)
        try:
            if address.tls:
                self.client.tls_set(ca_certs=os.environ.get(CA))
            self.client.connect(
                address.host, address.port, KEEPALIVE_S, clean_start=self._session_s == 0, properties=wishes
            )
        except OSError as error:  # also of certificates
            reason = error.strerror or str(error) or type(error).__name__
            raise InputError(f"{address} cannot be reached ({reason}); is a broker running there?") from None
        self.client.loop_start()
        if not self._answered.wait(CONNECT_S):
            self.close()
            raise InputError(f"{address} does not answer as a broker does; expected one that speaks MQTT 5")
        try:
            self.check()
        except InputError:
            self.close()
            raise

    def fail(self, reason: str) -> None:
        """Let the next `check` raise InputError; for callbacks, which may not raise."""
        self._failure = self._failure or reason

    def check(self) -> None:
        """Raise InputError where the broker will not have this client."""
        if self._failure is not None:
            raise InputError(f"{self.address}: {self._failure}")

    def close(self) -> None:
        """Disconnect; the broker keeps the session, if there is one."""
        self._closing = True
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            if self._since_s is None:
                self.fail(
                    f"the broker refuses the connection ({reason}); expected one for MQTT 5 that lets this client in: "
                    f"name the user in the address, and set {PASSWORD}"
                )
                self._answered.set()
            else:
                self._say(f"{self.address} refuses the connection ({reason}); trying again")
            return
        if self._since_s is not None:
            self.reconnects += 1
            self._say(f"{self.address} is connected again")
        self._since_s = time.monotonic()
        self.connected = True
        self._told(flags.session_present, getattr(properties, "ReceiveMaximum", 65535))
        self._answered.set()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected = False
        self.losses += 1
        if self._closing or self._since_s is None:
            return
        # A broker that gives the name to another client need not say so, and the other one takes it back in turn.
        self._brief = self._brief + 1 if time.monotonic() - self._since_s < BRIEF_S else 0
        if self._brief >= BRIEF_LIMIT:
            self.fail(
                f"the connection was lost {self._brief} times as soon as it was made ({reason}); is another process "
                f"connected as {self._client_id!r}? Give each a --client-id of its own"
            )
        self._say(f"{self.address}: the connection is lost ({reason}); connecting again")
