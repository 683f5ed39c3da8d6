"""Which parser is chosen for which file, with what is installed."""

import subprocess
import sys

import pytest

from edgeconv.runtime.sources import engines
from edgeconv.runtime.sources.engines import MIB, NUMPY, choose_engine


@pytest.fixture
def loaded(monkeypatch):
    """Say which packages are imported already, which are installed, and what is loaded instead of them."""

    def set_up(imported=(), installed=("pyarrow", "polars")):
        def load(package):
            if package not in installed:
                raise ModuleNotFoundError(package)
            return package

        monkeypatch.setattr(
            engines,
            "PACKAGES",
            tuple((name, worth, lambda name=name: load(name)) for name, worth, _ in engines.PACKAGES),
        )
        for name in ("pyarrow", "polars"):
            monkeypatch.delitem(sys.modules, name, raising=False)
            if name in imported:
                monkeypatch.setitem(sys.modules, name, sys)

    return set_up


@pytest.mark.parametrize(
    ("imported", "installed", "size_mib", "expected"),
    [
        ([], ["pyarrow", "polars"], 1, NUMPY),
        ([], ["pyarrow", "polars"], 15, NUMPY),
        ([], ["pyarrow", "polars"], 16, "pyarrow"),
        ([], ["polars"], 47, NUMPY),
        ([], ["polars"], 48, "polars"),
        ([], [], 1000, NUMPY),
        (["polars"], ["pyarrow", "polars"], 1, "polars"),
        (["polars"], ["pyarrow", "polars"], 16, "pyarrow"),
        (["polars", "pyarrow"], ["pyarrow", "polars"], 1, "pyarrow"),
    ],
)
def test_a_package_is_imported_where_that_is_worth_it(loaded, imported, installed, size_mib, expected):
    loaded(imported, installed)
    assert choose_engine(size_mib * MIB) == expected


def test_a_package_that_cannot_be_imported_is_as_good_as_none(tmp_path):
    for name in ("pyarrow", "polars"):
        (tmp_path / f"{name}.py").write_text("raise AttributeError('built for another numpy')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from edgeconv.runtime.sources.engines import NUMPY, choose_engine\n"
        "print(choose_engine(1 << 30) == NUMPY)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_importing_the_sources_imports_neither_package():
    code = "import sys, edgeconv.runtime.sources; print(sorted({'pyarrow', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "[]\n"
