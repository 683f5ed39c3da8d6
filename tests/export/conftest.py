"""One trained model, with a normalising first layer, for all export tests: about ten seconds."""

import shutil

import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.export.pipeline import export
from edgeconv.train.fit import TrainConfig
from edgeconv.train.protocol import train


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
