"""A model that reads token ids: whole texts are answered, and everything that needs samples says that it cannot."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeconv.runtime import (
    ArtefactError,
    Classifier,
    ConversionError,
    InputError,
    ModelSpec,
    StreamClassifier,
    StreamPool,
)
from edgeconv.runtime.spec import METADATA_KEY

SPEC = ModelSpec("texts", "1", (), 1.0, 4, 4, ("no", "yes"), input="tokens", vocabulary=8)


@pytest.fixture(scope="module")
def texts(models):
    return Classifier.load(models / "tokens.onnx")


def test_texts_are_answered_as_by_hand_in_any_integer_type(texts, by_hand):
    tokens = np.random.default_rng(0).integers(0, 8, (70, 4))
    counts = np.stack([np.bincount(row, minlength=8) for row in tokens]).reshape(-1, 4, 2)
    for dtype in (np.int32, np.int64, np.uint8):
        # float32 sums of whole numbers are exact; the softmax is float32
        np.testing.assert_allclose(texts.predict(tokens.astype(dtype)), by_hand(counts), atol=1e-6)
    assert texts.predict([[0, 1, 2, 3]]).shape == (1, 3)
    assert texts.predict(np.empty((0, 4), int)).shape == (0, 3)


@pytest.mark.parametrize(
    ("tokens", "telling"),
    [
        ([[0, 1, 2, 8]], r"the id 8 at index \[0, 3\]; expected ids from 0 to 7"),
        ([[0, 1, 2, 3], [0, -1, 2, 3]], r"the id -1 at index \[1, 1\]"),
        ([[0.0, 1.0, 2.0, 3.0]], "dtype float64; expected integer ids"),
        ([0, 1, 2, 3], r"shape \[4\]; expected \[n, 4\]; for one text use tokens\[None\]"),
        ([[0, 1, 2]], r"shape \[1, 3\]; expected \[n, 4\]; pad or cut"),
        ([[0, 1], [2]], "not a rectangular array of ids"),
        ([[2**40, 0, 0, 0]], "the id 1099511627776"),
    ],
)
def test_what_is_no_text_of_the_vocabulary_is_refused(texts, tokens, telling):
    with pytest.raises(InputError, match=telling):
        texts.predict(tokens)


def test_what_needs_samples_names_the_model_and_the_reason(texts):
    for what in (lambda: StreamClassifier(texts), lambda: StreamPool(texts), lambda: texts.score([[1.0]])):
        with pytest.raises(
            ConversionError, match=r"is for signals, and model 'tokens' reads texts of 4 tokens"
        ) as seen:
            what()
        assert seen.value.exit_code == 7


def test_a_spec_of_tokens_reads_back_and_one_of_a_signal_is_written_as_before():
    assert ModelSpec.from_json(SPEC.to_json(), "here") == SPEC
    assert SPEC.window_shape == (4,)
    signal = ModelSpec("s", "1", ModelSpec.from_json(_old(), "here").channels, 50.0, 4, 2, ("a", "b"))
    assert not {"input", "vocabulary"} & set(json.loads(signal.to_json()))
    assert (signal.input, signal.vocabulary, signal.window_shape) == ("signal", None, (4, 1))


def _old():
    """What was written before there were tokens."""
    return json.dumps({"spec_version": 1, "name": "s", "version": "1", "channels": [{"name": "a", "unit": "g"}],
                       "sampling_rate_hz": 50.0, "window": 4, "hop": 2, "labels": ["a", "b"]})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ({"vocabulary": None}, "need a vocabulary"),
        ({"vocabulary": 0}, "need a vocabulary"),
        ({"input": "signal"}, "a signal has no vocabulary"),
        ({"input": "image"}, "must be 'signal' or 'tokens'"),
        ({"input": "signal", "vocabulary": None}, "it has no channels"),
    ],
)
def test_a_spec_that_is_half_one_and_half_the_other_is_refused(change, telling):
    with pytest.raises(ArtefactError, match=telling):
        replace(SPEC, **change)


def test_a_graph_of_floats_is_not_one_of_tokens(models, tmp_path):
    content = (models / "tiny.onnx").read_bytes()
    signal = Classifier.load(models / "tiny.onnx").model.metadata[METADATA_KEY].encode()
    tokens = Classifier.load(models / "tokens.onnx").model.metadata[METADATA_KEY].encode()
    # As long as the one that was there, so that no length in the file changes.
    (tmp_path / "model.onnx").write_bytes(content.replace(signal, tokens.ljust(len(signal))))
    assert len(tokens) <= len(signal)
    with pytest.raises(
        ArtefactError, match=r"the graph has windows tensor\(float\).*the spec says tokens \[batch, 4\]"
    ):
        Classifier.load(tmp_path / "model.onnx")
