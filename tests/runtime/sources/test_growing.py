"""A file that is still being written, and standard input."""

import os
import threading
import time

import numpy as np
import pytest

from edgeconv.runtime import InputError
from edgeconv.runtime.sources import read_recording

CHANNELS = ("acc_x", "acc_y")


def test_lines_that_are_added_are_read_as_they_come(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("acc_x,acc_y\n1,2\n3,")
    blocks = read_recording(path, CHANNELS, follow=True)
    assert next(blocks).tolist() == [[1, 2]]

    def add():
        time.sleep(0.3)
        with path.open("a") as file:
            file.write("4\n5,6\n7")

    writer = threading.Thread(target=add)
    writer.start()
    assert next(blocks).tolist() == [[3, 4], [5, 6]]
    writer.join()
    blocks.close()


def test_a_file_that_is_empty_at_first_is_waited_for(tmp_path):
    path = tmp_path / "walk.csv"
    path.touch()
    threading.Timer(0.2, path.write_text, ["1,2\n"]).start()
    blocks = read_recording(path, CHANNELS, follow=True)
    assert next(blocks).tolist() == [[1, 2]]
    blocks.close()


def test_a_file_that_becomes_shorter_is_no_longer_the_same(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("1,2\n" * 100)
    blocks = read_recording(path, CHANNELS, follow=True)
    assert len(next(blocks)) == 100
    path.write_text("1,2\n")
    with pytest.raises(InputError, match="has become shorter while it was followed"):
        next(blocks)


def test_standard_input_is_a_recording():
    ours, theirs = os.pipe()
    saved = os.dup(0)
    os.dup2(ours, 0)
    try:
        os.write(theirs, b"acc_y,acc_x\n2,1\n4,3\n")
        os.close(theirs)
        assert np.concatenate(list(read_recording("-", CHANNELS))).tolist() == [[1, 2], [3, 4]]
        os.fstat(0)  # it is still the process's own
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(ours)
