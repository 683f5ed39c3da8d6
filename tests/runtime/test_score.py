import shutil

import numpy as np
import pytest

from edgeconv.runtime import ArtefactError, Classifier, InputError, MissingFileError, Scorer
from edgeconv.runtime import score as score_module


@pytest.fixture(scope="session")
def scorer(models):
    return Scorer.load(models / "dense.onnx")


def cut(samples):
    return np.array([samples[i : i + 4] for i in range(0, len(samples) - 3, 2)], np.float32).reshape(-1, 4, 2)


@pytest.mark.parametrize("length", [0, 3, 4, 5, 6, 50, 1001])
def test_a_row_for_every_window_is_what_the_weights_say(scorer, by_hand, length):
    samples = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
    got = scorer.score(samples)
    assert got.dtype == np.float32
    # float32 sums of 8 products against float64
    np.testing.assert_allclose(got, by_hand(cut(samples)).reshape(-1, 3), atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 5, 6, 7, 64])
def test_how_a_long_recording_is_cut_for_memory_does_not_matter(scorer, monkeypatch, chunk):
    samples = np.random.default_rng(1).normal(size=(333, 2)).astype(np.float32)
    whole = scorer.score(samples)
    monkeypatch.setattr(score_module, "CHUNK", chunk)
    monkeypatch.setattr(score_module, "CHUNK_WINDOWS", 1)
    # another length may sum in another order
    np.testing.assert_allclose(scorer.score(samples), whole, atol=1e-6)


def test_it_agrees_with_the_windowed_model(scorer, tiny):
    samples = np.random.default_rng(2).normal(size=(90, 2)).astype(np.float32)
    np.testing.assert_allclose(scorer.score(samples), tiny.predict(cut(samples)), atol=1e-6)
    assert (scorer.spec, scorer.device) == (tiny.spec, "cpu")


@pytest.mark.parametrize(
    ("samples", "telling"),
    [
        (np.zeros((9, 3)), r"shape \[9, 3\]; expected \[n, 2\]"),
        (np.zeros(9), r"shape \[9\]"),
        (np.full((9, 2), np.nan), r"nan at index \[0, 0\]"),
    ],
)
def test_other_samples_are_refused(scorer, samples, telling):
    with pytest.raises(InputError, match=telling):
        scorer.score(samples)


def test_a_windowed_file_is_no_dense_one_and_the_other_way_round(models):
    with pytest.raises(ArtefactError, match=r"tiny.onnx disagrees with its spec: .*the spec says samples \[time, 2\]"):
        Scorer.load(models / "tiny.onnx")
    with pytest.raises(
        ArtefactError, match=r"dense.onnx disagrees with its spec: .*the spec says windows \[batch, 4, 2\]"
    ):
        Classifier.load(models / "dense.onnx")


def test_a_folder_means_its_dense_onnx(models, tmp_path, scorer):
    with pytest.raises(MissingFileError, match=r"dense.onnx is not there"):
        Scorer.load(tmp_path)
    shutil.copy(models / "dense.onnx", tmp_path)
    assert Scorer.load(tmp_path).spec == scorer.spec


def test_runs_are_at_least_as_long_as_many_windows():
    assert score_module.chunk_of(128) == score_module.CHUNK
    assert score_module.chunk_of(16_000) == 16 * 16_000
