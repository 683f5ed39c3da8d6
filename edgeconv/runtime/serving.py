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

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .conditioning.conditioner import Conditioner, Piece
from .conditioning.signal import Signal
from .conditioning.wiring import Wiring, wires_of
from .errors import InputError
from .intake import Doubt, Intake, given_spec
from .pool import StreamPool
from .sinks.served import ServedSink
from .sources.live import LiveSource
from .sources.messages import Arrival, Loss
from .sources.say import Say, to_nobody
from .spec import ModelSpec

GRACE_S = 10.0
"""How long the last predictions may take to arrive, once the end was asked for."""
LOOK_S = 0.5
"""How often idle devices are looked for."""


class Contract:
    """What devices send, and what the model wants of it: the same for all of them."""

    def __init__(self, spec: ModelSpec, signal: Signal | None = None, doubt: Doubt = "refuse") -> None:
        """Take what the signal says of a device's columns; without it they are the channels, in their units and rate.

        A model with derived channels gets what these come from, unless the signal maps the derived ones.
        doubt: what becomes of a device whose signal is not plausible
        Raises UsageError for a signal that does not fit.
        """
        self.spec, self.signal, self.doubt = spec, signal or Signal(), doubt
        inputs = {one.source for one in spec.derived}
        mapped = set(self.signal.columns) & set(spec.channel_names) - inputs
        self.given = spec if mapped else given_spec(spec, self.signal, [*inputs])
        time = self.signal.time
        wires = wires_of(self.given, self.signal)
        names = [*(wire.column for wire in wires), *([] if time is None else [time.name])]
        self.columns = tuple(dict.fromkeys(names))
        """Names of the columns that are needed, in the order in which they come where nothing names them."""
        self.wiring = Wiring.of(self.given, self.signal, self.columns)

    def values(self, arrival: Arrival) -> NDArray[np.float64]:
        """Return the columns that are needed, float64 [n, columns]; raises InputError where one is not there."""
        if arrival.names is not None:
            missing = [name for name in self.columns if name not in arrival.names]
            if missing:
                raise InputError(
                    f"no column for {', '.join(map(repr, missing))}; the columns are {', '.join(arrival.names)}"
                )
            return arrival.values[:, [arrival.names.index(name) for name in self.columns]]
        if arrival.values.shape[1] != len(self.columns):
            raise InputError(
                f"{arrival.values.shape[1]} values a sample without names; expected {len(self.columns)} "
                f"({', '.join(self.columns)})"
            )
        return arrival.values


class DeviceStream:
    """What one device has: when its stream began, how long it is, and how its values become samples."""

    def __init__(self, device: str, since_ms: int, pool: StreamPool, contract: Contract) -> None:
        """Begin the stream of a device, now, in a pool."""
        self.device = device
        self.since_ms = since_ms
        """When its first values came, in milliseconds since 1970."""
        self.end_s = 0.0
        """Time of the next sample, from the first one."""
        self._pool, self._contract = pool, contract
        self._rate_hz = contract.spec.sampling_rate_hz
        self._offset_s = 0.0
        self._conditioner = Conditioner(contract.given, contract.signal, contract.wiring)
        self._intake = Intake(contract.spec, contract.given, contract.doubt)

    @property
    def implausible(self) -> tuple[str, ...]:
        """Codes of what was found in its signal that training never saw."""
        return tuple(dict.fromkeys(finding.code for finding in self._intake.findings))

    def push(self, arrival: Arrival) -> int:
        """Take the next values and return how many samples they are.

        Raises InputError for values that break the signal contract; the stream is then as before, but that one whose
        signal is not plausible stays refused.
        """
        values = self._contract.values(arrival)
        for piece in self._conditioner.push(values):
            later = Piece(piece.start_s + self._offset_s, piece.begins, piece.samples)
            self.end_s = later.start_s + len(later.samples) / self._rate_hz
            for found in self._intake.push(later):
                if found.begins:
                    self._pool.reset(self.device, found.start_s)
                self._pool.push(self.device, found.samples)
        return len(values)

    def begin_anew(self) -> None:
        """Let no window span this place: samples are missing. Where stamps say when samples were taken, they say it."""
        if self._contract.signal.time is None:
            self._offset_s = self.end_s
            self._conditioner = Conditioner(self._contract.given, self._contract.signal, self._contract.wiring)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs; the pool has the rest."""
        return {
            "device": self.device,
            "since_ms": self.since_ms,
            "end_s": self.end_s,
            "offset_s": self._offset_s,
            "conditioner": self._conditioner.state(),
            "intake": self._intake.state(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any], pool: StreamPool, contract: Contract) -> DeviceStream:
        """Return the stream that goes on where `state` was taken."""
        stream = cls(state["device"], state["since_ms"], pool, contract)
        stream.end_s, stream._offset_s = state["end_s"], state["offset_s"]
        stream._conditioner.restore(state["conditioner"])
        stream._intake.restore(state["intake"])
        return stream


@dataclass
class Tally:
    """What was done so far."""

    arrivals: int = 0
    samples: int = 0
    windows: int = 0
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
        idle_s: float = math.inf,
        say: Say = to_nobody,
    ) -> None:
        """Predict every `hop` timesteps of each device.

        contract: what devices send; by default the model's channels
        idle_s: how long a device may be silent before its stream is forgotten
        say: is told the first loss of each device
        Raises what `StreamPool` raises.
        """
        self.source, self.sink = source, sink
        self._contract = contract or Contract(classifier.spec)
        self.pool = StreamPool(classifier, hop)
        self.devices: dict[str, DeviceStream] = {}
        self.tally = Tally()
        self._rate_hz = classifier.spec.sampling_rate_hz
        self._idle_s, self._say = idle_s, say
        self._looked_s = time.monotonic()
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
        streams = [DeviceStream.restore(kept, self.pool, self._contract) for kept in state["devices"]]
        self.devices = {stream.device: stream for stream in streams}

    def _take(self, taken: Arrival | Loss) -> None:
        if isinstance(taken, Loss):
            self._lose(taken.device, taken.reason)
            return
        stream = self.devices.get(taken.device)
        if stream is None:
            stream = DeviceStream(taken.device, time.time_ns() // 1_000_000, self.pool, self._contract)
        try:
            added = stream.push(taken)
        except InputError as error:
            self._lose(taken.device, str(error))
            return
        self.tally.begun += taken.device not in self.devices
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
            if codes := stream.implausible:
                prediction = replace(prediction, implausible=codes)
            self.sink.write(stream.device, stream.since_ms, sample, prediction)
            self.tally.windows += 1
        self.sink.flush(lambda: time.monotonic() > self._deadline_s)
