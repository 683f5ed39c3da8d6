import pytest

from edgeconv import folder as files
from edgeconv.runtime.artefact import Artefact


@pytest.mark.parametrize(
    ("name", "artefact"),
    [
        ("model.onnx", Artefact()),
        ("model.int8.onnx", Artefact(precision="int8")),
        ("dense.onnx", Artefact("dense")),
        ("dense.hop16.onnx", Artefact("dense", hop=16)),
        ("stateful.hop3.int8.onnx", Artefact("stateful", "int8", hop=3)),
        ("model.tflite", Artefact(engine="tflite")),
        ("model.float16.tflite", Artefact(precision="float16", engine="tflite")),
        ("model.dynamic.tflite", Artefact(precision="dynamic", engine="tflite")),
        ("model.int8.tflite", Artefact(precision="int8", engine="tflite")),
    ],
)
def test_a_name_says_what_the_file_is_and_the_other_way_round(name, artefact):
    assert Artefact.parse(name) == artefact
    assert artefact.name == name


@pytest.mark.parametrize(
    "name",
    ["model.hop16.onnx", "dense.hop0.onnx", "dense.hop08.onnx", "dense.tflite", "model.float16.onnx", "model.keras",
     "dense.int8.hop16.onnx", "xmodel.onnx", "model.onnx.bak", "model.onnx\n"],
)  # fmt: skip
def test_other_names_are_no_artefacts(name):
    assert Artefact.parse(name) is None


def test_only_forms_with_a_hop_have_a_file_for_another_one():
    assert Artefact("dense").at(16, 64) == Artefact("dense", hop=16)
    assert Artefact("dense", hop=16).at(64, 64) == Artefact("dense")
    assert Artefact("windowed").at(16, 64) == Artefact()
    assert Artefact("stateful", "int8", hop=2).kind == Artefact("stateful", "int8")


def test_every_kind_has_a_name_of_its_own():
    names = [kind.name for kind in files.KINDS]
    assert len(set(names)) == len(names)
    assert [Artefact.parse(name) for name in names] == list(files.KINDS)
