import sys

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.evaluate.tflite import TfliteModel, normalise
from edgeconv.export.tflite import to_tflite
from edgeconv.runtime import ArtefactError, Channel, ConversionError, MissingFileError, ModelSpec


def interpreter(path):
    import_keras()
    import tensorflow as tf

    found = tf.lite.Interpreter(model_path=str(path))
    found.allocate_tensors()
    return found


def test_the_float_file_has_named_float_ends_for_one_window(exported_once):
    found = interpreter(exported_once / files.TFLITE)
    assert found.get_signature_list() == {"serving_default": {"inputs": ["windows"], "outputs": ["probabilities"]}}
    (windows,), (probabilities,) = found.get_input_details(), found.get_output_details()
    assert (windows["shape"].tolist(), windows["dtype"]) == ([1, 128, 9], np.float32)
    assert (probabilities["shape"].tolist(), probabilities["dtype"]) == ([1, 6], np.float32)


def test_the_int8_file_is_int8_throughout_and_takes_the_normalised_window(exported_once, dataset):
    found = interpreter(exported_once / files.INT8_TFLITE)
    (windows,), (probabilities,) = found.get_input_details(), found.get_output_details()
    assert windows["dtype"] == probabilities["dtype"] == np.int8
    assert {np.dtype(d["dtype"]) for d in found.get_tensor_details()} <= {np.dtype("int8"), np.dtype("int32")}
    # The input range covers standardised values, some deviations wide, and not the raw ones in g and rad/s.
    spec = ModelSpec.load(exported_once / files.SPEC)
    reach = np.abs(normalise(dataset.train.windows, spec)).max()
    scale, _ = windows["quantization"]
    assert 0.3 * reach < 128 * scale <= 1.05 * reach


def test_int8_is_about_a_quarter_of_float(exported_once):
    sizes = [(exported_once / name).stat().st_size for name in (files.INT8_TFLITE, files.TFLITE)]
    assert 0.2 < sizes[0] / sizes[1] < 0.35


def test_a_converter_that_crashes_is_an_error_and_not_the_end(trained, monkeypatch, tmp_path):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho 'about to fall' >&2\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(ConversionError, match=r"crashed \(signal 11\): about to fall"):
        to_tflite(trained / files.KERAS, tmp_path / "out.tflite")


def test_a_converter_that_fails_says_why(tmp_path):
    broken = tmp_path / "model.keras"
    broken.write_bytes(b"no model")
    with pytest.raises(ConversionError, match=r"failed \(exit code 1\): .*model.keras is not a Keras model that Keras"):
        to_tflite(broken, tmp_path / "out.tflite", np.zeros((1, 128, 9), np.float32))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.keras"], "calibration windows do not stay behind"


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x1c\x00\x00\x00TFL3" + b"\x00" * 50])
def test_a_file_that_is_not_tflite_is_refused(tmp_path, exported_once, content):
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"x.tflite"):
        TfliteModel.load(tmp_path / "x.tflite", ModelSpec.load(exported_once / files.SPEC))


def test_a_file_that_disagrees_with_the_spec_is_refused(exported_once):
    other = ModelSpec("other", "1", (Channel("x", "g"),), 50.0, 128, 64, ("a", "b"))
    with pytest.raises(ArtefactError, match=r"disagrees with its spec.*\[1, 128, 9\].*\[1, 128, 1\]"):
        TfliteModel.load(exported_once / files.TFLITE, other)


def test_a_missing_file_is_named(tmp_path, exported_once):
    with pytest.raises(MissingFileError, match="edgeconv export"):
        TfliteModel.load(tmp_path / "x.tflite", ModelSpec.load(exported_once / files.SPEC))
