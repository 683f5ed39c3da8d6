"""Say what is installed, what is missing, and on which devices a model really runs."""

from __future__ import annotations

import base64
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any, Literal

import numpy as np

from .binding import Bound
from .devices import CUDA, INSTALL_CUDA, Device, create_session, provider_file
from .errors import DeviceError
from .nvidia import DRIVER, Driver, find_driver, find_libraries

OPTIONAL = ("typer", "rich", "tensorflow", "keras", "tf2onnx", "onnx", "onnx-ir", "polars", "pyarrow")
REINSTALL = 'run `pip uninstall {}`, then `pip install "edgeconv[cpu]"` or `pip install "edgeconv[gpu]"`'
UPDATE = "update ONNX Runtime, and for CUDA the driver"
# MatMul(Flatten(Conv(x))), so that cuDNN and cuBLAS both work for it; tools/make_probe_models.py prints it.
PROBE = base64.b64decode(
    "CAg63gEKFAoBeAoGa2VybmVsEgFjIgRDb252Cg8KAWMSAWYiB0ZsYXR0ZW4KFwoBZgoHd2VpZ2h0cxIBeSIGTWF0TXVsEgVwcm9i"
    "ZSogCAEIAQgBCAMQAUIGa2VybmVsSgwAAIA/AAAAQAAAQEAqQQgGCAIQAUIHd2VpZ2h0c0owAACAPwAAAAAAAAAAAACAPwAAgD8A"
    "AAAAAAAAAAAAgD8AAIA/AAAAAAAAAAAAAIA/WhsKAXgSFgoUCAESEAoCCAEKAggBCgIIAQoCCAhiEwoBeRIOCgwIARIICgIIAQoC"
    "CAJCBAoAEBE="
)
PROBE_INPUT = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
PROBE_ANSWER = np.array([[60, 78]], np.float32)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: Literal["ok", "note", "problem"]
    """Whether it works, need not be there, or ought to work and does not."""
    text: str
    """What was seen."""
    advice: str = ""
    """What to do, or nothing."""


@dataclass(frozen=True)
class Report:
    """All findings, and the devices on which a model ran and answered right."""

    findings: tuple[Finding, ...]
    cpu: bool
    cuda: bool


def examine(device: Device | None = None) -> Report:
    """Look at Python, ONNX Runtime and the devices, and run a tiny model on each.

    device: what has to work; with `cpu` nothing of CUDA is looked at, and with none a build without CUDA is no problem
    """
    cuda = device if device is not None and device.kind == "cuda" else Device("cuda")
    only_cpu = device is not None and device.kind == "cpu"
    onnxruntime, build = _onnxruntime()
    findings = [*_basics(), *build]
    works = {"cpu": False, "cuda": False}
    if onnxruntime is not None:
        findings.append(_run("cpu", Device("cpu")))
        if not only_cpu:
            findings += _cuda(onnxruntime, cuda, device is cuda)
        works = {name: any(f.topic == name and f.state == "ok" for f in findings) for name in works}
    return Report((*findings, *_packages()), **works)


def _basics() -> Iterator[Finding]:
    bits = 64 if sys.maxsize > 2**32 else 32
    yield Finding("Python", "ok", f"{platform.python_version()} ({platform.python_implementation()}, {bits} bit)")
    yield Finding("platform", "ok", f"{platform.platform()}, {os.cpu_count()} processors")
    yield Finding("numpy", "ok", np.__version__)


def _packages() -> Iterator[Finding]:
    for name in OPTIONAL:
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "note", "not installed (optional)")


def _onnxruntime() -> tuple[Any, list[Finding]]:
    """Return the module, or None where it cannot be used, and what there is to say of it."""
    builds = _builds()
    names = " ".join(sorted(builds)) or "onnxruntime onnxruntime-gpu"
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
        # Its own error lines would stand between the findings.
        onnxruntime.set_default_logger_severity(4)
    except (ImportError, AttributeError) as error:
        # Of two builds in one folder, the one that is uninstalled takes the other's files along.
        text = f"installed, but it cannot be used ({error}): its files are incomplete"
        return None, [Finding("onnxruntime", "problem", text, REINSTALL.format(names))]
    package = getattr(onnxruntime, "package_name", "") or "onnxruntime"
    cuda = getattr(onnxruntime, "cuda_version", "")
    text = f"{onnxruntime.__version__}, files of {package}{f', built with CUDA {cuda}' if cuda else ''}"
    finding = Finding("onnxruntime", "ok", text)
    if len(builds) > 1:
        installed = " and ".join(f"{name} {number}" for name, number in sorted(builds.items()))
        text = f"{installed} are both installed and overwrite each other; what is there now is {text}"
        finding = Finding("onnxruntime", "problem", text, REINSTALL.format(names))
    return onnxruntime, [finding, Finding("providers", "ok", ", ".join(providers))]


