import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.evaluate.tflite import TfliteModel, ends, normalise, quantise
from edgeconv.export.job import Job
from edgeconv.export.tflite import to_tflite
from edgeconv.export.tflite_child import convert, converter_of, suit_to_int8
from edgeconv.export.tflite_metadata import embed
from edgeconv.runtime import ArtefactError, Channel, ConversionError, MissingFileError, ModelSpec

PRECISIONS = {
    "float32": files.TFLITE,
    "float16": "model.float16.tflite",
    "dynamic": "model.dynamic.tflite",
    "int8": files.INT8_TFLITE,
}


def interpreter(path):
    import_keras()
    import tensorflow as tf

    found = tf.lite.Interpreter(model_path=str(path))
    found.allocate_tensors()
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_file_has_the_named_signature_for_one_window(exported_once, precision):
    path = exported_once / PRECISIONS[precision]
    found = interpreter(path)
    assert found.get_signature_list() == {"serving_default": {"inputs": ["windows"], "outputs": ["probabilities"]}}
    seen = ends(path)
    assert list(seen) == ["windows", "probabilities"]
    assert [end["shape"] for end in seen.values()] == [[1, 128, 9], [1, 6]]
    dtype = "int8" if precision == "int8" else "float32"
    assert {end["dtype"] for end in seen.values()} == {dtype}
    for end, details in zip(seen.values(), (*found.get_input_details(), *found.get_output_details()), strict=True):
        assert end["name"] == details["name"]
        scale_and_zero = (end["scale"], end["zero_point"])
        assert scale_and_zero == (details["quantization"] if dtype == "int8" else (None, None))
    assert ends(TfliteModel.load(path, ModelSpec.load(exported_once / files.SPEC))) == seen


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


def test_the_sizes_are_those_of_the_weights(exported_once):
    size = {precision: (exported_once / name).stat().st_size for precision, name in PRECISIONS.items()}
    # Metadata, ranges and the layers' descriptions come on top of two bytes or one instead of four.
    assert 0.45 < size["float16"] / size["float32"] < 0.6
    assert 0.2 < size["dynamic"] / size["float32"] < 0.35
    assert 0.2 < size["int8"] / size["float32"] < 0.35


def test_float16_and_dynamic_files_take_physical_units(exported_once, dataset):
    spec = ModelSpec.load(exported_once / files.SPEC)
    assert spec.normalises
    windows = dataset.test.windows[::20]
    reference = TfliteModel.load(exported_once / files.TFLITE, spec).predict(windows)
    for precision, largest in (("float16", 5e-3), ("dynamic", 0.15)):
        path = exported_once / PRECISIONS[precision]
        np.testing.assert_allclose(TfliteModel.load(path, spec).predict(windows), reference, rtol=0, atol=largest)
        found = interpreter(path)
        found.set_tensor(found.get_input_details()[0]["index"], windows[:1])
        found.invoke()
        bare = found.get_tensor(found.get_output_details()[0]["index"])
        np.testing.assert_array_equal(bare, TfliteModel.load(path, spec).predict(windows[:1]))


