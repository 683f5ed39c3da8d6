"""Windows of any origin from an .npz file: what they become, and every way in which they can be wrong."""

import re

import numpy as np
import pytest

from edgeconv.data import load_arrays, load_data
from edgeconv.runtime import Channel, InputError, MissingFileError, ModelSpec

SPEC = ModelSpec("net", "1", (Channel("x", "g"), Channel("y", "g")), 50.0, 5, 2, ("a", "b", "c"))
TEXTS = ModelSpec("texts", "1", (), 1.0, 5, 5, ("a", "b"), input="tokens", vocabulary=9)


def split_of(name, n=4, spec=SPEC):
    rng = np.random.default_rng(n)
    windows = rng.normal(size=(n, 5, 2)) if spec is SPEC else rng.integers(0, 9, (n, 5))
    return {
        f"{name}_windows": windows,
        f"{name}_class_ids": rng.integers(0, len(spec.labels), n),
        f"{name}_subjects": np.full(n, 7),
    }


@pytest.fixture
def write(tmp_path):
    def write(arrays, name="own.npz"):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


def test_both_splits_become_a_data_set_of_the_spec(write):
    arrays = split_of("test") | split_of("train", 3)
    path = write(arrays | {"name": "Own", "licence": "CC0", "synthetic": True})
    dataset = load_arrays(path, SPEC)
    assert (dataset.name, dataset.licence, dataset.synthetic) == ("Own", "CC0", True)
    assert (dataset.labels, dataset.channels, dataset.hop, dataset.window) == (SPEC.labels, SPEC.channels, 2, 5)
    for name, n in (("test", 4), ("train", 3)):
        split = dataset.split(name)
        assert (split.windows.dtype, len(split)) == (np.float32, n)
        np.testing.assert_array_equal(split.windows, arrays[f"{name}_windows"].astype(np.float32))
        np.testing.assert_array_equal(split.class_ids, arrays[f"{name}_class_ids"])
        np.testing.assert_array_equal(split.subjects, arrays[f"{name}_subjects"])
    assert load_data(path, SPEC).content_hash() == dataset.content_hash()


def test_without_training_windows_that_split_is_empty_and_has_the_window_s_shape(write):
    dataset = load_arrays(write(split_of("test")), SPEC)
    assert dataset.train.windows.shape == (0, 5, 2)
    assert (dataset.name, dataset.synthetic, dataset.licence) == ("own", False, "not stated")
    assert re.fullmatch(r"own.npz \(sha256 [0-9a-f]{64}\)", dataset.source)


def test_texts_keep_their_ids(write):
    arrays = split_of("test", spec=TEXTS)
    dataset = load_arrays(write(arrays), TEXTS)
    assert dataset.test.windows.dtype == np.int32
    np.testing.assert_array_equal(dataset.test.windows, arrays["test_windows"])
    assert dataset.window == 5


