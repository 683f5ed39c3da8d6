"""docs/layers.md is what tools/layer_table.py finds."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv.evaluate.keras_model import import_keras

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "layers.md").read_text()


@pytest.fixture(scope="module")
def tool():
    sys.path.insert(0, str(ROOT / "tools"))  # what it is made of can be imported as it imports it
    spec = importlib.util.spec_from_file_location("layer_table", ROOT / "tools" / "layer_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def rows():
    """Name → cells, as the page has them; the number of a note is not part of the name."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return {re.sub(r" \[\d+\]$", "", name): cells for name, *cells in lines if name not in ("layer", "---")}


def test_every_case_has_a_row_and_the_count_is_right(tool, rows):
    names = list(tool.cases(import_keras()))
    assert list(rows) == names
    assert f"{len(names)} networks, {len(names) * len(tool.COLUMNS)} combinations." in PAGE


def test_no_float_file_is_off_and_every_network_has_an_onnx_file(tool, rows):
    for name, cells in rows.items():
        assert len(cells) == len(tool.COLUMNS)
        assert all(re.match("yes|as converted|no|Keras refuses", cell) for cell in cells[:-1]), name
        assert cells[0] in ("yes", "as converted") or cells[0].startswith("Keras refuses"), name


@pytest.mark.parametrize("name", ["activation gelu", "Conv1D padding causal, stride 1, dilation 2, kernel 11"])
def test_a_row_found_again_says_what_the_page_says(tool, rows, name):
    assert tool.row(name) == rows[name]


def test_an_answer_beyond_the_limit_is_called_off(tool):
    assert tool.verdict(np.zeros((2, 3)), np.full((2, 3), 2e-5), tool.FLOAT_LIMIT) == "**off** by 2e-05"
    assert tool.verdict(np.full((2, 3), np.nan), np.zeros((2, 3)), tool.INT8_LIMIT) == "**off** by inf"


def test_every_int8_file_that_is_off_has_its_reason_below_the_table(tool, rows):
    off = [name for name, cells in rows.items() if "**off**" in cells[-1]]
    assert set(off) <= set(tool.NOTES)
    assert all(f"\n{i}. {note}\n" in PAGE for i, note in enumerate(tool.notes(), 1))
    assert set(tool.NOTES) <= set(rows)
