"""docs/scale.md is what its JSON file renders to."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import scale

    yield scale
    sys.modules.pop("scale")


def test_the_page_is_what_the_results_render_to(tool):
    results = json.loads((ROOT / "docs" / "scale.json").read_text())
    assert tool.render(results) == (ROOT / "docs" / "scale.md").read_text()
    for kind, number in results["counts"].items():
        assert number > 0
        assert len(results["seconds"][kind]) == 4
