"""Recordings as WAV files: what is read, and what is refused with which words."""

import io
import os
import struct
import threading
import tracemalloc
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.wav import BLOCK_BYTES

MONO = ("sound",)
STEREO = ("left", "right")
VALUES = np.array([-128, -127, -1, 0, 1, 64, 126, 127])
"""In steps of 8 bits, which the wider formats hold as well."""


def written(frames: bytes, channels=1, width=2, rate=16000) -> bytes:
    """What the standard library writes for PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sink:
        sink.setnchannels(channels)
        sink.setsampwidth(width)
        sink.setframerate(rate)
        sink.writeframes(frames)
    return file.getvalue()


def pcm(values, width) -> bytes:
    if width == 1:
        return (values + 128).astype(np.uint8).tobytes()
    wide = (values.astype(np.int64) << (8 * (width - 1))).astype("<i8")
    return wide.view(np.uint8).reshape(-1, 8)[:, :width].tobytes()


def riff(*chunks: tuple[bytes, bytes], size=None) -> bytes:
    """A file of chunks as they are given; `size` is what the last one says of itself."""
    body = b"WAVE"
    for i, (name, data) in enumerate(chunks):
        said = len(data) if size is None or i < len(chunks) - 1 else size
        body += name + struct.pack("<I", said) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(code=1, channels=1, rate=16000, bits=16, extra=b"") -> tuple[bytes, bytes]:
    frame = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits) + extra


def extensible(code, bits) -> tuple[bytes, bytes]:
    guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
    return fmt(0xFFFE, bits=bits, extra=struct.pack("<HHI", 22, bits, 4) + guid)


@pytest.fixture
def read(tmp_path):
    def read(content, channels=MONO, chunk=4096, rate=16000.0):
        path = tmp_path / "sound.wav"
        path.write_bytes(content)
        return np.concatenate(list(read_recording(path, channels, chunk, rate)))

    return read


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_of_pcm_gives_fractions_of_full_scale(read, width):
    samples = read(written(pcm(VALUES, width), width=width))
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples[:, 0], VALUES / 128)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=1, max_size=30), st.integers(1, 7))
def test_24_bits_come_through_exactly_whatever_the_chunk(tmp_path_factory, values, chunk):
    path = tmp_path_factory.getbasetemp() / "24.wav"
    path.write_bytes(written(b"".join(v.to_bytes(3, "little", signed=True) for v in values), width=3))
    pieces = list(read_recording(path, MONO, chunk, 16000))
    assert all(1 <= len(piece) <= chunk for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces)[:, 0] * 2.0**23, values)


def test_channels_lie_side_by_side(read):
    samples = read(written(pcm(VALUES, 2), channels=2), STEREO)
    np.testing.assert_array_equal(samples, (VALUES / 128).reshape(-1, 2))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("head", [lambda bits: fmt(3, bits=bits), lambda bits: extensible(3, bits)])
def test_floats_are_taken_as_they_are_beyond_full_scale_too(read, bits, head):
    values = np.array([-1.5, 0, 0.1, 2], f"<f{bits // 8}")
    np.testing.assert_array_equal(read(riff(head(bits), (b"data", values.tobytes())))[:, 0], values.astype(np.float32))


def test_the_extensible_header_is_read_and_other_chunks_are_passed_over(read):
    content = riff((b"LIST", b"odd"), extensible(1, 24), (b"fact", b"1234"), (b"data", pcm(VALUES, 3)), (b"id3 ", b"x"))
    np.testing.assert_array_equal(read(content)[:, 0], VALUES / 128)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_files_longer_than_a_block_are_read_whole_and_in_little_memory(tmp_path, width):
    # Three channels, so that no block ends where a timestep does.
    values = np.random.default_rng(0).integers(-128, 128, 40 * BLOCK_BYTES // width // 3 * 3)
    (tmp_path / "long.wav").write_bytes(written(pcm(values, width), channels=3, width=width))
    samples = np.concatenate(list(read_recording(tmp_path / "long.wav", ("a", "b", "c"))))
    np.testing.assert_array_equal(samples.ravel(), values / np.float32(128))
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in read_recording(tmp_path / "long.wav", ("a", "b", "c"))) == len(values) // 3
        assert tracemalloc.get_traced_memory()[1] < 5e6  # the file has 10 MiB
    finally:
        tracemalloc.stop()


def test_a_size_that_was_never_filled_in_means_up_to_the_end(read):
    content = riff(fmt(), (b"data", pcm(VALUES, 2)), size=0xFFFFFFFF)
    np.testing.assert_array_equal(read(content)[:, 0], VALUES / 128)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_as_its_samples_come(tmp_path):
    pipe = tmp_path / "microphone"
    os.mkfifo(pipe)
    content = riff(fmt(), (b"data", pcm(VALUES, 2)), size=0xFFFFFFFF)
    received = threading.Event()
    waited = []

    def send():
        with pipe.open("wb", buffering=0) as stream:
            stream.write(content[:-7])  # in the midst of a sample
            waited.append(received.wait(10))
            stream.write(content[-7:])

    sender = threading.Thread(target=send)
    sender.start()
    pieces = read_recording(pipe, MONO)
    np.testing.assert_array_equal(next(pieces)[:, 0], VALUES[:4] / 128)
    received.set()
    np.testing.assert_array_equal(np.concatenate(list(pieces))[:, 0], VALUES[4:] / 128)
    sender.join()
    assert waited == [True]


WHOLE = written(pcm(VALUES, 2))
NAN = riff(fmt(3, bits=32), (b"data", np.array([0, np.nan], "<f4").tobytes()))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (written(pcm(VALUES, 2), rate=44100), ["44100 samples per second; expected the model's 16000", "resample"]),
        (written(pcm(VALUES, 2), channels=2), ["2 channels; expected 1", "'sound'"]),
        (written(b""), ["no samples; expected a finished recording"]),
        (WHOLE[:-3], ["truncated: it holds 13 bytes of samples; expected 16", "copy it again"]),
        (WHOLE[:40], ["no `data` chunk"]),
        (WHOLE[:30], ["truncated in its header"]),
        (WHOLE[:14], ["no `fmt ` chunk"]),
        (riff((b"data", b"1234")), ["no `fmt ` chunk"]),
        (riff(fmt(bits=12), (b"data", b"1234")), ["PCM values of 12 bits", "save it as PCM of 16 bits"]),
        (riff(fmt(3, bits=16), (b"data", b"1234")), ["float values of 16 bits"]),
        (riff(fmt(channels=0), (b"data", b"1234")), ["0 channels"]),
        (riff(fmt(85), (b"data", b"1234")), ["compressed (format 85)"]),
        (riff((b"fmt ", b"12"), (b"data", b"1234")), ["its format has 2 bytes"]),
        (NAN, ["sample 1 (counted from 0) of channel 'sound' is nan"]),
        (b"RIFF\x24\0\0\0AVI LIST", ["a RIFF file but no WAV file"]),
        (b"fLaC\0\0\0\x22", ["a FLAC file", "save it as WAV"]),
    ],
)
def test_bad_input_is_refused_in_words_that_name_it(read, tmp_path, content, parts):
    with pytest.raises(InputError) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'sound.wav'}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_without_a_rate_any_will_do(read):
    assert len(read(written(pcm(VALUES, 2), rate=44100), rate=None)) == len(VALUES)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(4, 47), st.binary(min_size=1, max_size=6))
def test_a_header_with_other_bytes_in_it_is_read_or_refused_as_input(tmp_path_factory, at, damage):
    data = bytearray(WHOLE)
    data[at : at + len(damage)] = damage
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    path.write_bytes(data)
    message, pieces = "", []
    try:
        pieces = list(read_recording(path, MONO))
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    assert all(np.isfinite(piece).all() for piece in pieces)
