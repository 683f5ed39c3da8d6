import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import (
    ArtefactError,
    Classifier,
    DeviceError,
    InputError,
    MissingFileError,
    Scorer,
    Stepper,
    StreamClassifier,
    StreamPool,
    UsageError,
    forms,
)
from edgeconv.runtime.binding import Bound
from edgeconv.runtime.devices import Device
from edgeconv.runtime.forms import form_file
from edgeconv.runtime.model_file import OpenModel

HOPS = [4, 1, 5, 15]
"""Hops that the committed forms have files for; the window is 12."""
MULTIPLY_ADDS = {hop: hop * 18 + 45 for hop in HOPS}
"""3 taps of 2 channels to 3 for each new sample, and 5 taps of 3 to 3 for the answer."""
NOISE = 1e-6
"""Probabilities of a network of 63 weights: float32 sums in two orders."""


@pytest.fixture
def folder(models, tmp_path):
    """The forms, in a folder of the test's own."""
    return shutil.copytree(models / "forms", tmp_path / "model")


@pytest.fixture(scope="session")
def every_form(models):
    """A classifier for which a step always pays, so that each form is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "WORTH_A_STEP", -1e9)
        classifier = Classifier.load(models / "forms")
        for hop in HOPS:
            assert classifier.forms(hop).stateful_for_one == (hop < 12)
    return classifier


@pytest.fixture(scope="session")
def windowed(models):
    """The same network window by window: a file brings no other forms."""
    return Classifier.load(models / "forms" / "model.onnx")


def drawn(seed, length):
    return np.random.default_rng(seed).normal(size=(length, 2)).astype(np.float32)


def rows(predictions):
    return np.array([p.probabilities for p in predictions]).reshape(-1, 3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    hop=st.sampled_from([*HOPS, 3]),  # there are no files for 3
    pushes=st.lists(st.integers(0, 9) | st.integers(0, 90), min_size=1, max_size=40),
    seed=st.integers(0, 2**16),
)
def test_whatever_form_answers_a_push_the_answers_are_the_windowed_ones(every_form, windowed, hop, pushes, seed):
    samples = drawn(seed, sum(pushes))
    expected = StreamClassifier(windowed, hop).push(samples)
    stream, got, at = StreamClassifier(every_form, hop), [], 0
    for size in pushes:
        got += stream.push(samples[at : at + size])
        at += size
    assert [(p.start_s, p.end_s) for p in got] == [(p.start_s, p.end_s) for p in expected]
    np.testing.assert_allclose(rows(got), rows(expected), atol=NOISE, rtol=0)


@pytest.mark.parametrize("hop", [*HOPS, 3])
@pytest.mark.parametrize("length", [0, 11, 12, 40, 333])
def test_score_is_a_row_for_every_window_with_and_without_a_dense_file(every_form, windowed, hop, length):
    samples = drawn(length, length)
    expected = windowed.score(samples, hop)
    assert len(expected) == max(0, (length - 12) // hop + 1)
    np.testing.assert_allclose(every_form.score(samples, hop), expected, atol=NOISE, rtol=0)


def test_score_s_hop_is_the_spec_s_and_a_bad_one_is_refused(every_form):
    samples = drawn(0, 50)
    np.testing.assert_array_equal(every_form.score(samples), every_form.score(samples, 4))
    with pytest.raises(UsageError, match="hop is 0"):
        every_form.score(samples, 0)


def test_the_windowed_form_answers_until_the_state_has_seen_a_window(every_form, monkeypatch):
    runs, run = [], OpenModel.run
    monkeypatch.setattr(OpenModel, "run", lambda model, *arrays: runs.append(arrays[0].shape[1]) or run(model, *arrays))
    stream, samples = StreamClassifier(every_form, 4), drawn(3, 12 + 4 * 5)
    for at in range(0, len(samples), 4):
        stream.push(samples[at : at + 4])
    # 12 timesteps are a window, 4 a step: the third step completes the state's first window.
    assert runs == [4, 12, 4, 12, 4, 4, 4, 4]


def test_reset_forgets_the_state(every_form):
    stream = StreamClassifier(every_form, 4)
    samples = drawn(4, 60)

    def pushed():
        return rows([p for at in range(0, 60, 4) for p in stream.push(samples[at : at + 4])])

    first = pushed()
    stream.push(samples[:30] * 100)
    stream.reset()
    np.testing.assert_array_equal(pushed(), first)


@pytest.mark.parametrize("saving", [300, 400, 500])
def test_a_step_is_taken_only_where_it_saves_enough(models, windowed, monkeypatch, saving):
    monkeypatch.setattr(forms, "WORTH_A_STEP", saving)
    saved = {hop: windowed.model.multiply_adds - MULTIPLY_ADDS[hop] for hop in HOPS}
    assert any(saved[hop] < saving for hop in HOPS)
    classifier = Classifier.load(models / "forms")
    for hop in HOPS:
        found = classifier.forms(hop)
        assert found.stateful.model.multiply_adds == found.dense.model.multiply_adds == MULTIPLY_ADDS[hop]
        assert found.stateful_for_one == (hop < 12 and saved[hop] >= saving)
    assert windowed.forms(4) == forms.Forms()


@pytest.mark.parametrize("form", ["dense", "stateful"])
def test_a_form_of_another_network_or_spec_is_refused(models, folder, form):
    shutil.copy(models / "forms" / f"{form}.hop1.onnx", folder / f"{form}.onnx")
    with pytest.raises(ArtefactError, match=rf"{form}.onnx has another spec than the windowed model beside it"):
        StreamClassifier(Classifier.load(folder))
    shutil.copy(models / "dense.onnx", folder / "dense.onnx")
    with pytest.raises(ArtefactError, match=r"dense.onnx is of another network than the windowed model beside it"):
        Classifier.load(folder).forms()


def test_a_damaged_form_is_refused_when_the_stream_begins(folder):
    (folder / "stateful.onnx").write_bytes(b"nothing")
    with pytest.raises(ArtefactError, match=r"stateful.onnx is not a model that ONNX Runtime can load"):
        StreamPool(Classifier.load(folder))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), hop=st.sampled_from([4, 1]), sizes=st.lists(st.integers(0, 30), max_size=8))
def test_int8_answers_the_same_from_every_form(models, seed, hop, sizes):
    classifier = Classifier.load(models / "forms", precision="int8")
    found = classifier.forms(hop)
    assert found.dense.model.network == found.stateful.model.network == classifier.model.network
    recording = drawn(seed, sum(sizes))
    stream, pool, pooled, at = StreamClassifier(classifier, hop), StreamPool(classifier, hop), [], 0
    streamed = []
    for size in sizes:
        streamed += stream.push(recording[at : at + size])
        pool.push("one", recording[at : at + size])
        pooled += [prediction for _, prediction in pool.run()]
        at += size
    starts = range(0, len(recording) - 11, hop)
    windows = np.array([recording[i : i + 12] for i in starts], np.float32).reshape(-1, 12, 2)
    expected = classifier.predict(windows)
    np.testing.assert_allclose(rows(streamed), expected, atol=NOISE, rtol=0)
    np.testing.assert_allclose(rows(pooled), expected, atol=NOISE, rtol=0)


def test_int8_is_of_another_network_than_float32_and_never_mixed_with_it(models, folder):
    exact, int8 = (Classifier.load(models / "forms", precision=precision) for precision in ("float32", "int8"))
    assert exact.model.network != int8.model.network
    windows = drawn(3, 120).reshape(-1, 12, 2)
    assert 1e-6 < np.abs(exact.predict(windows) - int8.predict(windows)).max() < 0.1
    assert int8.forms(5) == forms.Forms(), "the float32 files at this hop are not taken"
    shutil.copy(folder / "dense.onnx", folder / "dense.int8.onnx")
    with pytest.raises(ArtefactError, match=r"dense.int8.onnx is of another network than the windowed model beside it"):
        Classifier.load(folder, precision="int8").forms()


def test_every_form_alone_can_be_loaded_in_int8(models):
    scorer, stepper = (kind.load(models / "forms", precision="int8") for kind in (Scorer, Stepper))
    alone = Classifier.load(models / "forms" / "model.int8.onnx")
    assert scorer.model.network == stepper.model.network == alone.model.network


@pytest.mark.parametrize(("kind", "format_"), [(Classifier, "onnx"), (Scorer, "dense"), (Stepper, "stateful")])
def test_a_folder_without_the_int8_file_names_the_command_that_writes_it(folder, kind, format_):
    for path in folder.glob("*.int8.onnx"):
        path.unlink()
    with pytest.raises(MissingFileError, match=rf"`edgeconv export .* --format {format_}-int8` writes it"):
        kind.load(folder, precision="int8")


def test_a_precision_that_no_file_has_is_refused(folder):
    with pytest.raises(UsageError, match="precision is 'int4'; ONNX files are float32 or int8"):
        Classifier.load(folder, precision="int4")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_int8_runs_on_the_processor_only_whatever_the_file_is_called(folder, device):
    (folder / "model.int8.onnx").rename(folder / "renamed.onnx")
    with pytest.raises(DeviceError, match="is int8 and runs on the processor only"):
        Classifier.load(folder / "renamed.onnx", device)
    assert Classifier.load(folder / "renamed.onnx", "auto").device == "cpu"


def test_each_hop_has_a_file_name(every_form):
    spec = every_form.spec
    assert [form_file("dense", hop, spec) for hop in (4, 8)] == ["dense.onnx", "dense.hop8.onnx"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    hop=st.sampled_from([*HOPS, 3]),
    pushes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=60),
    run_every=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_a_pool_gives_every_stream_the_answers_it_has_alone(every_form, windowed, hop, pushes, run_every, seed):
    pool, alone = StreamPool(every_form, hop), {}
    got, expected = {}, {}
    for i, (name, size) in enumerate(pushes):
        samples = drawn(seed + i, size)
        pool.push(name, samples)
        stream = alone.setdefault(name, StreamClassifier(windowed, hop))
        expected.setdefault(name, []).extend(stream.push(samples))
        if i % run_every == 0:
            for stream_name, prediction in pool.run():
                got.setdefault(stream_name, []).append(prediction)
    for stream_name, prediction in pool.run():
        got.setdefault(stream_name, []).append(prediction)
    assert len(pool) == len(alone)
    for name, predictions in expected.items():
        mine = got.get(name, [])
        assert [p.start_s for p in mine] == [p.start_s for p in predictions]
        np.testing.assert_allclose(rows(mine), rows(predictions), atol=NOISE, rtol=0)


@pytest.mark.parametrize("hop", [4, 3])
def test_a_stream_that_comes_again_after_it_was_dropped_begins_anew(every_form, hop):
    pool, samples = StreamPool(every_form, hop), drawn(5, 100)
    for name in range(200):  # more than there is room for at first
        pool.push(name, samples[:50])
    pool.run()
    pool.drop(7)
    assert 7 not in pool
    assert len(pool) == 199
    pool.push(7, samples)
    pool.push("new", samples)
    answers = {name: [p for n, p in done if n == name] for done in [pool.run()] for name in (7, "new")}
    np.testing.assert_allclose(rows(answers[7]), rows(answers["new"]), atol=NOISE)
    assert answers[7][0].start_s == 0
    np.testing.assert_allclose(rows(answers[7]), every_form.score(samples, hop), atol=NOISE)
    with pytest.raises(KeyError):
        pool.drop(8000)


def test_a_pool_refuses_bad_samples_and_keeps_the_stream(every_form):
    pool, samples = StreamPool(every_form), drawn(6, 20)
    pool.push("a", samples[:11])
    with pytest.raises(InputError, match=r"shape \[3, 5\]; expected \[n, 2\]"):
        pool.push("a", np.zeros((3, 5)))
    with pytest.raises(InputError, match="nan at index"):
        pool.push("a", np.full((3, 2), np.nan))
    assert "b" not in pool
    pool.push("a", samples[11:])
    np.testing.assert_allclose(rows([p for _, p in pool.run()]), every_form.score(samples), atol=NOISE)


def test_a_pool_says_what_a_stream_takes(every_form, windowed):
    stepper = every_form.forms(4).stateful
    assert StreamPool(every_form).bytes_per_stream == 4 * 4 * 2 + stepper.state_bytes
    assert StreamPool(windowed).bytes_per_stream == 4 * 12 * 2


def test_with_values_kept_on_the_device_the_answers_are_the_same(models, every_form):
    """What runs on CUDA, here on the processor: the state goes round without coming back as an array."""
    samples = drawn(8, 100)
    stepper = every_form.forms(4).stateful
    bound = replace(stepper.model, bound=Bound(stepper.model.session, Device("cpu")))
    state, kept = stepper.start(1), Stepper(bound).start(1)
    for at in range(0, 100, 4):
        expected, state = stepper.step(samples[None, at : at + 4], state)
        answer, kept = Stepper(bound).step(samples[None, at : at + 4], kept)
        np.testing.assert_array_equal(answer, expected)
    assert not any(isinstance(value, np.ndarray) for value in kept)
    model = replace(every_form.model, bound=Bound(every_form.model.session, Device("cpu")))
    windows = np.stack([samples[i : i + 12] for i in range(0, 88, 4)])
    np.testing.assert_array_equal(Classifier(model).predict(windows), every_form.predict(windows))
