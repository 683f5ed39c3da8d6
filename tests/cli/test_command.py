"""The command itself: help, version, what it loads, and what it says without typer."""

from __future__ import annotations

import json

import pytest

import edgeconv

VERBS = ["demo", "train", "export", "verify", "inspect", "stream", "serve", "evaluate", "bench", "doctor", "score"]
VERBS += ["data list", "data verify", "data recordings", "data fetch"]
VERBS += ["data add", "data show", "data split", "data export", "data remove"]
VERBS += ["runs list", "runs show", "runs compare", "runs plot", "runs track", "search"]

LIST_MODULES = """
import json, sys
sys.argv = ["edgeconv", *sys.argv[1:]]
from edgeconv.cli import main
try:
    main()
except SystemExit as stopped:
    code = stopped.code
print("modules:", json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.fixture
def modules_after(start, finish):
    """Run a command in a fresh process and return the top-level packages it has loaded."""

    def modules_after(*arguments):
        outcome = finish(start(*arguments, code=LIST_MODULES))
        code, modules = json.loads(outcome.err.splitlines()[-1].removeprefix("modules: "))
        assert code == 0, outcome.err
        return {module.partition(".")[0] for module in modules}, set(modules)

    return modules_after


def test_help_names_every_verb_and_every_exit_code(run):
    outcome = run("--help")
    assert outcome.code == 0
    assert outcome.err == ""
    for verb in VERBS:
        assert verb.split()[0] in outcome.out
    text = " ".join(outcome.out.split())
    for code in ("0 done", "2 wrong usage", "3 bad input", "4 a check failed", "5 device", "6 artefact", "7 ", "130 "):
        assert code in text
    assert "Try it: edgeconv demo" in text


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_s_help_shows_an_example_line(run, verb, option):
    outcome = run(*verb.split(), option)
    assert outcome.code == 0
    assert outcome.err == ""
    assert f"Usage: edgeconv {verb} " in outcome.out
    examples = [line.strip() for line in outcome.out.splitlines() if "Example: " in line]
    assert len(examples) == 1
    assert examples[0].startswith(f"Example: edgeconv {verb}")


@pytest.mark.parametrize("verb", [(), ("data",)], ids=["edgeconv", "edgeconv data"])
def test_without_arguments_the_help_is_shown_and_the_exit_code_is_that_of_wrong_usage(run, verb):
    outcome = run(*verb)
    assert outcome.code == 2
    assert outcome.out.split() == run(*verb, "--help").out.split()
    assert outcome.err == ""


def test_the_version_is_that_of_the_package(run):
    outcome = run("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"edgeconv {edgeconv.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fly",), ["fly", "edgeconv --help"]),
        (("--fast",), ["--fast", "edgeconv --help"]),
        (("data", "burn"), ["burn", "edgeconv data --help"]),
        (("data", "recordings"), ["Missing option", "--out", "edgeconv data recordings --help"]),
        (("data", "list", "everything"), ["everything", "edgeconv data list --help"]),
        (("export",), ["Missing argument", "MODEL_DIR", "edgeconv export --help"]),
    ],
)
def test_wrong_usage_is_one_line_that_says_where_the_help_is(run, arguments, words):
    outcome = run(*arguments)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""


def test_the_module_and_the_command_are_the_same(start, finish):
    outcome = finish(start("--version"))
    assert (outcome.code, outcome.out, outcome.err) == (0, f"edgeconv {edgeconv.__version__}\n", "")
    outcome = finish(start("fly"))
    assert outcome.code == 2
    assert "edgeconv --help" in outcome.error


@pytest.mark.parametrize("arguments", [("--help",), ("stream", "--help"), ("--version",)])
def test_help_is_quick_because_it_loads_nothing_heavy(modules_after, arguments):
    packages, _ = modules_after(*arguments)
    assert "typer" in packages
    assert not packages & {"tensorflow", "keras", "onnxruntime", "onnx", "tf2onnx", "numpy"}


def test_streaming_loads_onnx_runtime_and_nothing_that_trains_or_exports(modules_after, model, write, samples):
    packages, modules = modules_after("stream", model, write("walk.csv", samples))
    assert {"numpy", "onnxruntime"} <= packages
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx"}
    workshop = ("edgeconv.data.", "edgeconv.train.", "edgeconv.export.", "edgeconv.evaluate.")
    assert not [module for module in modules if f"{module}.".startswith(workshop)]


def test_listing_data_loads_numpy_and_no_model(modules_after):
    packages, _ = modules_after("data", "list")
    assert not packages & {"tensorflow", "keras", "onnx", "tf2onnx"}


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_typer_it_says_what_to_install(start, finish, tmp_path, missing):
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('No module named {missing}', name='{missing}')")
    if missing == "rich":
        # Some versions of typer do without rich; then there is nothing to say here.
        (tmp_path / "typer.py").write_text("import rich\n")
    outcome = finish(start("stream", "model.onnx", "walk.csv", env={"PYTHONPATH": str(tmp_path)}))
    assert outcome.code == 2
    assert outcome.error == 'the command line needs `pip install "edgeconv[cli]"`'
    assert outcome.out == ""


def test_a_module_missing_inside_edgeconv_is_not_blamed_on_typer(start, finish, tmp_path):
    (tmp_path / "typer.py").write_text("import a_module_that_nobody_has\n")
    outcome = finish(start("--help", env={"PYTHONPATH": str(tmp_path)}))
    assert outcome.code == 1
    assert "No module named 'a_module_that_nobody_has'" in outcome.err
