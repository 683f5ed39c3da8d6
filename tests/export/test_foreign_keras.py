"""What of a Keras model made elsewhere is refused, and which of its outputs answers."""

import shutil
import zipfile

import numpy as np
import pytest

from edgeconv.export.adopt import open_foreign
from edgeconv.runtime import (
    ArtefactError,
    ConversionError,
    MissingFileError,
    UsageError,
)


def test_a_lambda_is_code_and_is_refused_by_its_layer_s_name(theirs, keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([theirs.source(), layers.Lambda(lambda x: x * 2, name="doubling"), layers.Flatten(),
                              layers.Dense(theirs.CLASSES, activation="softmax")])  # fmt: skip
    with pytest.raises(ConversionError, match=r"doubling holds Python code \(a Lambda\).*keras.ops"):
        open_foreign(theirs.saved(model, tmp_path))


def test_a_layer_that_is_not_of_keras_is_refused_by_name_even_if_it_is_registered_here(theirs, keras, tmp_path):
    class Doubling(keras.layers.Layer):
        def call(self, values):
            return values * 2

    model = keras.Sequential([theirs.source(), Doubling(name="twice"), keras.layers.Flatten(),
                              keras.layers.Dense(theirs.CLASSES, activation="softmax")])  # fmt: skip
    for _ in range(2):
        with pytest.raises(ConversionError, match=r"twice \(Doubling\) is not of Keras itself"):
            open_foreign(theirs.saved(model, tmp_path))
        keras.saving.register_keras_serializable("ours")(Doubling)


def test_older_and_other_formats_are_refused_with_the_way_out(theirs, tmp_path):
    theirs.sequential().save(tmp_path / "old.h5")
    shutil.copyfile(tmp_path / "old.h5", tmp_path / "named.keras")
    for name in ("old.h5", "named.keras"):
        with pytest.raises(ArtefactError, match=r"is an HDF5 file.*load_model\('model.h5', compile=False\).save"):
            open_foreign(tmp_path / name)
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"is a SavedModel.*tf2onnx.convert --saved-model"):
        open_foreign(tmp_path / "graph")
    for name, telling in (
        ("net.tflite", "the .keras or .onnx file that it was made of"),
        ("net.pt", r"torch.onnx.export"),
    ):
        (tmp_path / name).write_bytes(b"anything")
        with pytest.raises(ArtefactError, match=telling):
            open_foreign(tmp_path / name)
    with pytest.raises(MissingFileError, match=r"none.keras is not a file"):
        open_foreign(tmp_path / "none.keras")


def test_the_way_out_of_hdf5_works(theirs, keras, tmp_path, windows):
    model = theirs.sequential()
    model.save(tmp_path / "model.h5")
    keras.models.load_model(tmp_path / "model.h5", compile=False).save(tmp_path / "model.keras")
    found = open_foreign(tmp_path / "model.keras").model
    np.testing.assert_array_equal(found.predict(windows, verbose=0), model.predict(windows, verbose=0))


def test_a_damaged_file_is_refused(theirs, tmp_path):
    whole = theirs.saved(theirs.sequential(), tmp_path)
    for content in (b"", b"rubbish", whole.read_bytes()[:-200]):
        (tmp_path / "broken.keras").write_bytes(content)
        with pytest.raises(ArtefactError, match=r"broken.keras is not a .keras file, or a damaged one"):
            open_foreign(tmp_path / "broken.keras")
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(tmp_path / "broken.keras", "w") as other:
        for name in archive.namelist():
            if not name.endswith(".h5"):
                other.writestr(name, archive.read(name))
    with pytest.raises(ArtefactError, match=r"that Keras [\d.]+ can load, saved with Keras [\d.]+ \("):
        open_foreign(tmp_path / "broken.keras")


def test_other_ends_than_windows_and_classes_are_refused(theirs, keras, tmp_path):
    layers, first, second = keras.layers, theirs.source(), theirs.source()
    two = keras.Model([first, second], layers.Flatten()(layers.Add()([first, second])))
    with pytest.raises(ConversionError, match=r"has 2 inputs \(.*\); it must take one"):
        open_foreign(theirs.saved(two, tmp_path))
    each = keras.Model(first, layers.Conv1D(theirs.CLASSES, 1, activation="softmax", name="each")(first))
    with pytest.raises(ConversionError, match=r"output each has shape \[\?, 40, 4\]; it must be \[batch, classes\]"):
        open_foreign(theirs.saved(each, tmp_path))
    image = keras.Input((8, 8, 1))
    with pytest.raises(ConversionError, match=r"input has shape \[\?, 8, 8, 1\]"):
        open_foreign(theirs.saved(keras.Model(image, layers.Dense(2)(layers.Flatten()(image))), tmp_path))
    text = keras.Input((1,), dtype="string")
    words = layers.TextVectorization(output_sequence_length=5, vocabulary=["a", "b"])
    value = layers.Flatten()(layers.Embedding(4, 2)(words(text)))
    with pytest.raises(ConversionError, match="the model reads strings"):
        open_foreign(theirs.saved(keras.Model(text, layers.Dense(2)(value)), tmp_path))
    flat = keras.Input((8,))
    with pytest.raises(ConversionError, match=r"input has shape \[\?, 8\].*Reshape in front"):
        open_foreign(theirs.saved(keras.Model(flat, layers.Dense(2)(flat)), tmp_path))


def test_several_outputs_are_listed_and_one_is_chosen_by_name(theirs, keras, tmp_path):
    path = theirs.saved(theirs.several(), tmp_path)
    with pytest.raises(UsageError, match=r"has several outputs; choose one with --output: awake, gait"):
        open_foreign(path)
    with pytest.raises(UsageError, match=r"has no output 'mood'; choose one with --output: awake, gait"):
        open_foreign(path, "mood")
    model = theirs.several()
    by_key = keras.Model(model.inputs, dict(zip(("state", "kind"), model.outputs, strict=True)))
    for name in ("kind", "gait"):  # by its key, and by its layer
        assert open_foreign(theirs.saved(by_key, tmp_path), name).ends.classes == theirs.CLASSES
