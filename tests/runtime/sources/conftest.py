"""What the tests of sources share: the parsers of plain tables that are installed."""

import pytest

from edgeconv.runtime.sources.engines import NUMPY, Engine, load_polars, load_pyarrow


@pytest.fixture(scope="session", params=["numpy", "pyarrow", "polars"])
def engine(request) -> Engine:
    """Each parser of plain tables in turn, the optional ones where they are installed."""
    if request.param == "numpy":
        return NUMPY
    pytest.importorskip(request.param)
    return load_pyarrow() if request.param == "pyarrow" else load_polars()
