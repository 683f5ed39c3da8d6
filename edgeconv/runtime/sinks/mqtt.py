"""Messages about devices to an MQTT broker: one topic per device, whose retained message is its last state."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from ..errors import InputError, UsageError
from ..sources.mqtt import device_pattern
from ..sources.mqtt_client import Address, Connection, public
from ..sources.say import Say, to_nobody

Of = Literal["prediction", "event"]
TOPICS: dict[Of, str] = {"prediction": "edgeconv/{device}/prediction", "event": "edgeconv/{device}/event"}
"""Topics where none is given, by what is published."""
MOST_AHEAD = 1000
"""Messages that are sent before the first of them is confirmed; fewer where the broker wants fewer."""
CHECK_S = 0.2


class MqttSink:
    """Publishes every message with QoS 1 and the retain flag."""

    def __init__(self, url: str, client_id: str, *, of: Of = "prediction", say: Say = to_nobody) -> None:
        """Connect to a broker.

        url: `mqtt://host:1883/edgeconv/{device}/prediction`; the topic may be left out
        client_id: the broker's name for this client; each needs one of its own
        of: what is published, for the topic where none is given
        Raises UsageError for a topic without `{device}`, InputError where there is no broker or one that refuses,
        DependencyError where paho-mqtt is not installed.
        """
        address = Address.parse(url)
        self.topic = address.topic or TOPICS[of]
        """The template of the topics."""
        if "{device}" not in self.topic or set("+#") & set(self.topic):
            such = f"such as {TOPICS[of]}"
            raise UsageError(f"{public(url)}: the topic must name the {{device}} and hold no wildcard; {such}")
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, str]] = deque()
        self._sent = self._confirmed = 0
        self._losses = 0
        self._most = MOST_AHEAD
        self._connection = Connection(address, client_id, on_connect=self._on_connect, say=say)
        self._connection.client.on_publish = self._on_publish
        self._connection.open()

    def write(self, device: str, message: str) -> None:
        """Have a message published by the next `flush`."""
        self._waiting.append((self.topic.replace("{device}", device), message))

    def flush(self, expired: Callable[[], bool] = lambda: False) -> None:
        """Publish what was written and wait until the broker has confirmed it, as `ServedSink.flush` says."""
        while self._waiting:
            self._wait(self._may_send, expired)
            topic, payload = self._waiting.popleft()
            self._sent += 1
            # The client sends it again until it is confirmed, also over a connection that is not there yet.
            self._connection.client.publish(topic, payload, qos=1, retain=True)
        self._wait(lambda: self._sent == self._confirmed, expired)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _may_send(self) -> bool:
        """Whether the next message may go out: not ahead of those that are sent again after the connection was lost.

        The client would let it; then an older prediction could be the last one, and so the state of its device.
        """
        connection, unconfirmed = self._connection, self._sent - self._confirmed
        if connection.losses != self._losses and connection.connected and unconfirmed == 0:
            self._losses = connection.losses
        return connection.losses == self._losses and unconfirmed < self._most

    def _wait(self, condition: Callable[[], bool], expired: Callable[[], bool]) -> None:
        with self._changed:
            while not condition():
                self._connection.check()
                if expired():
                    missing = self._sent - self._confirmed + len(self._waiting)
                    raise InputError(
                        f"{self._connection.address} has not confirmed the last predictions ({missing}); what made "
                        "them is not acknowledged, and a broker sends it again: start again when the broker is there"
                    )
                self._changed.wait(CHECK_S)
        self._connection.check()

    # What follows runs in the client's thread, and may not raise.

    def _on_connect(self, _kept: bool, receive: int) -> None:
        self._most = min(MOST_AHEAD, receive)

    def _on_publish(self, _client: Any, _data: Any, _mid: int, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._connection.fail(
                f"the broker refuses predictions ({reason}); expected the right to publish {self.topic}"
            )
        with self._changed:
            self._confirmed += 1
            self._changed.notify()


def refuse_loop(source: str, sink: str, of: Of) -> None:
    """Raise UsageError where a source takes what a sink publishes."""
    if not source.startswith(("mqtt://", "mqtts://")):
        return
    taken, given = Address.parse(source), Address.parse(sink)
    topic = (given.topic or TOPICS[of]).replace("{device}", "device")
    if (taken.host, taken.port) == (given.host, given.port) and device_pattern(taken.topic).fullmatch(topic):
        raise UsageError(
            f"predictions published to {given.topic or TOPICS[of]} come back through {taken.topic}; choose a topic for "
            "them that the source does not take"
        )
