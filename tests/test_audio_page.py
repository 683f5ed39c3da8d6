"""docs/audio.md is what its JSON file renders to, and tools/audio_line.py measures what it says."""

import json
import re
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from edgeconv.bench import Plan
from edgeconv.data import recordings, write_recordings
from edgeconv.data.synthetic_tones import synthetic_tones
from edgeconv.export.pipeline import export
from edgeconv.runtime import Classifier, Scorer, StreamClassifier
from edgeconv.runtime.sources import read_recording
from edgeconv.train.config import TrainConfig
from edgeconv.train.networks import build
from edgeconv.train.place import train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = json.loads((ROOT / "docs" / "audio.json").read_text())
PAGE = (ROOT / "docs" / "audio.md").read_text()


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(ROOT / "tools"))
    import audio_line

    yield audio_line
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def sounds():
    """Two rooms to train and one to test: enough for the line, not for accuracy."""
    return synthetic_tones(train_subjects=2, test_subjects=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory, sounds):
    """The network of the page, hardly trained, with its ONNX files."""
    folder = tmp_path_factory.mktemp("line") / "tones"
    train(sounds, TrainConfig("audio", repeats=1, epochs=1), folder)
    certificate = export(folder, sounds, formats=["onnx", "dense", "stateful"])
    assert certificate["left_out"] == {}
    assert set(certificate["artefacts"]) == {"model.onnx", "dense.onnx", "stateful.onnx"}
    return folder


@pytest.fixture(scope="module")
def three_seconds(tool, tmp_path_factory, sounds):
    folder = tmp_path_factory.mktemp("wav")
    write_recordings(sounds, recordings(sounds, "test"), folder / "recordings", file_format="wav")
    tool.write_minute(folder / "recordings", folder / "three.wav", seconds=3)
    return folder / "three.wav"


def test_the_page_is_what_the_results_render_to(tool):
    assert tool.render(RESULTS) == PAGE


def test_the_page_shows_the_commands_that_were_run(tool):
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    assert tuple(block.splitlines()) == tool.COMMANDS
    assert [seen["command"] for seen in RESULTS["commands"]] == list(tool.COMMANDS)


def test_its_figures_keep_what_they_promise(tool):
    assert RESULTS["predictions"] == (60 * 16000 - 16000) // 320 + 1
    assert RESULTS["parameters"] == build("audio", 16000, 1, 4).count_params()
    rows = RESULTS["rows"]
    assert max(row["max_abs_diff"] for row in rows.values()) < 1e-5
    dense = rows[tool.DENSE]
    assert dense["times_as_fast"]["low"] > 10  # of 45 times fewer multiply-adds
    assert dense["real_time"] == pytest.approx(20_000 / dense["us_per_prediction"]["value"])
    assert max(seen["peak_mib"] for seen in RESULTS["commands"]) < 4096


def test_a_wav_file_streams_to_the_answers_of_every_form(model, three_seconds):
    with wave.open(str(three_seconds)) as file:
        assert file.getnframes() == 48_000
    classifier = Classifier.load(model)
    spec = classifier.spec
    pieces = list(read_recording(three_seconds, spec.channel_names, 7001, spec.sampling_rate_hz))
    stream = StreamClassifier(classifier)
    streamed = [prediction for piece in pieces for prediction in stream.push(piece)]
    assert [prediction.start_s for prediction in streamed[:3]] == [0, 0.02, 0.04]
    samples = np.concatenate(pieces)
    windows = np.lib.stride_tricks.sliding_window_view(samples, spec.window, axis=0)[:: spec.hop].transpose(0, 2, 1)
    expected = classifier.predict(windows)
    # float32 sums in another order, as the certificate allows
    np.testing.assert_allclose([prediction.probabilities for prediction in streamed], expected, atol=1e-5)
    np.testing.assert_allclose(Scorer.load(model).score(samples), expected, atol=1e-5)


def test_the_tool_measures_every_form_and_costs_what_the_page_says(tool, model, three_seconds):
    seen = tool.measure_forms(model, three_seconds, Plan(rounds=2, round_s=0.01, warm_up_s=0.0))
    assert list(seen["rows"]) == list(tool.CONTESTANTS) == list(RESULTS["rows"])
    assert (seen["predictions"], seen["seconds"]) == (101, 3)
    for name, row in seen["rows"].items():
        assert row["max_abs_diff"] < 1e-5
        assert row["multiply_adds"] == RESULTS["rows"][name]["multiply_adds"]
        assert row["us_per_prediction"]["value"] > 0
