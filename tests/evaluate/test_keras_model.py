import io
import json
import os
import zipfile

import pytest

from edgeconv.evaluate.keras_model import KerasModel, held_back_stderr
from edgeconv.runtime import ArtefactError, MissingFileError


def test_a_missing_model_says_how_to_make_one(tmp_path):
    with pytest.raises(MissingFileError, match="edgeconv train"):
        KerasModel.load(tmp_path / "model.keras")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"rubbish")
    with pytest.raises(ArtefactError, match=r"is not a Keras model that Keras \d[\d.]+ can load \("):
        KerasModel.load(tmp_path / "model.keras")


def test_a_model_that_cannot_be_loaded_says_with_which_keras_it_was_saved(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "9.8.7"}))
        archive.writestr("config.json", "{}")
    (tmp_path / "model.keras").write_bytes(content.getvalue())
    with pytest.raises(ArtefactError, match=r"can load, saved with Keras 9\.8\.7 \("):
        KerasModel.load(tmp_path / "model.keras")


def test_code_inside_a_model_is_refused(tmp_path):
    from edgeconv.evaluate.keras_model import import_keras

    keras = import_keras()
    model = keras.Sequential([keras.Input((4, 1)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ArtefactError, match=r"model\.keras is not a Keras model"):
        KerasModel.load(tmp_path / "model.keras")


def test_what_libraries_write_to_stderr_is_shown_only_when_they_fail(capfd):
    with held_back_stderr():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""

    def fail():
        with held_back_stderr():
            os.write(2, b"the cause")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfd.readouterr().err == "the cause"