def test_another_process_writes_the_same_bytes_in_every_precision_and_rebuilds_the_int8_file(exported, tmp_path):
    """From the record alone, with other hashes of strings and another folder for what lies aside."""
    script = """
import hashlib, json, sys
from pathlib import Path
from edgeconv.data.synthetic import synthetic_har
from edgeconv.export import tflite, tflite_child
from edgeconv.export.formats import FORMATS
from edgeconv.export.int8_tflite import rebuild
from edgeconv.export.job import Job
from edgeconv.runtime import ModelSpec

# Here, instead of in a process for each of them, which takes seconds to import TensorFlow.
to_tflite = lambda keras_file, out, weights: tflite_child.main(str(keras_file), str(out), weights)
tflite.to_tflite = to_tflite
folder, aside = Path(sys.argv[1]), Path(sys.argv[2])
job = Job.open(folder, aside, synthetic_har())
for precision in ("float32", "float16", "dynamic"):
    artefact = FORMATS["tflite" if precision == "float32" else f"tflite-{precision}"]
    tflite.write_tflite(job, artefact)
    print(hashlib.sha256((aside / artefact.name).read_bytes()).hexdigest())
entry = json.loads((folder / "calibration.json").read_text())["tflite"]
print(hashlib.sha256(rebuild(job, FORMATS["tflite-int8"], entry)).hexdigest())
"""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "aside").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported), str(tmp_path / "aside")],
        env={**os.environ, "PYTHONHASHSEED": "7", "TMPDIR": str(tmp_path / "elsewhere")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shipped = [hashlib.sha256((exported / name).read_bytes()).hexdigest() for name in PRECISIONS.values()]
    assert [line for line in done.stdout.split() if line != "converting"] == shipped


@given(
    values=hnp.arrays(np.float32, (1, 2, 3), elements=st.floats(width=32)),
    scale=st.floats(1e-38, 1e38),
    zero_point=st.integers(-128, 127),
)
def test_quantising_gives_the_nearest_number_in_range_whatever_comes(values, scale, zero_point):
    with np.errstate(all="raise"):
        coded = quantise(values, scale, zero_point)
    assert coded.dtype == np.int8
    for value, number in zip(values.ravel().tolist(), coded.ravel().tolist(), strict=True):
        if np.isnan(value):
            assert number == zero_point
        else:
            wanted = min(max(value / scale + zero_point, -128), 127)  # in Python's floats, and not rounded
            assert abs(number - wanted) <= 0.5 + 1e-6


def test_int8_answers_nan_with_nan_and_the_rest_as_ever(exported_once, dataset):
    spec = ModelSpec.load(exported_once / files.SPEC)
    model = TfliteModel.load(exported_once / files.INT8_TFLITE, spec)
    windows = dataset.test.windows[:4].copy()
    expected = model.predict(windows)
    windows[1, 5, 2] = np.nan
    windows[2] = np.finfo(np.float32).max
    windows[3, 0, 0] = -np.inf
    answers = model.predict(windows)
    np.testing.assert_array_equal(answers[0], expected[0])
    assert np.isnan(answers[1]).all()
    assert np.isfinite(answers[2:]).all()


def test_a_file_that_the_interpreter_cannot_run_is_refused_by_name(exported_once, tmp_path):
    """TensorFlow 2.21 converts softsign to a division that its own int8 kernel refuses when the divisor is 0."""
    keras = import_keras()
    keras.utils.set_random_seed(1)
    spec = ModelSpec("small", "1", tuple(Channel(f"c{i}", "g") for i in range(4)), 50.0, 32, 8, ("a", "b", "c"))
    source = keras.Input((32, 4))
    value = keras.layers.Flatten()(keras.layers.Conv1D(6, 3, activation="softsign")(source))
    model = keras.Model(source, keras.layers.Dense(3, activation="softmax")(value))
    windows = np.random.default_rng(0).normal(size=(25, 32, 4)).astype(np.float32)
    with converter_of(model, "int8", windows) as converter:
        content = embed(converter.convert(), spec, normalised=True)
    path = tmp_path / files.INT8_TFLITE
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{path} cannot be run by TensorFlow's interpreter \(.*DIV"):
        TfliteModel.load(path, spec).predict(windows)
    job = Job(tmp_path, tmp_path, None, SimpleNamespace(spec=spec), 17)
    with pytest.raises(ConversionError, match=r"^model.int8.tflite, just converted, cannot be run by TensorFlow's"):
        job.run(path, windows)


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


def test_a_file_that_disagrees_with_the_spec_is_refused(exported_once, tmp_path):
    other = ModelSpec("other", "1", (Channel("x", "g"),), 50.0, 128, 64, ("a", "b"))
    with pytest.raises(ArtefactError, match=r"model.tflite: the spec inside differs from spec.json beside it"):
        TfliteModel.load(exported_once / files.TFLITE, other)
    path = tmp_path / files.TFLITE
    path.write_bytes(embed((exported_once / files.TFLITE).read_bytes(), other, normalised=False))
    with pytest.raises(ArtefactError, match=r"disagrees with its spec.*\[1, 128, 9\].*\[1, 128, 1\]"):
        TfliteModel.load(path, other)


def test_a_missing_file_is_named(tmp_path, exported_once):
    with pytest.raises(MissingFileError, match="edgeconv export"):
        TfliteModel.load(tmp_path / "x.tflite", ModelSpec.load(exported_once / files.SPEC))


def small(make):
    """A small network around a layer, and 30 windows for it."""
    keras = import_keras()
    keras.utils.set_random_seed(1)
    source = keras.Input((32, 4))
    values = make(keras.layers, keras.layers.Conv1D(4, 3, activation="relu", name="before")(source))
    model = keras.Model(source, keras.layers.Dense(3, activation="softmax")(values))
    return model, np.random.default_rng(3).normal(size=(30, 32, 4)).astype(np.float32)


def answers(content, windows, folder):
    """What an int8 file answers."""
    spec = ModelSpec("r", "1", tuple(Channel(f"c{i}", "g") for i in range(4)), 50.0, 32, 8, ("a", "b", "c"))
    (folder / "small.tflite").write_bytes(embed(content, spec, normalised=True))
    found = TfliteModel.load(folder / "small.tflite", spec)
    assert found.is_int8
    return found.predict(windows)


def test_a_layer_that_has_no_tflite_form_is_named(tmp_path):
    def make(la, v):
        return la.Flatten()(la.ReLU()(la.Conv1DTranspose(6, 3, dilation_rate=2, name="dilated")(v)))

    model, _ = small(make)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ConversionError) as raised:
        to_tflite(tmp_path / "model.keras", tmp_path / "out.tflite")
    assert raised.value.exit_code == 7
    assert str(raised.value).startswith(
        "dilated (Conv1DTranspose): the TFLite converter failed (exit code 1): 'tf.Conv"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.keras"]


def test_recurrent_layers_have_int8_files(tmp_path):
    def make(la, v):
        v = la.MaxPooling1D(5)(v)  # every step is operators of its own: six of them are enough to see
        both = la.Bidirectional(la.LSTM(4, return_sequences=True))(v)
        return la.Concatenate()([la.GRU(4)(both), la.SimpleRNN(4)(v)])

    model, windows = small(make)
    expected = model.predict(windows, verbose=0)
    suit_to_int8(model)
    # The values inside lie in -1 to 1 in steps of 1/128; the steps of a recurrence add up some of them.
    np.testing.assert_allclose(answers(convert(model, "int8", windows), windows, tmp_path), expected, rtol=0, atol=0.05)


def test_a_file_that_tflite_refuses_to_run_is_an_error():
    """In int8 TFLite divides by a value whose code may be 0, and its own kernel refuses that."""
    model, windows = small(lambda la, v: la.Flatten()(la.Activation("softsign")(v)))
    with pytest.raises(RuntimeError, match=r"div.cc"):
        convert(model, "int8", windows)


def test_celu_keeps_its_positive_values_in_int8(tmp_path):
    """Written with a minimum, as Keras has it, what lies in front of it would get a range that ends at 0."""
    model, windows = small(lambda la, v: la.Flatten()(la.Conv1D(6, 3, activation="celu")(v)))
    expected = model.predict(windows, verbose=0)
    suit_to_int8(model)
    np.testing.assert_allclose(model.predict(windows, verbose=0), expected, rtol=0, atol=1e-6)
    got = answers(convert(model, "int8", windows), windows, tmp_path)
    # Without the change half of the answers change places, and they are off by up to 0.5.
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.05)
