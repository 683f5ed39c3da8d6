import shutil

import numpy as np
import pytest

from edgeconv.runtime import ArtefactError, Classifier, InputError, MissingFileError, UsageError
from edgeconv.runtime.classifier import BATCH

rng = np.random.default_rng(0)


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5])
def test_predict_is_what_the_weights_say_for_any_number_of_windows(tiny, count, by_hand):
    windows = rng.normal(size=(count, 4, 2)).astype(np.float32)
    got = tiny.predict(windows)
    assert got.dtype == np.float32
    assert got.shape == (count, 3)
    # float32 sums of 8 products against float64: a few units in the last place of numbers up to 1
    np.testing.assert_allclose(got, by_hand(windows), atol=1e-6)


def test_integers_and_views_are_taken_as_they_are(tiny, by_hand):
    windows = rng.integers(-2, 3, size=(5, 2, 4)).transpose(0, 2, 1)
    np.testing.assert_allclose(tiny.predict(windows), by_hand(windows), atol=1e-6)


def test_the_spec_and_the_device_come_from_the_model(tiny):
    assert tiny.spec.labels == ("still", "walk", "run")
    assert tiny.spec.channel_names == ("acc_x", "acc_y")
    assert tiny.device == "cpu"


def test_a_folder_means_its_model_onnx(tmp_path, tiny, models):
    shutil.copy(models / "tiny.onnx", tmp_path / "model.onnx")
    assert Classifier.load(tmp_path).spec == tiny.spec


@pytest.mark.parametrize(
    ("windows", "telling"),
    [
        (np.zeros((4, 2)), r"shape \[4, 2\]; expected \[n, 4, 2\]; for one window use windows\[None\]"),
        (np.zeros((7, 2, 4)), "axes are swapped"),
        (np.zeros((1, 5, 2)), r"shape \[1, 5, 2\]"),
        (np.full((1, 4, 2), "x"), "expected real numbers"),
    ],
)
def test_windows_of_another_form_are_refused(tiny, windows, telling):
    with pytest.raises(InputError, match=telling):
        tiny.predict(windows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_with_their_place(tiny, value):
    windows = np.zeros((2 * BATCH, 4, 2))
    windows[BATCH + 3, 2, 1] = value
    with pytest.raises(InputError, match=rf"at index \[{BATCH + 3}, 2, 1\]"):
        tiny.predict(windows)


def test_large_finite_values_are_not_taken_for_infinite_ones(tiny):
    windows = np.full((2, 4, 2), 3e38, np.float32)
    windows[:, :, 1] *= -1
    assert tiny.predict(windows).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "telling"),
    [
        ("no_spec", "has no 'edgeconv.spec' in its metadata"),
        ("other_window", r"disagrees with its spec.*\['batch', 5, 2\].*\[batch, 4, 2\]"),
        ("other_classes", r"disagrees with its spec.*\['batch', 2\].*\[batch, 3\]"),
        ("fixed_batch", r"disagrees with its spec"),
    ],
)
def test_models_that_are_not_what_their_spec_says_are_refused(name, telling, models):
    with pytest.raises(ArtefactError, match=telling) as caught:
        Classifier.load(models / f"{name}.onnx")
    assert name in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x00\xff" * 500, b"PK\x03\x04zip"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, content):
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model.onnx is not a model that ONNX Runtime can load"):
        Classifier.load(file)


def test_a_model_cut_anywhere_is_refused(tmp_path, models):
    whole = (models / "tiny.onnx").read_bytes()
    file = tmp_path / "cut.onnx"
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ArtefactError, match=r"cut.onnx"):
            Classifier.load(file)


def test_a_missing_model_says_how_to_make_one(tmp_path):
    with pytest.raises(MissingFileError, match="edgeconv export"):
        Classifier.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        Classifier.load(tmp_path / "nowhere.onnx")


def test_threads_below_one_are_refused(models):
    with pytest.raises(UsageError, match="threads is 0"):
        Classifier.load(models / "tiny.onnx", threads=0)
