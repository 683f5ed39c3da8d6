"""What the doctor finds: on this machine, and with stand-ins for what is not there or not as it should be."""

import platform
import sys
import types

import numpy as np
import onnxruntime
import pytest

from edgeconv.runtime import doctor
from edgeconv.runtime.devices import CPU, CUDA, Device, create_session
from edgeconv.runtime.doctor import PROBE, PROBE_ANSWER, PROBE_INPUT, examine
from edgeconv.runtime.nvidia import Driver

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the libraries are read as Linux has them")
BUILT_FOR_CUDA = CUDA in onnxruntime.get_available_providers()
# ONNX Runtime for the processor says so when it is asked for the CUDA that a stand-in claims.
pytestmark = pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")


def found(report, topic):
    (finding,) = (finding for finding in report.findings if finding.topic == topic)
    return finding


@pytest.fixture
def build_with_cuda(monkeypatch, tmp_path, build_elf):
    """ONNX Runtime says that it has CUDA 77, whose provider needs two libraries that are nowhere, and one that is."""
    provider = tmp_path / "provider.so"
    provider.write_bytes(build_elf(["libcublas.so.77", "libcudart.so.77", "libc.so.6"]))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "cuda_version", "77.0", raising=False)
    monkeypatch.setattr(onnxruntime, "package_name", "onnxruntime-gpu", raising=False)
    monkeypatch.setattr(doctor, "provider_file", lambda: provider)


