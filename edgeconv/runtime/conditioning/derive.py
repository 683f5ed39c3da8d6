"""Channels that no sensor gives: how they come from others, and the filters that make them, live and for training.

The spec says it (`derived`), so that what prepares the training data and what runs on a device are the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .filters import Filter, Running, running

if TYPE_CHECKING:
    from ..spec import Channel, ModelSpec


@dataclass(frozen=True)
class Derived:
    """How one channel of the model comes from another signal of the same unit."""

    name: str
    """The channel of the model."""
    source: str
    """What the source must give: a channel's name, such as `acc_x`."""
    filters: tuple[Filter, ...]
    """The steps, one behind the other."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Derived:
        """Return what `asdict` made a dict of; raises KeyError and TypeError for anything else."""
        return cls(data["name"], data["source"], tuple(Filter(**one) for one in data["filters"]))


def problem(derived: Sequence[Derived], channels: Sequence[Channel], sampling_rate_hz: float) -> str | None:
    """Return what is wrong with the derived channels of a spec, in words, or None."""
    names, units = [one.name for one in derived], {channel.name: channel.unit for channel in channels}
    of_source = dict(units)
    for one in derived:
        if one.name not in units:
            return f"{one.name} is derived and is no channel of it"
        if of_source.setdefault(one.source, units[one.name]) != units[one.name]:
            return f"{one.name} is in {units[one.name]} and comes from {one.source} in {of_source[one.source]}"
        if names.count(one.name) > 1:
            return f"{one.name} is derived twice"
        if one.source in names:
            return f"{one.name} comes from {one.source}, which is derived itself; name what the sensor gives"
        for step in one.filters:
            if wrong := step.problem(sampling_rate_hz):
                return f"{one.name}: {wrong}"
    return None


class Derivation:
    """Turn what a source gives into the channels of a model, pushed in pieces of any size.

    The results have the same bits however a recording is cut. All channels are late by `delay` samples, those with the
    shorter delays being held back; the lag of the Butterworth filters, which the training data have as well, is no part
    of it. The first sample is taken to have been there for ever, so that gravity does not ring in.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Derive the channels that the spec says are derived; the others are passed on."""
        of = {one.name: one for one in spec.derived}
        chains = [(one.source, one.filters) if (one := of.get(c.name)) else (c.name, ()) for c in spec.channels]
        self.delay = max(sum(step.delay for step in steps) for _, steps in chains)
        """Samples by which a result is later than what it is of; a caller takes it off its times."""
        self.inputs: tuple[Channel, ...] = _inputs(spec, [source for source, _ in chains])
        """What the source must give, in the order of the columns of `push`; the statistics are those of no training."""
        late = [(source, steps, self.delay - sum(step.delay for step in steps)) for source, steps in chains]
        chains = [(source, (*steps, Filter("delay", lack)) if lack else steps) for source, steps, lack in late]
        self._stages: list[tuple[Running, list[int]]] = []
        # Steps that several channels have in common, from the front, run once; equal ones side by side run as one.
        places: dict[tuple[str, tuple[Filter, ...]], int] = {(c.name, ()): i for i, c in enumerate(self.inputs)}
        for depth in range(max(len(steps) for _, steps in chains)):
            new = dict.fromkeys((source, steps[: depth + 1]) for source, steps in chains if len(steps) > depth)
            for step in dict.fromkeys(steps[-1] for _, steps in new):
                alike = [(source, steps) for source, steps in new if steps[-1] == step]
                takes = [places[source, steps[:-1]] for source, steps in alike]
                self._stages.append((running(step, spec.sampling_rate_hz, len(alike)), takes))
                places |= {key: len(places) + i for i, key in enumerate(alike)}
        self._gives = [places[chain] for chain in chains]

    def reset(self) -> None:
        """Forget all samples; the next push starts a new recording, or goes on behind a gap."""
        for stage, _ in self._stages:
            stage.reset()

    def push(self, samples: ArrayLike) -> NDArray[np.float64]:
        """Take the next samples of the inputs and return as many of the model's channels, `delay` samples late.

        samples: float64 [n, inputs], any n from 0, in the units of `inputs`
        returns: float64 [n, channels], in the spec's units and order
        Raises InputError for another shape, or for values that are NaN or infinite; everything is then as before.
        """
        columns = np.asarray(samples, np.float64)
        if columns.ndim != 2 or columns.shape[1] != len(self.inputs):
            names = ", ".join(channel.name for channel in self.inputs)
            raise InputError(f"samples have shape {list(columns.shape)}; expected [n, {len(self.inputs)}]: {names}")
        if not np.isfinite(columns).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(columns))[0])
            name = self.inputs[column].name
            raise InputError(f"{name} is {columns[row, column]} at index {row}; expected finite numbers")
        for stage, takes in self._stages:
            columns = np.concatenate((columns, stage.push(columns[:, takes])), axis=1)
        return columns[:, self._gives]

    def whole(self, samples: ArrayLike) -> NDArray[np.float64]:
        """Return the channels of a whole recording with the delay taken out: row i is of sample i.

        samples and returns: as for `push`; after the last sample there is the same one again
        """
        self.reset()
        columns = np.asarray(samples, np.float64)
        ended = np.concatenate((columns, np.repeat(columns[-1:], self.delay, axis=0)))
        return self.push(ended)[min(self.delay, len(ended)) :]

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        return {"stages": [stage.state() for stage, _ in self._stages]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same spec's derivation."""
        for (stage, _), own in zip(self._stages, state["stages"], strict=True):
            stage.restore(own)


def _inputs(spec: ModelSpec, sources: Sequence[str]) -> tuple[Channel, ...]:
    """Return the sources as channels, each once, in the order in which they are first needed."""
    first = dict(reversed(list(zip(sources, spec.channels, strict=True))))
    return tuple(
        replace(first[source], name=source, mean=0.0, std=1.0, minimum=None, maximum=None)
        for source in dict.fromkeys(sources)
    )
