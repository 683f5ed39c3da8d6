"""What the conditioning did to one recording, counted: a line for people, and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ConditionReport:
    """Counts of one stream; a sample is a row of all channels."""

    source_hz: float
    """Rate of the source: as declared, or as its time stamps show it."""
    model_hz: float
    resampled: bool
    """Whether samples were worked out anew; otherwise they are the source's."""
    delay_s: float
    """How long after a moment its sample is known."""
    samples_in: int = 0
    samples_out: int = 0
    segments: int = 0
    """Stretches without a gap; no window reaches from one into another."""
    gaps: int = 0
    longest_gap_s: float = 0.0
    bridged: int = 0
    """Samples put on a straight line into holes no longer than the longest gap that is bridged."""
    missing: int = 0
    """Samples with a missing value."""
    held: int = 0
    """Those of them in which a channel kept its last value; the others were left out."""
    duplicates: int = 0
    """Samples left out because their time is that of another, or the grid has one there already."""
    out_of_order: int = 0
    """Samples left out because they came later than younger ones."""
    clock_jumps: int = 0
    """How often the clock was set back."""

    @property
    def changed(self) -> bool:
        """Whether anything was done but to put columns in order and convert units."""
        return self.resampled or any(
            (self.gaps, self.bridged, self.missing, self.duplicates, self.out_of_order, self.clock_jumps)
        )

    def words(self) -> str:
        """Return all that was done as one line for people."""
        parts = [f"at the model's {self.model_hz:g} Hz"]
        if self.resampled:
            lacks = self.source_hz < 0.98 * self.model_hz
            empty = f", which shows nothing above {self.source_hz / 2:.3g} Hz," if lacks else ""
            parts = [
                f"resampled from {self.source_hz:.5g} Hz{empty} to {self.model_hz:g} Hz, {self.delay_s:.2g} s late"
            ]
        if self.gaps:
            parts.append(f"{_count(self.gaps, 'gap')}, the longest {self.longest_gap_s:.3g} s")
        if self.clock_jumps:
            parts.append(f"the clock was set back {_count(self.clock_jumps, 'time')}")
        if self.missing:
            held = f", {self.held} of them held" if self.held else ""
            parts.append(f"{_count(self.missing, 'sample')} with missing values{held}")
        if self.bridged:
            parts.append(f"{_count(self.bridged, 'sample')} bridged")
        if self.out_of_order:
            parts.append(f"{_count(self.out_of_order, 'sample')} out of order left out")
        if self.duplicates:
            parts.append(f"{_count(self.duplicates, 'sample')} with the time of another left out")
        return f"{', '.join(parts)}; {self.samples_in} samples in, {self.samples_out} out"

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return asdict(self)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
