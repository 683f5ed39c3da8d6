import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import Channel, ConversionError, InputError, ModelSpec, Triad
from edgeconv.runtime.conditioning.derive import Derived
from edgeconv.runtime.plausibility.plausible import Plausibility, refusal
from edgeconv.runtime.plausibility.seen import seen_in, triads_of

# tests are imported by file, so what stands beside them is, too
_made = importlib.util.spec_from_file_location("worn", Path(__file__).parents[1] / "worn.py")
made = importlib.util.module_from_spec(_made)
_made.loader.exec_module(made)

NAMES = [f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz"]
FACTORS = {"m/s^2": 9.80665, "mg": 1000.0, "deg/s": 57.29578, "mdps": 57295.78}


def spec_for(windows, units=("g", "rad/s")):
    channels = tuple(
        Channel(n, units[i // 3], minimum=float(windows[..., i].min()), maximum=float(windows[..., i].max()))
        for i, n in enumerate(NAMES)
    )
    return ModelSpec("walk", "1", channels, 50.0, 128, 64, ("a", "b"), seen=seen_in(windows, channels, 50.0))


@pytest.fixture(scope="module")
def training():
    return made.windows_of([made.worn(seed) for seed in range(8)])


@pytest.fixture(scope="module")
def spec(training):
    return spec_for(training)


@pytest.fixture(scope="module")
def samples():
    return made.worn(97)


def test_a_triad_has_all_three_axes():
    assert triads_of([*NAMES[:3], "light", *NAMES[3:5]]) == {"acc": [0, 1, 2]}
    assert triads_of(["x", "y", "z"]) == {}


def found(spec, samples, **options):
    stream = Plausibility(spec, **options)
    stream.push(samples)
    return stream.findings


def scaled(samples, places, factor):
    changed = samples.copy()
    changed[:, places] *= np.float32(factor)
    return changed


ACC, GYRO = [0, 1, 2], [3, 4, 5]


@pytest.mark.parametrize("seed", range(100, 110))
def test_what_is_like_the_training_is_not_doubted(spec, seed):
    assert found(spec, made.worn(seed)) == ()


def test_the_spec_keeps_what_training_saw(spec):
    assert ModelSpec.from_json(spec.to_json(), "here") == spec
    assert "seen" not in json.loads(replace(spec, seen=None).to_json())
    assert spec.seen.turning.explained > 0.9
    assert [triad.has_gravity for triad in spec.seen.triads] == [True, False]


@pytest.mark.parametrize(
    ("places", "factor", "unit", "option"),
    [
        (ACC, 9.80665, "m/s^2", "--unit acc=m/s^2"),
        (ACC, 1000.0, "mg", "--unit acc=mg"),
        (GYRO, 57.29578, "deg/s", "--unit gyro=deg/s"),
        (GYRO, 57295.78, "mdps", "--unit gyro=mdps"),
    ],
)
def test_another_unit_is_named_at_the_first_decision(spec, samples, places, factor, unit, option):
    finding = found(spec, scaled(samples, places, factor))[0]
    assert (finding.code, finding.option, finding.at_s) == ("unit", option, 5.12)
    assert finding.channels == tuple(NAMES[i] for i in places)
    assert f"probably {unit}" in finding.message
    assert "in training it was" in finding.message


@pytest.mark.parametrize(("units", "wanted"), [(("m/s^2", "deg/s"), ("g", "rad/s")), (("mg", "mdps"), ("g", "deg/s"))])
def test_a_model_of_other_units_is_told_of_the_reverse(training, samples, units, wanted):
    in_units = training.copy()
    in_units[..., :3] *= FACTORS[units[0]]
    in_units[..., 3:] *= FACTORS[units[1]]
    given_as = scaled(samples, GYRO, FACTORS.get(wanted[1], 1.0))
    options = [finding.option for finding in found(spec_for(in_units, units), given_as)]
    assert options[:2] == [f"--unit acc={wanted[0]}", f"--unit gyro={wanted[1]}"]


def test_a_factor_that_is_no_unit_is_said_as_a_factor(spec, samples):
    finding = found(spec, scaled(samples, ACC, 3.0))[0]
    assert finding.option == "--unit acc=FACTOR"
    assert "about 3 times what it should be" in finding.message


def test_exchanged_sensors_are_recognised_by_gravity(spec, samples):
    finding = found(spec, samples[:, [3, 4, 5, 0, 1, 2]])[0]
    assert finding.code == "exchanged"
    assert set(finding.channels) == set(NAMES)
    assert "gravity is in gyro" in finding.message


@pytest.mark.parametrize("place", range(6))
def test_a_flipped_axis_is_named(spec, samples, place):
    findings = found(spec, scaled(samples, [place], -1.0))
    assert any(f"{NAMES[place]} is flipped" in finding.message for finding in findings)
    assert any(f"--map {NAMES[place]}=-COLUMN" == finding.option for finding in findings)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)])
