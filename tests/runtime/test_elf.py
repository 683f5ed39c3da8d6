"""What a shared library needs, read from its file: from real ones, and from ones built here byte by byte."""

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state

from edgeconv.runtime.elf import needed_libraries

NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


@given(names=st.lists(NAME, unique=True, max_size=8), base=st.integers(0, 2**40), padding=st.integers(0, 99))
def test_every_name_is_read_in_its_order(tmp_path_factory, build_elf, names, base, padding):
    path = tmp_path_factory.mktemp("elf") / "lib.so"
    path.write_bytes(build_elf(names, base, padding))
    assert needed_libraries(path) == names


def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path, build_elf):
    path = tmp_path / "lib.so"
    whole = build_elf(["libc.so.6", "libm.so.6"])
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"ELF|outside of the file"):
            needed_libraries(path)


@given(place=st.integers(0, 300), value=st.integers(0, 255))
def test_a_file_with_a_wrong_byte_is_read_or_refused_and_never_anything_else(tmp_path_factory, build_elf, place, value):
    data = bytearray(build_elf(["libc.so.6", "libm.so.6"]))
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("elf") / "lib.so"
    path.write_bytes(data)
    with contextlib.suppress(ValueError):
        assert all(isinstance(name, str) for name in needed_libraries(path))


@pytest.mark.parametrize("start", [b"", b"MZ", b"\x7fELF\x01\x01", b"\x7fELF\x02\x02"])
def test_what_is_no_64_bit_little_endian_elf_file_is_refused(tmp_path, start):
    path = tmp_path / "lib.so"
    path.write_bytes(start and start.ljust(200, b"\0"))
    with pytest.raises(ValueError, match="not a little-endian 64-bit ELF file"):
        needed_libraries(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ELF is the format of Linux")
def test_onnx_runtime_s_own_library_needs_the_c_library():
    needed = needed_libraries(Path(onnxruntime_pybind11_state.__file__))
    assert any(name.startswith("libc.") for name in needed)
    assert all(".so" in name for name in needed)
