import json
from dataclasses import replace

import pytest

from edgeconv.runtime import ArtefactError, Channel, MissingFileError, ModelSpec, Triad

SPEC = ModelSpec(
    name="spaß",
    version="2",
    channels=(Channel("acc_x", "g", 0.1, 1.5, -2.0, 2.0), Channel("acc_y", "g")),
    sampling_rate_hz=50.0,
    window=128,
    hop=64,
    labels=("gehen", "größe"),
    triads=(Triad("acc", 1.02),),
    trained_on="synthetic",
)


def test_a_spec_reads_back_as_it_was_written(tmp_path):
    assert ModelSpec.from_json(SPEC.to_json(), "here") == SPEC
    (tmp_path / "spec.json").write_text(SPEC.to_json(), encoding="utf-8")
    assert ModelSpec.load(tmp_path / "spec.json") == SPEC
    assert json.loads(SPEC.to_json())["spec_version"] == 1


def test_normalises_says_whether_any_channel_is_changed():
    assert SPEC.normalises
    assert not replace(SPEC, channels=(Channel("a", "g"),)).normalises


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ({"channels": ()}, "no channels"),
        ({"channels": (Channel("a", "g"), Channel("a", "g"))}, "channel names repeat"),
        ({"channels": (Channel("a", "g", std=0.0),)}, "channel a has mean 0.0 and std 0.0"),
        ({"channels": (Channel("a", "g", mean=float("nan")),)}, "channel a has mean nan"),
        ({"labels": ("one",)}, "two or more different labels"),
        ({"labels": ("one", "one")}, "two or more different labels"),
        ({"window": 0}, "at least 1 timestep"),
        ({"hop": 0}, "at least 1 timestep"),
        ({"sampling_rate_hz": 0.0}, "sampling_rate_hz must be positive"),
        ({"sampling_rate_hz": float("inf")}, "sampling_rate_hz must be positive"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(change, telling):
    with pytest.raises(ArtefactError, match=telling):
        replace(SPEC, **change)


def changed(**values):
    return json.dumps({**json.loads(SPEC.to_json()), **values})


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("{", "not JSON"),
        ("[]", "spec_version is None"),
        (changed(spec_version=99), "spec_version is 99, this edgeconv reads 1"),
        (changed(channels=None), "incomplete"),
        (changed(channels=[{"name": "a"}]), "incomplete"),
        (changed(window="128"), "incomplete"),
        (changed(hop=-1), "at least 1 timestep"),
    ],
)
def test_text_that_is_no_spec_is_refused_with_the_file_s_name(text, telling):
    with pytest.raises(ArtefactError, match=telling) as caught:
        ModelSpec.from_json(text, "models/x.onnx")
    assert str(caught.value).startswith("models/x.onnx")


def test_a_key_of_a_later_minor_form_is_ignored():
    assert ModelSpec.from_json(changed(comment="new"), "here") == SPEC


def test_a_missing_or_binary_spec_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="edgeconv train"):
        ModelSpec.load(tmp_path / "spec.json")
    (tmp_path / "spec.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtefactError, match="not UTF-8"):
        ModelSpec.load(tmp_path / "spec.json")