GOOD = split_of("test")


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ({"test_windows": None}, "lacks test_windows"),
        ({"test_class_ids": None, "test_subjects": None}, "lacks test_class_ids, test_subjects"),
        ({"train_windows": GOOD["test_windows"]}, "lacks train_class_ids, train_subjects"),
        ({"test_labels": GOOD["test_class_ids"]}, "holds test_labels, which is not known; the arrays are"),
        ({"test_windows": GOOD["test_windows"].transpose(0, 2, 1)}, r"shape \[4, 2, 5\].*axes are swapped"),
        ({"test_windows": GOOD["test_windows"][:, :4]}, r"shape \[4, 4, 2\]; the spec says \[n, 5, 2\]"),
        ({"test_windows": GOOD["test_windows"][0]}, r"shape \[5, 2\]"),
        ({"test_windows": GOOD["test_windows"] > 0}, "dtype bool; expected real numbers"),
        ({"test_windows": GOOD["test_windows"] * np.nan}, r"test_windows: windows hold nan at index \[0, 0, 0\]"),
        ({"test_windows": GOOD["test_windows"] * 1e300}, "hold -?inf"),
        ({"test_class_ids": np.array([0, 1, 2, 3])}, "class_ids holds 3 at index 3.*0 to 2 are expected$"),
        ({"test_class_ids": np.array([1, 2, 3, 1])}, "class_ids holds 3 at index 2.*they count from 0"),
        ({"test_class_ids": np.array([-1, 1, 2, 1])}, "class_ids holds -1 at index 0"),
        ({"test_class_ids": np.eye(3)[[0, 1, 2, 0]]}, r"float64 \[4, 3\]; one integer.*argmax"),
        ({"test_class_ids": np.array(["a", "b", "a", "c"])}, "one integer for each of 4 windows"),
        ({"test_subjects": np.zeros(3, int)}, r"test_subjects is int64 \[3\]; one integer for each of 4 windows"),
        ({key: value[:0] for key, value in GOOD.items()}, "holds no window"),
        ({"synthetic": np.array([True])}, "synthetic is bool"),
        ({"synthetic": "yes"}, "true or false is expected"),
        ({"licence": 3}, "licence is int64.*one text"),
        ({"test_windows": np.array([[object()]])}, "cannot be read|not an .npz file that can be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(write, change, telling):
    arrays = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(InputError, match=telling):
        load_arrays(write(arrays), SPEC)


def test_ids_out_of_the_vocabulary_are_named(write):
    arrays = split_of("test", spec=TEXTS)
    arrays["test_windows"][2, 1] = 9
    with pytest.raises(
        InputError, match=r"test_windows: tokens hold the id 9 at index \[2, 1\]; expected ids from 0 to 8"
    ):
        load_arrays(write(arrays), TEXTS)


def test_what_is_no_npz_file_is_refused(tmp_path, write):
    with pytest.raises(MissingFileError, match=r"none.npz is not there"):
        load_arrays(tmp_path / "none.npz", SPEC)
    for content in (b"", b"rubbish", write(GOOD).read_bytes()[:200]):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"broken.npz is not an .npz file"):
            load_arrays(tmp_path / "broken.npz", SPEC)
    np.save(tmp_path / "one.npy", GOOD["test_windows"])
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(InputError, match="holds one array, not several"):
        load_arrays(tmp_path / "one.npz", SPEC)


DESCRIBED = {
    "labels": np.array(SPEC.labels),
    "channel_names": np.array(["x", "y"]),
    "units": np.array(["g", "g"]),
    "sampling_rate_hz": 50,
    "hop": 2,
}


def test_a_file_that_describes_itself_needs_no_spec(write):
    path = write(GOOD | split_of("train", 3) | DESCRIBED)
    dataset = load_data(path)
    assert (dataset.labels, dataset.channels, dataset.hop, dataset.window) == (SPEC.labels, SPEC.channels, 2, 5)
    assert dataset.content_hash() == load_data(path, SPEC).content_hash()


def test_all_that_a_file_does_not_say_is_asked_for_at_once(write):
    with pytest.raises(InputError, match=r"labels, channel_names, units, sampling_rate_hz, hop are missing.*hop=64\)"):
        load_data(write(GOOD))
    with pytest.raises(InputError, match=r"hop is missing.*np\.savez\(…, hop=64\)"):
        load_data(write(GOOD | {key: value for key, value in DESCRIBED.items() if key != "hop"}))


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ({"labels": np.arange(3)}, r"labels is int64 \[3\]; texts \[n\] expected"),
        ({"hop": 2.5}, r"hop is float64 \[\]; an integer expected"),
        ({"hop": 0}, "window and hop must be at least 1"),
        ({"sampling_rate_hz": np.array([50])}, r"sampling_rate_hz is int64 \[1\]; a number expected"),
        ({"units": np.array(["g"])}, r"2 channel_names, 1 units and test_windows \[4, 5, 2\]"),
        ({"channel_names": np.array(["x", "x"])}, "channel names repeat"),
    ],
)
def test_a_description_that_cannot_be_is_named(write, change, telling):
    with pytest.raises(InputError, match=telling):
        load_data(write(GOOD | DESCRIBED | change))


@pytest.mark.parametrize(
    "change", [{"units": np.array(["g", "m/s2"])}, {"sampling_rate_hz": 49.0}, {"labels": np.array(["b", "a", "c"])}]
)
def test_a_description_other_than_the_model_s_is_refused(write, change):
    (name,) = change
    with pytest.raises(InputError, match=f"{name} is .*, and the model's spec says"):
        load_data(write(GOOD | DESCRIBED | change), SPEC)
