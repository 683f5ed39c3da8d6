import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate import examine
from edgeconv.evaluate.examine import Examiner
from edgeconv.evaluate.junit import junit_xml
from edgeconv.evaluate.limits import UserLimits, limits_of, tolerance
from edgeconv.runtime import CheckError, ModelSpec


class Weighted:
    """A network of one layer that every test can take apart: class scores are weighted sums of channel means."""

    def __init__(self, classes, channels, change=lambda scores, windows: scores):
        rng = np.random.default_rng(1)
        self.weights = rng.normal(size=(channels, classes)).astype(np.float32)
        self.change = change

    def predict(self, windows, batch=256):
        scores = windows.astype(np.float64).mean(axis=1) @ self.weights
        scores = self.change(np.clip(scores, -30, 30), windows)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def predict_alone(self, windows):
        return None

    def predict_double(self, windows):
        return None


@pytest.fixture(scope="module")
def dataset():
    return synthetic_har(train_subjects=2, test_subjects=2)


@pytest.fixture(scope="module")
def spec(dataset):
    return ModelSpec(
        "net", "1", dataset.channels, dataset.sampling_rate_hz, dataset.window, dataset.hop, dataset.labels
    )


@pytest.fixture
def examined(dataset, spec, monkeypatch, tmp_path):
    """Examine a model that stands in for a file of some name."""
    reference = Weighted(len(spec.labels), len(spec.channels))

    def run(name="model.onnx", change=lambda scores, windows: scores, rebuilt=None, limits=None):
        models = {tmp_path / name: Weighted(len(spec.labels), len(spec.channels), change)}
        (tmp_path / name).write_bytes(b"one")
        again = None
        if rebuilt is not None:
            (tmp_path / "again").mkdir(exist_ok=True)
            again = tmp_path / "again" / name
            again.write_bytes(b"another")
            models[again] = Weighted(len(spec.labels), len(spec.channels), rebuilt)
        monkeypatch.setattr(examine, "load_artefact", lambda path, _: models[path])
        return Examiner(reference, spec, dataset, limits).examine(tmp_path / name, again)

    return run


def test_a_copy_is_equal_everywhere_and_its_sentence_says_so(examined, dataset):
    seen = examined()
    assert seen.problems == []
    assert seen.verdict == f"equal to the reference on {len(dataset.test)} windows, within the rounding of float32"
    assert seen.recordings.windows > len(dataset.test) / 4
    entry = seen.to_json()
    assert entry["accuracy_interval"][0] < entry["accuracy"] < entry["accuracy_interval"][1]
    assert set(entry["adversarial"]) >= {"zeros", "spikes", "denormal", "very large"}
    assert entry["limits"] == {"relative_logit_diff": seen.tolerance}
    assert entry["flips"] == []
    counted = sum(each["windows"] for each in entry["per_class"].values())
    assert counted == len(dataset.test)


def test_what_differs_on_adversarial_inputs_alone_is_named_with_the_input(examined):
    def beyond_training(scores, windows):
        return scores + 1e-3 * (np.abs(windows).max(axis=(1, 2)) > 1e3)[:, None] * np.arange(scores.shape[1])

    seen = examined(change=beyond_training)
    assert seen.windows.max_abs_diff == 0
    assert len(seen.problems) == 1
    assert seen.problems[0].startswith("on very large: largest |Δlogit| is")
    assert seen.verdict.startswith("out of its limits: on very large")


def test_what_differs_between_the_rows_of_the_data_set_alone_is_found_on_recordings(examined, dataset):
    rows = {window.tobytes() for window in dataset.test.windows}

    def elsewhere(scores, windows):
        other = np.array([window.tobytes() not in rows for window in windows])
        return scores + 1e-3 * other[:, None] * np.arange(scores.shape[1])

    seen = examined(change=elsewhere)
    assert seen.windows.max_abs_diff == 0
    assert any(problem.startswith("on recordings: ") for problem in seen.problems)


def test_a_quantised_file_may_lose_a_little_but_must_be_what_is_built_again(examined):
    def coarse(scores, windows):
        return np.round(scores * 64) / 64

    def other(scores, windows):
        return np.round(scores * 63) / 63

    assert examined("model.int8.onnx", coarse, rebuilt=coarse).problems == []
    seen = examined("model.int8.onnx", coarse, rebuilt=other)
    assert seen.same_bytes is False
    assert [problem[:22] for problem in seen.problems] == ["built again from the m"]
    assert seen.to_json()["rebuilt"]["max_abs_diff"] > 1e-6


def test_the_sentence_of_a_quantised_file_is_what_mcnemar_s_test_says(examined, dataset):
    def coarse(scores, windows):
        return np.round(scores * 64) / 64

    seen = examined("model.int8.onnx", coarse)
    assert seen.verdict.startswith(f"indistinguishable in accuracy on {len(dataset.test)} windows: ")
    windows = dataclasses.replace(
        seen.windows, accuracy=0.5, reference_accuracy=0.6, only_candidate_right=0, only_reference_right=30
    )
    worse = dataclasses.replace(seen, windows=windows, checks=())
    assert worse.verdict.startswith("worse by 10.00 points, 95 % interval -")


def test_the_user_s_limits_replace_the_built_in_ones_but_not_the_sentence(examined):
    def near(scores, windows):
        return scores * 1.001

    loose = UserLimits({"float32": {"relative_logit_diff": 0.5}})
    seen = examined(change=near, limits=loose)
    assert seen.problems == []
    assert "equal" not in seen.verdict
    strict = UserLimits({"all": {"accuracy": 1.0, "calibration_error": 0.0}})
    problems = examined(limits=strict).problems
    assert "at least 100.00 % was asked for" in problems[0]
    assert "expected calibration error is" in problems[1]


def test_answers_that_are_not_finite_end_the_examination(examined):
    with pytest.raises(CheckError, match="NaN or infinity"):
        examined(change=lambda scores, windows: scores * np.nan)


def test_the_limit_of_a_float_file_follows_the_reference_s_noise(examined, dataset, spec):
    class Noisy(Weighted):
        """Its answers depend on the batch."""

        def predict(self, windows, batch=256):
            return Weighted(6, 9, lambda scores, _: scores * (1 + 1e-4 * (batch == 1))).predict(windows)

    examiner = Examiner(Noisy(len(spec.labels), len(spec.channels)), spec, dataset)
    assert 1e-5 < examiner.noise < 3e-4
    assert examiner.limits("model.onnx") == limits_of("model.onnx", examiner.noise)
    assert examined().tolerance == tolerance(0.0)


def test_junit_has_a_suite_for_each_file_and_a_case_for_each_limit(examined):
    good = examined()
    bad = dataclasses.replace(examined("model.int8.onnx", lambda s, _: s[:, ::-1]), name="model.int8.onnx")
    text = junit_xml({"model.onnx": good, "model.int8.onnx": bad}, {"dense.onnx": "it <stopped>"}, {"model.onnx": []})
    root = ET.fromstring(text)
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["model.onnx", "model.int8.onnx", "dense.onnx"]
    assert (suites["model.onnx"].get("failures"), suites["model.int8.onnx"].get("failures")) == ("0", "1")
    assert (
        int(suites["model.onnx"].get("tests")) == len(good.checks) + 1 == len(suites["model.onnx"].findall("testcase"))
    )
    assert suites["dense.onnx"].find("testcase/failure").get("message") == "it <stopped>"
    properties = {each.get("name"): each.get("value") for each in suites["model.onnx"].find("properties")}
    assert properties["verdict"] == good.verdict
