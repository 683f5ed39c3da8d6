"""Walks through recordings: left anywhere and gone on with, the answers are the same bytes, whichever form answers."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import Classifier, Smoothing, StreamClassifier, forms
from edgeconv.runtime.checkpoint import Checkpoint
from edgeconv.runtime.conditioning.conditioner import Piece
from edgeconv.runtime.conditioning.signal import Signal, TimeColumn
from edgeconv.runtime.errors import InputError
from edgeconv.runtime.portions import Portions
from edgeconv.runtime.sinks import open_event_sink, open_sink
from edgeconv.runtime.sources.joined import Recording
from edgeconv.runtime.sources.recording_source import RecordingSource
from edgeconv.runtime.walk import Walk

WINDOW, HOP = 12, 4
TIMED = Signal(time=TimeColumn("t", "s"), missing="gap")


@pytest.fixture(scope="session")
def classifiers(models):
    """The network of the forms: window by window, with the dense form, and with a stateful one that always pays."""
    with pytest.MonkeyPatch.context() as patch:
        dense = Classifier.load(models / "forms")
        assert not dense.forms(HOP).stateful_for_one
        patch.setattr(forms, "WORTH_A_STEP", -1e9)
        stateful = Classifier.load(models / "forms")
        assert stateful.forms(HOP).stateful_for_one
    return {"windowed": Classifier.load(models / "forms" / "model.onnx"), "dense": dense, "stateful": stateful}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Two recordings: with gaps, jitter, another rate and missing values, and a plain one."""
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(7)
    times = (np.arange(700) + rng.uniform(-0.2, 0.2, 700)) / 102.4
    times[300:] += 2.0
    times[480:] += 0.7
    table = np.column_stack([times, rng.normal(size=(700, 2))])
    table[40, 1] = table[520, 2] = np.nan
    np.savetxt(folder / "timed.csv", table, fmt="%.6f", delimiter=",", header="t,a,b", comments="")
    np.savetxt(folder / "plain.csv", rng.normal(size=(333, 2)), fmt="%.6f", delimiter=",", header="a,b", comments="")
    return {name: Recording(name, (folder / f"{name}.csv",)) for name in ("timed", "plain")}


def walk_of(classifier, chosen, signal, at_once, chunk=64):
    spec = classifier.spec
    named = None if signal is None else Signal(
        columns=dict(zip(spec.channel_names, ("a", "b"), strict=True)), time=signal.time, missing=signal.missing
    )  # fmt: skip

    def open_source(recording):
        # The plain one has no times.
        given = named if recording.name == "timed" or named is None else Signal(columns=named.columns)
        return RecordingSource(recording.paths, spec, given, chunk, doubt="mark")

    smoothing = Smoothing(time_constant_s=0.5, hold_s=0.2, unknown=0.4)
    return Walk(StreamClassifier(classifier, HOP), chosen, open_source, at_once=at_once, smoothing=smoothing)


def go(walk, leave_after=None):
    """Walk on; return what a sink makes of it, and whether the end was reached before it was left."""
    out, labels = io.StringIO(), walk._streaming.classifier.spec.labels
    sink, events = open_sink("jsonl", out, labels, marks=True), open_event_sink("jsonl", out, labels, marks=True)
    for number, step in enumerate(walk.steps(), 1):
        for prediction in step.predictions:
            sink.write(step.recording.name, prediction)
        for event in step.events:
            events.write(step.recording.name, event)
        if leave_after is not None and number >= leave_after and step.whole:
            break
    return out.getvalue()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    form=st.sampled_from(["windowed", "dense", "stateful"]),
    at_once=st.sampled_from([1, 1, 3, 16]),
    cuts=st.lists(st.integers(1, 40), max_size=4),
    chunk=st.integers(5, 200),
)
def test_left_anywhere_and_gone_on_with_the_bytes_are_the_same(
    classifiers, recordings, tmp_path_factory, form, at_once, cuts, chunk
):
    path = tmp_path_factory.mktemp("kept") / "a.ckpt"
    chosen = list(recordings.values())
    expected = go(walk_of(classifiers[form], chosen, TIMED, at_once))
    assert expected.count("\n") > 80
    walk, got = walk_of(classifiers[form], chosen, TIMED, at_once, chunk), ""
    for cut in [*cuts, None]:
        got += go(walk, cut)
        Checkpoint({}, walk.state()).write(path)
        walk = walk_of(classifiers[form], chosen, TIMED, at_once, chunk)
        walk.restore(Checkpoint.read(path).state)
    assert got == expected
    assert walk.done
    assert walk.all_windows == expected.count("probabilities")


