"""Text classifiers: they read token ids, are exported window by window, and everything for signals names them."""

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.data import load_arrays
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.export.adopt import adopt, open_foreign
from edgeconv.export.pipeline import export
from edgeconv.export.said import complete_spec
from edgeconv.export.verify import verify
from edgeconv.runtime import Classifier, ConversionError, InputError, UsageError

WINDOW, VOCABULARY = 12, 30
GOOD, BAD = range(3, 8), range(8, 13)
"""Ids of words of praise and of blame; 0 is padding, the others mean nothing."""


def texts(n, seed):
    """Return token ids [n, 12] and whether there is more praise than blame in them."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(13, VOCABULARY, (n, WINDOW))
    class_ids = rng.integers(0, 2, n)
    for row, class_id in zip(tokens, class_ids, strict=True):
        row[rng.choice(WINDOW, 3, replace=False)] = rng.choice(GOOD if class_id else BAD, 3)
        row[WINDOW - rng.integers(0, 3) :] = 0
    return tokens, class_ids


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.npz"
    (train, train_ids), (test, test_ids) = texts(400, 1), texts(200, 2)
    np.savez(path, train_windows=train, train_class_ids=train_ids, train_subjects=np.zeros(400, int), synthetic=True,
             test_windows=test, test_class_ids=test_ids, test_subjects=np.ones(200, int))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model_file(arrays, tmp_path_factory):
    """A text classifier trained on the generated texts."""
    keras = import_keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((WINDOW,), dtype="int32"), layers.Embedding(VOCABULARY, 8),
         layers.Conv1D(16, 3, activation="relu"), layers.GlobalMaxPooling1D(), layers.Dense(2, activation="softmax")]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    data = np.load(arrays)
    model.optimizer.learning_rate = 0.02
    model.fit(data["train_windows"], data["train_class_ids"], epochs=6, batch_size=32, verbose=0)
    path = tmp_path_factory.mktemp("net") / "texts.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def exported(model_file, arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adopted") / "texts"
    foreign = open_foreign(model_file)
    spec = complete_spec(foreign.ends, {"labels": ["blame", "praise"]}, "texts")
    dataset = load_arrays(arrays, spec)
    adopt(foreign, spec, folder, windows=dataset.test.windows)
    return folder, dataset, export(folder, dataset)


def test_what_the_model_says_itself_is_not_asked_for(model_file):
    ends = open_foreign(model_file).ends
    assert (ends.input, ends.window, ends.vocabulary, ends.classes) == ("tokens", WINDOW, VOCABULARY, 2)
    with pytest.raises(UsageError, match="give --labels") as seen:
        complete_spec(ends, {}, "texts")
    assert "--channels" not in str(seen.value)
    with pytest.raises(InputError, match="looks up 30 token ids, the spec says a vocabulary of 31"):
        complete_spec(ends, {"labels": ["a", "b"], "vocabulary": 31}, "texts")
    with pytest.raises(InputError, match="takes texts of 12 tokens, the spec says 13"):
        complete_spec(ends, {"labels": ["a", "b"], "window": 13}, "texts")


def test_whole_texts_are_exported_to_onnx_and_tflite_and_the_rest_is_left_out_by_name(exported):
    folder, dataset, certificate = exported
    assert {files.ONNX, files.TFLITE} <= set(certificate["artefacts"])
    for name in (files.ONNX, files.TFLITE):
        entry = certificate["artefacts"][name]
        assert entry["accuracy"] == entry["reference_accuracy"] > 0.9
        assert entry["max_abs_diff"] < 1e-5
    for name in (files.DENSE, files.STATEFUL):
        assert "reads texts of 12 tokens" in certificate["left_out"][name]
    assert "token ids are no quantities" in certificate["left_out"][files.INT8_TFLITE]
    assert verify(folder, dataset).problems == ()
    with pytest.raises(ConversionError, match="reads texts of 12 tokens"):
        export(folder, dataset, formats=["dense"])


def test_the_runtime_answers_texts_as_keras_does(exported, model_file):
    folder, dataset, _ = exported
    classifier = Classifier.load(folder)
    expected = import_keras().models.load_model(model_file).predict(dataset.test.windows, verbose=0)
    np.testing.assert_allclose(classifier.predict(dataset.test.windows), expected, atol=1e-5)  # the limit of a copy
    (end,) = classifier.model.session.get_inputs()
    assert (end.name, end.type, end.shape) == ("tokens", "tensor(int32)", ["batch", WINDOW])
    with pytest.raises(InputError, match="the id 30 at index"):
        classifier.predict(np.full((1, WINDOW), VOCABULARY))


def test_the_card_says_what_the_ids_are_and_nothing_of_channels(exported):
    card = (exported[0] / files.CARD).read_text()
    assert "windows of 12 token ids" in card
    assert "int32 from 0 to 29" in card
    assert "channel" not in card
    assert "synthetic: generated" in card
