"""Pages that a tool writes are what their JSON files render to, and say what is claimed of them."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "scale": "scale", "presets": "presets", "recipe": "recipe", "training": "bench_train", "protocol": "protocol",
    "disturbances": "disturbances", "raw_recordings": "raw_recordings",
}  # fmt: skip


@pytest.fixture
def tool(monkeypatch):
    """Import a program of tools/ by its name."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == ROOT / "tools":
            del sys.modules[name]


def results(page):
    return json.loads((ROOT / "docs" / f"{page}.json").read_text())


@pytest.mark.parametrize(("page", "program"), PAGES.items())
def test_the_page_is_what_the_results_render_to(tool, page, program):
    assert tool(program).render(results(page)) == (ROOT / "docs" / f"{page}.md").read_text()


def test_every_engine_was_measured_at_every_kind_of_work():
    scale = results("scale")
    for kind, number in scale["counts"].items():
        assert number > 0
        assert len(scale["seconds"][kind]) == 4


def test_ten_repeats_take_at_most_six_tenths_of_the_time_of_plain_keras():
    training = results("training")
    assert (training["repeats"], training["rounds"]) == (10, 3)
    assert training["ratio"]["value"] <= 0.6
    ours, theirs = (sum(training["accuracies"][name]) / 30 for name in ("edgeconv", "keras"))
    assert ours > theirs - 0.01


def test_a_random_split_flatters_every_network():
    splits = results("protocol")["splits"]
    assert set(splits) == {"seed", "edge"}
    for figures in splits.values():
        assert figures["random"]["accuracy_mean"] > figures["folds"]["accuracy_mean"]
    assert len(results("protocol")["leave_one_subject_out"]["per_subject"]) == 21


@pytest.mark.parametrize(
    ("preset", "least", "parameters", "multiply_adds"),
    [("edge", 0.965, 50_000, 1.2e6), ("tiny", 0.95, 12_000, 0.4e6)],
)
def test_the_small_presets_are_as_accurate_and_as_small_as_they_are_meant_to_be(
    preset, least, parameters, multiply_adds
):
    found = results("presets")
    figures = found["presets"][preset]
    assert found["repeats"] == len(figures["float_layers"]) == 10
    assert min(figures["float32"]["mean"], figures["int8"]["mean"]) >= least
    assert figures["parameters"] <= parameters
    assert figures["multiply_adds"] <= multiply_adds
    assert figures["lost"]["mean"] < 0.003


def test_every_part_of_the_recipe_has_a_line_on_training_subjects_alone(tool):
    recipe = results("recipe")
    assert list(recipe["lines"]) == list(tool("recipe").STUDY)
    assert all(line["run"].split("-")[1] == "folds" for line in recipe["lines"].values())
    assert all(len(line["by_seed"]) == recipe["repeats"] for line in recipe["lines"].values())


def test_raw_recordings_give_the_nine_channel_network_what_its_own_windows_give():
    models = results("raw_recordings")["models"]
    assert results("raw_recordings")["recordings"] == 19
    assert [models[name]["channels"] for name in models] == [6, 9, 9]
    # UCI HAR's own test windows of the same people: 98.17 % and 91.21 %
    assert models["har_edge"]["raw"]["accuracy"] > 0.975
    assert models["har_conv1d"]["raw"]["accuracy"] > 0.90
    for found in models.values():
        assert found["smoothed"]["event_f1"] > found["raw"]["event_f1"] + 0.1
        assert found["smoothed"]["false_changes_per_hour"] < found["raw"]["false_changes_per_hour"] / 3
