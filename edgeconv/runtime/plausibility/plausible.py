"""Whether a stream can be the signal that a model was trained on, from what the spec keeps of the training.

The stream is looked at window by window from its start, so the answers are the same for any cutting into pushes, and
what is kept does not grow. What looks wrong in one window is a suspicion: a knock raises one, or somebody who picks the
sensor up. It becomes a finding when enough windows in a row raise it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..conditioning.units import units_between
from ..errors import InputError
from ..spec import ModelSpec, require_signal
from ..windows import as_float32, require_finite
from .plateaus import Plateaus
from .seen import Seen, SeenTriad, figures, in_radians, triads_of
from .suspicions import Suspicion, judge
from .turned import ALIKE, EXPLAINS, turning_suspicion
from .turning import mistakes, moments

DECISION_S = 5.0
"""How long a suspicion must last, in windows rounded up: two of HAR's 2.56 s. In less, a knock would decide."""
GRAVITY_S = 15.0
"""The same for the direction of gravity, which is anywhere while somebody puts the sensor on, and for columns that are
mixed up, of which there are usually plainer signs."""
WATCHED, EVERY = 48, 8
"""So many windows are all looked at, and then one in so many: a look costs more than the window's answer."""
TURNED = 2.0
"""Turning that decides: the sum of gravity's squared changes, in squared gravity."""
HALF_LIFE_S = 120.0
"""Time after which turning counts half, so that a sensor that is changed while running is noticed, too."""


@dataclass(frozen=True)
class Finding:
    """Something about a stream that training never saw, and what it probably is."""

    code: str
    """What kind: zeros, stuck, saturated, exchanged, unit, gravity, turning, mixed or rate."""
    message: str
    """What was seen, what was expected and the likely cause, in one sentence."""
    option: str
    """The option that puts it right; empty where none does."""
    channels: tuple[str, ...]
    """The channels that it is about."""
    at_s: float
    """Time of the stream at which it was found."""


def refusal(findings: Sequence[Finding]) -> InputError:
    """Return the error for a stream that is not to be answered, with every cause and the options that put it right."""
    causes = "; ".join(finding.message for finding in findings)
    options = " ".join(dict.fromkeys(finding.option for finding in findings if finding.option))
    give = f"give {options}, or" if options else "check the source, or give"
    return InputError(
        f"this is not the signal that the model was trained on, {findings[0].at_s:.1f} s from the start: {causes}; "
        f"{give} --allow-implausible to go on as it is"
    )


