"""Files that belong together and have a time column each, put side by side by their times."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..conditioning.conditioner import Conditioner, Piece
from ..conditioning.report import ConditionReport
from ..conditioning.signal import Signal
from ..conditioning.wiring import Wiring
from ..errors import InputError
from ..spec import ModelSpec
from .joined import naming
from .table import Table, Wanted


@dataclass(frozen=True)
class JoinedReport:
    """What was done to each file, and what became of them together."""

    files: dict[str, ConditionReport]
    model_hz: float
    samples_out: int
    """Where all files have one."""

    @property
    def changed(self) -> bool:
        """Whether anything was done but to put what belongs together side by side."""
        left_out = any(report.samples_out != self.samples_out for report in self.files.values())
        return left_out or any(report.changed for report in self.files.values())

    def words(self) -> str:
        """Return all that was done as one line for people."""
        most = max((report.samples_out for report in self.files.values()), default=0)
        alone_s = (most - self.samples_out) / self.model_hz
        alone = f", {alone_s:.3g} s that not all of them cover left out" if alone_s > 0 else ""
        each = "; ".join(f"{name} {report.words()}" for name, report in self.files.items())
        return f"joined by time, {self.samples_out} samples{alone}; {each}"

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has them."""
        return asdict(self)


class JoinedByTime:
    """Bring each file to the model's grid by its own times, and take the time that all of them cover.

    The grid begins with the first sample of the first file, at 0 s. The files have one clock, which none may set back.
    """

    def __init__(
        self, tables: Sequence[Table], times: Sequence[int], wiring: Wiring, spec: ModelSpec, signal: Signal
    ) -> None:
        """Join tables; times: each one's column of times; wiring: of the columns of all of them side by side."""
        self._spec, self._samples_out = spec, 0
        self._files: list[_File] = []
        first = 0
        for table, time in zip(tables, times, strict=True):
            channels = [at for at, column in enumerate(wiring.indices) if first <= column < first + table.width]
            if channels:
                own = Wiring(
                    tuple(wiring.wires[at] for at in channels),
                    tuple(wiring.indices[at] - first for at in channels),
                    time - first,
                    table.width,
                )
                self._files.append(_File(table, own, channels, spec, signal))
            first += table.width

    @property
    def report(self) -> JoinedReport:
        """What was done so far."""
        reports = {file.table.where: file.report for file in self._files if file.report is not None}
        return JoinedReport(reports, self._spec.sampling_rate_hz, self._samples_out)

    def pieces(self, chunk: int) -> Iterator[Piece]:
        """Yield the samples of all files together; chunk: most rows that are taken of a file at once.

        Raises InputError where a file cannot be read or conditioned, and where no time is covered by all of them.
        """
        rate_hz = self._spec.sampling_rate_hz
        origin = self._files[0].first_stamp()
        sources = [file.runs(chunk, origin, rate_hz) for file in self._files]
        end: int | None = None
        for runs in _covered(sources):
            start = runs[0].first
            together = np.empty((len(runs[0].samples), len(self._spec.channels)), np.float32)
            for file, run in zip(self._files, runs, strict=True):
                together[:, file.channels] = run.samples
            self._samples_out += len(together)
            yield Piece(start / rate_hz, start != end or any(run.begins for run in runs), together)
            end = start + len(together)
        for source in sources:  # to its end, so that what is wrong there is not passed over
            for _ in source:
                pass
        if end is None:
            said = ", ".join(
                f"{file.table.where} has {file.first_s:.6g} to {file.last_s:.6g} s" for file in self._files
            )
            raise InputError(f"the files that are joined have no time in common: {said}; expected times of one clock")


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Consecutive samples of one file on the grid."""

    first: int
    """Number of the grid point of the first one."""
    begins: bool
    samples: NDArray[np.float32]

    @property
    def end(self) -> int:
        return self.first + len(self.samples)

    def between(self, start: int, stop: int) -> _Run:
        return _Run(start, self.begins, self.samples[start - self.first : stop - self.first])

    def after(self, stop: int, *, taken: bool) -> _Run:
        cut = max(0, stop - self.first)
        return _Run(self.first + cut, self.begins and not taken, self.samples[cut:])


def _covered(sources: Sequence[Iterator[_Run]]) -> Iterator[list[_Run]]:
    """Yield what all sources have of the same time; the sources end where the first of them does."""
    held: list[_Run | None] = [None] * len(sources)
    while True:
        for at, source in enumerate(sources):
            if (run := held[at]) is None or len(run.samples) == 0:
                held[at] = next(source, None)
        runs = [run for run in held if run is not None]
        if len(runs) < len(held):
            return
        start, stop = max(run.first for run in runs), min(run.end for run in runs)
        if start < stop:
            yield [run.between(start, stop) for run in runs]
        held = [run.after(stop, taken=start < stop) for run in runs]


class _File:
    """One of the files, with the channels that it has."""

    def __init__(self, table: Table, wiring: Wiring, channels: list[int], spec: ModelSpec, signal: Signal) -> None:
        self.table, self.channels = table, channels
        self.first_s = self.last_s = 0.0
        self._wiring, self._signal = wiring.narrowed(), signal
        own = tuple(spec.channels[at] for at in channels)
        self._spec = replace(spec, channels=own, triads=(), derived=(), seen=None)
        dates = signal.time is not None and signal.time.unit == "iso8601"
        stamps = {wiring.time_index} if dates and wiring.time_index is not None else set()
        self._wanted = Wanted(wiring.used, frozenset(stamps), signal.missing != "reject")
        self._blocks: Iterator[NDArray[np.float64]] | None = None
        self._conditioner: Conditioner | None = None

    @property
    def report(self) -> ConditionReport | None:
        return None if self._conditioner is None else self._conditioner.report

    def first_stamp(self) -> float:
        """Return the first time that the file says, in the source's unit; 0 where it says none."""
        read = self.table.read(self._wanted)
        before: list[NDArray[np.float64]] = []
        found = 0.0
        for rows in read:
            before.append(rows)
            stamps = rows[:, self._wiring.time_index]
            if np.isfinite(stamps).any():
                found = float(stamps[np.isfinite(stamps)][0])
                break
        self._blocks = chain(before, read)
        return found

    def runs(self, chunk: int, origin: float, rate_hz: float) -> Generator[_Run]:
        """Yield the samples on the grid; raises InputError that names the file."""
        conditioner = self._conditioner = Conditioner(self._spec, self._signal, self._wiring, origin)
        for rows in self._blocks if self._blocks is not None else self.table.read(self._wanted):
            for start in range(0, len(rows), chunk):
                with naming(self.table.where):
                    pieces = conditioner.push(rows[start : start + chunk])
                yield from self._on_grid(pieces, rate_hz)
        if conditioner.report.samples_in == 0:
            raise InputError(f"{self.table.where}: there are no samples; expected a finished recording")
        with naming(self.table.where):
            pieces = conditioner.finish()
        yield from self._on_grid(pieces, rate_hz)

    def _on_grid(self, pieces: Sequence[Piece], rate_hz: float) -> Iterator[_Run]:
        if self.report is not None and self.report.clock_jumps:
            raise InputError(
                f"{self.table.where}: its clock was set back, so that its times no longer belong to those of the other "
                "files; expected one clock: cut the files there, and stream the parts one by one"
            )
        for piece in pieces:
            run = _Run(round(piece.start_s * rate_hz), piece.begins, piece.samples)
            self.first_s = self.first_s if self.last_s else piece.start_s
            self.last_s = run.end / rate_hz
            yield run
