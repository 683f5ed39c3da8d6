"""Who may import whom: a folder is a promise about dependencies, and these tests keep it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "edgeconv"
RUNTIME = PACKAGE / "runtime"
ANY = frozenset({"any package"})


@dataclass(frozen=True)
class Rule:
    """What a module, or all modules of a folder, may import besides the standard library."""

    project: frozenset[str]
    """Modules of edgeconv, each with all below it; `edgeconv` alone stands for the version in it and nothing below."""
    packages: frozenset[str]
    """Packages that may be imported when the module is."""
    inside: frozenset[str]
    """Packages that may be imported inside functions only, because they are slow or optional."""
    relative: bool = False
    """Whether everything of edgeconv must be imported relatively, so that the folder works under another name."""


def rule(project: str = "", packages: str = "", inside: str | frozenset[str] = "", *, relative: bool = False) -> Rule:
    project_names = (f"edgeconv.{name}" if name != "edgeconv" else name for name in project.split())
    lazy = inside if isinstance(inside, frozenset) else frozenset(inside.split())
    return Rule(frozenset(project_names), frozenset(packages.split()), lazy, relative)


# The longest name that fits a module decides. A folder that has no row here may not exist.
# fmt: off
RULES = {
    #  who                         may import of edgeconv                      packages               inside functions
    "edgeconv":               rule(),
    "edgeconv.__main__":      rule("cli"),
    "edgeconv.folder":        rule("edgeconv runtime.errors runtime.artefact"),
    "edgeconv.runtime":       rule("runtime",                                  "numpy onnxruntime",   relative=True),
    "edgeconv.runtime.sources": rule("runtime",                                "numpy",          ANY, relative=True),
    "edgeconv.runtime.sinks": rule("runtime",                                  "numpy",          ANY, relative=True),
    "edgeconv.data":          rule("runtime folder data",                      "numpy"),
    "edgeconv.data.remote":   rule("runtime folder data",                      "",               "fsspec aiohttp"),
    "edgeconv.evaluate":      rule("runtime data folder evaluate",             "numpy",
                                   "tensorflow keras flatbuffers"),
    "edgeconv.runs":          rule("edgeconv runtime folder runs",             "numpy",
                                   "onnxruntime pyarrow ray matplotlib mlflow"),
    "edgeconv.train":         rule("runtime data folder evaluate runs train",  "numpy",
                                   "tensorflow keras optuna"),
    "edgeconv.export":        rule("runtime data folder evaluate runs train bench export", "numpy",
                                   "tensorflow keras flatbuffers onnx onnx_ir onnxruntime tf2onnx"),
    "edgeconv.bench":         rule("edgeconv runtime folder bench",            "numpy",          "onnxruntime"),
    "edgeconv.cli":           rule("edgeconv runtime data folder evaluate runs train export bench cli", "typer",
                                   "numpy rich onnxruntime"),
}
# fmt: on


@dataclass(frozen=True)
class Import:
    """One imported module, by its absolute name."""

    name: str
    line: int
    level: int
    """How many dots stood before it."""
    inside: bool
    """Whether it is imported only when a function runs (or, for types, never)."""


def rule_for(module: str) -> Rule | None:
    parts = module.split(".")
    if module in RULES:
        return RULES[module]
    # The row of `edgeconv` is for its __init__ alone.
    names = (".".join(parts[:length]) for length in range(len(parts) - 1, 1, -1))
    return next((RULES[name] for name in names if name in RULES), None)


def find_imports(module: str, source: str, modules: frozenset[str], *, is_package: bool) -> Iterator[Import]:
    """Yield every import of a module, also those inside functions, for types only, and through importlib."""
    parents = module.split(".") if is_package else module.split(".")[:-1]

    def absolute(node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        kept = parents[: len(parents) - node.level + 1]
        # One dot too many leads out of the project, to a name that no rule allows.
        base = ".".join(kept) or "above edgeconv"
        return f"{base}.{node.module}" if node.module else base

    def visit(node: ast.AST, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, 0, inside)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node)
            for alias in node.names:
                # `from edgeconv import folder` imports a module, `from edgeconv import __version__` only its package.
                name = f"{base}.{alias.name}"
                yield Import(name if name in modules else base, node.lineno, node.level, inside)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            # What is not written out as text cannot be checked, and is refused under this name.
            constant = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "a computed name"
            yield Import(str(constant), node.lineno, 0, inside)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                yield from visit(child, True)
            for child in node.orelse:
                yield from visit(child, inside)
            return
        within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, within)

    yield from visit(ast.parse(source), False)


def violations(module: str, source: str, modules: frozenset[str], *, is_package: bool = False) -> list[str]:
    """Return what a module imports against the rules, each with its line."""
    allowed = rule_for(module)
    if allowed is None:
        return [f"{module} has no row in the table of rules"]
    found = []
    for seen in find_imports(module, source, modules, is_package=is_package):
        top = seen.name.partition(".")[0]
        problem = None
        if top == "edgeconv" or seen.name.startswith("above edgeconv"):
            if not is_allowed(seen.name, allowed.project):
                problem = "is not for it"
            elif allowed.relative and seen.level == 0:
                problem = "must be imported relatively"
        elif top in sys.stdlib_module_names or top in allowed.packages:
            continue
        elif top in allowed.inside or (allowed.inside == ANY and top != "a computed name"):
            problem = None if seen.inside else "may be imported inside a function only"
        else:
            problem = "is not for it"
        if problem:
            found.append(f"{module}, line {seen.line}: {seen.name} {problem}")
    return found


def is_allowed(name: str, project: frozenset[str]) -> bool:
    return name in project or name.startswith(tuple(f"{allowed}." for allowed in project if allowed != "edgeconv"))


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = frozenset(PATHS)


@pytest.mark.parametrize("module", PATHS)
def test_a_module_imports_only_what_the_table_allows(module):
    path = PATHS[module]
    source = path.read_text(encoding="utf-8")
    assert violations(module, source, MODULES, is_package=path.name == "__init__.py") == []


def test_every_row_of_the_table_is_about_something_that_is_there():
    for name, row in RULES.items():
        assert name in MODULES
        assert {project for project in row.project if project not in MODULES} == set()


def test_the_package_itself_imports_nothing_at_all():
    source = PATHS["edgeconv"].read_text(encoding="utf-8")
    assert list(find_imports("edgeconv", source, MODULES, is_package=True)) == []


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("edgeconv.runtime.spec", "import scipy", "scipy is not for it"),
        ("edgeconv.runtime.spec", "def f():\n    import scipy", "scipy is not for it"),
        ("edgeconv.runtime.spec", "from edgeconv.runtime.errors import UsageError", "must be imported relatively"),
        ("edgeconv.runtime.spec", "from ..data import dataset", "edgeconv.data.dataset is not for it"),
        ("edgeconv.runtime.spec", "from .. import folder", "edgeconv.folder is not for it"),
        ("edgeconv.runtime.spec", "from .. import __version__", "edgeconv is not for it"),
        ("edgeconv.runtime.sources.text", "from ...data.load import load_data", "edgeconv.data.load is not for it"),
        ("edgeconv.runtime.sources.text", "from .... import secrets", "above edgeconv is not for it"),
        ("edgeconv.runtime.sources.text", "import serial", "serial may be imported inside a function only"),
        ("edgeconv.runtime.sinks.csv_rows", "try:\n    import paho.mqtt\nexcept ImportError:\n    pass", "function"),
        ("edgeconv.runtime.sinks.csv_rows", "class A:\n    import paho", "paho may be imported inside a function only"),
        ("edgeconv.runtime.spec", "def f():\n    __import__('torch')", "torch is not for it"),
        ("edgeconv.runtime.sources.text", "def f(x):\n    importlib.import_module(x)", "a computed name is not for it"),
        ("edgeconv.data.load", "from edgeconv.evaluate.scores import score", "edgeconv.evaluate.scores is not for it"),
        ("edgeconv.data.load", "from edgeconv import evaluate", "edgeconv.evaluate is not for it"),
        ("edgeconv.data.load", "import onnxruntime", "onnxruntime is not for it"),
        ("edgeconv.data.load", "def f():\n    import tensorflow", "tensorflow is not for it"),
        ("edgeconv.folder", "from edgeconv.runtime import Classifier", "edgeconv.runtime is not for it"),
        ("edgeconv.folder", "from edgeconv.data import load", "edgeconv.data.load is not for it"),
        ("edgeconv.evaluate.compare", "from edgeconv.train.fit import fit", "edgeconv.train.fit is not for it"),
        ("edgeconv.evaluate.compare", "import keras", "keras may be imported inside a function only"),
        ("edgeconv.train.fit", "import tensorflow.keras as k", "tensorflow.keras may be imported inside"),
        ("edgeconv.train.fit", "def f():\n    import onnx", "onnx is not for it"),
        ("edgeconv.train.fit", "from edgeconv.export import onnx", "edgeconv.export.onnx is not for it"),
        ("edgeconv.export.tflite_child", "import tensorflow as tf", "tensorflow may be imported inside"),
        ("edgeconv.export.onnx", "if True:\n    import tf2onnx", "tf2onnx may be imported inside a function only"),
        ("edgeconv.export.onnx", "from edgeconv.cli.console import note", "edgeconv.cli.console is not for it"),
        ("edgeconv.cli.stream", "import numpy as np", "numpy may be imported inside a function only"),
        ("edgeconv.cli.stream", "def f():\n    import tensorflow", "tensorflow is not for it"),
        ("edgeconv.somewhere.new", "", "has no row in the table"),
        ("edgeconv.new", "", "has no row in the table"),
    ],
)
def test_the_checker_sees_a_violation(module, source, problem):
    (found,) = violations(module, source, MODULES)
    assert problem in found


def test_the_checker_names_every_violation_with_its_line():
    source = "import os\nimport keras, onnx\n\ndef f():\n    from edgeconv.cli import main\n"
    assert violations("edgeconv.evaluate.scores", source, MODULES) == [
        "edgeconv.evaluate.scores, line 2: keras may be imported inside a function only",
        "edgeconv.evaluate.scores, line 2: onnx is not for it",
        "edgeconv.evaluate.scores, line 5: edgeconv.cli is not for it",
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("edgeconv.runtime.spec", "import json, numpy\nfrom .errors import UsageError"),
        ("edgeconv.runtime.devices", "import onnxruntime"),
        ("edgeconv.runtime.sources.text", "from ..errors import InputError\nfrom . import rows"),
        ("edgeconv.runtime.sinks.csv_rows", "def f():\n    import paho.mqtt.client"),
        ("edgeconv.runtime.sinks.csv_rows", "if typing.TYPE_CHECKING:\n    import paho.mqtt.client"),
        ("edgeconv.folder", "from edgeconv import __version__\nfrom edgeconv.runtime.errors import ArtefactError"),
        ("edgeconv.train.fit", "class A:\n    async def f(self):\n        import keras.layers"),
        ("edgeconv.export.onnx", "from edgeconv import folder as files\nfrom .card import model_card"),
        ("edgeconv.cli.app", "import typer\nfrom . import stream\nfrom edgeconv import __version__"),
    ],
)
def test_the_checker_lets_pass_what_is_allowed(module, source):
    assert violations(module, source, MODULES) == []


def test_the_runtime_s_all_lists_every_public_name():
    tree = ast.parse((RUNTIME / "__init__.py").read_text(encoding="utf-8"))
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    ]
    public = {name for name in imported if not name.startswith("_")}
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert set(listed) == public
    assert len(listed) == len(set(listed))


# What is not installed is not found, by import and by find_spec alike; so the blocked packages only seem to be there.
WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED or name in BLOCKED:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run_without(blocked: set[str], code: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh process, in a folder, in which some packages cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", f"BLOCKED = {blocked!r}\n{WITHOUT}\n{code}", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


CLASSIFY = """
import importlib, io, pkgutil, sys
import numpy as np