class Plausibility:
    """Judge one stream, pushed in pieces of any size; each stream has one of its own."""

    def __init__(self, spec: ModelSpec, *, derived: bool = False) -> None:
        """Judge by what the spec says that training saw; a spec without that knows less, and finds less.

        derived: whether the spec's derived channels come from others here; options then name what the source gives
        """
        require_signal(spec, "a plausibility check")
        self._spec, self._seen = spec, spec.seen or _from_statistics(spec)
        self._informed = spec.seen is not None or any(channel.minimum is not None for channel in spec.channels)
        self._triads = triads_of(spec.channel_names)
        window_s = spec.window / spec.sampling_rate_hz
        patient = math.ceil(GRAVITY_S / window_s)
        self._patience = {"gravity": patient, "mixed": patient, "saturated": 1}
        self._usual = math.ceil(DECISION_S / window_s)
        self._keep = 0.5 ** (window_s / HALF_LIFE_S)
        self.decides_after = self._usual * spec.window
        """Samples after which the first decision is there: whatever is visible at once is found by then."""
        turning = self._seen.turning
        agree = turning is not None and turning.explained >= max(EXPLAINS, turning.by_mistake - ALIKE)
        self._turning = turning if agree else None  # where not even training keeps the law, it says nothing
        self._mistakes = {} if turning is None else mistakes(turning.gravity, turning.rate)
        sources = {one.name: one.source for one in spec.derived} if derived else {}
        groups = {name: sources.get(f"{name}_x", f"{name}_x").removesuffix("_x") for name in self._triads}
        self._given = {**groups, **sources}
        self.reset()

    def reset(self) -> None:
        """Forget the stream and what was found; the next push starts another one."""
        self._held = np.empty((0, len(self._spec.channels)), np.float32)
        self._windows = self._passed = 0
        self._rows: dict[tuple[str, tuple[str, ...]], int] = {}
        self._moments = np.zeros((12, 12))
        self._plateaus = Plateaus(self._spec, self._seen)
        self.findings: tuple[Finding, ...] = ()
        """All that was found so far, each once."""

    def gap(self) -> None:
        """Go on behind a gap: samples that do not fill a window yet are dropped, so that no window spans it."""
        self._held = self._held[:0]

    @property
    def decided(self) -> bool:
        """Whether the first decision is there; at once where the spec says nothing of what training saw."""
        return self._windows >= self._usual or not self._informed

    @property
    def lacking(self) -> int:
        """Samples that complete the window that is looked at next."""
        return self._spec.window - len(self._held)

    def push(self, samples: ArrayLike) -> list[Finding]:
        """Take the next samples and return what they add to the findings.

        samples: float32 [n, channels], any n from 0, in the spec's units and channel order
        Raises InputError for another shape, or for values that are NaN or infinite; everything is then as before.
        """
        added, size = as_float32(samples, "samples"), self._spec.window
        if added.ndim != 2 or added.shape[1] != len(self._spec.channels):
            raise InputError(f"samples have shape {list(added.shape)}; expected [n, {len(self._spec.channels)}]")
        require_finite(added, "samples")
        if not self._informed:
            return []
        held = np.concatenate((self._held, added))
        whole = len(held) // size * size
        self._held = held[whole:].copy()
        before = len(self.findings)
        for at in range(0, whole, size):
            self._passed += 1
            if self._passed <= WATCHED or self._passed % EVERY == 0:
                self.findings += self._look(held[at : at + size])
        return list(self.findings[before:])

    def _look(self, window: NDArray[np.float32]) -> tuple[Finding, ...]:
        """Return what the next window adds: float32 [window, channels]."""
        self._windows += 1
        seen = figures(window[None], list(self._triads.values()))
        raised = {(s.code, s.channels): s for s in judge(self._spec, self._seen, self._triads, seen)}
        disturbed = any(suspicion.code != "gravity" for suspicion in raised.values())
        for suspicion in (*self._plateaus.look(window, seen), *self._turns(window, disturbed=disturbed)):
            raised[suspicion.code, suspicion.channels] = suspicion
        self._rows = {key: self._rows.get(key, 0) + 1 for key in raised}
        at_s = self._passed * self._spec.window / self._spec.sampling_rate_hz
        said = {name for finding in self.findings for name in finding.channels}
        return tuple(
            Finding(s.code, s.message, self._as_given(s.option), s.channels, at_s)
            for key, s in raised.items()
            # One finding a channel: what else looks wrong follows from the first.
            if self._rows[key] == self._patience.get(s.code, self._usual) and not said.issuperset(s.channels)
        )

    def _as_given(self, option: str) -> str:
        """Return an option with the names of what the source gives."""
        return re.sub(r"(--(?:map|unit) )([^=]+)", lambda found: found[1] + self._given.get(found[2], found[2]), option)

    def _turns(self, window: NDArray[np.float32], *, disturbed: bool) -> list[Suspicion]:
        """Add the turns of a window, unless something else is wrong in it, and say what they show so far."""
        if self._turning is None:
            return []
        spec, gravity, rate = self._spec, self._turning.gravity, self._turning.rate
        unit = spec.channels[self._triads[rate][0]].unit
        self._moments *= self._keep
        if not disturbed:
            triads = self._triads[gravity], self._triads[rate]
            self._moments += moments(window[None], *triads, spec.sampling_rate_hz, in_radians(unit))
        norm = next(triad.norm_median for triad in self._seen.triads if triad.name == gravity)
        if self._moments[:3, :3].trace() < TURNED * norm**2:
            return []
        channels = tuple(spec.channel_names[i] for name in (gravity, rate) for i in self._triads[name])
        sensors, rate_hz = (gravity, rate), spec.sampling_rate_hz
        found = turning_suspicion(self._moments, self._mistakes, sensors, channels, rate_hz, norm)
        return [] if found is None else [found]

    def state(self) -> dict[str, Any]:
        """Return all that the next push depends on, as a copy."""
        return {
            "held": self._held.copy(),
            "windows": self._windows,
            "passed": self._passed,
            "rows": [[code, list(channels), rows] for (code, channels), rows in self._rows.items()],
            "moments": self._moments.copy(),
            "plateaus": self._plateaus.state(),
            "findings": [[f.code, f.message, f.option, list(f.channels), f.at_s] for f in self.findings],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same spec's plausibility."""
        self._held = np.array(state["held"], np.float32)
        self._windows, self._passed = int(state["windows"]), int(state["passed"])
        self._rows = {(code, tuple(channels)): int(rows) for code, channels, rows in state["rows"]}
        self._moments = np.array(state["moments"], np.float64)
        self._plateaus.restore(state["plateaus"])
        self.findings = tuple(
            Finding(code, message, option, tuple(channels), float(at_s))
            for code, message, option, channels, at_s in state["findings"]
        )


def _from_statistics(spec: ModelSpec) -> Seen:
    """Return what can be said of a model whose spec keeps only means, ranges and norms."""
    places, triads = triads_of(spec.channel_names), []
    for triad in spec.triads:
        own = [spec.channels[i] for i in places.get(triad.name, ())]
        if not own:
            continue
        mean = math.sqrt(sum(channel.mean**2 for channel in own))
        of_unit = units_between("g", own[0].unit)
        heavy = mean > 0.5 * triad.mean_norm or (of_unit is not None and 0.8 < triad.mean_norm / of_unit < 1.3)
        low, high = triad.mean_norm / 1.25, triad.mean_norm * 1.25
        triads.append(SeenTriad(triad.name, low, triad.mean_norm, high, low if heavy else 0.0, high))
    ranges = [0.0 if c.minimum is None or c.maximum is None else c.maximum - c.minimum for c in spec.channels]
    inside = {i for triad in triads for i in places[triad.name]}
    # A sensor is never quite still; a microphone may be, so only channels of a triad are held to it.
    least = tuple(size / 1000 if i in inside else 0.0 for i, size in enumerate(ranges))
    return Seen(0, least, tuple(triads), ())
