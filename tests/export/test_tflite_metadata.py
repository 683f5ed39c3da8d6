import contextlib
import io
import json
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv import folder as files
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.tflite import TfliteModel, normalise, open_interpreter, run
from edgeconv.evaluate.tflite_metadata import read, unpack
from edgeconv.export.tflite_child import converter_of, without_normalisation
from edgeconv.export.tflite_metadata import embed, model_metadata, pack
from edgeconv.runtime import ArtefactError, ModelSpec

TFLITE_FILES = [files.TFLITE, "model.float16.tflite", "model.dynamic.tflite", files.INT8_TFLITE]


@pytest.fixture(scope="module")
def spec(exported_once):
    return ModelSpec.load(exported_once / files.SPEC)


@pytest.mark.parametrize("name", TFLITE_FILES)
def test_the_metadata_say_what_goes_in_and_comes_out(exported_once, spec, name):
    content = (exported_once / name).read_bytes()
    found = read(content, name)
    assert found.spec == spec
    assert found.files["labels.txt"].decode().splitlines() == list(spec.labels)
    assert json.loads(found.files["spec.json"]) == json.loads((exported_once / files.SPEC).read_text())
    metadata = found.metadata
    assert (metadata["name"], metadata["version"], metadata["min_parser_version"]) == (spec.name, spec.version, "1.0.0")
    training = json.loads((exported_once / files.TRAINING).read_text())
    assert training["data"]["licence"] in metadata["license"]
    (graph,) = metadata["subgraph_metadata"]
    (windows,), (probabilities,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert (windows["name"], windows["dimension_names"]) == ("windows", ["batch", "time", "channel"])
    for channel in spec.channels:
        assert f"{channel.name} [{channel.unit}]" in windows["description"]
    assert (probabilities["name"], probabilities["dimension_names"]) == ("probabilities", ["batch", "class"])
    assert [(file["name"], file["type"]) for file in probabilities["associated_files"]] == [("labels.txt", 2)]
    lowest, mean, std = (
        np.array([getattr(c, part) for c in spec.channels], np.float32) for part in ("minimum", "mean", "std")
    )
    if name == files.INT8_TFLITE:
        assert found.normalised
        (unit,) = windows["process_units"]
        assert unit["options_type"] == 1
        assert unit["options"] == {"mean": mean.tolist(), "std": std.tolist()}
        lowest = (lowest - mean) / std
    else:
        assert not found.normalised, "nobody is told to normalise what the network normalises itself"
        assert "process_units" not in windows
    np.testing.assert_allclose(windows["stats"]["min"], lowest, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TFLITE_FILES)
def test_buffers_are_aligned_and_packed_files_lie_behind_uncompressed_with_a_fixed_date(exported_once, name):
    from tensorflow.lite.python import schema_py_generated as schema

    content = (exported_once / name).read_bytes()
    assert content[4:8] == b"TFL3"
    model = schema.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 5
    assert {start % 16 for start in starts} == {0}
    (entry,) = (m for i in range(model.MetadataLength()) if (m := model.Metadata(i)).Name() == b"TFLITE_METADATA")
    assert bytes(model.Buffers(entry.Buffer()).DataAsNumpy()[4:8]) == b"M001"
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        for info in packed.infolist():
            assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
            assert info.header_offset > max(starts), "offsets count from the start of the file"


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_lists_the_packed_files(exported_once):
    done = subprocess.run(["unzip", "-l", exported_once / files.TFLITE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "labels.txt" in done.stdout
    assert "spec.json" in done.stdout


def test_answers_are_the_same_bits_with_and_without_metadata(exported_once, spec, dataset):
    model = KerasModel.load(exported_once / files.KERAS).model
    windows = dataset.test.windows[::40]
    normalised = normalise(windows, spec)
    for weights in ("float32", "float16", "dynamic", "int8"):
        bare = without_normalisation(model) if weights == "int8" else model
        with converter_of(bare, weights, normalised) as converter:
            converted = converter.convert()
        values = normalised if weights == "int8" else windows
        told = embed(converted, spec, normalised=weights == "int8")
        answers = [run(open_interpreter(content, weights), values, weights) for content in (converted, told)]
        assert answers[0].tobytes() == answers[1].tobytes()


def test_a_file_without_metadata_was_not_exported_by_edgeconv(exported, spec, tmp_path):
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(exported / files.TFLITE))
    model.metadata = [entry for entry in model.metadata if entry.name != b"TFLITE_METADATA"]
    flatbuffer_utils.write_model(model, str(tmp_path / files.TFLITE))
    with pytest.raises(ArtefactError, match=r"model.tflite was not exported by this edgeconv: it has no TFLITE_METAD"):
        TfliteModel.load(tmp_path / files.TFLITE, spec)


def test_a_file_of_another_spec_is_refused(exported, spec):
    text = (exported / files.SPEC).read_text().replace('"version": "1"', '"version": "2"')
    (exported / files.SPEC).write_text(text)
    with pytest.raises(ArtefactError, match=r"model.tflite: the spec inside differs from spec.json beside it"):
        TfliteModel.load(exported / files.TFLITE, ModelSpec.load(exported / files.SPEC))


def test_a_network_that_does_not_normalise_asks_for_physical_units_in_int8_too(spec):
    from dataclasses import replace

    plain = replace(spec, channels=tuple(replace(c, mean=0.0, std=1.0) for c in spec.channels))
    (graph,) = model_metadata(plain, normalised=True, licence="")["subgraph_metadata"]
    (windows,) = graph["input_tensor_metadata"]
    assert windows["process_units"] == []
    assert "Give them in these units." in windows["description"]
    assert windows["stats"]["min"] == [c.minimum for c in plain.channels]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": TEXTS,
            "license": TEXTS,
            "subgraph_metadata": st.lists(
                st.fixed_dictionaries(
                    {"name": TEXTS},
                    optional={
                        "input_tensor_metadata": st.lists(
                            st.fixed_dictionaries(
                                {"dimension_names": st.lists(TEXTS, min_size=1, max_size=3)},
                                optional={
                                    "stats": st.fixed_dictionaries({"max": FLOATS, "min": FLOATS}),
                                    "process_units": st.lists(
                                        st.fixed_dictionaries(
                                            {
                                                "options_type": st.just(1),
                                                "options": st.fixed_dictionaries({"mean": FLOATS, "std": FLOATS}),
                                            }
                                        ),
                                        min_size=1,
                                        max_size=2,
                                    ),
                                },
                            ),
                            min_size=1,
                            max_size=2,
                        )
                    },
                ),
                min_size=1,
                max_size=2,
            ),
        },
    )
)
def test_what_is_packed_is_unpacked(values):
    assert unpack(pack(values), "ModelMetadata") == values


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_file_is_read_as_something_or_refused(exported_once, data):
    content = bytearray((exported_once / "model.dynamic.tflite").read_bytes())
    # Behind the weights and in front of them: where the tables and the packed files are.
    place = data.draw(st.integers(0, 2000) | st.integers(len(content) - 6000, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    for damaged in (bytes(content), bytes(content[:place])):
        with contextlib.suppress(ArtefactError):
            assert isinstance(read(damaged, "the file").spec, ModelSpec)
