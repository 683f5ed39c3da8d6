"""Keras models made elsewhere become model folders and are exported like our own."""

import json

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.adopt import adopt, open_foreign
from edgeconv.export.pipeline import export
from edgeconv.export.said import complete_spec, said_by
from edgeconv.export.verify import verify
from edgeconv.runtime import (
    CheckError,
    ConversionError,
    InputError,
    ModelSpec,
    UsageError,
)
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train

FORMS = ["onnx", "dense", "stateful"]


@pytest.mark.parametrize(
    ("make", "output", "kept"),
    [("compiled", None, True), ("functional", None, True), ("nested", None, True), ("shared", None, True),
     ("free_window", None, False), ("several", "gait", False), ("in_a_dictionary", None, False)],
)  # fmt: skip
def test_a_model_of_others_becomes_a_folder_and_is_exported_in_every_onnx_form(
    theirs, tmp_path, proof, windows, make, output, kept
):
    model = getattr(theirs, make)()
    foreign = open_foreign(theirs.saved(model, tmp_path), output)
    spec = complete_spec(foreign.ends, theirs.SAID | {"window": theirs.WINDOW}, "net")
    folder = tmp_path / "net"
    adopt(foreign, spec, folder, windows=windows)
    assert sorted(path.name for path in folder.iterdir()) == [files.KERAS, files.ORIGIN, files.SPEC]
    dataset = proof(spec)
    certificate = export(folder, dataset, formats=FORMS)
    assert list(certificate["artefacts"]) == [files.ONNX, files.DENSE, files.STATEFUL]
    assert verify(folder, dataset).problems == ()
    expected = model.predict({"signal": windows} if make == "in_a_dictionary" else windows, verbose=0)
    expected = expected[1] if output else expected["gait"] if make == "in_a_dictionary" else expected
    np.testing.assert_array_equal(KerasModel.load(folder / files.KERAS).predict(windows), expected)
    origin = json.loads((folder / files.ORIGIN).read_text())
    assert origin["sha256"] == files.file_sha256(foreign.path)
    assert ((folder / files.KERAS).read_bytes() == foreign.path.read_bytes()) is kept is (origin["changes"] == [])
    card = (folder / files.CARD).read_text()
    assert "How it was trained is not known here" in card
    assert f"It came as `their.keras` (SHA-256 `{origin['sha256']}`)" in card
    assert all(change in card for change in origin["changes"])
    assert "None" not in card


def test_a_keras_model_in_memory_is_adopted_as_its_file_is(theirs, tmp_path, windows):
    model = theirs.sequential()
    spec = complete_spec(open_foreign(theirs.saved(model, tmp_path)).ends, theirs.SAID, "net")
    assert adopt(model, spec, tmp_path / "net", windows=windows) == spec
    np.testing.assert_array_equal(
        KerasModel.load(tmp_path / "net" / files.KERAS).predict(windows), model.predict(windows, verbose=0)
    )
    with pytest.raises(UsageError, match="the model is a dict; give a Keras model"):
        adopt({}, spec, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


# what is missing, and what disagrees


def test_everything_that_is_missing_is_listed_at_once(theirs, tmp_path):
    ends = open_foreign(theirs.saved(theirs.sequential(), tmp_path)).ends
    with pytest.raises(UsageError, match=r"--channels .*--sampling-rate.*--hop.*--labels.*; or --spec FILE") as seen:
        complete_spec(ends, {}, "net")
    assert "--window" not in str(seen.value)
    with pytest.raises(UsageError, match="give --hop") as seen:
        complete_spec(ends, {**theirs.SAID, "hop": None}, "net")
    assert "--channels" not in str(seen.value)
    ends = open_foreign(theirs.saved(theirs.free_window(), tmp_path)).ends
    with pytest.raises(UsageError, match="give --window"):
        complete_spec(ends, theirs.SAID, "net")


@pytest.mark.parametrize(
    ("said", "telling"),
    [
        (
            {"channels": [{"name": "x", "unit": "g"}, {"name": "y", "unit": "g"}]},
            r"input is \[batch, 40, 3\]; the spec says 2 channels",
        ),
        ({"window": 41}, r"input is \[batch, 40, 3\]; the spec says 3 channels and a window of 41 timesteps"),
        ({"labels": ["a", "b"]}, r"answers 4 classes, the spec has 2 labels \(a, b\)"),
        ({"input": "tokens", "channels": [], "vocabulary": 5}, "the model takes signal, the spec says tokens"),
    ],
)
def test_what_disagrees_with_the_model_is_said_from_both_sides(theirs, tmp_path, said, telling):
    foreign = open_foreign(theirs.saved(theirs.sequential(), tmp_path))
    good = complete_spec(foreign.ends, theirs.SAID, "net")
    changed = ModelSpec.from_json(json.dumps(json.loads(good.to_json()) | said), "here")
    with pytest.raises(InputError, match=telling):
        adopt(foreign, changed, tmp_path / "net")
    assert not list((tmp_path / "net").iterdir())


def test_a_data_set_of_ours_says_what_nobody_else_says(trained, dataset):
    ends = open_foreign(trained / files.KERAS).ends
    spec = complete_spec(ends, said_by(dataset) | {"hop": 32}, "walk")
    assert (spec.labels, spec.channels, spec.hop, spec.window) == (dataset.labels, dataset.channels, 32, 128)


# answers


def test_logits_are_not_called_probabilities_and_get_a_softmax_on_request(theirs, tmp_path, windows, proof):
    model = theirs.logits_model()
    foreign = open_foreign(theirs.saved(model, tmp_path))
    spec = complete_spec(foreign.ends, theirs.SAID, "net")
    folder = tmp_path / "net"
    with pytest.raises(CheckError, match=r"no probabilities: on 60 of 60 windows.*--logits"):
        adopt(foreign, spec, folder, windows=windows)
    assert not list(folder.iterdir())
    adopt(foreign, spec, folder)
    with pytest.raises(CheckError, match=r"no probabilities: on 60 of 60 windows.*--logits"):
        export(folder, proof(spec), formats=["onnx"])
    assert not (folder / files.ONNX).exists()
    adopt(foreign, spec, folder, windows=windows, logits=True, overwrite=True)
    answers = model.predict(windows, verbose=0)
    powers = np.exp(answers - answers.max(axis=1, keepdims=True))
    found = KerasModel.load(folder / files.KERAS).predict(windows)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)  # float32 softmax
    assert list(export(folder, proof(spec), formats=FORMS)["artefacts"]) == [files.ONNX, files.DENSE, files.STATEFUL]
    assert "softmax added" in (folder / files.CARD).read_text()