def test_a_walk_that_was_never_gone_on_with_has_the_state_that_it_was_given(classifiers, recordings):
    first = walk_of(classifiers["dense"], [recordings["timed"]], TIMED, 1)
    go(first, 7)
    state = first.state()
    second = walk_of(classifiers["dense"], [recordings["timed"]], TIMED, 1)
    second.restore(state)
    assert go_on(second.state()) == go_on(state)


def go_on(state):
    return {key: value for key, value in state.items() if key != "recording"}, state["recording"]["source"]["rows"]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 240), max_size=12),
    windows=st.integers(1, 5),
    hop=st.sampled_from([1, 4, 12, 15]),
)
def test_portions_do_not_depend_on_the_pieces(lengths, cuts, windows, hop):
    def portions_of(cuts):
        portions, found, at = Portions(WINDOW, hop, 10.0, windows), [], 0
        for number, length in enumerate(lengths):
            samples = np.arange(at, at + length, dtype=np.float32)[:, None]
            ends = [0, *sorted(cut - at for cut in cuts if at < cut < at + length), length]
            for start, end in pairwise(ends):
                if end > start:
                    portions.push(Piece(100 * number + start / 10, start == 0, samples[start:end]))
                while (portion := portions.take()) is not None:
                    found.append(portion)
            at += length
        while (portion := portions.take(final=True)) is not None:
            found.append(portion)
        return [(p.start_s, p.begins, p.samples.tobytes()) for p in found]

    found = portions_of(cuts)
    assert [part[1:] for part in found] == [part[1:] for part in portions_of([])]
    assert [part[0] for part in found] == pytest.approx([part[0] for part in portions_of([])], abs=1e-9)
    assert b"".join(part[2] for part in found) == np.arange(sum(lengths), dtype=np.float32).tobytes()
    for _, begins, data in found:
        assert len(data) // 4 <= (WINDOW + (windows - 1) * hop if begins else windows * hop)


def test_rows_that_are_not_what_they_were_are_refused(classifiers, recordings, tmp_path):
    file = tmp_path / "plain.csv"
    text = recordings["plain"].paths[0].read_text()
    file.write_text(text)
    columns = Signal()
    walk = walk_of(classifiers["dense"], [Recording("plain", (file,))], columns, 1)
    go(walk, 20)
    state = walk.state()
    lines = text.splitlines()
    for changed, words in (
        ("\n".join([lines[0], lines[2], lines[1], *lines[3:]]), "the first .* rows are not those that were there"),
        ("\n".join(lines[:30]), "there are 29 rows, and .* were there"),
    ):
        file.write_text(changed + "\n")
        again = walk_of(classifiers["dense"], [Recording("plain", (file,))], columns, 1)
        again.restore(state)
        with pytest.raises(InputError, match=words):
            go(again)


def test_the_state_of_another_stream_is_refused(classifiers):
    state = StreamClassifier(classifiers["dense"], HOP).state()
    with pytest.raises(InputError, match="the state is of"):
        StreamClassifier(classifiers["dense"], 5).restore(state)


def test_before_an_error_everything_that_was_read_is_answered_and_cannot_be_gone_on_from(classifiers, tmp_path):
    file = tmp_path / "broken.csv"
    rows = np.random.default_rng(0).normal(size=(40, 2))
    file.write_text("acc_x,acc_y\n" + "".join(f"{x},{y}\n" for x, y in rows))
    with file.open("a") as more:
        more.write("1,2\n" * 60_000 + "1,x\n")  # far enough behind to be in another block
    walk = walk_of(classifiers["windowed"], [Recording("broken", (file,))], None, 1000)
    whole = []
    with pytest.raises(InputError, match="'x' is not a number"):
        whole.extend(step.whole for step in walk.steps())
    assert walk.windows > 1000
    assert not whole[-1]
