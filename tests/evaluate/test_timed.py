"""Windows and time of labelled recordings: laws, and cases with every count written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.evaluate.answers import STRADDLES, UNLABELLED, answer, said_classes, true_classes
from edgeconv.evaluate.evaluation import evaluate
from edgeconv.evaluate.labelled import Segment, Truth
from edgeconv.evaluate.scores import score
from edgeconv.evaluate.spans import Span
from edgeconv.evaluate.timed import score_time
from edgeconv.runtime import Classifier, InputError, Smoothing, StreamClassifier
from edgeconv.runtime.sources.joined import Recording

LABELS = ("still", "walk", "run")  # those of the tiny model: windows of 4 samples at 10 Hz, hop 2
NAMES = (*LABELS, "unknown")


@pytest.fixture(scope="module")
def tiny(request):
    return Classifier.load(request.config.rootpath / "tests" / "runtime" / "models" / "tiny.onnx")


@pytest.fixture
def write(tmp_path):
    def write(name, timesteps, seed=0):
        samples = np.random.default_rng(seed).normal(0.3, 1.0, (timesteps, 2)).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", samples)
        return tmp_path / f"{name}.npy"

    return write


truths = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12), st.sampled_from(NAMES)), max_size=8)


def laid_out(parts):
    """Spans from gaps, lengths and labels."""
    found, at = [], 0
    for gap, length, label in parts:
        found.append(Span(at + gap, at + gap + length, label))
        at += gap + length
    return tuple(found)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(parts=truths, window=st.integers(1, 9), hop=st.integers(1, 5))
def test_a_window_s_true_class_is_the_definition_sample_by_sample(parts, window, hop):
    truth, starts = laid_out(parts), np.arange(0, 90, hop)
    expected = []
    for start in starts:
        inside = [span for span in truth if span.start <= start and start + window <= span.end]
        touched = any(span.start < start + window and start < span.end for span in truth)
        expected.append(NAMES.index(inside[0].label) if inside else STRADDLES if touched else UNLABELLED)
    assert true_classes(starts, window, truth, NAMES).tolist() == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(parts=truths, said=truths)
def test_time_adds_up_to_what_is_labelled(parts, said):
    truth, spoken = laid_out(parts), laid_out(said)
    found = score_time([(truth, spoken)], LABELS, 200, 10.0)
    known = sum(span.length for span in truth if span.label in LABELS) / 10
    unknown = sum(span.length for span in truth if span.label == "unknown") / 10
    assert (found.known_s, found.unknown_s) == (pytest.approx(known), pytest.approx(unknown))
    for label in NAMES:
        of_label = sum(span.length for span in truth if span.label == label) / 10
        assert sum(found.confusion_s[label].values()) == pytest.approx(of_label)
    right = sum(found.confusion_s[label][label] for label in LABELS)
    assert found.accuracy == (pytest.approx(right / known) if known else None)


def test_time_is_right_wrong_or_without_an_answer_to_the_sample():
    truth = (Span(0, 10, "walk"), Span(10, 14, "unknown"), Span(20, 25, "run"))
    said = (Span(0, 7, "walk"), Span(7, 22, "run"))
    found = score_time([(truth, said)], LABELS, 30, 10.0)
    assert found.recorded_s == 3.0
    assert found.known_s == 1.5
    assert found.unknown_s == 0.4
    assert found.accuracy == pytest.approx((7 + 2) / 15)
    assert found.unanswered_s == pytest.approx(0.3)
    assert found.recall == {"still": None, "walk": 0.7, "run": 0.4}
    assert found.confusion_s["unknown"]["run"] == 0.4
    assert found.confusion_s["run"]["no answer"] == 0.3


def test_windows_of_a_recording_are_scored_as_the_existing_scores_do(tiny, write):
    paths = {"one": write("one", 60), "two": write("two", 41, 1)}
    walk, run, dance = Segment(0, 2.4, "walk"), Segment(2.4, 4, "run"), Segment(4, 5.2, "dance")
    known = {"one": Truth((walk, run, dance), "s1"), "two": Truth((Segment(0, 4.1, "still"),), "s2")}
    found = evaluate(StreamClassifier(tiny), paths, known, Smoothing(majority=3))
    windows = found.raw.windows
    # of 29 windows of `one`, starting at 0, 2, … 56: walk to 20, run from 24 to 36, dance from 40 to 48, none from 52
    assert (windows.windows, windows.scored, windows.in_unknown) == (29 + 19, 11 + 7 + 19, 5)
    assert (windows.straddling, windows.unlabelled) == (3, 3)  # 22, 38, 50 and 52, 54, 56
    probabilities = np.concatenate([tiny.score(np.load(path)) for path in paths.values()])
    truth = np.concatenate([each.class_ids for each in found.answers])
    scored = truth >= 0
    scored &= truth < 3
    subjects = np.repeat([1, 2], [29, 19])
    expected = score(probabilities[scored], truth[scored], subjects[scored], LABELS)
    assert windows.accuracy == expected.accuracy
    assert windows.macro_f1 == expected.macro_f1
    assert windows.per_subject == {"s1": expected.per_subject[1], "s2": expected.per_subject[2]}
    assert windows.per_recording == {"one": expected.per_subject[1], "two": expected.per_subject[2]}
    assert windows.scores.per_class[:3] == expected.per_class
    for i, label in enumerate(LABELS):
        assert tuple(windows.confusion[label].values()) == (*expected.confusion[i], 0)
    assert sum(windows.confusion["unknown"].values()) == 5
    assert found.reliability.windows == windows.scored
    assert found.unknown_labels == ("dance",)


def test_without_smoothing_both_sides_say_the_same_and_what_the_classifier_says(tiny, write):
    found = evaluate(
        StreamClassifier(tiny, 3), {"a": write("a", 80)}, {"a": Truth((Segment(0, 8, "run"),), None)}, Smoothing()
    )
    assert found.raw == found.smoothed
    (answers,) = found.answers
    assert answers.raw == answers.smoothed
    assert said_classes(answers.raw, NAMES).tolist() == answers.probabilities.argmax(axis=1).tolist()
    np.testing.assert_allclose(answers.probabilities, tiny.score(np.load(write("a", 80)), 3), atol=1e-6)
    assert found.raw.windows.per_subject == {}


def test_a_known_label_can_be_taken_as_unknown(tiny, write):
    recordings = {"a": write("a", 80)}
    truth = {"a": Truth((Segment(0, 4, "run"), Segment(4, 8, "still")), None)}
    found = evaluate(StreamClassifier(tiny), recordings, truth, Smoothing(unknown=0.9), ["still"])
    # windows of run start at 0 … 36, one straddles, those of still start at 40 … 76
    assert (found.raw.windows.scored, found.raw.windows.in_unknown) == (19, 19)
    assert sum(found.raw.windows.confusion["still"].values()) == 0
    assert found.raw.windows.confusion["unknown"]["unknown"] == 0
    low = (found.answers[0].probabilities.max(axis=1) < 0.9)[20:].sum()
    assert found.smoothed.windows.confusion["unknown"]["unknown"] == low > 0


def test_what_a_recording_too_short_for_a_window_says_is_no_answer(tiny, write):
    found = evaluate(
        StreamClassifier(tiny), {"a": write("a", 3)}, {"a": Truth((Segment(0, 0.3, "run"),), None)}, Smoothing()
    )
    assert (found.raw.windows.windows, found.raw.windows.accuracy, found.reliability) == (0, None, None)
    assert (found.raw.time.accuracy, found.raw.time.unanswered_s) == (0.0, pytest.approx(0.3))
    assert found.raw.events.overall.missed == 1


def test_labels_beyond_the_end_are_left_out_and_told(tiny, write):
    truth = {"a": Truth((Segment(0, 3, "run"), Segment(3, 6, "walk")), None)}
    found = evaluate(StreamClassifier(tiny), {"a": write("a", 40)}, truth, Smoothing())
    assert found.beyond_s == {"a": pytest.approx(2.0)}
    assert found.raw.time.known_s == 4.0
    late = {"a": Truth((Segment(5, 6, "walk"),), None)}
    assert evaluate(StreamClassifier(tiny), {"a": write("a", 40)}, late, Smoothing()).raw.windows.unlabelled == 19


def test_recordings_and_labels_that_do_not_meet_are_told_or_refused(tiny, write):
    recordings = {"a": write("a", 40), "b": write("b", 40)}
    truth = {"a": Truth((Segment(0, 4, "run"),), None), "c": Truth((Segment(0, 4, "run"),), None)}
    found = evaluate(StreamClassifier(tiny), recordings, truth, Smoothing())
    assert (found.without_labels, found.without_recording) == (("b",), ("c",))
    with pytest.raises(InputError, match=r"the recordings are b, the labels are of a, c"):
        evaluate(StreamClassifier(tiny), {"b": recordings["b"]}, truth, Smoothing())
    with pytest.raises(InputError, match=r"the labels are swim; the model knows still, walk, run"):
        evaluate(StreamClassifier(tiny), recordings, {"a": Truth((Segment(0, 4, "swim"),), None)}, Smoothing())


def test_an_hour_of_samples_is_not_held_in_memory(tiny, tmp_path):
    import tracemalloc

    # 24 MB of samples; per window of 1000 samples' hop there are three probabilities
    with (tmp_path / "long.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (3_000_000, 2)})
        block = np.random.default_rng(0).normal(size=(100_000, 2)).astype("<f4").tobytes()
        for _ in range(30):
            file.write(block)
    tracemalloc.start()
    try:
        truth = Truth((Segment(0, 300_000, "run"),), None)
        recording = Recording("long", (tmp_path / "long.npy",))
        found = answer(StreamClassifier(tiny, 1000), recording, truth, Smoothing(hold_s=500))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(found.class_ids) == 3000
    assert peak < 8e6
