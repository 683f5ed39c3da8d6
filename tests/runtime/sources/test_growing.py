"""A file that is still being written, and standard input."""

import importlib.util
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier, InputError
from edgeconv.runtime.conditioning.signal import Signal
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.growing import LAST_LOOKS
from edgeconv.runtime.sources.recording_source import RecordingSource

CHANNELS = ("acc_x", "acc_y")

# tests are imported by file, so what stands beside them is, too
_made = importlib.util.spec_from_file_location("worn", Path(__file__).parents[1] / "worn.py")
made = importlib.util.module_from_spec(_made)
_made.loader.exec_module(made)


class Waited(Exception):  # noqa: N818 (nothing is wrong)
    """The reader waits and nothing more will happen."""


def meanwhile(*happenings):
    """What a reader calls in place of sleeping: each time the next thing happens, and at last the reading ends."""
    waiting = iter(happenings)

    def nap(_seconds):
        happening = next(waiting, None)
        if happening is None:
            raise Waited
        happening()

    return nap


def nothing():
    pass


def add(path, text):
    with path.open("a") as file:
        file.write(text)


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


def test_a_file_that_is_rotated_is_read_to_its_end_and_not_beyond(tmp_path):
    path, old = tmp_path / "walk.csv", tmp_path / "walk.csv.1"
    path.write_text("acc_x,acc_y\n1,2\n")
    happens = meanwhile(
        lambda: path.rename(old),
        lambda: add(old, "3,4\n"),  # by who has not noticed yet
        lambda: path.write_text("acc_x,acc_y\n" + "7,8\n" * 9),
        *[nothing] * (LAST_LOOKS - 1),
        lambda: add(old, "5,6\n7"),
        *[nothing] * LAST_LOOKS,
    )
    blocks = read_recording(path, CHANNELS, follow=happens)
    assert [next(blocks).tolist() for _ in range(3)] == [[[1, 2]], [[3, 4]], [[5, 6]]]
    with pytest.raises(InputError, match=r"walk.csv was replaced by another file while it was followed; .*begin anew"):
        next(blocks)


def test_a_file_that_was_only_renamed_is_followed_under_its_new_name(tmp_path):
    path, old = tmp_path / "walk.csv", tmp_path / "walk.csv.1"
    path.write_text("1,2\n")
    happens = meanwhile(lambda: path.rename(old), *[nothing] * 2 * LAST_LOOKS, lambda: add(old, "3,4\n"))
    blocks = read_recording(path, CHANNELS, follow=happens)
    assert [next(blocks).tolist() for _ in range(2)] == [[[1, 2]], [[3, 4]]]
    with pytest.raises(Waited):
        next(blocks)


def test_a_file_that_is_removed_is_done(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("1,2\n")
    blocks = read_recording(path, CHANNELS, follow=meanwhile(path.unlink, *[nothing] * LAST_LOOKS))
    assert next(blocks).tolist() == [[1, 2]]
    with pytest.raises(InputError, match=r"walk.csv was removed while it was followed"):
        next(blocks)


@pytest.mark.parametrize("lines", [2, 3, 2000], ids=["as long", "longer", "much longer"])
def test_a_file_that_is_emptied_and_written_anew_at_once_is_not_taken_for_one_that_grew(tmp_path, lines):
    path = tmp_path / "walk.csv"
    path.write_text("1,2\n" * 2)
    text = "".join(f"{i % 9},1\n" for i in range(lines))
    blocks = read_recording(path, CHANNELS, follow=meanwhile(lambda: path.write_text(text)))
    assert next(blocks).tolist() == [[1, 2]] * 2
    with pytest.raises(InputError, match=r"walk.csv was written anew while it was followed; what was read before is"):
        next(blocks)


def test_a_long_file_that_is_emptied_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("1,2\n" * 200_000)
    blocks = read_recording(path, CHANNELS, follow=meanwhile())
    found = [next(blocks)]
    path.write_text("acc_x,acc_y\n" + "3,4\n" * 200_000)
    with pytest.raises(InputError, match="was written anew while it was followed"):
        found.extend(blocks)
    assert np.unique(np.concatenate(found), axis=0).tolist() == [[1, 2]]


@pytest.mark.parametrize("signal", [None, Signal(rate_hz=100.0)], ids=["as it is", "resampled"])
def test_what_is_held_back_comes_when_the_file_is_replaced(tmp_path, signal):
    """The first seconds wait for a check and a resampler for more samples; both see the end of what was written."""
    spec = Classifier.load(Path(__file__).resolve().parents[3] / "models" / "har_raw").spec
    path, new = tmp_path / "walk.csv", tmp_path / "new.csv"
    np.savetxt(path, made.worn(11, 4.0), "%.6f", ",", header=",".join(spec.channel_names), comments="")
    expected = list(RecordingSource((path,), spec, signal).pieces())
    follow = meanwhile(nothing, nothing, lambda: new.write_text("1\n") and new.replace(path), *[nothing] * LAST_LOOKS)
    source, found = RecordingSource((path,), spec, signal, follow=follow), []

    def read():
        for step in source.steps():
            found.extend(step)

    with pytest.raises(InputError, match="was replaced by another file"):
        read()
    assert source.read_out
    assert sum(len(piece.samples) for piece in expected) > 0
    np.testing.assert_array_equal(
        np.concatenate([piece.samples for piece in found]), np.concatenate([piece.samples for piece in expected])
    )


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_named_pipe_can_be_followed_beyond_one_writer(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write(text):
        threading.Thread(target=lambda: path.write_text(text)).start()

    write("1,2\n")
    blocks = read_recording(path, CHANNELS, follow=True)
    assert next(blocks).tolist() == [[1, 2]]
    write("3,4\n")
    assert next(blocks).tolist() == [[3, 4]]
    blocks.close()


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
