"""The layer that normalises first: its constants are the spec's, and an int8 file leaves it to its caller."""

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.tflite import TfliteModel, normalise
from edgeconv.export import tflite_child
from edgeconv.export.adopt import adopt, open_foreign
from edgeconv.export.normalisation import leading_normalisation, without_normalisation
from edgeconv.export.said import complete_spec, said_by
from edgeconv.export.tflite_metadata import embed
from edgeconv.runtime import (
    InputError,
)


def test_the_spec_has_the_constants_of_the_layer_that_normalises_first_wherever_it_is(theirs, tmp_path):
    foreign = open_foreign(theirs.saved(theirs.nested(), tmp_path))
    spec = adopt(foreign, complete_spec(foreign.ends, theirs.SAID, "net"), tmp_path / "net")
    assert [(c.mean, c.std) for c in spec.channels] == [(1.0, 2.0), (2.0, 1.0), (3.0, 3.0)]
    given = [{**channel, "mean": 5.0} for channel in theirs.SAID["channels"]]
    with pytest.raises(InputError, match=r"subtracts \[1.0, 2.0, 3.0\].*the spec says \[5.0, 5.0, 5.0\]"):
        adopt(foreign, complete_spec(foreign.ends, theirs.SAID | {"channels": given}, "net"), tmp_path / "other")
    plain = open_foreign(theirs.saved(theirs.sequential(), tmp_path))
    with pytest.raises(InputError, match="its first layer is no Normalization"):
        adopt(plain, complete_spec(plain.ends, theirs.SAID | {"channels": given}, "net"), tmp_path / "other")


def test_only_a_normalisation_that_alone_sees_the_input_by_channel_is_taken_out(theirs, keras, windows):
    layers = keras.layers
    normalising = {"mean": [1.0, 2, 3], "variance": [4.0, 1, 9]}
    x = theirs.source()
    norm = layers.Normalization(**normalising)
    for model in (
        theirs.nested(),
        keras.Sequential([x, norm, layers.Flatten()]),
        keras.Model(x, layers.Flatten()(norm(x))),
    ):
        assert leading_normalisation(model) is not None
        without = without_normalisation(model).predict((windows - [1, 2, 3]) / [2, 1, 3], verbose=0)
        # a division more or less in float32
        np.testing.assert_allclose(without, model.predict(windows, verbose=0), atol=1e-5)
    twice = keras.Model(x, layers.Add()([norm(x), norm(layers.Activation("relu")(norm(x)))]))
    beside = keras.Model(x, layers.Concatenate()([layers.Normalization(**normalising)(x), x]))
    by_place = layers.Normalization(
        axis=(1, 2), mean=np.ones((theirs.WINDOW, theirs.CHANNELS)), variance=np.ones((theirs.WINDOW, theirs.CHANNELS))
    )
    later = keras.Model(x, layers.Normalization(**normalising)(layers.Dropout(0.5)(x)))
    back = keras.Sequential([x, layers.Normalization(**normalising, invert=True)])
    for model in (twice, beside, keras.Sequential([x, by_place]), later, back):
        assert leading_normalisation(model) is None
        assert without_normalisation(model) is model


@pytest.mark.parametrize("first", [True, False])
def test_the_int8_file_takes_what_the_spec_says_wherever_the_network_normalises(
    theirs, keras, tmp_path, trained, dataset, first
):
    """Stripped of its normalisation and not given normalised windows, or the other way round, it would know nothing."""
    layers, x = keras.layers, keras.Input((128, 9))
    model = KerasModel.load(trained / files.KERAS).model
    model = keras.Model(x, model(x if first else layers.Dropout(0.1)(x)))
    spec = complete_spec(open_foreign(theirs.saved(model, tmp_path)).ends, said_by(dataset), "walk")
    spec = adopt(model, spec, tmp_path / "net", windows=dataset.test.windows)
    assert spec.normalises is first
    rows = np.random.default_rng(0).permutation(len(dataset.train))[:256]
    np.savez(tmp_path / "calibration.npz", calibration=normalise(dataset.train.windows[rows], spec))
    # What runs in a process of its own otherwise: loading TensorFlow once more would double the time.
    names = str(tmp_path / "net" / files.KERAS), str(tmp_path / "calibration.npz")
    ready, windows = tflite_child.prepared(*names)
    (tmp_path / files.INT8_TFLITE).write_bytes(
        embed(tflite_child.convert(ready, "int8", windows), spec, normalised=True)
    )
    found = TfliteModel.load(tmp_path / files.INT8_TFLITE, spec)
    assert found.is_int8
    windows = dataset.test.windows[::2]
    agreement = found.predict(windows).argmax(axis=1) == model.predict(windows, verbose=0).argmax(axis=1)
    assert agreement.mean() > 0.95  # 0.986 and 0.977 were seen; one class of six is right by chance