def test_exchanged_axes_are_named(spec, samples, one, other):
    changed = samples.copy()
    changed[:, [one, other]] = changed[:, [other, one]]
    findings = found(spec, changed)
    assert any(f"{NAMES[one]} and {NAMES[other]} are exchanged" in finding.message for finding in findings)


def at_another_rate(samples, factor):
    """What comes where the sensor gives `factor` times as many samples: float32 [n, 6]."""
    at = np.arange(int((len(samples) - 1) * factor)) / factor
    return np.stack([np.interp(at, np.arange(len(samples)), column) for column in samples.T], axis=1).astype(np.float32)


@pytest.mark.parametrize(("factor", "seed"), [(0.5, 97), (0.5, 98), (2.0, 97), (2.048, 98), (2.0, 99)])
def test_another_rate_is_found_and_both_causes_are_named(spec, factor, seed):
    finding = found(spec, at_another_rate(made.worn(seed), factor))[0]
    assert (finding.code, finding.option) == ("rate", "--rate HZ or --unit gyro=FACTOR")
    said = re.search(r"([\d.]+) times as far as gyro says, .*, such as (\d+) Hz said to be 50 Hz, ", finding.message)
    assert float(said[1]) == pytest.approx(1 / factor, rel=0.25)
    assert float(said[2]) == pytest.approx(50 * factor, rel=0.25)


def test_a_gyroscope_in_a_unit_off_by_less_than_units_are_apart_looks_the_same(spec, samples):
    finding = found(spec, scaled(samples, GYRO, 2.0))[0]
    assert (finding.code, finding.option) == ("rate", "--rate HZ or --unit gyro=FACTOR")


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_rate_that_is_a_little_off_is_not_seen(spec, samples, factor):
    assert found(spec, at_another_rate(samples, factor)) == ()


def test_a_training_that_turns_at_another_scale_is_not_judged_by_it(training, samples):
    """Such as a set whose rate was declared wrongly: what is like it must not be refused."""
    changed = scaled(training.reshape(-1, 6), GYRO, 0.5).reshape(training.shape)
    assert found(spec_for(changed), scaled(samples, GYRO, 0.5)) == ()


@pytest.mark.parametrize("seed", range(90, 96))
def test_columns_that_are_mixed_up_are_found_whatever_their_order(spec, seed):
    rng, samples = np.random.default_rng(seed), made.worn(seed)
    order = rng.permutation(6)
    # Both sensors in one other order, without an axis turned round, are a case that is worn in another way.
    assert not np.array_equal(order[:3], order[3:] - 3), "choose another seed"
    assert found(spec, samples[:, order]), order.tolist()


def test_where_no_single_mistake_explains_the_turning_the_columns_are_called_mixed_up(spec, samples):
    (finding,) = found(spec, samples[:, [4, 2, 0, 5, 1, 3]])
    assert finding.code == "mixed"
    assert (
        "does not turn as gyro says, and no single mistake explains most of it: columns are mixed up" in finding.message
    )
    assert finding.option.startswith("--map ")