def pretend_installed(folder, name, version, file):
    """Write what pip writes of an installed package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{file},,\n")


@pytest.mark.parametrize("start", [0, 3, -7])
def test_the_probe_s_answer_is_that_of_its_three_steps(start):
    session, _ = create_session(PROBE, Device("cpu"), threads=1, spin=False)
    x = np.arange(start, start + 8, dtype=np.float32)
    convolved = [x[i] + 2 * x[i + 1] + 3 * x[i + 2] for i in range(6)]
    (answer,) = session.run(None, {"x": x.reshape(PROBE_INPUT.shape)})
    assert answer.tolist() == [[sum(convolved[0::2]), sum(convolved[1::2])]]
    if start == 0:
        np.testing.assert_array_equal(x.reshape(PROBE_INPUT.shape), PROBE_INPUT)
        np.testing.assert_array_equal(answer, PROBE_ANSWER)


def test_the_processor_of_this_machine_works_and_every_topic_comes_once():
    report = examine()
    assert report.cpu
    assert found(report, "cpu").text == "a tiny model runs on cpu and answers right"
    topics = [finding.topic for finding in report.findings]
    assert len(topics) == len(set(topics))
    assert onnxruntime.__version__ in found(report, "onnxruntime").text
    assert found(report, "numpy").text == np.__version__
    assert all("\n" not in finding.text + finding.advice for finding in report.findings)
    assert all(finding.advice for finding in report.findings if finding.state == "problem")


def test_where_only_the_processor_is_asked_for_nothing_is_said_of_cuda():
    report = examine(Device("cpu"))
    assert report.cpu
    assert not report.cuda
    assert not any("cuda" in finding.topic or finding.topic == "driver" for finding in report.findings)


@pytest.mark.skipif(BUILT_FOR_CUDA, reason="this ONNX Runtime is built for CUDA")
@pytest.mark.parametrize(
    ("device", "state"), [(None, "note"), (Device("auto"), "note"), (Device("cuda", 1), "problem")]
)
def test_a_build_without_cuda_is_a_problem_only_where_cuda_is_asked_for(device, state):
    report = examine(device)
    assert report.cpu
    assert not report.cuda
    assert found(report, "cuda").state == state
    assert "has no CUDA" in found(report, "cuda").text


@pytest.mark.skipif(BUILT_FOR_CUDA, reason="this ONNX Runtime is built for CUDA")
@pytest.mark.parametrize(
    ("system", "machine", "advice"),
    [
        ("Linux", "x86_64", 'pip install "edgeconv[gpu]"'),
        ("Linux", "aarch64", 'pip install "edgeconv[gpu]"'),
        ("Windows", "AMD64", 'pip install "edgeconv[gpu]"'),
        ("Windows", "ARM64", "there is no build with CUDA for Windows on arm64"),
        ("Darwin", "arm64", "there is no build with CUDA for Darwin on arm64"),
        ("Linux", "armv7l", "there is no build with CUDA for Linux on armv7l"),
    ],
)
def test_the_build_for_cuda_is_recommended_where_there_is_one(monkeypatch, system, machine, advice):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert advice in found(examine(), "cuda").advice


@LINUX
def test_libraries_that_are_missing_are_named_with_what_brings_them(build_with_cuda):
    report = examine(Device("cuda"))
    for name, package in {
        "libcublas.so.77": "nvidia-cublas",
        "libcudart.so.77": "nvidia-cuda-runtime",
    }.items():
        finding = found(report, name)
        assert finding.state == "problem"
        assert "No such file" in finding.text
        version = onnxruntime.__version__
        assert finding.advice == (
            f'`pip install "onnxruntime-gpu[cuda,cudnn]=={version}"` brings it and the others, this one in {package}'
        )
    assert found(report, "libcudnn.so.9")
    assert not any(finding.topic == "libc.so.6" for finding in report.findings)


@LINUX
@pytest.mark.skipif(BUILT_FOR_CUDA, reason="this ONNX Runtime is built for CUDA")
def test_a_cuda_that_does_not_start_points_to_what_is_missing(build_with_cuda):
    report = examine(Device("cuda", 1))
    assert not report.cuda
    assert "device cuda:1 is not available" in found(report, "cuda").text
    assert "libcublas.so.77" in found(report, "cuda").advice


@LINUX
def test_a_provider_whose_file_is_missing_or_damaged_is_a_finding(build_with_cuda, monkeypatch, tmp_path):
    for content in (None, b"not a library"):
        file = tmp_path / "other.so"
        if content:
            file.write_bytes(content)
        monkeypatch.setattr(doctor, "provider_file", lambda file=file: file)
        finding = found(examine(Device("cuda")), "libraries")
        assert finding.state == "problem"
        assert "other.so cannot be read" in finding.text


def test_on_windows_with_cuda_nothing_breaks(build_with_cuda, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    report = examine(Device("cuda"))
    assert report.cpu
    assert found(report, "cublas64_77.dll").state == "problem"


@pytest.mark.parametrize(
    ("driver", "state", "text"),
    [
        (Driver((77, 1), ("NVIDIA H100", "NVIDIA T4")), "ok", "for CUDA 77.1; NVIDIA H100, NVIDIA T4"),
        (Driver((76, 9), ("NVIDIA H100",)), "problem", "too old for a build with CUDA 77.0"),
        (Driver((77, 0), ()), "problem", "no GPU"),
        (Driver(problem="error 100: no CUDA-capable device is detected"), "problem", "error 100: no CUDA-capable"),
    ],
)
def test_the_driver_is_judged_by_its_gpus_and_its_version(build_with_cuda, monkeypatch, driver, state, text):
    monkeypatch.setattr(doctor, "find_driver", lambda: driver)
    finding = found(examine(), "driver")
    assert finding.state == state
    assert text in finding.text


def test_two_builds_that_overwrite_each_other_are_named_with_their_versions(monkeypatch, tmp_path):
    site = tmp_path / "site"
    pretend_installed(site, "onnxruntime-gpu", "9.8.7", "onnxruntime/__init__.py")
    pretend_installed(site, "onnxruntime", "9.8.6", "onnxruntime/__init__.py")
    pretend_installed(site, "onnxruntime-extensions", "1.0", "onnxruntime_extensions/__init__.py")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    report = examine()
    finding = found(report, "onnxruntime")
    assert report.cpu
    assert finding.state == "problem"
    assert finding.text.startswith("onnxruntime 9.8.6 and onnxruntime-gpu 9.8.7 are both installed")
    assert "pip uninstall onnxruntime onnxruntime-gpu`" in finding.advice
    assert "extensions" not in finding.text


def test_an_onnx_runtime_of_which_files_are_missing_is_a_finding_and_ends_the_search(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    report = examine()
    assert not report.cpu
    assert not report.cuda
    finding = found(report, "onnxruntime")
    assert finding.state == "problem"
    assert "its files are incomplete" in finding.text
    assert "pip uninstall onnxruntime" in finding.advice
    assert not any(finding.topic in ("cpu", "cuda", "providers") for finding in report.findings)


def test_a_wrong_answer_of_the_device_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "PROBE_ANSWER", PROBE_ANSWER + 1)
    report = examine(Device("cpu"))
    assert not report.cpu
    assert found(report, "cpu").text == "a tiny model answers [[60.0, 78.0]] on cpu; right is [[61.0, 79.0]]"


def test_optional_packages_are_named_as_installed_or_not(monkeypatch):
    monkeypatch.setattr(doctor, "OPTIONAL", ("pytest", "a-package-that-nobody-wrote"))
    report = examine(Device("cpu"))
    assert found(report, "pytest").text == pytest.__version__
    assert found(report, "a-package-that-nobody-wrote").state == "note"
