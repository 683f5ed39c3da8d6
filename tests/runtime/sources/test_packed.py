"""Compressed recordings: the same samples, as they come, and a clear word where they end too early."""

from __future__ import annotations

import builtins
import gzip
import io
import tracemalloc
import wave
import zlib
from itertools import pairwise

import numpy as np
import pytest

from edgeconv.runtime.errors import DependencyError, InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.columns import column_names, read_columns
from edgeconv.runtime.sources.opened import open_file
from edgeconv.runtime.sources.table import Wanted, open_table
from edgeconv.runtime.sources.wav import wav_rate_hz

CHANNELS = ("x", "y")
SAMPLES = np.random.default_rng(3).normal(size=(30_000, 2)).astype(np.float32)


def zstd(data):
    return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)


@pytest.fixture(params=["gzip", "zstd"])
def pack(request):
    return gzip.compress if request.param == "gzip" else zstd


def as_csv(samples):
    return ("x,y\n" + "".join(f"{x!s},{y!s}\n" for x, y in samples)).encode()


def as_npy(samples):
    file = io.BytesIO()
    np.save(file, samples)
    return file.getvalue()


def as_wav(samples):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(50)
        sound.writeframes((samples * 1000).astype("<i2").tobytes())
    return file.getvalue()


def read(path, rate_hz=50.0):
    """Return the samples up to the end or an error, and that."""
    found, error = [np.empty((0, 2), np.float32)], None
    try:
        for block in read_recording(path, CHANNELS, sampling_rate_hz=rate_hz):
            found.append(block)  # noqa: PERF402 – those before an error are kept
    except InputError as caught:
        error = caught
    return np.concatenate(found), error


@pytest.mark.parametrize("form", [as_csv, as_npy, as_wav])
def test_what_is_in_it_is_read_as_if_it_were_not_compressed(tmp_path, pack, form):
    (tmp_path / "plain").write_bytes(form(SAMPLES))
    (tmp_path / "packed").write_bytes(pack(form(SAMPLES)))
    plain, packed = read(tmp_path / "plain"), read(tmp_path / "packed")
    assert plain[1] is packed[1] is None
    assert len(packed[0]) == len(SAMPLES)
    np.testing.assert_array_equal(packed[0], plain[0])
    with open_table(tmp_path / "plain") as a, open_table(tmp_path / "packed") as b:
        assert (a.names, a.width, a.rate_hz) == (b.names, b.width, b.rate_hz)
        both = (np.concatenate(list(table.read(Wanted((1,))))) for table in (a, b))
        np.testing.assert_array_equal(*both)


def test_members_and_frames_one_after_another_are_one_recording(tmp_path, pack):
    data = as_csv(SAMPLES)
    cuts = [0, 5, 2000, 2000, len(data)]  # one of them empty
    parts = [pack(data[a:b]) for a, b in pairwise(cuts)]
    (tmp_path / "a.csv").write_bytes(b"".join(parts))
    found, error = read(tmp_path / "a.csv")
    assert error is None
    np.testing.assert_array_equal(found, SAMPLES)


def test_padding_behind_it_is_no_damage_and_other_bytes_are(tmp_path, pack):
    packed = pack(as_csv(SAMPLES[:100]))
    (tmp_path / "a.csv").write_bytes(packed + b"\0" * 5000)
    assert read(tmp_path / "a.csv")[1] is None
    (tmp_path / "a.csv").write_bytes(packed + b"and more")
    found, error = read(tmp_path / "a.csv")
    assert "it is damaged" in str(error)
    np.testing.assert_array_equal(found, SAMPLES[:100])