def test_a_mirrored_case_is_called_one(spec, samples):
    changed = samples.copy()
    changed[:, [1, 2, 4, 5]] = changed[:, [2, 1, 5, 4]]
    (finding,) = [finding for finding in found(spec, changed) if finding.code == "turning"]
    assert "in both acc and gyro" in finding.message


def test_a_case_worn_upside_down_is_doubted_with_both_causes(spec, samples):
    """Turned as a whole, by half a turn about z: the sensors agree, and only gravity is elsewhere."""
    (finding,) = found(spec, samples * np.array([-1, -1, 1, -1, -1, 1], np.float32))
    assert finding.code == "gravity"
    assert "acc_x is flipped, or the sensor is worn in another way" in finding.message


@pytest.mark.parametrize("place", range(6))
def test_a_dead_axis_is_named(spec, samples, place):
    changed = samples.copy()
    changed[:, place] = samples[0, place]
    finding = found(spec, changed)[0]
    assert (finding.code, finding.channels, finding.at_s) == ("stuck", (NAMES[place],), 5.12)


def test_zeros_are_one_finding(spec, samples):
    (finding,) = found(spec, np.zeros_like(samples))
    assert (finding.code, finding.option) == ("zeros", "")


@pytest.mark.parametrize("place", [1, 3, 4])
def test_a_channel_that_is_cut_off_is_named_with_the_value(spec, samples, place):
    changed = samples.copy()
    changed[:, place] = changed[:, place].clip(None, np.float32(0.25))
    finding = found(spec, changed)[0]
    assert (finding.code, finding.channels) == ("saturated", (NAMES[place],))
    assert "cut off above at 0.25" in finding.message


def test_training_that_was_cut_off_itself_makes_nothing_suspicious(training, samples):
    spec = spec_for(training.clip(-0.25, 2))
    assert [f.code for f in found(spec, samples.clip(-0.25, 2)) if f.code == "saturated"] == []


def test_a_training_that_breaks_the_laws_of_motion_is_not_judged_by_them(training, samples):
    """A generated set may turn without its angular velocity knowing, and a set may have left-handed axes."""
    changed = training * np.array([1, 1, 1, 1, -1, 1], np.float32)
    spec = spec_for(changed)
    assert found(spec, samples) == ()


def test_one_knock_is_no_finding(spec, samples):
    changed = samples.copy()
    changed[256:300] *= 30.0
    assert found(spec, changed) == ()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(pushes=st.lists(st.integers(0, 700), min_size=1, max_size=12), what=st.integers(0, 5))
def test_the_findings_are_the_same_for_any_cutting(spec, samples, pushes, what):
    changed = (
        samples,
        samples * 9.80665,
        scaled(samples, [1], -1.0),
        samples[:, ::-1],
        samples.clip(-1, 0.9),
        samples[::2],
    )[what]
    changed = np.ascontiguousarray(changed[: sum(pushes)], np.float32)
    whole, pieces, at, returned = Plausibility(spec), Plausibility(spec), 0, []
    whole.push(changed)
    for size in pushes:
        returned += pieces.push(changed[at : at + size])
        at += size
        other = Plausibility(spec)
        other.restore(pieces.state())
        pieces = other
    assert pieces.findings == whole.findings == tuple(returned)
    assert pieces.decided == (len(changed) >= pieces.decides_after)


def test_no_window_spans_a_gap(spec, samples):
    with_gap, without = Plausibility(spec), Plausibility(spec)
    with_gap.push(samples[:300])
    with_gap.gap()
    with_gap.push(-samples[1000:])
    without.push(np.concatenate((samples[:256], -samples[1000:])))
    assert with_gap.findings == without.findings != ()


