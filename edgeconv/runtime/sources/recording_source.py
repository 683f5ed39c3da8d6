"""Files to the samples that a model wants: read as they are, or joined and conditioned."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..conditioning.conditioner import Conditioner, Piece
from ..conditioning.rate import TOLERANCE
from ..conditioning.report import ConditionReport
from ..conditioning.signal import Signal, TimeColumn
from ..conditioning.wiring import Wiring, seconds_per
from ..errors import EdgeconvError, InputError
from ..intake import Doubt, Intake, given_spec
from ..plausibility.plausible import Finding
from ..spec import ModelSpec
from . import read_recording
from .by_time import JoinedByTime, JoinedReport
from .columns import column_names
from .growing import FileReplacedError, Follow
from .joined import naming, side_by_side
from .table import Table, Wanted, open_table
from .undeclared import Undeclared
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
        follow: Follow = False,
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
        self.times_found: TimeColumn | None = None
        """The column that turned out to have the times of the samples, where nobody said which has."""
        self.read_out = False
        """Whether all rows were taken; from then on there is no `state` to go on with."""
        self._rows_taken = self._checksum = 0
        self._before: Mapping[str, Any] | None = None

    @property
    def reading_again(self) -> bool:
        """Whether it has not come yet to where `restore` said that it was."""
        return self._before is not None

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

    def codes(self, samples: int) -> tuple[str, ...]:
        """Return the codes of what was found in so many samples; what was found first holds from the beginning."""
        return () if self._intake is None else self._intake.codes(samples)

    def pieces(self) -> Iterator[Piece]:
        """Yield the samples as they are read; raises as `steps` does."""
        for step in self.steps():
            yield from step

    def steps(self) -> Iterator[list[Piece]]:
        """Yield the samples as they are read, in the model's channels: whatever the rows taken so far complete.

        Between two steps, and while more rows are waited for, is when to take `state`, until all are `read_out`.

        Raises MissingFileError, InputError, UsageError and DependencyError, all while iterating, with the file's name.
        """
        try:
            for given, pieces in self._given():
                if self._intake is None:
                    self._intake = Intake(self._spec, given, self._doubt)
                    if self._before is not None:
                        self._intake.restore(self._before["intake"])
                with naming(self._where):
                    found = [each for piece in pieces for each in self._intake.push(piece)]
                yield found
        except FileReplacedError:
            if self._intake is not None and self._joined is None and self._before is None:
                self.read_out = True
                yield self._finish([] if self._conditioner is None else self._conditioner.finish())
            raise
        yield self._finish([])

    def _finish(self, pieces: list[Piece]) -> list[Piece]:
        assert self._intake is not None
        with naming(self._where):
            found = [each for piece in pieces for each in self._intake.push(piece)]
            return found + self._intake.finish()

    @property
    def _where(self) -> str:
        return " and ".join(map(str, self._paths))

    def _given(self) -> Iterator[tuple[ModelSpec, list[Piece]]]:
        """Yield what the source gives, at first nothing, with the spec that says which channels these are."""
        spec, path = self._spec, self._paths[0]
        if self._signal is not None:
            yield from self._condition(self._signal)
        elif (wav_rate_hz(path) or spec.sampling_rate_hz) != spec.sampling_rate_hz or self._says_more(path):
            yield from self._condition(Signal())
        else:
            names, rate_hz, follow = spec.channel_names, spec.sampling_rate_hz, self._follow
            yield spec, []
            asked = self._undeclared(None, names)
            for block in self._new(read_recording(path, names, self._chunk, rate_hz, follow=follow, undeclared=asked)):
                samples = self._rows_taken - len(block)
                yield spec, [Piece(samples / rate_hz, samples == 0, block)]

    def _says_more(self, path: Path) -> bool:
        """Whether a file has other columns than the channels that are to be looked at: times, or what derives them."""
        try:
            names = column_names(path) if path.is_file() else ()
        except EdgeconvError:  # which reading it says better
            return False
        asked = Undeclared(self._spec.sampling_rate_hz, frozenset(self._spec.channel_names))
        return bool(names) and (bool(asked.columns(names)) or given_spec(self._spec, None, names) is not self._spec)

    def state(self) -> dict[str, Any]:
        """Return a copy of what `restore` needs to go on behind the last step."""
        if self._before is not None:  # it is still being read again
            return dict(self._before)
        return {
            "rows": self._rows_taken,
            "checksum": self._checksum,
            "conditioner": None if self._conditioner is None else self._conditioner.state(),
            "intake": None if self._intake is None else self._intake.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: `steps` reads the files again up to there, and they must hold the same."""
        self._before = state if state["rows"] else None  # before the first row there is nothing to go on with

    def _new(self, blocks: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield what was not taken before; raises InputError where that is not what it was."""
        if self._before is not None:
            behind, rest = self._before["rows"], None
            while self._rows_taken < behind:
                rows = next(blocks, None)
                if rows is None:
                    raise InputError(
                        f"{self._where}: there are {self._rows_taken} rows, and {behind} were there when the "
                        "checkpoint was written; begin anew, without it"
                    )
                left = behind - self._rows_taken
                self._count(rows[:left])
                rest = rows[left:]
            if self._checksum != self._before["checksum"]:
                raise InputError(
                    f"{self._where}: the first {behind} rows are not those that were there when the checkpoint was "
                    "written; begin anew, without it"
                )
            self._before = None
            if rest is not None and len(rest):
                self._count(rest)
                yield rest
        for rows in blocks:
            self._count(rows)
            yield rows
        self.read_out = True

    def _count(self, rows: NDArray[Any]) -> None:
        self._rows_taken += len(rows)
        self._checksum = zlib.crc32(rows.tobytes(), self._checksum)

    def _undeclared(self, signal: Signal | None, channels: Sequence[str]) -> Undeclared | None:
        """Return what is asked of columns that are named as times are: nothing where somebody said what times are."""
        said = signal is not None and (signal.time is not None or signal.rate_hz is not None)
        return None if said else Undeclared(self._spec.sampling_rate_hz, frozenset(channels))

    def _condition(self, signal: Signal) -> Iterator[tuple[ModelSpec, list[Piece]]]:
        where = self._where
        with ExitStack() as stack:
            inputs = [one.source for one in self._spec.derived]
            known = [
                *self._spec.channel_names,
                *inputs,
                *signal.columns.values(),
                *([signal.time.name] if signal.time else []),
            ]
            bare = [name.removeprefix("-") for name in known]
            dates = signal.time is not None and signal.time.unit == "iso8601"
            asked = self._undeclared(signal, bare)
            tables = [
                stack.enter_context(open_table(path, bare, dates=dates, follow=self._follow, undeclared=asked))
                for path in self._paths
            ]
            signal = _with_rate(signal, tables)
            if asked is not None and asked.times is not None:
                signal, self.times_found = replace(signal, time=asked.times), asked.times
            time = signal.time
            names, times = _names_side_by_side(tables, time.name if time else None)
            with naming(where):
                given = given_spec(self._spec, signal, names)
                wiring = Wiring.of(given, signal, names)
            if len(times) == len(tables):  # and there are several
                self._joined = JoinedByTime(tables, times, wiring, given, signal)
                yield from ((given, [piece]) for piece in self._joined.pieces(self._chunk))
                return
            with naming(where):
                conditioner = self._conditioner = Conditioner(given, signal, wiring.narrowed())
            if self._before is not None:
                conditioner.restore(self._before["conditioner"])
            yield given, []
            for rows in self._new(self._chunks(self._rows(tables, wiring, times, signal, stack))):
                with naming(where):
                    pieces = conditioner.push(rows)
                yield given, pieces
            if conditioner.report.samples_in == 0:
                raise InputError(f"{where}: there are no samples; expected a finished recording")
            with naming(where):
                pieces = conditioner.finish()
            yield given, pieces

    def _chunks(self, blocks: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
        for rows in blocks:
            for start in range(0, len(rows), self._chunk):
                yield rows[start : start + self._chunk]

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
