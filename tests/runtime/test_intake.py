"""A stream's last way to the model: derived channels, and judged before it is answered; the same for any cutting."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import InputError, ModelSpec
from edgeconv.runtime.conditioning.conditioner import Piece
from edgeconv.runtime.conditioning.derive import Derivation, Derived
from edgeconv.runtime.conditioning.filters import Filter
from edgeconv.runtime.conditioning.signal import Signal
from edgeconv.runtime.intake import Intake, given_spec
from edgeconv.runtime.plausibility.seen import seen_in
from edgeconv.runtime.spec import Channel

_made = importlib.util.spec_from_file_location("worn", Path(__file__).with_name("worn.py"))
made = importlib.util.module_from_spec(_made)
_made.loader.exec_module(made)

CHANNELS = tuple(Channel(f"{name}_{axis}", unit) for name, unit in (("acc", "g"), ("gyro", "rad/s")) for axis in "xyz")


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    windows = made.windows_of([made.worn(seed) for seed in range(8)])
    plain = ModelSpec("worn", "1", CHANNELS, made.RATE_HZ, made.WINDOW, made.WINDOW // 2, ("rest", "walk"))
    return replace(plain, seen=seen_in(windows, CHANNELS, made.RATE_HZ))


def run(intake, samples, cuts=(), begins=(0,)):
    """What comes out of samples that are pushed in parts; a part that begins at one of `begins` starts a stretch."""
    edges = sorted({0, len(samples), *cuts, *begins})
    pieces = []
    for start, end in itertools.pairwise(edges):
        pieces += intake.push(Piece(start / made.RATE_HZ, start in begins, samples[start:end]))
    return pieces + intake.finish()


def whole(pieces):
    """The samples of each stretch, and when it begins."""
    stretches = []
    for piece in pieces:
        if piece.begins:
            stretches.append((piece.start_s, []))
        stretches[-1][1].append(piece.samples)
    return [(start_s, np.concatenate(parts)) for start_s, parts in stretches]


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 1999), max_size=8), gap=st.integers(1, 1999))
def test_what_comes_out_does_not_depend_on_the_cutting(spec, cuts, gap):
    samples = made.worn(3, 40.0)
    ((first_s, one), (second_s, other)) = whole(run(Intake(spec, spec), samples, cuts, (0, gap)))
    assert (first_s, second_s) == (0, gap / made.RATE_HZ)
    np.testing.assert_array_equal(np.concatenate((one, other)), samples)


def test_nothing_comes_out_before_the_first_decision_and_then_all_of_it(spec):
    intake, samples = Intake(spec, spec), made.worn(3, 40.0)
    assert intake.push(Piece(0.0, True, samples[:255])) == []
    pieces = intake.push(Piece(5.1, False, samples[255:300]))
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), samples[:300])


def test_another_unit_is_refused_with_the_option_and_stays_refused(spec):
    samples = made.worn(3, 40.0) * np.float32([9.80665] * 3 + [1] * 3)
    intake = Intake(spec, spec)
    with pytest.raises(InputError, match=r"--unit acc=m/s\^2"):
        run(intake, samples)
    with pytest.raises(InputError, match="not the signal that the model was trained on"):
        intake.push(Piece(99.0, False, samples[:1]))


def test_what_is_only_marked_comes_out_as_it_is(spec):
    samples = made.worn(3, 40.0) * np.float32([9.80665] * 3 + [1] * 3)
    intake = Intake(spec, spec, "mark")
    ((_, found),) = whole(run(intake, samples))
    np.testing.assert_array_equal(found, samples)
    assert next(finding.code for finding in intake.findings) == "unit"


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 1999), max_size=6), at=st.integers(0, 6))
def test_an_intake_that_is_restored_goes_on_with_the_same_bytes(spec, cuts, at):
    samples = made.worn(5, 40.0)
    expected = whole(run(Intake(spec, spec), samples, cuts))
    edges = sorted({0, len(samples), *cuts})
    intake, pieces = Intake(spec, spec), []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        if number == at:
            state, intake = intake.state(), Intake(spec, spec)
            intake.restore(state)
        pieces += intake.push(Piece(start / made.RATE_HZ, start == 0, samples[start:end]))
    for (start_s, one), (other_s, other) in zip(expected, whole(pieces + intake.finish()), strict=True):
        assert start_s == other_s
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def derived() -> ModelSpec:
    """Two channels that come from one: its median over three samples, and as it is."""
    channels = (Channel("body", "g"), Channel("total", "g"))
    steps = (Filter("median", 3),)
    return ModelSpec(
        "made", "1", channels, 50.0, 64, 32, ("a", "b"),
        derived=(Derived("body", "acc", steps), Derived("total", "acc", ())),
    )  # fmt: skip


def test_a_source_that_has_the_channels_is_taken_as_it_is_and_one_that_has_their_source_is_derived(derived):
    assert given_spec(derived, None, ("total", "body", "time")) is derived
    assert given_spec(derived, None, 2) is derived
    assert given_spec(derived, None, ("acc", "time")).channel_names == ("acc",)
    assert given_spec(derived, None, 1).channel_names == ("acc",)
    assert given_spec(derived, Signal(columns={"acc": "x"}), ("x",)).channel_names == ("acc",)
    assert given_spec(derived, Signal(columns={"body": "x", "total": "y"}), ("x", "y")) is derived


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 299), max_size=8), gap=st.integers(2, 298))
def test_derived_channels_are_those_of_each_whole_stretch_with_no_delay_left(derived, cuts, gap):
    given_ = given_spec(derived, None, 1)
    samples = np.random.default_rng(gap).normal(size=(300, 1)).astype(np.float32)
    found = whole(run(Intake(derived, given_), samples, cuts, (0, gap)))
    assert [start_s for start_s, _ in found] == [0, gap / 50]
    for (_, got), part in zip(found, (samples[:gap], samples[gap:]), strict=True):
        np.testing.assert_array_equal(got, Derivation(derived).whole(part).astype(np.float32))
