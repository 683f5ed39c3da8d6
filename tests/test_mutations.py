"""Every damage of tools/damage is noticed by a figure, and docs/mutations.md says what `make mutations` found."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from edgeconv import folder as files
from edgeconv.data.synthetic import synthetic_har
from edgeconv.export.pipeline import export
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "har_conv1d"
FORMATS = ["onnx", "dense", "stateful", "tflite"]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("mutations", ROOT / "tools" / "mutations.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outcomes(tool, tmp_path_factory):
    """What becomes of every damage to a small network whose first layer normalises."""
    dataset = synthetic_har(train_subjects=4, test_subjects=2)
    folder = tmp_path_factory.mktemp("damaged") / "walk"
    train(dataset, TrainConfig(repeats=1, epochs=2, standardise=True), folder)
    export(folder, dataset, formats=FORMATS)
    return list(tool.mutate(folder, dataset, tool.catalogue(folder)))


def test_every_damage_that_changes_an_answer_is_noticed(outcomes):
    missed = [f"{o.damage.file}: {o.damage.name}" for o in outcomes if o.counts and not o.caught_by]
    assert missed == []
    assert sum(outcome.counts for outcome in outcomes) >= 40


def test_figures_notice_and_not_hashes(outcomes):
    assert not any("SHA-256" in outcome.caught_by for outcome in outcomes)
    by_figure = [outcome for outcome in outcomes if "|Δlogit|" in outcome.caught_by]
    assert len(by_figure) >= 40


def test_the_normalisation_is_among_the_damages(outcomes):
    assert {"normalised once more", "normalisation dropped"} <= {outcome.damage.name for outcome in outcomes}


def test_a_folder_without_damage_is_found_in_order(tool, tmp_path):
    """Otherwise everything would be noticed, and nothing shown."""
    dataset = synthetic_har(train_subjects=4, test_subjects=2)
    folder = tmp_path / "walk"
    train(dataset, TrainConfig(repeats=1, epochs=1), folder)
    export(folder, dataset, formats=["onnx"])
    nothing = tool.Damage("nothing", files.ONNX, lambda _: None)
    (outcome,) = tool.mutate(folder, dataset, [nothing])
    assert (outcome.caught_by, outcome.effect) == ("", 0.0)
    assert not outcome.counts


def test_the_page_lists_every_damage_and_all_are_noticed(tool):
    page = (ROOT / "docs" / "mutations.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    normalising = [["`model.onnx`", "normalised once more"], ["`model.onnx`", "normalisation dropped"]]
    expected = [[f"`{damage.file}`", damage.name] for damage in tool.catalogue(MODEL)] + normalising
    assert [row[:2] for row in rows] == expected
    assert "not noticed" not in page
    caught, counting = map(int, re.search(r"\*\*(\d+) of (\d+) noticed", page).groups())
    assert caught == counting >= 40
