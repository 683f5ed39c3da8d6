from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def toys(monkeypatch):
    """The module of toy contestants, where the processes that are started find it too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("bench_toys")


@pytest.fixture(scope="session")
def tiny_models() -> Path:
    """The folder of the tiny models: windows [4, 2] at 10 Hz, hop 2, three classes."""
    return Path(__file__).parents[1] / "runtime" / "models"


@pytest.fixture
def model(tiny_models, tmp_path) -> Path:
    """A model folder with a windowed and a dense form."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    shutil.copy(tiny_models / "tiny.onnx", folder / "model.onnx")
    for form in ("dense.onnx", "stateful.onnx"):
        shutil.copy(tiny_models / form, folder / form)
    return folder
