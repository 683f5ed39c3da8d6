"""Many devices, live: what a source brings goes through one small stream each, and what is predicted to a sink.

A round takes what has come, runs the windows that it completes, waits until their predictions have arrived, and only
then acknowledges what it took. So nothing is lost while the process lives, and after its death a broker sends again
what was not acknowledged. What the process held, samples of windows that are not full yet, is gone with it, unless
`state` was kept somewhere between the arrival of the predictions and the acknowledgement.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .errors import InputError
from .pool import StreamPool
from .sinks.served import ServedSink
from .sources.live import LiveSource
from .sources.messages import Arrival, Loss
from .sources.say import Say, to_nobody
from .spec import ModelSpec
from .windows import as_float32, require_finite

GRACE_S = 10.0
"""How long the last predictions may take to arrive, once the end was asked for."""
LOOK_S = 0.5
"""How often idle devices are looked for."""


class DeviceStream:
    """What one device has: when its stream began, how long it is, and how its values become samples."""

    def __init__(self, device: str, since_ms: int, pool: StreamPool) -> None:
        """Begin the stream of a device, now, in a pool."""
        self.device = device
        self.since_ms = since_ms
        """When its first values came, in milliseconds since 1970."""
        self.samples = 0
        """How many were pushed; the time of the next one follows from it."""
        self._pool = pool
        self._spec = pool.classifier.spec

    def push(self, arrival: Arrival) -> int:
        """Take the next values and return how many samples they are.

        Raises InputError for values that break the signal contract; the stream is then as before.
        """
        samples = to_samples(self._spec, arrival)
        self._pool.push(self.device, samples)
        self.samples += len(samples)
        return len(samples)

    def begin_anew(self) -> None:
        """Let no window span this place: samples are missing."""
        self._pool.reset(self.device, self.samples / self._spec.sampling_rate_hz)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs; the pool has the rest."""
        return {"device": self.device, "since_ms": self.since_ms, "samples": self.samples}

    @classmethod
    def restore(cls, state: dict[str, Any], pool: StreamPool) -> DeviceStream:
        """Return the stream that goes on where `state` was taken."""
        stream = cls(state["device"], state["since_ms"], pool)
        stream.samples = state["samples"]
        return stream


def to_samples(spec: ModelSpec, arrival: Arrival) -> NDArray[np.float32]:
    """Return the values as samples: float32 [n, channels], by the names of the columns, or without names by order.

    Values are taken to be in the spec's units and at its rate. Raises InputError where a channel is not there or a
    value is missing or not finite.
    """
    channels = spec.channel_names
    values = arrival.values
    if arrival.names is not None:
        missing = [name for name in channels if name not in arrival.names]
        if missing:
            raise InputError(
                f"no column for {', '.join(map(repr, missing))}; the columns are {', '.join(arrival.names)}"
            )
        values = values[:, [arrival.names.index(name) for name in channels]]
    elif values.shape[1] != len(channels):
        raise InputError(
            f"{values.shape[1]} values a sample without names; expected {len(channels)} ({', '.join(channels)})"
        )
    samples = as_float32(values, "values")
    require_finite(samples, "values")
    return samples


@dataclass
class Tally:
    """What was done so far."""

    arrivals: int = 0
    samples: int = 0
    windows: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    """By device; `*` stands for all of them."""
    dropped: int = 0
    """Devices that were idle for too long."""


class Service:
    """Runs a model over all devices of a source, into a sink."""

    def __init__(
        self,
        classifier: Classifier,
        source: LiveSource,
        sink: ServedSink,
        *,
        hop: int | None = None,
        idle_s: float = math.inf,
        say: Say = to_nobody,
    ) -> None:
        """Predict every `hop` timesteps of each device.

        idle_s: how long a device may be silent before its stream is forgotten
        say: is told the first loss of each device
        Raises what `StreamPool` raises.
        """
        self.source, self.sink = source, sink
        self.pool = StreamPool(classifier, hop)
        self.devices: dict[str, DeviceStream] = {}
        self.tally = Tally()
        self._rate_hz = classifier.spec.sampling_rate_hz
        self._idle_s, self._say = idle_s, say
        self._looked_s = time.monotonic()
        self._deadline_s = math.inf

    def step(self, timeout_s: float, keep: Callable[[], None] = lambda: None) -> None:
        """Do one round: take, run, publish, acknowledge; wait so long at most for something to take.

        keep: called when predictions have arrived and before what they were made of is acknowledged: the place to
            write down `state`
        Raises InputError where the source is gone or the predictions cannot arrive.
        """
        for taken in self.source.take(timeout_s):
            self._take(taken)
        self._publish()
        keep()
        self.source.acknowledge()
        now_s = time.monotonic()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            for name in self.pool.drop_idle(self._idle_s):
                del self.devices[str(name)]
                self.tally.dropped += 1

    def stop(self) -> None:
        """Let the round that is running end soon, also where its predictions cannot arrive; for signal handlers."""
        self._deadline_s = time.monotonic() + GRACE_S

    def state(self) -> dict[str, Any]:
        """Return a copy of all that `restore` needs to go on after the last round."""
        return {
            "devices": [stream.state() for stream in self.devices.values()],
            "pool": self.pool.state(),
            "source": self.source.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; raises InputError for the state of another model or hop."""
        self.pool.restore(state["pool"])
        self.source.restore(state["source"])
        streams = [DeviceStream.restore(kept, self.pool) for kept in state["devices"]]
        self.devices = {stream.device: stream for stream in streams}

    def _take(self, taken: Arrival | Loss) -> None:
        if isinstance(taken, Loss):
            self._lose(taken.device, taken.reason)
            return
        stream = self.devices.get(taken.device)
        if stream is None:
            stream = DeviceStream(taken.device, time.time_ns() // 1_000_000, self.pool)
        try:
            added = stream.push(taken)
        except InputError as error:
            self._lose(taken.device, str(error))
            return
        self.devices[taken.device] = stream
        self.tally.arrivals += 1
        self.tally.samples += added

    def _lose(self, device: str | None, reason: str) -> None:
        name = device or "*"
        if self.tally.losses[name] == 0:
            self._say(f"{'all devices' if device is None else device}: {reason}")
        self.tally.losses[name] += 1
        for stream in self.devices.values() if device is None else [self.devices.get(device)]:
            if stream is not None:
                stream.begin_anew()

    def _publish(self) -> None:
        for name, prediction in self.pool.run():
            stream = self.devices[str(name)]
            sample = round(prediction.start_s * self._rate_hz)
            self.sink.write(stream.device, stream.since_ms, sample, prediction)
            self.tally.windows += 1
        self.sink.flush(lambda: time.monotonic() > self._deadline_s)
