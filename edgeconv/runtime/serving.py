"""Many devices, live: what a source brings goes through one small stream each, and what is predicted to a sink.

A round takes what has come, runs the windows that it completes, waits until their predictions have arrived, and only
then acknowledges what it took. So nothing is lost while the process lives, and after its death a broker sends again
what was not acknowledged. What the process held, samples of windows that are not full yet, is gone with it, unless
`state` was kept somewhere before the acknowledgement: then nothing is lost, and what is published twice has one id.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .classifier import Classifier
from .device_stream import Contract, DeviceStream
from .errors import InputError
from .events import Event, EventStream
from .pool import StreamPool
from .sinks.served import Events, ServedSink, Windows
from .smoothing import Smoothing
from .sources.live import LiveSource
from .sources.messages import Arrival, Loss
from .sources.say import Say, to_nobody

GRACE_S = 10.0
"""How long the last predictions may take to arrive, once the end was asked for."""
LOOK_S = 0.5
"""How often idle devices are looked for."""


@dataclass
class Tally:
    """What was done so far."""

    arrivals: int = 0
    samples: int = 0
    windows: int = 0
    events: int = 0
    """That have ended."""
    losses: Counter[str] = field(default_factory=Counter)
    """By device; `*` stands for all of them."""
    begun: int = 0
    """Streams of devices."""
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
        contract: Contract | None = None,
        hop: int | None = None,
        smoothing: Smoothing | None = None,
        idle_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        say: Say = to_nobody,
    ) -> None:
        """Predict every `hop` timesteps of each device.

        contract: what devices send; by default the model's channels
        smoothing: how predictions become events, which are served in their place, when they begin and when they end
        idle_s: how long a device may be silent before its stream is ended and forgotten
        clock: seconds, for that
        say: is told the first loss of each device, and why one is refused or marked
        Raises what `StreamPool` raises.
        """
        self.source, self.sink = source, sink
        self._contract = contract or Contract(classifier.spec)
        self.pool = StreamPool(classifier, hop)
        self.devices: dict[str, DeviceStream] = {}
        self.tally = Tally()
        self._labels, self._rate_hz = classifier.spec.labels, classifier.spec.sampling_rate_hz
        self._smoothing = smoothing
        self._windows, self._events = Windows(self._labels), Events()
        self._idle_s, self._clock, self._say = idle_s, clock, say
        self._looked_s = clock()
        self._deadline_s = math.inf

    def step(self, timeout_s: float, keep: Callable[[], bool] = lambda: True) -> None:
        """Do one round: take, run, publish, acknowledge; wait so long at most for something to take.

        keep: called when all was taken and nothing of it published: the place to write down `state`, so that a stream
            has its ids before anybody sees them; returns whether what was taken so far may be acknowledged
        Raises InputError where the source is gone or the predictions cannot arrive.
        """
        for taken in self.source.take(timeout_s):
            self._take(taken)
        kept = keep()
        self._publish()
        if kept:
            self.source.acknowledge()
        now_s = self._clock()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            self._forget([each for each in self.devices.values() if now_s - each.heard_s > self._idle_s])

    def finish(self) -> None:
        """End all streams: answer what waits for more of them. Raises InputError where predictions cannot arrive."""
        self._finish(list(self.devices.values()))

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
        streams = [
            DeviceStream.restore(kept, self.pool, self._contract, self._new_events()) for kept in state["devices"]
        ]
        self.devices = {stream.device: stream for stream in streams}
        for stream in streams:
            stream.heard_s = self._clock()

    def _take(self, taken: Arrival | Loss) -> None:
        if isinstance(taken, Loss):
            self._lose(taken.device, taken.reason)
            return
        stream = self.devices.get(taken.device)
        if stream is None:
            since_ms = time.time_ns() // 1_000_000
            stream = DeviceStream(taken.device, since_ms, self.pool, self._contract, self._new_events())
        stream.heard_s = self._clock()
        known = len(stream.findings)
        try:
            added = stream.push(taken)
        except InputError as error:
            if stream.refused:
                self._keep(stream)  # what comes next is of the same signal
            self._lose(taken.device, str(error), news=stream.refused and not known)
            return
        for finding in stream.findings[known:]:
            self._say(f"{stream.device}: {finding.message}; goes on all the same, from {finding.at_s:.1f} s")
        self._keep(stream)
        self.tally.arrivals += 1
        self.tally.samples += added

    def _keep(self, stream: DeviceStream) -> None:
        self.tally.begun += stream.device not in self.devices
        self.devices[stream.device] = stream

    def _lose(self, device: str | None, reason: str, *, news: bool = False) -> None:
        name = device or "*"
        if self.tally.losses[name] == 0 or news:
            self._say(f"{'all devices' if device is None else device}: {reason}")
        self.tally.losses[name] += 1
        for stream in self.devices.values() if device is None else [self.devices.get(device)]:
            if stream is not None:
                stream.begin_anew()

    def _new_events(self) -> EventStream | None:
        if self._smoothing is None:
            return None
        return EventStream(self._labels, self.pool.hop / self._rate_hz, self._smoothing)

    def _finish(self, streams: list[DeviceStream]) -> None:
        for stream in streams:
            try:
                stream.finish()
            except InputError as error:
                self._lose(stream.device, str(error), news=True)
        self._run()
        for stream in streams:
            self._turn(stream, stream.last_events())
        self._flush()

    def _forget(self, streams: list[DeviceStream]) -> None:
        self._finish(streams)
        for stream in streams:
            if stream.device in self.pool:
                self.pool.drop(stream.device)
            del self.devices[stream.device]
            self.tally.dropped += 1

    def _publish(self) -> None:
        self._run()
        self._flush()

    def _run(self) -> None:
        """Hand on what is predicted for the windows that are due."""
        for name, prediction in self.pool.run():
            stream = self.devices[str(name)]
            if codes := tuple(dict.fromkeys(finding.code for finding in stream.findings)):
                prediction = replace(prediction, implausible=codes)
            self.tally.windows += 1
            if self._smoothing is not None:
                self._turn(stream, stream.turn(prediction))
                continue
            sample = round(prediction.start_s * self._rate_hz)
            message = self._windows.make(stream.device, stream.since_ms, sample, prediction)
            self.sink.write(stream.device, message)

    def _turn(self, stream: DeviceStream, turned: list[tuple[Event, bool]]) -> None:
        """Hand on which events have begun or ended."""
        for event, ended in turned:
            sample = round(event.start_s * self._rate_hz)
            message = self._events.make(stream.device, stream.since_ms, sample, event, ended=ended)
            self.sink.write(stream.device, message)
            self.tally.events += ended

    def _flush(self) -> None:
        self.sink.flush(lambda: time.monotonic() > self._deadline_s)