def test_a_softmax_is_not_added_to_probabilities(theirs, tmp_path, windows):
    foreign = open_foreign(theirs.saved(theirs.sequential(), tmp_path))
    with pytest.raises(UsageError, match="probabilities already; leave --logits out"):
        adopt(foreign, complete_spec(foreign.ends, theirs.SAID, "net"), tmp_path / "net", windows=windows, logits=True)


@pytest.mark.parametrize("logits", [False, True])
def test_one_number_becomes_the_probabilities_of_two_classes(theirs, tmp_path, windows, proof, logits):
    model = theirs.logits_model(1, None if logits else "sigmoid")
    foreign = open_foreign(theirs.saved(model, tmp_path))
    with pytest.raises(InputError, match=r"answers 1 classes \(one number, for two classes\), the spec has 4 labels"):
        complete_spec(foreign.ends, theirs.SAID, "net")
    spec = complete_spec(foreign.ends, theirs.SAID | {"labels": ["rest", "move"]}, "net")
    if logits:
        with pytest.raises(CheckError, match="no probabilities"):
            adopt(foreign, spec, tmp_path / "net", windows=windows)
    adopt(foreign, spec, tmp_path / "net", windows=windows, logits=logits)
    p = model.predict(windows, verbose=0)
    p = 1 / (1 + np.exp(-p)) if logits else p
    found = KerasModel.load(tmp_path / "net" / files.KERAS).predict(windows)
    np.testing.assert_allclose(found, np.concatenate([1 - p, p], axis=1), atol=1e-6)  # float32 sigmoid
    certificate = export(tmp_path / "net", proof(spec), formats=FORMS)
    assert list(certificate["artefacts"]) == [files.ONNX, files.DENSE, files.STATEFUL]


# the folder


def test_a_folder_in_use_is_not_overwritten_and_never_contradicts_itself(theirs, tmp_path, exported, windows):
    model = theirs.sequential()
    spec = complete_spec(open_foreign(theirs.saved(model, tmp_path)).ends, theirs.SAID, "net")
    with pytest.raises(
        UsageError, match=r"already holds a model \(model.keras\); choose another folder or give --overw"
    ):
        adopt(model, spec, exported)
    adopt(model, spec, exported, windows=windows, overwrite=True)
    assert sorted(path.name for path in exported.iterdir()) == [files.KERAS, files.ORIGIN, files.SPEC]
    dataset = synthetic_har(train_subjects=2, test_subjects=1)
    with pytest.raises(UsageError, match="already holds a trained model"):
        train(dataset, TrainConfig(repeats=1, epochs=1), exported)
    train(dataset, TrainConfig(repeats=1, epochs=1), exported, overwrite=True)
    assert sorted(path.name for path in exported.iterdir()) == [files.KERAS, files.SPEC, files.TRAINING]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; give a folder"):
        adopt(model, spec, tmp_path / "file")


def test_without_training_windows_int8_is_left_out_with_the_reason(theirs, tmp_path, proof, windows):
    model = theirs.sequential()
    spec = complete_spec(open_foreign(theirs.saved(model, tmp_path)).ends, theirs.SAID, "net")
    adopt(model, spec, tmp_path / "net", windows=windows)
    with pytest.raises(ConversionError, match="int8 ranges are measured on training windows, and own has none"):
        export(tmp_path / "net", proof(spec), formats=["onnx", "tflite-int8"])
    with pytest.raises(ConversionError, match=r"own has none$"):
        export(tmp_path / "net", proof(spec), formats=["tflite-int8"])
