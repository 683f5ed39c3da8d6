"""One trained model, with a normalising first layer, for all export tests: about ten seconds; and models of others."""

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import load_arrays
from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.export.pipeline import export
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train


@pytest.fixture(scope="session")
def dataset():
    return synthetic_har()


@pytest.fixture(scope="session")
def trained_once(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "walk"
    train(dataset, TrainConfig(repeats=1, epochs=3, seed=2, standardise=True), folder)
    return folder


@pytest.fixture(scope="session")
def exported_once(dataset, trained_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "walk"
    shutil.copytree(trained_once, folder)
    export(folder, dataset)
    return folder


@pytest.fixture
def trained(trained_once, tmp_path):
    """A trained folder of the test's own."""
    return shutil.copytree(trained_once, tmp_path / "walk")


@pytest.fixture
def exported(exported_once, tmp_path):
    """An exported folder of the test's own."""
    return shutil.copytree(exported_once, tmp_path / "walk")


@pytest.fixture(scope="session")
def keras():
    return import_keras()


@pytest.fixture
def theirs(monkeypatch):
    """The module that makes Keras models as others do."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("their_models")


@pytest.fixture(scope="session")
def windows():
    """Windows for the models of others: float32 [60, 40, 3]."""
    return np.random.default_rng(3).normal(size=(60, 40, 3)).astype(np.float32)


@pytest.fixture
def proof(tmp_path, windows):
    """Put these windows, or ids of the vocabulary, into a file, and read it as test windows of a spec."""

    def proof(spec):
        truth = np.arange(len(windows)) % len(spec.labels)
        values = windows if spec.input == "signal" else np.arange(60 * spec.window).reshape(60, -1) % spec.vocabulary
        arrays = {"test_windows": values, "test_class_ids": truth, "test_subjects": np.ones(60, int)}
        np.savez(tmp_path / "own.npz", **arrays)
        return load_arrays(tmp_path / "own.npz", spec)

    return proof
