import json
import shutil

import pytest

from edgeconv import folder as files
from edgeconv.data.synthetic import synthetic_har
from edgeconv.export.pipeline import export
from edgeconv.export.verify import verify
from edgeconv.runtime import ArtefactError, CheckError, MissingFileError
from edgeconv.train.fit import TrainConfig
from edgeconv.train.protocol import train


@pytest.fixture(scope="module")
def dataset():
    return synthetic_har(train_subjects=4, test_subjects=2)


@pytest.fixture(scope="module")
def certified_once(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified") / "walk"
    train(dataset, TrainConfig(repeats=1, epochs=2), folder)
    export(folder, dataset, formats=["onnx", "tflite"])
    return folder


@pytest.fixture
def certified(certified_once, tmp_path):
    return shutil.copytree(certified_once, tmp_path / "walk")


def change_certificate(folder, change):
    path = folder / files.CERTIFICATE
    certificate = json.loads(path.read_text())
    change(certificate)
    path.write_text(json.dumps(certificate))


def test_verify_repeats_the_figures_of_the_certificate(certified, dataset):
    ran = []
    found = verify(certified, dataset, on_progress=ran.append)
    assert found.problems == ()
    assert found.same_data
    assert ran == [files.KERAS, files.ONNX, files.TFLITE]
    entries = json.loads((certified / files.CERTIFICATE).read_text())["artefacts"]
    for name, seen in found.examinations.items():
        assert seen.windows.accuracy == entries[name]["accuracy"]
        assert seen.windows.max_abs_diff == pytest.approx(entries[name]["max_abs_diff"], abs=1e-6)
    found.require_passed()


@pytest.mark.parametrize("name", [files.KERAS, files.SPEC, files.ONNX, files.TFLITE])
def test_one_changed_byte_in_any_file_is_an_artefact_error(certified, dataset, name):
    content = bytearray((certified / name).read_bytes())
    content[len(content) // 2] ^= 1
    (certified / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{name} is not the file that was certified"):
        verify(certified, dataset)


@pytest.mark.parametrize("name", [files.KERAS, files.ONNX])
def test_a_file_that_is_gone_is_an_artefact_error(certified, dataset, name):
    (certified / name).unlink()
    with pytest.raises(ArtefactError, match=f"{name} is certified but not there"):
        verify(certified, dataset)


def test_another_network_under_a_renewed_hash_fails_the_comparison(certified, dataset, tmp_path):
    other = tmp_path / "other"
    train(dataset, TrainConfig(repeats=1, epochs=1, seed=99), other)
    (other / files.SPEC).write_bytes((certified / files.SPEC).read_bytes())
    export(other, dataset, formats=["onnx"])
    shutil.copy(other / files.ONNX, certified / files.ONNX)
    renewed = files.file_sha256(certified / files.ONNX)
    change_certificate(certified, lambda c: c["artefacts"][files.ONNX].update(sha256=renewed))
    found = verify(certified, dataset)
    with pytest.raises(CheckError, match=r"model.onnx: largest \|Δlogit\| is"):
        found.require_passed()
    assert not any(problem.startswith(files.TFLITE) for problem in found.problems)


@pytest.mark.parametrize("figure", ["accuracy", "reference_accuracy", "top1_agreement"])
def test_a_figure_that_was_embellished_is_found(certified, dataset, figure):
    change_certificate(certified, lambda c: c["artefacts"][files.TFLITE].update({figure: 0.123}))
    with pytest.raises(CheckError, match=f"model.tflite: the certificate says {figure} 0.123, measured"):
        verify(certified, dataset).require_passed()


def test_a_spec_inside_that_differs_from_the_one_beside_is_found(certified, dataset):
    path = certified / files.SPEC
    path.write_text(path.read_text().replace('"WALKING"', '"SITTING?"'))
    renewed = files.file_sha256(path)
    change_certificate(certified, lambda c: c["spec"].update(sha256=renewed))
    changed = synthetic_har(train_subjects=4, test_subjects=2)
    object.__setattr__(changed, "labels", ("SITTING?", *changed.labels[1:]))
    with pytest.raises(ArtefactError, match=r"the spec inside differs from spec.json"):
        verify(certified, changed)


def test_other_data_are_checked_against_the_limits_and_said_to_be_other(certified):
    found = verify(certified, synthetic_har(seed=3, train_subjects=1, test_subjects=2))
    assert not found.same_data
    assert found.problems == ()


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda c: c.pop("artefacts"), "'artefacts' is missing"),
        (lambda c: c.pop("reference"), "'reference' is missing"),
        (lambda c: c.update(artefacts={}), "certifies no file at all"),
        (lambda c: c.update(schema="other/9"), "schema is 'other/9'"),
        (lambda c: c["reference"].update(file="other.keras"), r"does not name model.keras"),
        (lambda c: c["artefacts"].update({"evil.onnx": {"sha256": ""}}), r"certifies \['evil.onnx'\]"),
        (lambda c: c["artefacts"][files.ONNX].pop("sha256"), "'sha256' is missing"),
    ],
)
def test_a_certificate_that_leaves_something_out_is_refused(certified, dataset, change, telling):
    change_certificate(certified, change)
    with pytest.raises(ArtefactError, match=telling):
        verify(certified, dataset)


def test_a_folder_without_certificate_says_how_to_get_one(certified, dataset):
    (certified / files.CERTIFICATE).write_text("{")
    with pytest.raises(ArtefactError, match="edgeconv export"):
        verify(certified, dataset)
    (certified / files.CERTIFICATE).unlink()
    with pytest.raises(MissingFileError, match="edgeconv export"):
        verify(certified, dataset)
