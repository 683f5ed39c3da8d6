import json

import numpy as np
import onnx
import pytest

from edgeconv import folder as files
from edgeconv.evaluate.compare import compare
from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.evaluate.limits import limits_of
from edgeconv.export.onnx import OPSETS, to_onnx, write_spec
from edgeconv.runtime import Channel, Classifier, ConversionError, ModelSpec, UsageError
from edgeconv.runtime.spec import METADATA_KEY


@pytest.fixture(scope="module")
def model(trained_once):
    return KerasModel.load(trained_once / files.KERAS)


@pytest.fixture(scope="module")
def spec(trained_once):
    return ModelSpec.load(trained_once / files.SPEC)


def dimensions(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_the_graph_has_the_promised_ends_and_carries_the_spec(model, spec):
    proto = onnx.load_from_string(to_onnx(model.model, spec))
    (windows,), (probabilities,) = proto.graph.input, proto.graph.output
    assert (windows.name, dimensions(windows)) == ("windows", ["batch", 128, 9])
    assert (probabilities.name, dimensions(probabilities)) == ("probabilities", ["batch", 6])
    assert {e.type.tensor_type.elem_type for e in (windows, probabilities)} == {onnx.TensorProto.FLOAT}
    assert {o.domain: o.version for o in proto.opset_import}[""] == 17
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(metadata[METADATA_KEY]) == json.loads(spec.to_json())
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_on_offer_gives_the_same_answers(model, spec, dataset, tmp_path, opset):
    (tmp_path / "model.onnx").write_bytes(to_onnx(model.model, spec, opset))
    windows, truth = dataset.test.windows[::9], dataset.test.class_ids[::9]
    seen = compare(model.predict(windows), Classifier.load(tmp_path).predict(windows), truth)
    assert not seen.violations(limits_of("model.onnx"))


@pytest.mark.parametrize("opset", [OPSETS.start - 1, OPSETS.stop])
def test_other_opsets_are_refused(model, spec, opset):
    with pytest.raises(UsageError, match="choose 13 to 18"):
        to_onnx(model.model, spec, opset)


def test_the_file_takes_physical_units_although_the_network_normalises(model, spec, dataset, tmp_path):
    assert spec.normalises
    (tmp_path / "model.onnx").write_bytes(to_onnx(model.model, spec))
    windows = dataset.test.windows[:40]
    in_float64 = (windows - [c.mean for c in spec.channels]) / [c.std for c in spec.channels]
    inner = import_keras().Sequential(model.model.layers[2:])  # without the input and the normalisation
    np.testing.assert_allclose(
        Classifier.load(tmp_path).predict(windows), inner.predict(in_float64.astype(np.float32), verbose=0), atol=1e-5
    )


def test_a_spec_written_twice_is_there_once_and_other_metadata_stay():
    proto = onnx.ModelProto()
    entry = proto.metadata_props.add()
    entry.key, entry.value = "author", "somebody"
    one = ModelSpec("a", "1", (Channel("x", "g"),), 1.0, 1, 1, ("p", "q"))
    write_spec(proto, one)
    write_spec(proto, one)
    assert [e.key for e in proto.metadata_props] == ["author", METADATA_KEY]


def test_a_network_that_cannot_be_converted_is_a_conversion_error(spec):
    keras = import_keras()

    class Unknown(keras.layers.Layer):
        def call(self, values):
            import tensorflow as tf

            return tf.py_function(lambda v: v[:, 0, :6], [values], tf.float32)

        def compute_output_shape(self, shape):
            return (shape[0], 6)

    network = keras.Sequential([keras.Input((128, 9)), keras.layers.Conv1D(9, 3), Unknown(name="mine")])
    with pytest.raises(ConversionError, match=r"^mine \(Unknown\) cannot be converted to ONNX: .*EagerPyFunc"):
        to_onnx(network, spec)


def test_a_network_of_two_outputs_is_refused(spec):
    keras = import_keras()
    values = keras.Input((128, 9))
    flat = keras.layers.Flatten()(values)
    network = keras.Model(values, [keras.layers.Dense(6)(flat), keras.layers.Dense(6)(flat)])
    with pytest.raises(ConversionError, match="one input and one output"):
        to_onnx(network, spec)


def test_an_operation_that_the_converter_leaves_to_tensorflow_is_named(spec):
    keras = import_keras()
    source = keras.Input((128, 9))
    values = keras.layers.Flatten()(keras.ops.erfinv(keras.layers.Conv1D(3, 3, activation="tanh")(source)))
    network = keras.Model(source, keras.layers.Dense(6)(values))
    with pytest.raises(
        ConversionError, match=r"^erfinv.* \(Erfinv\) cannot be converted to ONNX: ONNX has no operator Erfinv"
    ):
        to_onnx(network, spec)
