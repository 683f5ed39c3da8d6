"""What is installed: lock files, extras, and the wheel in an empty environment."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {"cpu": ROOT / "requirements" / "cpu.lock", "gpu": ROOT / "requirements" / "gpu.lock"}


def pins(lock):
    """Package → pinned versions; one package may have one per Python version."""
    found = {}
    for name, pin in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), flags=re.M):
        found.setdefault(name, []).append(pin)
    return found


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_file_pins_with_hashes_and_names_no_address(kind):
    text = LOCKS[kind].read_text()
    assert "://" not in text
    assert "--index" not in text
    blocks = [block for block in re.split(r"\n(?=[a-z])", text) if not block.startswith("#")]
    assert len(blocks) > 20
    for block in blocks:
        assert re.match(r"^[a-z0-9._-]+==\S+", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_file_covers_the_project_s_ranges(kind):
    pinned = pins(LOCKS[kind])
    extras = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *extras[kind], *extras["cli"], *extras["train"]):
        wanted = Requirement(text)
        assert pinned[wanted.name], f"{wanted.name} is not in {kind}.lock"
        assert all(wanted.specifier.contains(pin) for pin in pinned[wanted.name]), text


def test_the_two_builds_of_onnx_runtime_never_meet():
    cpu, gpu = pins(LOCKS["cpu"]), pins(LOCKS["gpu"])
    assert "onnxruntime" in cpu
    assert "onnxruntime-gpu" not in cpu
    assert "onnxruntime-gpu" in gpu
    assert "onnxruntime" not in gpu
    conflicts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["conflicts"]
    assert conflicts == [[{"extra": "cpu"}, {"extra": "gpu"}]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "edgeconv/py.typed" in names
    assert "edgeconv/runtime/classifier.py" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"edgeconv", f"edgeconv-{version('edgeconv')}.dist-info"}
    assert all(name.endswith((".py", "py.typed")) for name in names if name.startswith("edgeconv/"))


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The Python of a new environment that has the wheel with [cpu] and nothing else, in the pinned versions."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version(name)}\n" for name in ("numpy", "onnxruntime", "protobuf")))
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints), f"{wheel}[cpu]"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return python


def run(python, code, cwd):
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=cwd, check=False)


def test_the_wheel_with_cpu_classifies_a_window_where_nothing_else_is_installed(bare, tmp_path):
    model = ROOT / "models" / "har_conv1d"
    done = run(
        bare,
        "import importlib.util as u, numpy as np\n"
        "assert not [m for m in ('tensorflow', 'keras', 'onnx', 'tf2onnx', 'typer', 'rich') if u.find_spec(m)]\n"
        "from edgeconv.runtime import Classifier, StreamClassifier\n"
        f"classifier = Classifier.load({str(model)!r})\n"
        "window = np.zeros((128, 9), np.float32); window[:, 0] = 1\n"
        "probabilities = classifier.predict(window[None])\n"
        "assert abs(probabilities.sum() - 1) < 1e-5\n"
        "(prediction,) = StreamClassifier(classifier).push(window)\n"
        "print(prediction.label, probabilities.shape)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # gravity along x and no movement: standing or sitting
    assert done.stdout.split() in (["STANDING", "(1,", "6)"], ["SITTING", "(1,", "6)"])


def test_the_command_without_its_extra_names_it(bare, tmp_path):
    done = subprocess.run([str(bare.parent / "edgeconv"), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "edgeconv[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_runtime_without_onnx_runtime_names_both_builds(bare, tmp_path):
    hidden = "import sys; sys.modules['onnxruntime'] = None\n"
    blocked = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'onnxruntime' else real(name, *a)\n"
    )
    done = run(bare, hidden + blocked + "import edgeconv.runtime", tmp_path)
    assert done.returncode == 1
    assert 'pip install "edgeconv[cpu]"' in done.stderr
    assert 'pip install "edgeconv[gpu]"' in done.stderr