def test_what_is_kept_does_not_grow(spec, samples):
    stream = Plausibility(spec)

    def size(values):
        return sum(value.size if isinstance(value, np.ndarray) else np.asarray(value, object).size for value in values)

    stream.push(samples[:1300])
    early = size(stream.state().values())
    for _ in range(5):
        stream.push(samples)
    assert size(stream.state().values()) <= early + 128 * 6


def test_a_spec_that_keeps_norms_and_ranges_only_still_finds_units_and_dead_axes(spec, training, samples):
    norms = np.linalg.norm(training.reshape(-1, 2, 3), axis=2).mean(axis=0)
    old = replace(spec, seen=None, triads=(Triad("acc", float(norms[0])), Triad("gyro", float(norms[1]))))
    assert found(old, samples) == ()
    assert found(old, scaled(samples, ACC, 9.80665))[0].option == "--unit acc=m/s^2"
    assert found(old, scaled(samples, GYRO, 57295.78))[0].option == "--unit gyro=mdps"
    assert found(old, np.where(np.arange(6) == 4, np.float32(0.1), samples))[0].code == "stuck"


def test_options_name_what_the_source_gives_where_channels_are_derived(spec, samples):
    derived = tuple(Derived(name, f"raw_{name}", ()) for name in NAMES)
    (finding,) = found(replace(spec, derived=derived), scaled(samples, ACC, 9.80665), derived=True)
    assert finding.option == "--unit raw_acc=m/s^2"
    flipped = found(replace(spec, derived=derived), scaled(samples, [0], -1.0), derived=True)
    assert {finding.option for finding in flipped} == {"--map raw_acc_x=-COLUMN"}


def test_the_refusal_names_causes_and_options_and_the_way_out(spec, samples):
    error = refusal(found(spec, scaled(scaled(samples, ACC, 9.80665), GYRO, 57.29578)))
    assert isinstance(error, InputError)
    assert "5.1 s from the start" in str(error)
    assert "give --unit acc=m/s^2 --unit gyro=deg/s, or --allow-implausible" in str(error)
    assert "check the source, or give --allow-implausible" in str(refusal(found(spec, np.zeros_like(samples))))


def test_a_refused_push_leaves_everything_as_it_was(spec, samples):
    stream = Plausibility(spec)
    stream.push(samples[:100])
    with pytest.raises(InputError, match=r"shape \[5, 2\]; expected \[n, 6\]"):
        stream.push(np.zeros((5, 2), np.float32))
    with pytest.raises(InputError, match="nan"):
        stream.push(np.full((300, 6), np.nan, np.float32))
    stream.push(samples[100:])
    assert stream.findings == ()


def test_a_single_channel_is_judged_by_its_range_alone():
    channel = Channel("sound", "full scale", minimum=-1.0, maximum=1.0)
    silence = np.zeros((4, 100, 1), np.float32)
    spec = ModelSpec("sound", "1", (channel,), 100.0, 100, 50, ("a", "b"), seen=seen_in(silence, (channel,), 100.0))
    assert found(spec, np.zeros((1000, 1), np.float32)) == ()  # silence there was in training
    (finding,) = found(spec, 32768 * np.sin(np.arange(1000, dtype=np.float32))[:, None])
    assert (finding.code, finding.option) == ("unit", "--unit sound=FACTOR")


def test_the_training_is_looked_at_in_parts_of_any_size(training, spec, monkeypatch):
    monkeypatch.setattr("edgeconv.runtime.plausibility.seen.VALUES_AT_ONCE", 7 * 128 * 6)
    parted = seen_in(training, spec.channels, 50.0)
    assert replace(parted, turning=None) == replace(spec.seen, turning=None)
    # the moments are added up in another order
    assert parted.turning.explained == pytest.approx(spec.seen.turning.explained, abs=1e-12)


def test_a_model_of_texts_has_no_plausibility():
    texts = ModelSpec("words", "1", (), 1.0, 8, 8, ("a", "b"), input="tokens", vocabulary=9)
    with pytest.raises(ConversionError, match="plausibility"):
        Plausibility(texts)
