"""Raw recordings of HAPT: UCI HAR's channels derived from them, and whether they are plausible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import load_data
from edgeconv.runtime import Classifier, ModelSpec
from edgeconv.runtime.plausibility.plausible import Plausibility
from edgeconv.runtime.plausibility.seen import seen_in

MODELS = Path(__file__).resolve().parents[1] / "models"
WALKING = (0, 1, 2)


@pytest.fixture(scope="module")
def hapt(hapt_zip, _cache_of_the_session):
    return load_data(hapt_zip)


@pytest.fixture(scope="module")
def derived(hapt_zip, _cache_of_the_session):
    return load_data(hapt_zip, options={"derive": "uci-har"})


@pytest.fixture(scope="module")
def spec(hapt):
    spec = ModelSpec.load(MODELS / "har_raw" / "spec.json")
    return replace(spec, seen=seen_in(hapt.train.windows, spec.channels, spec.sampling_rate_hz))


def test_the_derived_channels_are_those_of_uci_har(derived, uci_har):
    """Of walking, up and down, both sets have the same windows in the same order; at rest they are cut elsewhere."""
    for class_id in WALKING:
        own, official = (s.test.windows[s.test.class_ids == class_id] for s in (derived, uci_har))
        assert own.shape == official.shape
        # the copy of UCI HAR has five decimals: 5e-6, and the float32 of both
        np.testing.assert_allclose(own, official, atol=7e-6, rtol=0)


@pytest.mark.parametrize(("model", "accuracy"), [("har_conv1d", 0.89), ("har_edge", 0.97)])
def test_a_network_of_uci_har_answers_raw_recordings_as_its_own_windows(derived, model, accuracy):
    answers = Classifier.load(MODELS / model).predict(derived.test.windows).argmax(axis=1)
    assert (answers == derived.test.class_ids).mean() > accuracy


def test_no_recording_of_a_test_subject_is_doubted(hapt, spec):
    for recording in hapt.continuous["test"]:
        stream = Plausibility(spec)
        stream.push(recording.samples)
        assert stream.findings == (), recording.name


@pytest.mark.parametrize(
    ("factors", "option"),
    [((9.80665, 1.0), "--unit acc=m/s^2"), ((1.0, 57.29578), "--unit gyro=deg/s"), ((1000.0, 1.0), "--unit acc=mg")],
)
def test_another_unit_is_found_in_every_recording_within_six_seconds(hapt, spec, factors, option):
    scale = np.repeat(np.array(factors, np.float32), 3)
    for recording in hapt.continuous["test"]:
        stream = Plausibility(spec)
        stream.push(recording.samples[: stream.decides_after] * scale)
        assert [finding.option for finding in stream.findings] == [option], recording.name
