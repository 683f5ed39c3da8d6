"""Messages of an MQTT broker, one stream per device; each is acknowledged when it has been dealt with.

The broker keeps a session for the client id: what comes while the client is away is waiting when it is back, and what
was not acknowledged is sent again, under the same packet identifier and marked as a duplicate (MQTT 5.0, 4.4). So a
message that comes again is known, also when its acknowledgement was lost on the way, and never taken twice.
"""

from __future__ import annotations

import queue
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ..errors import InputError, UsageError
from .messages import Arrival, Decoder, Loss
from .mqtt_client import CONNECT_S, Address, Connection, public
from .say import Say, to_nobody

SESSION_S = 24 * 3600
RECEIVE = 1000
"""Messages that the broker sends ahead of acknowledgements; it may send fewer."""
KNOWN = 2 * RECEIVE
"""Messages that are remembered, so that their acknowledgement may be lost."""
CLOSE_S = 10.0
"""How long the broker may take to read the last acknowledgements; what it has not read by then it sends again."""
UNBOUNDED = 10 * RECEIVE
"""Messages of QoS 0, which no acknowledgement holds back, that may wait."""
NOT_KEPT = Loss(None, "the broker did not keep the session; what came meanwhile is lost")


@dataclass(slots=True, eq=False)
class _Message:
    connection: int
    """Number of the connection that it came by last."""
    mid: int
    qos: int
    duplicate: bool
    topic: str
    payload: bytes


@dataclass(slots=True, eq=False)
class _Known:
    digest: bytes
    connection: int
    done: bool = False