try:
    import edgeconv
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("edgeconv can be imported, so this shows nothing")

import sensing.device as device
from sensing.device.sinks import open_sink
from sensing.device.sources import read_recording

for module in pkgutil.walk_packages(device.__path__, "sensing.device."):
    importlib.import_module(module.name)

classifier = device.Classifier.load("tiny.onnx")
print(classifier.predict(np.zeros((1, 4, 2), np.float32)).tolist())
stream, out = device.StreamClassifier(classifier), io.StringIO()
sink = open_sink("jsonl", out, classifier.spec.labels)
for chunk in read_recording("walk.csv", classifier.spec.channel_names):
    for prediction in stream.push(chunk):
        sink.write("walk", prediction)
print(out.getvalue().count("\\n"))
try:
    device.Classifier.load("gone.onnx")
except device.MissingFileError as error:
    print(error)
print(sorted({name.partition(".")[0] for name in sys.modules} & BLOCKED))
"""


def test_the_runtime_folder_works_alone_under_another_name(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(RUNTIME, tmp_path / "sensing" / "device", ignore=ignored)
    shutil.copy(REPOSITORY / "tests" / "runtime" / "models" / "tiny.onnx", tmp_path)
    (tmp_path / "walk.csv").write_text("acc_x,acc_y\n" + "0.5,1\n" * 6)
    blocked = {"edgeconv", "tensorflow", "keras", "onnx", "tf2onnx", "typer", "rich"}
    done = run_without(blocked, CLASSIFY, tmp_path)
    assert done.returncode == 0, done.stderr
    probabilities, windows, error, loaded = done.stdout.splitlines()
    # All weights meet zeros, so the three classes are equally probable.
    assert ast.literal_eval(probabilities)[0] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert windows == "2"
    assert "gone.onnx is not there" in error
    assert loaded == "[]"


IMPORT_RUNTIME = """
try:
    import edgeconv.runtime
except ImportError as error:
    print(type(error).__name__, isinstance(error, ModuleNotFoundError))
    print(error)
"""


def test_without_onnx_runtime_the_runtime_says_which_two_builds_there_are(tmp_path):
    done = run_without({"onnxruntime"}, IMPORT_RUNTIME, tmp_path)
    assert done.returncode == 0, done.stderr
    kind, message = done.stdout.splitlines()
    assert kind == "DependencyError False"
    assert 'pip install "edgeconv[cpu]"' in message
    assert 'pip install "edgeconv[gpu]"' in message


@pytest.mark.parametrize("command", [("--help",), ("--version",)])
def test_help_needs_no_onnx_runtime(tmp_path, command):
    done = run_without({"onnxruntime"}, "from edgeconv.cli import main\nmain()", tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert "edgeconv" in done.stdout


def test_streaming_without_onnx_runtime_is_one_line_that_says_what_to_install(tmp_path):
    code = "from edgeconv.cli import main\nmain()"
    done = run_without({"onnxruntime"}, code, tmp_path, "stream", "model.onnx", "walk.csv")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edgeconv: error: edgeconv.runtime needs ONNX Runtime")
    assert '`pip install "edgeconv[cpu]"` or `pip install "edgeconv[gpu]"`' in line
