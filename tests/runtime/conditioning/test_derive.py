import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import ArtefactError, Channel, InputError, ModelSpec
from edgeconv.runtime.conditioning.derive import Derivation, Derived
from edgeconv.runtime.conditioning.filters import Filter, running

SMOOTH = (Filter("median", 3), Filter("low-pass", 3, 20.0))
SPEC = ModelSpec(
    name="walk",
    version="1",
    channels=(Channel("body_x", "g"), Channel("total_x", "g"), Channel("gyro_x", "rad/s"), Channel("light", "lx")),
    sampling_rate_hz=50.0,
    window=128,
    hop=64,
    labels=("a", "b"),
    derived=(
        Derived("body_x", "acc_x", (*SMOOTH, Filter("minus-low-pass", 3, 0.3))),
        Derived("total_x", "acc_x", SMOOTH),
        Derived("gyro_x", "turn_x", (Filter("median", 3), Filter("low-pass", 3, 20.0))),
    ),
)


def draw(seed, n):
    return np.random.default_rng(seed).normal(size=(n, 3)).cumsum(axis=0) + np.array([1, 0, 100])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pushes=st.lists(st.integers(0, 150), min_size=1, max_size=8), seed=st.integers(0, 2**16))
def test_the_bits_are_the_same_however_a_recording_is_cut(pushes, seed):
    samples, derivation = draw(seed, sum(pushes)), Derivation(SPEC)
    whole = derivation.push(samples)
    derivation.reset()
    pieces, at = [], 0
    for size in pushes:
        pieces.append(derivation.push(samples[at : at + size]))
        at += size
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


def test_each_channel_goes_through_its_steps_and_all_are_equally_late():
    samples, derivation = draw(1, 400), Derivation(SPEC)
    found = derivation.push(samples)
    assert [(c.name, c.unit) for c in derivation.inputs] == [("acc_x", "g"), ("turn_x", "rad/s"), ("light", "lx")]
    assert derivation.delay == 1
    for place, one in ((0, SPEC.derived[0]), (1, SPEC.derived[1]), (2, SPEC.derived[2])):
        own = samples[:, [0 if one.source == "acc_x" else 1]]
        for step in one.filters:
            own = running(step, 50.0, 1).push(own)
        # one column alone or beside others: another order of summing
        np.testing.assert_allclose(found[:, place], own[:, 0], atol=1e-12)
    np.testing.assert_array_equal(found[1:, 3], samples[:-1, 2])  # passed on, held back as long as the others


def test_a_whole_recording_has_the_delay_taken_out():
    samples, derivation = draw(2, 300), Derivation(SPEC)
    late = derivation.push(samples)
    whole = derivation.whole(samples)
    assert whole.shape == (300, 4)
    np.testing.assert_array_equal(whole[:-1], late[1:])
    np.testing.assert_array_equal(whole[:, 3], samples[:, 2])
    assert derivation.whole(samples[:0]).shape == (0, 4)


def test_a_restored_derivation_goes_on_with_the_same_bits():
    samples, one, other = draw(3, 500), Derivation(SPEC), Derivation(SPEC)
    one.push(samples[:233])
    state = one.state()
    expected = one.push(samples[233:])
    other.restore(state)
    assert other.push(samples[233:]).tobytes() == expected.tobytes()


def test_a_refused_push_leaves_everything_as_it_was():
    samples, derivation = draw(4, 200), Derivation(SPEC)
    expected = derivation.push(samples)
    derivation.reset()
    derivation.push(samples[:100])
    with pytest.raises(InputError, match=r"turn_x is nan at index 7"):
        derivation.push(np.where(np.arange(60).reshape(20, 3) == 22, np.nan, 1.0))
    with pytest.raises(InputError, match=r"shape \[5, 2\]; expected \[n, 3\]: acc_x, turn_x, light"):
        derivation.push(np.zeros((5, 2)))
    np.testing.assert_array_equal(derivation.push(samples[100:]), expected[100:])


def test_a_spec_without_derived_channels_passes_everything_on():
    derivation, samples = Derivation(replace(SPEC, derived=())), np.ones((3, 4))
    assert [c.name for c in derivation.inputs] == [c.name for c in SPEC.channels]
    assert derivation.delay == 0
    np.testing.assert_array_equal(derivation.push(samples), samples)


def test_a_spec_keeps_its_derived_channels_and_one_without_is_written_as_before():
    assert ModelSpec.from_json(SPEC.to_json(), "here") == SPEC
    assert "derived" not in json.loads(replace(SPEC, derived=()).to_json())


def changed(**values):
    return (replace(SPEC.derived[0], **values),)


@pytest.mark.parametrize(
    ("derived", "words"),
    [
        (changed(name="acc_x"), "acc_x is derived and is no channel of it"),
        (changed(source="total_x") + SPEC.derived[1:], "comes from total_x, which is derived itself"),
        (changed() + changed(), "body_x is derived twice"),
        (changed(source="light"), "body_x is in g and comes from light in lx"),
        (changed(filters=(Filter("low-pass", 3, 30.0),)), "body_x: a low-pass has corner_hz 30.0"),
    ],
)
def test_derived_channels_that_cannot_be_are_refused(derived, words):
    with pytest.raises(ArtefactError, match=words):
        replace(SPEC, derived=derived)


def test_a_derived_channel_that_is_not_described_is_refused():
    text = SPEC.to_json().replace('"source"', '"from"')
    with pytest.raises(ArtefactError, match="incomplete"):
        ModelSpec.from_json(text, "here")