@pytest.mark.parametrize("rows", [100, 30_000], ids=["short", "long"])
def test_what_comes_before_the_cut_is_read_and_then_said_to_be_cut_off(tmp_path, pack, rows):
    packed = pack(as_csv(SAMPLES[:rows]))
    for kept in (len(packed) // 2, len(packed) - 1):
        (tmp_path / "a.csv").write_bytes(packed[:kept])
        found, error = read(tmp_path / "a.csv")
        assert str(error).startswith(f"{tmp_path / 'a.csv'}: the file, compressed with ")
        assert "it is cut off; what comes before is used" in str(error)
        np.testing.assert_array_equal(found, SAMPLES[: len(found)])
        if rows > 1000:
            assert len(found) > 0.4 * kept / len(packed) * rows
    assert len(found) >= 0.99 * rows  # only the checksum is missing


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_never_read_to_its_end_without_a_word(tmp_path, pack, seed):
    print("seed", seed)
    rng = np.random.default_rng(seed)
    packed = bytearray(pack(as_csv(SAMPLES[:5000])))
    at = int(rng.integers(len(packed) // 3, len(packed)))
    packed[at] ^= int(rng.integers(1, 256))
    (tmp_path / "a.csv").write_bytes(packed)
    found, error = read(tmp_path / "a.csv")
    assert error is not None
    assert len(found) <= 5000


@pytest.mark.parametrize(("form", "words"), [(as_npy, "before all the timesteps"), (as_wav, "bytes before its header")])
def test_an_array_that_ends_too_early_is_an_error_whoever_cut_it(tmp_path, pack, form, words):
    data = form(SAMPLES)
    for packed, said in ((pack(data)[:-500], "it is cut off"), (pack(data[:-500]), words)):
        (tmp_path / "a").write_bytes(packed)
        found, error = read(tmp_path / "a")
        assert said in str(error)
        assert len(found) < len(SAMPLES)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (b"PAR1\x15\0", "a Parquet file, which is compressed by itself"),
        (b"ARROW1\0\0", "an Arrow file, which is compressed by itself where wanted"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or NPZ file, which is compressed by itself"),
        (b"walk.csv".ljust(257, b"\0") + b"ustar\x0000", "a tar archive: unpack it"),
        (gzip.compress(b"x,y\n1,2\n", mtime=0), "compressed a second time, with gzip: unpack it once"),
    ],
)
def test_what_is_compressed_by_itself_is_refused_by_name(tmp_path, pack, inside, words):
    (tmp_path / "a.gz").write_bytes(pack(inside))
    assert words in str(read(tmp_path / "a.gz")[1])
    with pytest.raises(InputError, match=words), open_table(tmp_path / "a.gz"):
        pass


def test_an_array_column_by_column_cannot_be_read_in_bounded_memory(tmp_path, pack):
    (tmp_path / "a.npy").write_bytes(pack(as_npy(np.asfortranarray(SAMPLES))))
    assert "save numpy.ascontiguousarray(array), or unpack it" in str(read(tmp_path / "a.npy")[1])


def test_without_zstandard_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(zstd(as_csv(SAMPLES[:10])))
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "zstandard":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=r'pip install "edgeconv\[zstd\]"'):
        next(read_recording(tmp_path / "a.csv", CHANNELS))


def test_a_compressed_wav_file_says_its_rate_and_a_compressed_text_its_columns(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(as_wav(SAMPLES)))
    assert wav_rate_hz(tmp_path / "a") == 50.0
    (tmp_path / "b").write_bytes(pack(b"x,who\n1,anna\n2,ben\n"))
    assert column_names(tmp_path / "b") == ("x", "who")
    assert read_columns(tmp_path / "b", ["who"]) == [["anna", "ben"]]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_unpacks_to_very_much_is_read_in_bounded_memory(tmp_path, kind):
    # 256 MiB of one row in one piece: gzip makes a thousandth of it, Zstandard hardly anything.
    block = b"0.5,1\n" * (1 << 18)
    maker = zlib.compressobj(9, zlib.DEFLATED, 31)
    if kind == "zstd":
        maker = pytest.importorskip("zstandard").ZstdCompressor().compressobj()
    with (tmp_path / "a.csv").open("wb") as file:
        for _ in range(170):
            file.write(maker.compress(block))
        file.write(maker.flush())
    tracemalloc.start()
    size = 0
    with open_file(tmp_path / "a.csv", "a.csv") as file:
        while data := file.read1(1 << 17):
            size += len(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 170 * len(block)
    assert peak < (4 if kind == "gzip" else 80) << 20
