"""Events against true segments: laws, and cases with every count written out."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.evaluate.events import EventScore, score_events
from edgeconv.evaluate.spans import Span, overlaps, spans_of
from edgeconv.runtime import Event

LABELS = ("A", "B", "C")
RATE_HZ = 10.0


def spans(text, delay=0):
    """Spans of letters, one a sample, dots for none: `AA.BB` is A [0, 2) and B [3, 5)."""
    edges = [i for i in range(len(text) + 1) if i in (0, len(text)) or text[i] != text[i - 1]]
    names = {"?": "unknown"}
    return tuple(
        Span(start, end, names.get(text[start], text[start]), start + delay)
        for start, end in pairwise(edges)
        if text[start] != "."
    )


def scores(truth, said, delay=0):
    return score_events([(spans(truth), spans(said, delay))], LABELS, RATE_HZ)


texts = st.lists(st.tuples(st.sampled_from("ABC?."), st.integers(1, 6)), max_size=12).map(
    lambda runs: "".join(letter * n for letter, n in runs)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(first=texts, second=texts)
def test_overlaps_are_those_of_the_samples(first, second):
    counted = {}
    for i, a in enumerate(spans(first)):
        for j, b in enumerate(spans(second)):
            common = len(set(range(a.start, a.end)) & set(range(b.start, b.end)))
            if common:
                counted[i, j] = common
    found = list(overlaps(spans(first), spans(second)))
    assert {(i, j): common for i, j, common in found} == counted
    assert [(i, j) for i, j, _ in found] == sorted(counted)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(truth=st.lists(texts, min_size=1, max_size=3))
def test_the_truth_against_itself_is_perfect(truth):
    recordings = [(spans(text), spans(text)) for text in truth]
    found = score_events(recordings, LABELS, RATE_HZ)
    segments = sum(span.label in LABELS for known, _ in recordings for span in known)
    assert found.overall == EventScore(segments, detected=segments, events=segments)
    unknown = sum(span.label == "unknown" for known, _ in recordings for span in known)
    assert found.per_label.get("unknown", EventScore(0)) == EventScore(unknown, detected=unknown, events=unknown)
    assert (found.changes, found.in_unknown, found.in_unlabelled) == (0, 0, 0)
    assert found.onset.segments == segments
    assert (found.onset.median_s, found.onset.p90_s) == ((0, 0) if segments else (None, None))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(truth=texts, said=texts)
def test_every_segment_and_every_event_is_counted_once(truth, said):
    found = scores(truth, said)
    for score in (found.overall, *found.per_label.values()):
        assert score.segments == score.detected + score.partial + score.missed
        assert score.detected + score.inserted <= score.events
        assert 0 <= min(score.precision, score.recall) <= score.f1 <= max(score.precision, score.recall) <= 1
    assert sum(score.events for score in found.per_label.values()) + found.in_unknown + found.in_unlabelled == len(
        spans(said)
    )
    assert sum(score.segments for score in found.per_label.values()) == len(spans(truth))
    assert 0 <= found.false_changes <= found.changes


def test_a_match_takes_more_than_half_of_what_both_cover_together():
    # 5 of 10 is not more than half, 6 of 10 is
    assert scores("AAAAAAAAAABB", "AAAAABBBBBBB").per_label["A"] == EventScore(1, partial=1, events=1)
    assert scores("AAAAAAAAAABB", "AAAAAABBBBBB").per_label["A"] == EventScore(1, detected=1, events=1)


def test_a_segment_in_pieces_is_fragmented_and_what_breaks_it_is_inserted():
    found = scores("AAAAAAAAAA", "AAAAAABAAA")
    assert found.per_label["A"] == EventScore(1, detected=1, fragmented=1, events=2)
    assert found.per_label["B"] == EventScore(0, events=1, inserted=1)
    assert found.overall == EventScore(1, detected=1, fragmented=1, events=3, inserted=1)
    assert (found.overall.precision, found.overall.recall, found.overall.f1) == pytest.approx((1 / 3, 1, 1 / 2))


def test_an_event_over_two_segments_merges_both_and_misses_what_lies_between():
    found = scores("AAABBAAAAA", "AAAAAAAAAA")
    # in common with the second segment: 5 of 10, with the first 3 of 10
    assert found.per_label["A"] == EventScore(2, partial=2, merged=2, events=1)
    assert found.per_label["B"] == EventScore(1, missed=1)


def test_time_without_a_label_is_held_against_nobody():
    found = scores("AAAA......BBBB", "AAAAAAACBBBBBB")
    assert found.overall == EventScore(2, detected=2, events=2)
    assert (found.in_unlabelled, found.in_unknown, found.changes) == (1, 0, 0)


def test_events_over_unknown_time_are_counted_apart_and_unknown_has_a_row_of_its_own():
    found = scores("AAAA????BBBB", "AAAACC?BBBBB")
    # `unknown`: 1 of 4 samples in common, so partly; C lies over unknown time alone
    assert found.overall == EventScore(2, detected=2, events=2)
    assert found.per_label["unknown"] == EventScore(1, partial=1, events=1)
    assert (found.in_unknown, found.in_unlabelled) == (1, 0)


def test_unknown_over_a_known_segment_is_an_inserted_unknown_and_no_wrong_label():
    found = scores("AAAAAAAA", "AAAAA???")
    assert found.overall == EventScore(1, detected=1, events=1)
    assert found.per_label["unknown"] == EventScore(0, events=1, inserted=1)


def test_onsets_are_late_or_early_and_known_later_still():
    found = scores("AAAAABBBBBCCCCC", "AAAAAAABBCCCCCC", delay=3)
    # A starts at 0 of 0, B at 7 of 5, C at 9 of 10 samples of 0.1 s
    assert found.onset.segments == 3
    assert found.onset.median_s == pytest.approx(0.0)
    assert found.onset.p90_s == pytest.approx(np.percentile([0.0, 0.2, -0.1], 90))
    assert found.known.median_s == pytest.approx(0.3)


def test_a_segment_that_goes_on_with_an_earlier_one_s_event_has_no_onset():
    assert scores("AABAA", "AAAAA").onset.segments == 1


@pytest.mark.parametrize(
    ("truth", "said", "changes", "false"),
    [
        ("AAAAABBBBB", "AAAAABBBBB", 0, 0),  # at the right moment: inside no segment
        ("AAAAABBBBB", "AAAAAAABBB", 1, 0),  # late
        ("AAAAABBBBB", "AAABBBBBBB", 1, 0),  # early
        ("AAAAABBBBB", "AABAABBBBB", 2, 2),  # there and back again
        ("AAAAABBBBB", "AAAACCCBBB", 2, 1),  # by way of a third: away to it is false, the first to B is not
        ("AAAAAAAAAA", "AAAAAAAACC", 1, 1),  # away, and nothing follows
        ("??????????", "AABBAABBAA", 0, 0),  # not judged
    ],
)
def test_a_change_inside_a_segment_is_false_unless_it_is_the_true_one_too_late_or_too_early(
    truth, said, changes, false
):
    found = scores(truth, said)
    assert (found.changes, found.false_changes) == (changes, false)
    seconds = sum(letter in LABELS for letter in truth) / RATE_HZ
    assert found.false_changes_per_hour == (pytest.approx(false * 3600 / seconds) if seconds else None)


def test_recordings_add_up_and_do_not_touch_one_another():
    one, other = (spans("AAAA"), spans("AAAB")), (spans("BBBB"), spans("BBBB"))
    both = score_events([one, other], LABELS, RATE_HZ)
    alone = [score_events([each], LABELS, RATE_HZ) for each in (one, other)]
    assert both.overall == alone[0].overall + alone[1].overall
    assert both.false_changes == 1


def test_predicted_events_have_the_samples_whose_moments_lie_in_them():
    event = Event("A", 0.0, 0.25, 1.0, 0.4, 1)
    after = replace(event, label="B", start_s=0.25, end_s=0.7)
    empty = replace(event, label="C", start_s=0.72, end_s=0.78)  # between two samples
    # samples at 0, .1, .2 | .3 … .6; 0.3 * 10 in float64 is 3 less nothing, 0.7 * 10 is 7
    assert spans_of([event, after, empty], 10.0) == (Span(0, 3, "A", 4), Span(3, 7, "B", 4))
