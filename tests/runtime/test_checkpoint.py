"""A checkpoint file: what is read is what was written, bit for bit, or an error that says what to do."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgeconv.runtime.checkpoint import VERSION, Checkpoint
from edgeconv.runtime.errors import ArtefactError, InputError

kinds = st.sampled_from(["f4", "f8", "i8", "?", ">f8"])
tensors = arrays.arrays(kinds, arrays.array_shapes(min_dims=0, max_side=3, min_side=0))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | tensors,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def same(one, other):
    if isinstance(one, np.ndarray):
        plain = one.astype(one.dtype.newbyteorder("="))
        return other.dtype == plain.dtype and other.shape == one.shape and other.tobytes() == plain.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (isinstance(one, float) and math.isnan(one + other)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(state=st.dictionaries(st.text(max_size=4), values, max_size=5))
def test_what_is_read_is_what_was_written(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("kept") / "a.ckpt"
    Checkpoint({"hop": 2, "file": "\udcff.csv"}, state).write(path)
    found = Checkpoint.read(path)
    assert found is not None
    assert found.of == {"hop": 2, "file": "\udcff.csv"}
    assert same(state, found.state)
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.ckpt"]


def test_numbers_of_numpy_become_plain_ones_and_arrays_can_be_written_to(tmp_path):
    path = tmp_path / "a.ckpt"
    Checkpoint({}, {"n": np.int64(3), "x": np.float64(-np.inf), "a": np.zeros(2, np.float32)}).write(path)
    state = Checkpoint.read(path).state
    assert (state["n"], state["x"]) == (3, -math.inf)
    state["a"][0] = 1  # what goes on from it changes it


@pytest.mark.parametrize("bad", [object(), {1: 2}, {"a": {3}}, b"bytes"])
def test_what_cannot_be_in_a_state_is_refused_before_anything_is_written(tmp_path, bad):
    with pytest.raises(TypeError):
        Checkpoint({}, {"bad": bad}).write(tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_there_is_none_where_there_is_no_file(tmp_path):
    assert Checkpoint.read(tmp_path / "a.ckpt") is None


def test_every_damage_is_noticed_and_says_what_to_do(tmp_path):
    path = tmp_path / "a.ckpt"
    Checkpoint({"hop": 2}, {"a": np.arange(3.0)}).write(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:at] for at in range(0, len(whole) - 1, 7)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ (1 << rng.integers(0, 7))]) + whole[at + 1 :]
        for at in rng.integers(0, len(whole) - 1, 60)
    ]
    for data in [*damaged, b"", b"[]\n", b"\x89PNG"]:
        path.write_bytes(data)
        with pytest.raises(ArtefactError, match=r"a\.ckpt.*(remove it|version)"):
            Checkpoint.read(path)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_text(json.dumps({"edgeconv_checkpoint": VERSION + 1, "sha256": "0"}) + "\n{}\n")
    with pytest.raises(ArtefactError, match=f"has version {VERSION + 1} of checkpoints, this edgeconv reads {VERSION}"):
        Checkpoint.read(path)


def test_a_checkpoint_of_another_run_is_refused_with_all_that_differs(tmp_path):
    kept = Checkpoint({"hop": 2, "signal": "", "old": 1}, {})
    kept.require({"hop": 2, "signal": "", "old": 1}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r'hop is 4, there 2; old is not said, there 1; new is "x", there not said'):
        kept.require({"hop": 4, "signal": "", "new": "x"}, tmp_path / "a.ckpt")


@pytest.mark.skipif(os.name != "posix", reason="folders that cannot be written to as POSIX has them")
def test_where_it_cannot_be_written_the_one_before_stays(tmp_path):
    path = tmp_path / "a.ckpt"
    Checkpoint({}, {"n": 1}).write(path)
    (tmp_path / ".a.ckpt.new").mkdir()  # in the way, for whoever writes
    with pytest.raises(InputError, match="the checkpoint cannot be written"):
        Checkpoint({}, {"n": 2}).write(path)
    assert Checkpoint.read(path).state == {"n": 1}
