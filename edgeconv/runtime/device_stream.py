"""What one device of many has: its way from the values that it sends to the samples of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .conditioning.conditioner import Conditioner, Piece
from .conditioning.signal import Signal
from .conditioning.wiring import Wiring, wires_of
from .errors import InputError
from .events import Event, EventStream
from .intake import Doubt, Intake, given_spec
from .plausibility.plausible import Finding
from .pool import StreamPool
from .sources.messages import Arrival
from .spec import ModelSpec
from .stream import Prediction


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

    def __init__(
        self, device: str, since_ms: int, pool: StreamPool, contract: Contract, events: EventStream | None = None
    ) -> None:
        """Begin the stream of a device, now, in a pool; events: makes events of what is predicted."""
        self.device = device
        self.since_ms = since_ms
        """When its first values came, in milliseconds since 1970."""
        self.end_s = 0.0
        """Time of the next sample, from the first one."""
        self.heard_s = 0.0
        """When something came last, by the service's clock."""
        self._pool, self._contract = pool, contract
        self._rate_hz = contract.spec.sampling_rate_hz
        self._offset_s = 0.0
        self._conditioner = Conditioner(contract.given, contract.signal, contract.wiring)
        self._intake = Intake(contract.spec, contract.given, contract.doubt)
        self._events = events

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in its signal that training never saw."""
        return self._intake.findings

    @property
    def refused(self) -> bool:
        """Whether its signal is not plausible, so that it gets no answers."""
        return self._contract.doubt == "refuse" and bool(self.findings)

    def push(self, arrival: Arrival) -> int:
        """Take the next values and return how many samples they are.

        Raises InputError for values that break the signal contract; the stream is then as before, but that one whose
        signal is not plausible stays refused.
        """
        values = self._contract.values(arrival)
        self._answer(self._judge(self._conditioner.push(values)))
        return len(values)

    def finish(self) -> None:
        """End the stream: answer what waits for more of it; raises InputError where it turns out not plausible."""
        if not self.refused:
            self._answer([*self._judge(self._conditioner.finish()), *self._intake.finish()])

    def turn(self, prediction: Prediction) -> list[tuple[Event, bool]]:
        """Take a prediction; return the event that it ended, and the one that it began, with whether it has ended."""
        if self._events is None:
            return []
        before, ended = self._events.now, self._events.push(prediction)
        now = self._events.now
        begun = [now] if now is not None and (before is None or ended) else []
        return [*((event, True) for event in ended), *((event, False) for event in begun)]

    def last_events(self) -> list[tuple[Event, bool]]:
        """Return the event that the end of the stream ends."""
        return [] if self._events is None else [(event, True) for event in self._events.finish()]

    def begin_anew(self) -> None:
        """Let no window span this place: samples are missing. Where stamps say when samples were taken, they say it."""
        if self._contract.signal.time is None:
            self._offset_s = self.end_s
            self._conditioner = Conditioner(self._contract.given, self._contract.signal, self._contract.wiring)

    def _judge(self, pieces: list[Piece]) -> list[Piece]:
        found = []
        for piece in pieces:
            later = Piece(piece.start_s + self._offset_s, piece.begins, piece.samples)
            self.end_s = later.start_s + len(later.samples) / self._rate_hz
            found += self._intake.push(later)
        return found

    def _answer(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.begins:
                self._pool.reset(self.device, piece.start_s)
            self._pool.push(self.device, piece.samples)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs; the pool has the rest."""
        return {
            "device": self.device,
            "since_ms": self.since_ms,
            "end_s": self.end_s,
            "offset_s": self._offset_s,
            "conditioner": self._conditioner.state(),
            "intake": self._intake.state(),
            "events": None if self._events is None else self._events.state(),
        }

    @classmethod
    def restore(
        cls, state: dict[str, Any], pool: StreamPool, contract: Contract, events: EventStream | None = None
    ) -> DeviceStream:
        """Return the stream that goes on where `state` was taken."""
        stream = cls(state["device"], state["since_ms"], pool, contract, events)
        stream.end_s, stream._offset_s = state["end_s"], state["offset_s"]
        stream._conditioner.restore(state["conditioner"])
        stream._intake.restore(state["intake"])
        if events is not None:
            events.restore(state["events"])
        return stream
