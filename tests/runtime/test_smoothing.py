"""How predictions become events: the written form, the laws, and cases with their numbers written out."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import EventStream, InputError, Prediction, Smoothing, StreamClassifier, UsageError
from edgeconv.runtime.checkpoint import Checkpoint
from edgeconv.runtime.events import change_delay_s

LABELS = ("still", "walk", "run")
RATE_HZ, WINDOW, HOP = 10, 4, 2  # windows of 0.4 s every 0.2 s


def predictions(rows, window=WINDOW, hop=HOP):
    found = []
    for i, row in enumerate(np.asarray(rows, np.float32)):
        best = int(row.argmax())
        times = i * hop / RATE_HZ, (i * hop + window) / RATE_HZ
        found.append(Prediction(*times, best, LABELS[best], float(row[best]), row))
    return found


def sure(text, other=0.1):
    """Probabilities of windows that are sure of still, walk or run: `ssw`."""
    rows = np.full((len(text), 3), other)
    rows[range(len(text)), ["swr".index(letter) for letter in text]] = 1 - 2 * other
    return rows


def events_of(rows, smoothing=None, window=WINDOW, hop=HOP):
    stream = EventStream(LABELS, hop / RATE_HZ, smoothing or Smoothing())
    found = [event for prediction in predictions(rows, window, hop) for event in stream.push(prediction)]
    return found + stream.finish()


def brief(events):
    return [(event.label, round(event.start_s, 9), round(event.end_s, 9)) for event in events]


smoothings = st.builds(
    lambda method, amount, margin, hold_s, unknown: Smoothing(
        majority=amount if method == "majority" else 1,
        time_constant_s=amount / 5 if method == "exponential" else 0.0,
        margin=margin, hold_s=hold_s, unknown=unknown,
    ),
    st.sampled_from(["none", "majority", "exponential"]), st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.4]),
    st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.4]), st.sampled_from([0.0, 0.4, 0.6]),
)  # fmt: skip
rows_of_any = st.builds(
    lambda seed, n: np.random.default_rng(seed).dirichlet([0.4] * 3, n), st.integers(0, 2**16), st.integers(0, 40)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=rows_of_any, smoothing=smoothings, hop=st.integers(1, 7))  # below, equal to and above the window of 4
def test_events_tile_the_time_of_the_windows_and_their_windows_add_up(rows, smoothing, hop):
    events = events_of(rows, smoothing, hop=hop)
    assert sum(event.windows for event in events) == len(rows)
    if not len(rows):
        assert events == []
        return
    assert events[0].start_s == 0
    assert events[-1].end_s == ((len(rows) - 1) * hop + WINDOW) / RATE_HZ
    for before, after in pairwise(events):
        assert before.end_s == after.start_s
        assert before.label != after.label
    for event in events:
        assert event.start_s < event.known_s <= events[-1].end_s
        assert 0 <= event.confidence <= 1 + 1e-12  # sums of float64 probabilities
    # only a recording in which nothing lasts has a shorter event, and then it is the only one
    assert len(events) == 1 or min(event.end_s - event.start_s for event in events) >= smoothing.hold_s - 2e-6


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=rows_of_any)
def test_without_smoothing_every_window_says_its_most_probable_label(rows):
    events = events_of(rows)
    said = [event.label for event in events for _ in range(event.windows)]
    assert said == [prediction.label for prediction in predictions(rows)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=rows_of_any,
    smoothing=smoothings,
    reset=st.booleans(),
)
def test_what_a_stream_said_before_leaves_no_trace_in_the_next_recording(rows, smoothing, reset):
    stream = EventStream(LABELS, HOP / RATE_HZ, smoothing)
    for prediction in predictions(sure("swrrwws")):
        stream.push(prediction)
    if reset:
        stream.reset()
    else:
        stream.finish()
    found = [event for prediction in predictions(rows) for event in stream.push(prediction)] + stream.finish()
    assert found == events_of(rows, smoothing)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=rows_of_any, smoothing=smoothings, left=st.integers(0, 40), marked=st.integers(0, 40))
def test_a_stream_that_is_left_anywhere_and_gone_on_with_says_the_same(rows, smoothing, left, marked, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "events.ckpt"
    found = [replace(one, implausible=("unit",) * (at >= marked)) for at, one in enumerate(predictions(rows))]
    whole = EventStream(LABELS, HOP / RATE_HZ, smoothing)
    expected = [event for one in found for event in whole.push(one)] + whole.finish()
    stream, events = EventStream(LABELS, HOP / RATE_HZ, smoothing), []
    for at, one in enumerate(found):
        if at == left:
            Checkpoint({}, stream.state()).write(path)
            stream.push(one)  # what comes behind a state changes nothing in it
            stream = EventStream(LABELS, HOP / RATE_HZ, smoothing)
            stream.restore(Checkpoint.read(path).state)
        events += stream.push(one)
    assert events + stream.finish() == expected
    assert any(event.implausible for event in expected) == (marked < len(found))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(pushes=st.lists(st.integers(0, 60), min_size=1, max_size=8), smoothing=smoothings, seed=st.integers(0, 999))
def test_events_are_the_same_for_any_cutting_of_a_recording_into_pushes(tiny, pushes, smoothing, seed):
    samples = np.random.default_rng(seed).normal(size=(sum(pushes), 2)).astype(np.float32)

    def events(sizes):
        classify, found, at = StreamClassifier(tiny), [], 0
        stream = EventStream(tiny.spec.labels, classify.hop / tiny.spec.sampling_rate_hz, smoothing)
        for size in sizes:
            found += [e for p in classify.push(samples[at : at + size]) for e in stream.push(p)]
            at += size
        return found + stream.finish()

    whole, cut = events([len(samples)]), events(pushes)
    assert [(e.label, e.start_s, e.end_s, e.known_s, e.windows) for e in whole] == [
        (e.label, e.start_s, e.end_s, e.known_s, e.windows) for e in cut
    ]
    # the same graph in batches of other sizes: rounding of the sums at most
    assert [e.confidence for e in whole] == pytest.approx([e.confidence for e in cut], abs=1e-5)


def test_no_event_reaches_over_a_gap_between_windows():
    stream, found = EventStream(LABELS, 0.2, Smoothing(time_constant_s=1.0, hold_s=0.4)), []
    for before in predictions(sure("wwww")):
        found += stream.push(before)
    for after in predictions(sure("wwww")):
        later = replace(after, start_s=after.start_s + 7, end_s=after.end_s + 7)
        found += stream.push(later)
    assert brief(found + stream.finish()) == [("walk", 0, 1.0), ("walk", 7.0, 8.0)]
    assert [event.windows for event in found] == [4]


def test_a_window_speaks_for_one_hop_around_its_centre_and_the_outer_ones_for_what_is_left():
    # windows [0, .4), [.2, .6), [.4, .8), [.6, 1): centres .2 .4 .6 .8, boundaries half way
    assert brief(events_of(sure("ssww"))) == [("still", 0, 0.5), ("walk", 0.5, 1.0)]
    assert [event.known_s for event in events_of(sure("ssww"))] == pytest.approx([0.4, 0.8])


def test_a_majority_of_the_last_predictions_outvotes_a_single_one():
    # votes of the last three: s, s, s s w, s w s, w s s, s s w, s w w
    events = events_of(sure("sswssww"), Smoothing(majority=3))
    assert brief(events) == [("still", 0, 1.3), ("walk", 1.3, 1.6)]
    # shares of still in its six windows: 1, 1, 2/3, 2/3, 2/3, 2/3
    assert events[0].confidence == pytest.approx((2 + 4 * 2 / 3) / 6)
    assert events[1].confidence == pytest.approx(2 / 3)


def test_in_a_tied_vote_the_label_voted_for_last_wins():
    assert brief(events_of(sure("sw"), Smoothing(majority=2))) == [("still", 0, 0.3), ("walk", 0.3, 0.6)]


def test_an_exponential_average_weighs_by_age():
    # time constant 0.2 / ln 2, so each window weighs half of the next: p(walk) after s w is (0.5 · 0.1 + 0.8) / 1.5
    smoothing = Smoothing(time_constant_s=0.2 / math.log(2))
    still, walk = events_of(sure("sw"), smoothing)
    assert still.confidence == pytest.approx(0.8)
    assert walk.confidence == pytest.approx(0.85 / 1.5)


def test_a_new_label_must_be_ahead_by_the_margin():
    rows = [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.3, 0.6, 0.1]]
    assert brief(events_of(rows, Smoothing(margin=0.2))) == [("still", 0, 0.5), ("walk", 0.5, 0.8)]


def test_a_label_that_does_not_last_is_given_to_the_one_before_it_with_its_own_probability():
    (event,) = events_of(sure("sswss"), Smoothing(hold_s=0.4))
    assert (event.label, event.windows) == ("still", 5)
    assert event.confidence == pytest.approx((4 * 0.8 + 0.1) / 5)


def test_a_label_that_lasts_begins_where_it_was_first_said_and_is_known_later():
    still, walk = events_of(sure("sssww"), Smoothing(hold_s=0.4))
    assert (still.end_s, walk.start_s, walk.known_s) == pytest.approx((0.7, 0.7, 1.2))


def test_what_does_not_last_at_the_start_is_given_to_the_first_label_that_does():
    events = events_of(sure("rswwww"), Smoothing(hold_s=0.8))
    assert brief(events) == [("walk", 0, 1.4)]
    assert events[0].known_s == pytest.approx(1.4)


def test_a_recording_in_which_nothing_lasts_is_one_event_with_the_label_of_its_end():
    assert brief(events_of(sure("srw"), Smoothing(hold_s=9))) == [("walk", 0, 0.8)]


def test_below_the_threshold_the_label_is_unknown_with_the_confidence_of_the_most_probable():
    rows = [[0.8, 0.1, 0.1], [0.4, 0.35, 0.25], [0.3, 0.45, 0.25], [0.1, 0.8, 0.1]]
    events = events_of(rows, Smoothing(unknown=0.5))
    assert [event.label for event in events] == ["still", "unknown", "walk"]
    assert events[1].confidence == pytest.approx((0.4 + 0.45) / 2)


def test_a_model_s_own_class_unknown_is_the_unknown_that_is_said():
    stream = EventStream(("on", "unknown"), 0.2, Smoothing(unknown=0.8))
    rows = np.array([[0.7, 0.3], [0.1, 0.9]], np.float32)
    for i, row in enumerate(rows):
        stream.push(Prediction(i * 0.2, i * 0.2 + 0.4, int(row.argmax()), "", 0.9, row))
    (event,) = stream.finish()
    assert (event.label, event.windows) == ("unknown", 2)


def test_what_is_in_force_now_can_be_asked_at_any_time():
    stream = EventStream(LABELS, 0.2, Smoothing(hold_s=0.4))
    seen = []
    for prediction in predictions(sure("wwss", 0.0)):
        stream.push(prediction)
        seen.append(stream.now and (stream.now.label, stream.now.end_s))
    # the first stretch, from the start of its window to half a hop behind its centre, is 0.3 s long
    assert seen == [None, ("walk", 0.6), ("walk", 0.8), ("still", 1.0)]


@pytest.mark.parametrize("text", ["none", "majority:3", "exponential:0.5s", "hold=0.4s", "majority:3,hold=0.6s"])
def test_the_delay_of_a_clean_change_is_what_a_stream_shows(text):
    smoothing = Smoothing.parse(text)
    before = events_of(sure("s" * 60 + "w" * 60, 0.0), smoothing)[1]
    change_s = 59 * 0.2 + 0.2 + 0.1  # half way between the centres of windows 59 and 60
    assert change_delay_s(smoothing, 0.4, 0.2) == pytest.approx(before.known_s - change_s, abs=1e-9)


def test_the_delay_without_smoothing_is_half_of_window_and_hop_and_a_margin_can_make_it_endless():
    assert change_delay_s(Smoothing(), 2.56, 1.28) == pytest.approx(1.92)
    assert change_delay_s(Smoothing(majority=4), 2.56, 1.28) == pytest.approx(1.92 + 1.28)
    assert change_delay_s(Smoothing(unknown=0.9), 2.56, 1.28) == pytest.approx(1.92)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Smoothing()),
        ("majority:5", Smoothing(majority=5)),
        ("exponential:2s,hold=500ms, unknown=0.5", Smoothing(time_constant_s=2, hold_s=0.5, unknown=0.5)),
        ("hold=1s,margin=0.1", Smoothing(hold_s=1, margin=0.1)),
    ],
)
def test_the_written_form_says_what_is_meant(text, expected):
    assert Smoothing.parse(text) == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(smoothing=smoothings)
def test_the_written_form_reads_back(smoothing):
    assert Smoothing.parse(str(smoothing)) == smoothing


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "with '' in it"),
        ("median:3", "'median:3' in it"),
        ("hold=1s,majority:3", "'majority:3' in it"),
        ("hold=1s,hold=2s", "'hold=2s' in it"),
        ("majority:0", "majority is 0"),
        ("majority:2.5", "'2.5' is no number of predictions"),
        ("exponential:2", "'2' has no unit"),
        ("exponential:xs", "'x' is no number"),
        ("hold=infs", "hold is inf s"),
        ("unknown=1", "unknown is 1.0"),
        ("unknown=nan", "unknown is nan"),
        ("margin=-0.1", "margin is -0.1"),
    ],
)
def test_a_written_form_that_makes_no_sense_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        Smoothing.parse(text)


def test_two_methods_exclude_each_other():
    with pytest.raises(UsageError, match="exclude each other"):
        Smoothing(majority=3, time_constant_s=1)


def test_probabilities_of_other_labels_are_refused():
    with pytest.raises(InputError, match=r"shape \[3\]; expected \[2\]"):
        EventStream(("a", "b"), 0.2).push(predictions(sure("s"))[0])
