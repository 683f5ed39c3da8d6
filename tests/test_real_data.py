"""The committed model on the real data set: certificate, and the stitched test recordings through the command."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.data import recordings, write_recordings
from edgeconv.export.verify import verify
from edgeconv.runtime import Classifier, Scorer, StreamPool

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "har_conv1d"


@pytest.fixture(scope="module")
def streamed(uci_har, tmp_path_factory):
    """The command's answer, JSON lines, on every stitched test recording written as CSV, at hop 64."""
    folder = tmp_path_factory.mktemp("recordings") / "test"
    found = recordings(uci_har, "test")
    paths = write_recordings(uci_har, found, folder)
    done = subprocess.run(
        [sys.executable, "-m", "edgeconv", "stream", str(MODEL), *map(str, paths), "--hop", "64", "--device", "cpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "windows per second on cpu" in done.stderr
    return found, folder, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_stream_sees_exactly_the_rows_of_the_data_set(streamed, uci_har):
    found, _, lines = streamed
    at = {recording.name: recording for recording in found}
    windows = [at[line["recording"]].samples[(start := round(line["start_s"] * 50)) : start + 128] for line in lines]
    np.testing.assert_array_equal(np.array(windows), uci_har.test.windows)


def test_the_stream_s_probabilities_are_those_of_predict(streamed, uci_har):
    _, _, lines = streamed
    got = np.array([list(line["probabilities"].values()) for line in lines])
    # the dense form sums in another order: the certificate's limit
    np.testing.assert_allclose(got, Classifier.load(MODEL).predict(uci_har.test.windows), atol=1e-5, rtol=0)


def test_the_stream_gives_the_official_test_accuracy_again(streamed, uci_har):
    _, folder, lines = streamed
    with (folder / "labels.csv").open(newline="") as file:
        label = {row["recording"]: row["label"] for row in csv.DictReader(file)}
    right = sum(line["label"] == label[line["recording"]] for line in lines)
    certificate = json.loads((MODEL / files.CERTIFICATE).read_text())
    assert right / len(uci_har.test) == certificate["artefacts"][files.ONNX]["accuracy"]


def test_the_evaluation_of_recordings_gives_the_certificate_s_accuracy(streamed, tmp_path):
    found, folder, _ = streamed
    paths = [str(folder / f"{recording.name}.csv") for recording in found]
    done = subprocess.run(
        [sys.executable, "-m", "edgeconv", "evaluate", str(MODEL), *paths, "--labels", str(folder / "labels.csv"),
         "--json", str(tmp_path / "found.json"), "--require", "0.9"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "found.json").read_text())
    windows = seen["raw"]["windows"]
    certificate = json.loads((MODEL / files.CERTIFICATE).read_text())["artefacts"][files.ONNX]
    assert windows["scored"] == windows["windows"] == 2947
    assert windows["accuracy"] == certificate["accuracy"]
    # the dense form sums in another order, and a window may change its bin
    error = seen["reliability"]["expected_calibration_error"]
    assert error == pytest.approx(certificate["expected_calibration_error"], abs=1e-3)
    assert f"accuracy %                         {100 * certificate['accuracy']:.2f}" in done.stdout


def test_the_dense_form_answers_every_row_of_the_data_set(uci_har):
    scorer = Scorer.load(MODEL)
    got = np.concatenate([scorer.score(recording.samples) for recording in recordings(uci_har, "test")])
    # another graph sums in another order: the certificate's limit
    np.testing.assert_allclose(got, Classifier.load(MODEL).predict(uci_har.test.windows), atol=1e-5, rtol=0)


def test_a_pool_of_sensors_answers_every_row_of_the_data_set(uci_har):
    """All recordings at once, as so many sensors that send packets of 32 samples."""
    pool, found, answers = StreamPool(Classifier.load(MODEL)), recordings(uci_har, "test"), {}
    for at in range(0, max(len(recording.samples) for recording in found), 32):
        for recording in found:
            pool.push(recording.name, recording.samples[at : at + 32])
        for name, prediction in pool.run():
            answers.setdefault(name, []).append(prediction.probabilities)
    got = np.concatenate([answers[recording.name] for recording in found])
    # another graph sums in another order: the certificate's limit
    np.testing.assert_allclose(got, Classifier.load(MODEL).predict(uci_har.test.windows), atol=1e-5, rtol=0)


def test_the_committed_certificate_holds_on_the_real_data(uci_har, tmp_path, alone):
    # A copy, so that nothing can be changed by running it.
    folder = shutil.copytree(MODEL, tmp_path / "har_conv1d")
    found = verify(folder, uci_har)
    assert found.same_data
    assert found.problems == ()
    assert set(found.examinations) == {kind.name for kind in files.KINDS}


def test_the_committed_model_was_trained_by_the_protocol():
    training = json.loads((MODEL / files.TRAINING).read_text())
    assert len(training["repeats"]) == 10
    # the tutorial's published mean of ten runs, 90.8 %, give or take a point and a half
    assert 0.893 <= training["accuracy_mean"] <= 0.923
    assert not set(training["data"]["train"]["subjects"]) & set(training["data"]["test"]["subjects"])
    assert not training["data"]["synthetic"]
    assert "CC BY 4.0" in (MODEL / files.CARD).read_text()
    assert "commercial use is prohibited" in (MODEL / files.CARD).read_text()
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 12e6


def test_the_lines_of_the_readme_for_raw_recordings_run_as_they_stand(hapt_zip, tmp_path):
    """With the figures of the README's model: nine people, 257 segments of the six activities."""
    readme = (ROOT / "README.md").read_text()
    (lines,) = re.findall(r"```sh\n(edgeconv data recordings --data \"HAPT.*?)```", readme, flags=re.S)
    (tmp_path / hapt_zip.name).symlink_to(hapt_zip)
    (tmp_path / "models").symlink_to(ROOT / "models")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(predictions) == (18026 - 128) // 64 + 1
    assert {prediction["recording"] for prediction in predictions} == {"exp03_user02"}
    assert "19 recordings, 108.4 minutes" in done.stdout
    accuracy, _ = re.search(r"^windows: accuracy % +([\d.]+) +([\d.]+)$", done.stdout, flags=re.M).groups()
    assert float(accuracy) >= 98.0
    assert re.search(r"^events: true segments +257 +257$", done.stdout, flags=re.M)
