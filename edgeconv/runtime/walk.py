"""Recordings, one after the other, as predictions: in steps, between two of which the way can be written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .conditioning.report import ConditionReport
from .conditioning.signal import Signal, TimeColumn
from .errors import EdgeconvError
from .events import Event, EventStream
from .intake import Doubt
from .plausibility.plausible import Finding
from .portions import Portions
from .smoothing import Smoothing
from .sources.by_time import JoinedReport
from .sources.joined import Recording
from .sources.recording_source import RecordingSource
from .stream import Prediction, StreamClassifier

LEAST_SAMPLES, LEAST_WINDOWS = 4096, 8
"""Of one run: so many samples, or so many windows where these are longer; windows that reach from one run into the next
are in part computed twice."""


@dataclass(frozen=True)
class Step:
    """What a portion of a recording gave, or its end."""

    recording: Recording
    predictions: Sequence[Prediction] = ()
    events: Sequence[Event] = ()
    """What ended, where predictions are smoothed to events. No event reaches over a gap."""
    findings: Sequence[Finding] = ()
    """What was newly found implausible."""
    end_s: float = 0.0
    """Time of the recording up to which this goes."""
    ended: bool = False
    whole: bool = True
    """Whether the walk can go on from here; not amid what is left at a recording's end, or before an error."""


def rows_at_once(window: int) -> int:
    """Return how many rows of a file are read at once."""
    return max(LEAST_SAMPLES, LEAST_WINDOWS * window)


