"""docs/conv1d-conv2d.md is what its JSON file renders to, and Conv1D is Conv2D of height 1."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgeconv.train.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = json.loads((ROOT / "docs" / "conv1d-conv2d.json").read_text())


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import conv1d_conv2d

    for name in conv1d_conv2d.PRESETS.values():
        monkeypatch.setitem(NETWORKS, name, NETWORKS.get(name))  # what the tool adds goes again
    return conv1d_conv2d


def test_the_page_is_what_the_results_render_to(tool):
    assert tool.render(RESULTS) == (ROOT / "docs" / "conv1d-conv2d.md").read_text()


@pytest.mark.parametrize(("window", "channels", "classes"), [(128, 9, 6), (20, 1, 2)])
def test_conv1d_is_conv2d_of_height_1(tool, window, channels, classes):
    windows = np.random.default_rng(0).normal(size=(64, window, channels)).astype(np.float32)
    # The same products; another kernel of the processor may sum them in another order.
    assert tool.largest_difference(window, channels, classes, windows) < 1e-6


def test_the_page_was_measured_on_real_data_and_its_equality_holds():
    assert not RESULTS["data"]["synthetic"]
    assert RESULTS["largest_difference"] < 1e-6


def test_sizes_are_those_of_the_page(tool):
    for name in tool.PRESETS:
        size = tool.size_of(name, *RESULTS["data"]["shape"])
        assert {key: RESULTS["networks"][name][key] for key in size} == size
    one, flat = (RESULTS["networks"][name] for name in (tool.CONV1D, tool.FLAT))
    assert one["multiply_adds"] == flat["multiply_adds"] == 2_138_840
