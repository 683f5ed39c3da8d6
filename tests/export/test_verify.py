import json
import shutil

import pytest

from edgeconv import folder as files
from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.limits import UserLimits, tolerance
from edgeconv.export.pipeline import export
from edgeconv.export.verify import verify
from edgeconv.runtime import ArtefactError, CheckError, MissingFileError
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train

# A network of two epochs may lose more than half a point in int8: here such a file is examined against itself.
LOOSE = UserLimits({"int8": {"accuracy_drop": 1.0, "top1_agreement": 0.0}})


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
    assert ran == [f"{files.KERAS} on {len(dataset.test)} test windows", files.ONNX, files.TFLITE]
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


@pytest.fixture(scope="module")
def quantised_once(certified_once, dataset, tmp_path_factory):
    folder = shutil.copytree(certified_once, tmp_path_factory.mktemp("quantised") / "walk")
    export(folder, dataset, formats=["tflite-int8"], limits=LOOSE)
    return folder


def test_a_quantised_file_is_built_again_from_the_recorded_rows_and_has_the_same_bytes(quantised_once, dataset):
    found = verify(quantised_once, dataset, limits=LOOSE)
    assert found.problems == ()
    seen = found.examinations[files.INT8_TFLITE]
    assert seen.same_bytes is True
    assert seen.rebuilt.max_abs_diff == 0
    assert found.examinations[files.ONNX].rebuilt is None


def test_other_calibration_rows_under_a_renewed_hash_are_found(quantised_once, dataset, tmp_path):
    folder = shutil.copytree(quantised_once, tmp_path / "walk")
    record = json.loads((folder / files.CALIBRATION).read_text())
    record["tflite"]["rows"] = record["tflite"]["rows"][:3]
    files.write_json(folder / files.CALIBRATION, record)
    with pytest.raises(ArtefactError, match=r"calibration.json is not the file that was certified"):
        verify(folder, dataset)
    renewed = files.file_sha256(folder / files.CALIBRATION)
    change_certificate(folder, lambda c: c["records"].update({files.CALIBRATION: renewed}))
    problems = verify(folder, dataset, limits=LOOSE).problems
    assert [problem[:40] for problem in problems] == ["model.int8.tflite: built again from the "]
    record["tflite"].pop("rows")
    files.write_json(folder / files.CALIBRATION, record)
    renewed = files.file_sha256(folder / files.CALIBRATION)
    change_certificate(folder, lambda c: c["records"].update({files.CALIBRATION: renewed}))
    problems = verify(folder, dataset, limits=LOOSE).problems
    assert "does not say how model.int8.tflite was made" in problems[0]


def test_the_user_s_limits_decide(certified, dataset):
    found = verify(certified, dataset, limits=UserLimits({"model.tflite": {"accuracy": 1.0}}))
    assert [problem.split(":")[0] for problem in found.problems] == [files.TFLITE]


def test_the_certificate_binds_data_environment_and_noise(certified, dataset):
    certificate = json.loads((certified / files.CERTIFICATE).read_text())
    assert certificate["schema"] == "edgeconv.certificate/2"
    assert certificate["data"]["content_hash"] == dataset.content_hash()
    assert len(certificate["environment"]["sha256"]) == 64
    assert certificate["reference"]["noise"] > 0
    assert set(certificate["reference"]["adversarial_noise"]) == set(
        certificate["artefacts"][files.ONNX]["adversarial"]
    )
    assert certificate["artefacts"][files.ONNX]["limits"]["relative_logit_diff"] == tolerance(
        certificate["reference"]["noise"]
    )