def windows_at_once(window: int, hop: int) -> int:
    """Return how many windows of a file are answered at once."""
    return max(1, rows_at_once(window) // hop)


class Walk:
    """Goes through recordings; each starts anew at 0 s.

    Where windows are answered so many at once, counted from the start of each stretch, the answers depend on the
    samples alone: not on how they are read, nor on where the walk was left and gone on.
    """

    def __init__(
        self,
        streaming: StreamClassifier,
        recordings: Sequence[Recording],
        open_source: Callable[[Recording], RecordingSource],
        *,
        at_once: int | None,
        smoothing: Smoothing | None = None,
        wait: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """Walk through these recordings.

        at_once: windows of a file that are answered in one run, 1 for a live source; None answers what has come
        smoothing: how predictions become events; without it there are none
        wait: called before a portion is answered, with the time at which it ends, in seconds from the recording's start
        """
        self._streaming, self._recordings, self._open = streaming, tuple(recordings), open_source
        spec = streaming.classifier.spec
        self._rate_hz = spec.sampling_rate_hz
        self._portions = Portions(spec.window, streaming.hop, self._rate_hz, at_once)
        self._events = None
        if smoothing is not None:
            self._events = EventStream(spec.labels, streaming.hop / self._rate_hz, smoothing)
        self._wait = wait
        self._source: RecordingSource | None = None
        self._ended = False
        self._said = 0
        self._stretch = (0.0, 0)
        """When the stretch that is being answered began, and how many samples of the recording came before it."""
        self._before: Mapping[str, Any] | None = None
        self.number = 0
        """Recordings that are done."""
        self.samples = 0
        """On the model's grid, of the recording that is being walked through, so far."""
        self.windows = 0
        """Of this recording."""
        self.all_windows = 0
        """Of all recordings."""

    @classmethod
    def over_files(
        cls,
        streaming: StreamClassifier,
        recordings: Sequence[Recording],
        signal: Signal | None = None,
        doubt: Doubt = "refuse",
    ) -> Walk:
        """Return the way through files, of which a signal may say more, as everything that classifies files goes."""
        spec = streaming.classifier.spec

        def open_source(recording: Recording) -> RecordingSource:
            return RecordingSource(recording.paths, spec, signal, rows_at_once(spec.window), doubt=doubt)

        return cls(streaming, recordings, open_source, at_once=windows_at_once(spec.window, streaming.hop))

    @property
    def done(self) -> bool:
        """Whether all recordings are."""
        return self.number == len(self._recordings)

    @property
    def reading_again(self) -> bool:
        """Whether it has not come yet to where `restore` said that it was."""
        return self._before is not None or (self._source is not None and self._source.reading_again)

    @property
    def report(self) -> ConditionReport | JoinedReport | None:
        """What was done to make this recording the model's; None where it is taken as it is."""
        return None if self._source is None else self._source.report

    @property
    def times_found(self) -> TimeColumn | None:
        """The column that turned out to have the times of this recording, where nobody said which has."""
        return None if self._source is None else self._source.times_found

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far in this recording that training never saw."""
        return () if self._source is None else self._source.findings

    def steps(self) -> Iterator[Step]:
        """Yield what the recordings give; raises what their sources raise, while iterating."""
        while not self.done:
            recording = self._recordings[self.number]
            self._source, self._ended = self._open(recording), False
            if self._before is not None:
                self._source.restore(self._before["recording"]["source"])
                self._before = None
            try:
                for pieces in self._source.steps():
                    for piece in pieces:
                        self._portions.push(piece)
                    yield from self._answer(recording, final=False)
            except EdgeconvError:
                if self.reading_again:  # all that was taken is in the state that was restored
                    raise
                # What came before it is answered all the same.
                for step in self._answer(recording, final=True):
                    yield replace(step, whole=False)
                yield Step(recording, events=self._last_events(), whole=False)
                raise
            yield from self._answer(recording, final=True)
            self.number, self._ended = self.number + 1, True
            yield Step(recording, events=self._last_events(), ended=True)
            self.samples = self.windows = self._said = 0

    def state(self) -> dict[str, Any]:
        """Return a copy of what `restore` needs to go on behind the last step, or while the source waits for more."""
        if self._before is not None:
            return dict(self._before)
        within = None
        if self._source is not None and not self._ended:
            within = {
                "samples": self.samples,
                "windows": self.windows,
                "said": self._said,
                "stretch": list(self._stretch),
                "source": self._source.state(),
                "portions": self._portions.state(),
                "stream": self._streaming.state(),
                "events": None if self._events is None else self._events.state(),
            }
        return {"recordings_done": self.number, "windows": self.all_windows, "recording": within}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, of a walk through the same recordings with the same model."""
        self.number, self.all_windows = state["recordings_done"], state["windows"]
        within = state["recording"]
        if within is not None:
            self._before = state
            self.samples, self.windows, self._said = within["samples"], within["windows"], within["said"]
            self._stretch = (within["stretch"][0], within["stretch"][1])
            self._portions.restore(within["portions"])
            self._streaming.restore(within["stream"])
            if self._events is not None:
                self._events.restore(within["events"])

    def _answer(self, recording: Recording, *, final: bool) -> Iterator[Step]:
        while (portion := self._portions.take(final=final)) is not None:
            end_s = portion.start_s + len(portion.samples) / self._rate_hz
            self._wait(end_s)
            if portion.begins:
                self._streaming.reset(portion.start_s)
                self._stretch = (portion.start_s, self.samples)
            predictions = [self._mark(each) for each in self._streaming.push(portion.samples)]
            stream = self._events
            events = [] if stream is None else [event for each in predictions for event in stream.push(each)]
            self.samples += len(portion.samples)
            self.windows += len(predictions)
            self.all_windows += len(predictions)
            assert self._source is not None
            findings = self._source.findings[self._said :]
            self._said += len(findings)
            whole = not self._source.read_out
            yield Step(recording, predictions, events, findings, end_s, whole=whole)

    def _last_events(self) -> list[Event]:
        """Return the event that the end of a recording ends."""
        return [] if self._events is None else self._events.finish()

    def _mark(self, prediction: Prediction) -> Prediction:
        """Say in a prediction what was found in the recording up to the end of its window."""
        assert self._source is not None
        start_s, before = self._stretch
        codes = self._source.codes(before + round((prediction.end_s - start_s) * self._rate_hz))
        return replace(prediction, implausible=codes) if codes else prediction
