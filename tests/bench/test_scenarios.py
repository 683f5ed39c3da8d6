"""The contestants in this process: that they do what they say; and the judging of their answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeconv.bench import contestants, real_time
from edgeconv.bench.contestants import QUERIES, Job, begin_stream
from edgeconv.bench.recording import generate_recording
from edgeconv.bench.scenarios import SCENARIOS, find_forms, judge
from edgeconv.runtime import Channel, CheckError, Classifier


@pytest.fixture
def classifier(model):
    return Classifier.load(model)


@pytest.fixture
def job(model, classifier, tmp_path):
    np.save(tmp_path / "recording.npy", generate_recording(classifier.spec, 6, 1))
    return Job(
        file=str(model / "model.onnx"), model=str(model), recording=str(tmp_path / "recording.npy"),
        device="cpu", threads=1, hop=2, windows=50, streams=7, packet=3, seed=1,
    )  # fmt: skip


def cut(classifier, job, windows):
    samples = generate_recording(classifier.spec, 4 + (windows - 1) * job.hop, job.seed)
    return np.array([samples[i * job.hop : i * job.hop + 4] for i in range(windows)])


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("make", [contestants.predict_one_window, contestants.push_one_hop])
def test_single_queries_answer_every_window(classifier, job, make, hop):
    job = replace(job, hop=hop)
    contestant = make(job)
    # the same graph on the same windows in other batches: rounding of the sums at most
    np.testing.assert_allclose(contestant.check(), classifier.predict(cut(classifier, job, QUERIES)), atol=1e-6)
    assert contestant.units == 1
    assert contestant.facts == {"device": "cpu", "provider": "CPUExecutionProvider"}
    for _ in range(QUERIES + 2):  # goes round
        assert len(contestant.run()) == 1


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (contestants.score_one_window, "dense.onnx"),
        (contestants.predict_recording, "model.onnx"),
        (contestants.score_recording, "dense.onnx"),
    ],
)
def test_other_forms_answer_the_same_windows(classifier, job, model, make, form):
    job = replace(job, file=str(model / form))
    contestant = make(job)
    windows = int(max(contestant.units, QUERIES)) if contestant.units == 1 else job.windows
    np.testing.assert_allclose(contestant.check(), classifier.predict(cut(classifier, job, windows)), atol=1e-6)
    assert len(contestant.run()) == contestant.units


@pytest.mark.parametrize("hop", [1, 2, 3, 4, 5, 9])
def test_a_stream_that_has_begun_answers_every_hop(classifier, job, hop):
    job = replace(job, hop=hop)
    samples = generate_recording(classifier.spec, 4 + 20 * hop, 1)
    stream = begin_stream(classifier, job, samples)
    assert [len(stream.push(samples[i : i + hop])) for i in range(0, 10 * hop, hop)] == [1] * 10


@pytest.mark.parametrize(("hop", "packet"), [(2, 3), (64, 32), (5, 1), (3, 40)])
def test_sensors_out_of_step_complete_about_as_many_windows_in_each_run(job, monkeypatch, hop, packet):
    job = replace(job, hop=hop, packet=packet, streams=30)
    seen = []
    push = real_time.begin_stream

    def begin(*arguments, **options):
        stream = push(*arguments, **options)
        original = stream.push
        stream.push = lambda samples: seen.append(len(original(samples)))
        return stream

    monkeypatch.setattr(real_time, "begin_stream", begin)
    contestant = real_time.push_packets(job)
    counts = []
    for _ in range(8):
        seen.clear()
        contestant.run()
        assert len(seen) == 30
        counts.append(sum(seen))
    assert contestant.units == pytest.approx(30 * packet / hop)
    assert np.abs(np.array(counts) - contestant.units).max() <= 2  # of 14 or more
    assert contestant.check().shape == ((4 + (QUERIES - 1) * hop - 4) // hop + 1, 3)


def test_paced_pushes_wait_until_their_samples_are_due(job):
    contestant = real_time.push_on_time(job)
    assert contestant.own_clock
    # hop 2 at 10 Hz: an answer every 0.2 s, so two sensors give one every 0.1 s
    assert contestant.facts["sensors"] == 2
    assert contestant.facts["deadline_ms"] == pytest.approx(200)
    took = contestant.run()
    late_ms = contestant.facts["due_to_answer_ms"]
    assert len(took) == len(late_ms) == contestant.units == 10
    # An answer cannot come before it is due, nor earlier after that than computing it takes.
    assert all(late >= 1e3 * seconds for late, seconds in zip(late_ms, took, strict=True))


def test_a_cold_start_is_timed_to_the_first_answer(job, classifier):
    contestant = real_time.start_and_answer(job)
    samples = np.load(job.recording)
    np.testing.assert_allclose(contestant.check(), classifier.predict(samples[None, :4]), atol=1e-6)
    (seconds,) = contestant.run()
    assert seconds > 0


def test_a_start_that_fails_says_what_the_command_said(job):
    contestant = real_time.start_and_answer(replace(job, model="gone.onnx"))
    with pytest.raises(CheckError, match=r"exit code 3 and said: edgeconv: error: gone.onnx is not there"):
        contestant.run()


def test_every_scenario_has_contestants_whose_forms_exist(model, classifier):
    forms = find_forms(model, classifier.spec, 2)
    for scenario in SCENARIOS.values():
        assert {form for form, _ in scenario.contestants.values()} <= set(forms)


def test_where_the_forms_of_a_model_lie(model, classifier):
    spec = classifier.spec
    assert find_forms(model, spec, 2) == {
        "windows": model / "model.onnx", "dense": model / "dense.onnx", "stateful": model / "stateful.onnx",
    }  # fmt: skip
    assert find_forms(model, spec, 16)["dense"] == model / "dense.hop16.onnx"
    assert find_forms(model / "model.onnx", spec, 2) == {"windows": model / "model.onnx"}


GOOD = np.array([[0.2, 0.8], [0.5, 0.5]], np.float32)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (GOOD, None),
        (GOOD + np.float32([[1e-5, -1e-5], [0, 0]]), None),
        (GOOD + np.float32([[1e-3, -1e-3], [0, 0]]), "the answers differ from those of first by up to 0.001"),
        (GOOD[::-1], "the answers differ from those of first by up to 0.3"),
        (GOOD[:1], "1 answers where first gave 2"),
        (GOOD * 2, "the answers are no probabilities"),
        (np.full((2, 2), np.nan, np.float32), "the answers are no probabilities"),
        (np.empty((0, 2), np.float32), "0 answers where first gave 2"),
    ],
)
def test_answers_are_judged_by_those_of_the_first(answer, problem):
    assert judge({"first": GOOD, "other": answer}) == ({} if problem is None else {"other": problem})


def test_a_first_contestant_without_probabilities_is_wrong_itself():
    assert set(judge({"first": GOOD * 2, "other": GOOD})) == {"first", "other"}


def test_the_signal_lies_in_the_ranges_of_the_spec_and_comes_of_its_seed(classifier):
    channels = (Channel("a", "g", minimum=-1, maximum=3), Channel("b", "g", mean=10, std=2))
    spec = replace(classifier.spec, channels=channels, triads=())
    samples = generate_recording(spec, 5000, 1)
    assert samples.dtype == np.float32
    assert samples.shape == (5000, 2)
    low, high = samples.min(axis=0), samples.max(axis=0)
    assert (low >= [-1, 6]).all()
    assert (high <= [3, 14]).all()
    assert ((high - low) > 0.8 * np.array([4, 8])).all()
    np.testing.assert_array_equal(generate_recording(spec, 5000, 1), samples)
    assert (generate_recording(spec, 5000, 2) != samples).any()
