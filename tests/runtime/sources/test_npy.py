"""Recordings as NPY files: what is read, and what is refused with which words."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.npy import BLOCK_BYTES

XYZ = ("x", "y", "z")
SAMPLES = np.arange(21, dtype=np.float32).reshape(7, 3)


@pytest.fixture
def read(tmp_path):
    """Save an array, or bytes as they are, as the file walk.npy and read it."""

    def read(content, channels=XYZ, chunk=4096):
        path = tmp_path / "walk.npy"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content)
        return np.concatenate([np.empty((0, len(channels)), np.float32), *read_recording(path, channels, chunk)])

    return read


def saved(array, version=None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "g", "i1", "u1", "<i2", ">i2", "<i8", ">u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_real_dtype_and_order_in_memory_reads_alike(read, dtype, order):
    read_back = read(np.array(SAMPLES, dtype, order=order))
    assert read_back.dtype == np.float32
    np.testing.assert_array_equal(read_back, SAMPLES)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions_one_and_two_are_read(read, version):
    np.testing.assert_array_equal(read(saved(SAMPLES, version)), SAMPLES)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_longer_than_a_block_are_read_whole(read, order):
    samples = np.random.default_rng(0).normal(size=(BLOCK_BYTES // 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(read(np.asarray(samples, order=order)), samples)


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 30), st.integers(1, 35), st.sampled_from("CF"))
def test_the_size_of_chunks_does_not_matter(tmp_path_factory, timesteps, chunk, order):
    path = tmp_path_factory.mktemp("chunks") / "walk.npy"
    samples = np.arange(timesteps * 3, dtype=np.float32).reshape(timesteps, 3)
    np.save(path, np.asarray(samples, order=order))
    pieces = list(read_recording(path, XYZ, chunk))
    assert all(1 <= len(piece) <= chunk for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([samples[:0], *pieces]), samples)


def test_an_array_without_timesteps_has_no_samples(read):
    assert read(SAMPLES[:0]).shape == (0, 3)


def with_value(value, dtype=np.float64):
    array = np.zeros((BLOCK_BYTES // 8, 3), dtype)
    array[50000 % len(array), 1] = value
    return array


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (np.zeros(6, np.float32), ["shape [6]; expected [timesteps, 3]", "save array.reshape(-1, 3)"]),
        (SAMPLES.T, ["shape [3, 7]; expected [timesteps, 3]", "channels first: save array.T"]),
        (SAMPLES[:, :2], ["shape [7, 2]; expected [timesteps, 3], the channels in the model's order"]),
        (np.zeros((2, 128, 3)), ["shape [2, 128, 3]; expected [timesteps, 3]", "cut into windows"]),
        (np.float32(1), ["shape []; expected [timesteps, 3]"]),
        (SAMPLES.astype(np.complex64), ["dtype complex64; expected [timesteps, 3] of a real dtype"]),
        (SAMPLES > 3, ["dtype bool; expected"]),
        (SAMPLES.astype("U4"), ["dtype <U4; expected"]),
        (np.zeros(7, [("x", "f4"), ("y", "f4")]), ["dtype [('x', '<f4'), ('y', '<f4')]; expected"]),
        (np.zeros((7, 3), object), ["pickled Python objects", "can run code", "save array.astype('float32')"]),
        (with_value(np.nan), ["row 17232 (counted from 0), column 'y': nan is not finite"]),
        (with_value(-np.inf, np.float32), ["row 17232 (counted from 0), column 'y': -inf is not finite"]),
        (with_value(1e60), ["row 17232 (counted from 0), column 'y': 1e+60 is too large for float32"]),
        (np.asfortranarray(with_value(np.nan)), ["row 17232 (counted from 0), column 'y': nan"]),
        (saved(SAMPLES)[:-1], ["truncated: it has 211 bytes; expected 212 for the 7 timesteps"]),
        (saved(SAMPLES)[:100], ["damaged NPY header"]),
        (b"\x93NUMPY", ["damaged NPY header", "write the file again with numpy.save"]),
        (b"\x93NUMPY\x09\x00aaaa", ["NPY version 9.0, expected 1.0 or 2.0"]),
        (saved(SAMPLES).replace(b"'shape'", b"'shame'"), ["damaged NPY header"]),
        (saved(SAMPLES).replace(b"{", b"("), ["damaged NPY header"]),
    ],
)
def test_bad_input_is_refused_in_words_that_name_it(read, tmp_path, content, parts):
    with pytest.raises(InputError) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'walk.npy'}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_one_dimension_for_one_channel_gets_the_simple_hint(read):
    with pytest.raises(InputError, match=r"save array\[:, None\]"):
        read(np.zeros(6), ("x",))


def test_objects_are_never_unpickled(read):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    array = np.empty((1, 3), object)
    array[:] = Bomb()
    with pytest.raises(InputError, match="pickled"):
        read(array)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(6, 127), st.binary(min_size=1, max_size=6))
def test_a_header_with_other_bytes_in_it_is_read_or_refused_as_input(tmp_path_factory, at, damage):
    data = bytearray(saved(SAMPLES))
    data[at : at + len(damage)] = damage
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(data)
    message, pieces = "", []
    try:
        pieces = list(read_recording(path, XYZ))
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert all(piece.shape[1] == 3 for piece in pieces)