class MqttSource:
    """Takes the messages of all topics that match a pattern; what its wildcards stand for is the device."""

    def __init__(
        self,
        url: str,
        decoder: Decoder,
        client_id: str,
        *,
        takes: Callable[[str], bool] | None = None,
        say: Say = to_nobody,
    ) -> None:
        """Connect and subscribe with QoS 1.

        url: `mqtt://host:1883/sensors/+/imu`; a shared subscription is `$share/GROUP/sensors/+/imu`
        client_id: what the broker keeps the session under; each process needs one of its own, the same every time
        takes: whether a device is for this process; the messages of others are acknowledged and not decoded
        Raises UsageError for an address without a topic, InputError where there is no broker or one that refuses,
        DependencyError where paho-mqtt is not installed.
        """
        address = Address.parse(url)
        if not address.topic:
            raise UsageError(f"{public(url)} names no topic; expected one such as {address}/sensors/+/imu")
        self.ended = False
        self._decoder, self._takes, self._say = decoder, takes, say
        self._filter = address.topic
        self._device = device_pattern(address.topic)
        self._queue: queue.SimpleQueue[_Message | Loss] = queue.SimpleQueue()
        self._known: dict[int, _Known] = {}
        self._pending: list[tuple[int, _Known]] = []
        self._connections = 0
        self._kept = True
        self._lost: list[Loss] = []
        self._subscribed = threading.Event()
        self._dropped: Counter[str] = Counter()
        self._connection = Connection(
            address, client_id, session_s=SESSION_S, receive=RECEIVE, on_connect=self._on_connect, say=say
        )
        client = self._connection.client
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        self._connection.open()
        if not self._subscribed.wait(CONNECT_S):
            self._connection.fail(f"the broker does not answer the subscription to {self._filter!r}")
        try:
            self._connection.check()
        except InputError:
            self._connection.close()
            raise

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return self._connection.reconnects

    def take(self, timeout_s: float) -> list[Arrival | Loss]:
        """Return what has come, as `LiveSource.take` says."""
        self._connection.check()
        found: list[Arrival | Loss] = [*self._lost]
        self._lost.clear()
        try:
            item = self._queue.get(timeout=timeout_s)
            for _ in range(RECEIVE):
                found += [item] if isinstance(item, Loss) else self._read(item)
                item = self._queue.get_nowait()
            found += [item] if isinstance(item, Loss) else self._read(item)
        except queue.Empty:
            pass
        return found

    def acknowledge(self) -> None:
        """Acknowledge all that was taken, in the order in which it came."""
        for mid, known in self._pending:
            known.done = True
            if known.connection == self._connections:
                self._connection.client.ack(mid, 1)
        self._pending.clear()
        while len(self._known) > KNOWN:
            first = next(iter(self._known))
            del self._known[first]

    def close(self) -> None:
        """Disconnect; the broker keeps the session, with all that was not acknowledged."""
        if self._connection.connected:
            # A connection that is closed while messages are on their way is reset, and then the broker never reads the
            # last acknowledgements. It answers in order: with this answer it has read them.
            self._subscribed.clear()
            self._subscribe()
            self._subscribed.wait(CLOSE_S)
        self._connection.close()

    def state(self) -> dict[str, Any]:
        """Return by which packet identifiers the messages came that were taken."""
        return {"taken": [{"mid": mid, "digest": known.digest.hex()} for mid, known in self._known.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take none of these messages again: the state that came with this one has them."""
        if not self._kept:
            self._lost = [NOT_KEPT]
        for message in state["taken"]:
            self._known[message["mid"]] = _Known(bytes.fromhex(message["digest"]), 0, done=True)

    def _read(self, message: _Message) -> list[Arrival | Loss]:
        if message.qos and not self._is_new(message):
            return []
        device = self._name_device(message.topic)
        if device is None or (self._takes and not self._takes(device)):
            return []  # of an earlier subscription, or for another process
        try:
            names, values = self._decoder.decode(message.payload)
        except InputError as error:
            return [Loss(device, str(error))]
        return [Arrival(device, names, values)]

    def _name_device(self, topic: str) -> str | None:
        found = self._device.fullmatch(topic)
        return "/".join(filter(None, found.groups())) or topic if found else None

    def _subscribe(self) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # Retained messages are old ones; a stream is of what comes now.
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._connection.client.subscribe(self._filter, options=options)

    def _is_new(self, message: _Message) -> bool:
        digest = blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=8).digest()
        known = self._known.get(message.mid)
        if message.duplicate and known is not None and known.digest == digest:
            known.connection = message.connection
            if known.done and message.connection == self._connections:
                self._connection.client.ack(message.mid, 1)
            return False
        known = _Known(digest, message.connection)
        self._known.pop(message.mid, None)  # so that the order is that of coming
        self._known[message.mid] = known
        self._pending.append((message.mid, known))
        return True

    # What follows runs in the client's thread, and may not raise.

    def _on_connect(self, kept: bool, _receive: int) -> None:
        if not kept and self._connections:
            self._queue.put(NOT_KEPT)
        self._kept = kept
        self._connections += 1
        self._subscribe()

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._connection.fail(f"the broker refuses the subscription to {self._filter!r} ({reason})")
        self._subscribed.set()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if message.qos == 0 and self._queue.qsize() >= UNBOUNDED:
            self._dropped[topic] += 1
            return
        if topic in self._dropped:
            missing = self._dropped.pop(topic)
            reason = f"{missing} messages of QoS 0 came faster than they can be dealt with"
            self._queue.put(Loss(self._name_device(topic) or topic, reason))
        self._queue.put(
            _Message(self._connections, message.mid, message.qos, message.dup, topic, bytes(message.payload))
        )


def device_pattern(topic_filter: str) -> re.Pattern[str]:
    """Return what matches the topics of a filter, with a group for each wildcard; raises UsageError for no filter."""
    levels = topic_filter.split("/")
    if levels[0] == "$share":
        levels = levels[2:]
    pattern = []
    for at, level in enumerate(levels):
        if level == "#" and at == len(levels) - 1:
            pattern.append("(.*)")
        elif "#" in level or ("+" in level and level != "+") or (not level and len(levels) == 1):
            raise UsageError(
                f"{topic_filter!r} is no topic filter; `+` stands for one whole level, and `#` for all that follow"
            )
        else:
            pattern.append("([^/]*)" if level == "+" else re.escape(level))
    return re.compile("/".join(pattern), re.DOTALL)
