"""Files to the samples that a model wants: read as they are, or joined and conditioned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..condition_report import ConditionReport
from ..conditioner import Conditioner, Piece
from ..errors import InputError
from ..intake import Doubt, Intake, given_spec
from ..plausible import Finding
from ..rate import TOLERANCE
from ..signal import Signal
from ..spec import ModelSpec
from ..wiring import Wiring, seconds_per
from . import read_recording
from .by_time import JoinedByTime, JoinedReport
from .columns import column_names
from .joined import naming, side_by_side
from .table import Table, Wanted, open_table
from .wav import wav_rate_hz


class RecordingSource:
    """One recording, in one file or in several side by side, as the samples that a model wants.

    Without a signal the columns are the model's channels, and the samples are passed as they are; only a WAV file of
    another rate, which it says, is resampled.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        spec: ModelSpec,
        signal: Signal | None = None,
        chunk: int = 4096,
        *,
        follow: bool = False,
        doubt: Doubt = "refuse",
    ) -> None:
        """Read these files; nothing is opened before `pieces` begins.

        chunk: most rows that are read at once; follow: whether to wait for what is still written to the files
        doubt: what becomes of a signal that is not plausible
        """
        self._paths, self._spec, self._signal, self._chunk = tuple(paths), spec, signal, chunk
        self._follow, self._doubt = follow, doubt
        self._intake: Intake | None = None
        self._conditioner: Conditioner | None = None
        self._joined: JoinedByTime | None = None

    @property
    def report(self) -> ConditionReport | JoinedReport | None:
        """What was done so far; None where samples are passed as they are, and before the columns are known."""
        if self._joined is not None:
            return self._joined.report
        return None if self._conditioner is None else self._conditioner.report

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far that training never saw; only with doubt "mark" there is more to come."""
        return () if self._intake is None else self._intake.findings

    def pieces(self) -> Iterator[Piece]:
        """Yield the samples as they are read, in the model's channels.

        Raises MissingFileError, InputError, UsageError and DependencyError, all while iterating, with the file's name.
        """
        for given, piece in self._given():
            with naming(self._where):
                intake = self._intake = self._intake or Intake(self._spec, given, self._doubt)
                found = intake.push(piece)
            yield from found
        if self._intake is not None:
            with naming(self._where):
                found = self._intake.finish()
            yield from found

    @property
    def _where(self) -> str:
        return " and ".join(map(str, self._paths))

    def _given(self) -> Iterator[tuple[ModelSpec, Piece]]:
        """Yield what the source gives, with the spec that says which channels these are."""
        spec, path = self._spec, self._paths[0]
        names = column_names(path) if spec.derived and self._signal is None and path.is_file() else ()
        if self._signal is not None:
            yield from self._condition(self._signal)
        elif (wav_rate_hz(path) or spec.sampling_rate_hz) != spec.sampling_rate_hz or (
            names and given_spec(spec, None, names) is not spec
        ):
            yield from self._condition(Signal())
        else:
            samples, rate_hz = 0, spec.sampling_rate_hz
            for block in read_recording(path, spec.channel_names, self._chunk, rate_hz, follow=self._follow):
                yield spec, Piece(samples / rate_hz, samples == 0, block)
                samples += len(block)

    def _condition(self, signal: Signal) -> Iterator[tuple[ModelSpec, Piece]]:
        where = self._where
        with ExitStack() as stack:
            time = signal.time
            inputs = [one.source for one in self._spec.derived]
            known = [*self._spec.channel_names, *inputs, *signal.columns.values(), *([time.name] if time else [])]
            bare = [name.removeprefix("-") for name in known]
            dates = time is not None and time.unit == "iso8601"
            tables = [
                stack.enter_context(open_table(path, bare, dates=dates, follow=self._follow)) for path in self._paths
            ]
            signal = _with_rate(signal, tables)
            names, times = _names_side_by_side(tables, time.name if time else None)
            with naming(where):
                given = given_spec(self._spec, signal, names)
                wiring = Wiring.of(given, signal, names)
            if len(times) == len(tables):  # and there are several
                self._joined = JoinedByTime(tables, times, wiring, given, signal)
                yield from ((given, piece) for piece in self._joined.pieces(self._chunk))
                return
            with naming(where):
                conditioner = self._conditioner = Conditioner(given, signal, wiring.narrowed())
            for rows in self._rows(tables, wiring, times, signal, stack):
                for start in range(0, len(rows), self._chunk):
                    with naming(where):
                        pieces = conditioner.push(rows[start : start + self._chunk])
                    yield from ((given, piece) for piece in pieces)
            if conditioner.report.samples_in == 0:
                raise InputError(f"{where}: there are no samples; expected a finished recording")
            with naming(where):
                pieces = conditioner.finish()
            yield from ((given, piece) for piece in pieces)

    def _rows(
        self, tables: Sequence[Table], wiring: Wiring, times: Sequence[int], signal: Signal, stack: ExitStack
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the used columns of all files side by side; the columns of times must say the same."""
        used = sorted({*wiring.used, *times})
        dates = {*times, wiring.time_index} if signal.time is not None and signal.time.unit == "iso8601" else set()
        blocks: list[Iterator[NDArray[np.float64]]] = []
        first = 0
        for table in tables:
            mine = tuple(at - first for at in used if first <= at < first + table.width)
            own = frozenset(at for at in mine if at + first in dates)
            # A file of which nothing is used must still be as long as the others.
            source = stack.enter_context(closing(table.read(Wanted(mine or (0,), own, signal.missing != "reject"))))
            blocks.append(source if mine else (rows[:, :0] for rows in source))
            first += table.width
        row = 0
        for rows in side_by_side(blocks, [table.where for table in tables]):
            if times:
                stamps = rows[:, [used.index(at) for at in times]] * seconds_per(signal)
                self._require_same_times(stamps, row)
            yield rows[:, [used.index(at) for at in wiring.used]] if times else rows
            row += len(rows)

    def _require_same_times(self, stamps: NDArray[np.float64], row: int) -> None:
        apart_s = stamps.max(axis=1) - stamps.min(axis=1)
        limit_s = 0.5 / self._spec.sampling_rate_hz
        late = np.flatnonzero(apart_s > limit_s)
        if len(late):
            raise InputError(
                f"row {row + late[0]} (counted from 0) of the files that are joined: their times "
                f"are {apart_s[late[0]]:.4g} s apart; rows that belong together should have the "
                f"same, within {limit_s:g} s: bring the files to one clock first"
            )


def _with_rate(signal: Signal, tables: Sequence[Table]) -> Signal:
    """Return the signal with the rate that a file says, where nobody said another."""
    for table in tables:
        if table.rate_hz is None:
            continue
        if signal.rate_hz is not None and abs(table.rate_hz / signal.rate_hz - 1) > TOLERANCE:
            raise InputError(
                f"{table.where}: the file has {table.rate_hz:g} samples per second, and {signal.rate_hz:g} Hz is "
                "declared; leave --rate out"
            )
        signal = replace(signal, rate_hz=table.rate_hz)
    return signal


def _names_side_by_side(tables: Sequence[Table], time: str | None) -> tuple[Sequence[str] | int, list[int]]:
    """Return the names of all columns, or how many they are without names, and the places of the columns of times.

    Where several files have the column of times, the first one's is the recording's.
    """
    if all(table.names is None for table in tables):
        return sum(table.width for table in tables), []
    names = [name for table in tables for name in table.names or [""] * table.width]
    times = [at for at, name in enumerate(names) if name == time]
    for at in times[1:]:
        names[at] = ""  # so that the first column of times is the only one of its name
    return names, times if len(times) > 1 else []
