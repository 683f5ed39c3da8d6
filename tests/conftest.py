"""What all tests share: a cache of their own, and the real data where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeconv.data import Dataset, UciHar

REPOSITORY = Path(__file__).resolve().parents[1]
UCI_HAR_ZIP = "UCI HAR Dataset.zip"


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the user's cache; real data are parsed once per session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECONV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def uci_har_zip() -> Path:
    """The real UCI HAR data set; a test that needs it is skipped where it is not there."""
    chosen = os.environ.get("EDGECONV_DATA")
    folder = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if not (folder / UCI_HAR_ZIP).is_file():
        pytest.skip(f"real data not found: set EDGECONV_DATA to the folder that holds '{UCI_HAR_ZIP}'")
    return folder / UCI_HAR_ZIP


@pytest.fixture(scope="session")
def uci_har(uci_har_zip: Path, _cache_of_the_session: None) -> Dataset:
    """The real UCI HAR data set, loaded."""
    return UciHar(uci_har_zip).load()