def _builds() -> dict[str, str]:
    """Return name and version of every installed package that writes the folder `onnxruntime`."""
    found: dict[str, str] = {}
    for distribution in distributions():
        name = str(distribution.name).lower()
        if name.startswith(("onnxruntime", "ort-")):
            files = {file.as_posix() for file in distribution.files or ()}
            if "onnxruntime/__init__.py" in files:
                found.setdefault(name, distribution.version)  # the first on the path is the one that is imported
    return found


def _cuda(onnxruntime: Any, device: Device, asked_for: bool) -> Iterator[Finding]:
    driver = find_driver()
    if CUDA not in onnxruntime.get_available_providers():
        state: Literal["note", "problem"] = "problem" if asked_for else "note"
        gpus = f"; the driver knows {', '.join(driver.gpus)}" if driver.gpus else ""
        yield Finding("cuda", state, f"this build of ONNX Runtime has no CUDA{gpus}", _advice_for_build())
        return
    cuda_version = str(getattr(onnxruntime, "cuda_version", ""))
    # First, because it loads the libraries that pip installed; they are not where the system's loader looks.
    outcome = _run("cuda", device)
    findings = [_driver(driver, cuda_version), *_libraries(onnxruntime, cuda_version)]
    yield from findings
    problems = [finding.topic for finding in findings if finding.state == "problem"]
    if problems and outcome.state == "problem":
        outcome = replace(outcome, advice=f"first what is above: {', '.join(problems)}")
    yield outcome


def _advice_for_build() -> str:
    machine = platform.machine().lower()
    if (platform.system(), machine) in {("Linux", "x86_64"), ("Linux", "aarch64"), ("Windows", "amd64")}:
        return 'for an NVIDIA GPU: `pip uninstall onnxruntime`, then `pip install "edgeconv[gpu]"`'
    return f"there is no build with CUDA for {platform.system()} on {machine}"


def _driver(driver: Driver, cuda_version: str) -> Finding:
    if driver.problem:
        advice = "install NVIDIA's driver; in a container, start it with the GPU (`docker run --gpus all`)"
        smi = "is there" if shutil.which("nvidia-smi") else "is not there either"
        return Finding("driver", "problem", f"{DRIVER} gives no GPU ({driver.problem}); nvidia-smi {smi}", advice)
    text = f"for CUDA {driver.cuda[0]}.{driver.cuda[1]}; {', '.join(driver.gpus) or 'no GPU'}"
    if driver.cuda[0] < int(cuda_version.partition(".")[0] or 0):
        text += f"; too old for a build with CUDA {cuda_version}"
        return Finding("driver", "problem", text, "update the driver")
    if not driver.gpus:
        return Finding("driver", "problem", text, "set CUDA_VISIBLE_DEVICES to a GPU that is there, or unset it")
    return Finding("driver", "ok", text)


def _libraries(onnxruntime: Any, cuda_version: str) -> Iterator[Finding]:
    package = f"{getattr(onnxruntime, 'package_name', 'onnxruntime-gpu')}[cuda,cudnn]=={onnxruntime.__version__}"
    try:
        libraries = find_libraries(provider_file(), cuda_version)
    except (OSError, ValueError) as error:
        yield Finding(
            "libraries", "problem", f"{provider_file()} cannot be read ({error})", "install ONNX Runtime again"
        )
        return
    for library in libraries:
        if not library.problem:
            yield Finding(library.name, "ok", library.path or "found")
            continue
        advice = "install it with the system's packages"
        if library.package:
            advice = f'`pip install "{package}"` brings it and the others, this one in {library.package}'
        yield Finding(library.name, "problem", f"not loaded ({library.problem})", advice)


def _run(topic: str, device: Device) -> Finding:
    """Run the tiny model, more often than once, since a CUDA graph is replayed from the third run on."""
    try:
        session, used = create_session(PROBE, device, threads=1, spin=False)
        bound = Bound(session, used)
        answers = [bound.run({"x": PROBE_INPUT})["y"] for _ in range(4)]
    except DeviceError as error:
        reason, _, _ = str(error).partition(f"; {INSTALL_CUDA}")
        return Finding(topic, "problem", reason, UPDATE)
    except Exception as error:
        return Finding(topic, "problem", f"a tiny model fails: {' '.join(str(error).split())}", UPDATE)
    wrong = next((answer for answer in answers if not np.allclose(answer, PROBE_ANSWER, rtol=0, atol=1e-2)), None)
    if wrong is not None:
        text = f"a tiny model answers {wrong.tolist()} on {used}; right is {PROBE_ANSWER.tolist()}"
        return Finding(topic, "problem", text, UPDATE)
    return Finding(topic, "ok", f"a tiny model runs on {used} and answers right")
