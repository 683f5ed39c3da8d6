"""docs/plausibility.md says what `tools/plausibility.py` found of every disturbance, and doubts nothing undisturbed."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("plausibility_tool", ROOT / "tools" / "plausibility.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["plausibility_tool"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows():
    page = (ROOT / "docs" / "plausibility.md").read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]


def test_the_page_has_every_disturbance_for_each_of_three_specs(tool, rows):
    names = [disturbance.name for disturbance in tool.DISTURBANCES]
    assert [row[0] for row in rows if row[0] in names] == names * 3
    assert len(set(names)) == len(names) >= 12


def test_nothing_undisturbed_is_doubted(rows):
    counted = [row for row in rows if row[0].startswith("har_")]
    assert len(counted) == 6
    assert {row[-1] for row in counted} == {"0"}


def test_every_disturbance_changes_a_recording_and_leaves_the_recording_as_it_was(tool):
    samples = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    before = samples.copy()
    for disturbance in tool.DISTURBANCES:
        changed = disturbance.change(samples)
        assert changed.shape[1:] == samples.shape[1:]
        assert (changed.shape != samples.shape) == ("Hz" in disturbance.name), disturbance.name
        assert not np.array_equal(changed, samples), disturbance.name
        np.testing.assert_array_equal(samples, before)
