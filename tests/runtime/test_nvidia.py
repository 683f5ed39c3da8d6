"""NVIDIA's driver and libraries, with stand-ins for a driver that this machine may not have."""

import ctypes
import sys

import pytest

from edgeconv.runtime import nvidia
from edgeconv.runtime.nvidia import Driver, ask_driver, find_driver, find_libraries

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ELF is the format of Linux")


class DriverOfOneGpu:
    """Answers as libcuda does; `fails` names a function and the error code that it returns."""

    def __init__(self, version=13010, gpus=(b"NVIDIA H100",), **fails):
        self.version, self.gpus, self.fails = version, gpus, fails

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.version
        return self.fails.get("cuDriverGetVersion", 0)

    def cuInit(self, flags):  # noqa: N802
        return self.fails.get("cuInit", 0)

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.gpus)
        return self.fails.get("cuDeviceGetCount", 0)

    def cuDeviceGetName(self, name, length, index):  # noqa: N802
        assert length > len(self.gpus[index])
        name.value = self.gpus[index]
        return 0

    def cuGetErrorString(self, code, text):  # noqa: N802
        text._obj.value = {100: b"no CUDA-capable device is detected"}.get(code)
        return 0


def test_a_driver_says_its_version_and_its_gpus():
    assert ask_driver(DriverOfOneGpu(gpus=(b"A", b"B"))) == Driver((13, 1), ("A", "B"))
    assert ask_driver(DriverOfOneGpu(version=12040, gpus=())) == Driver((12, 4), ())


@pytest.mark.parametrize("function", ["cuDriverGetVersion", "cuInit", "cuDeviceGetCount"])
def test_a_driver_that_fails_says_why(function):
    driver = ask_driver(DriverOfOneGpu(**{function: 100}))
    assert driver.problem == "error 100: no CUDA-capable device is detected"
    assert driver.gpus == ()
    assert ask_driver(DriverOfOneGpu(**{function: 999})).problem == "error 999: unknown"


def test_a_driver_that_is_not_there_is_a_problem_in_the_loader_s_words(monkeypatch):
    monkeypatch.setattr(nvidia, "DRIVER", "libcuda-that-is-not-there.so.1")
    driver = find_driver()
    assert driver.problem
    assert driver.gpus == ()


@LINUX
def test_libraries_are_those_that_the_provider_needs_and_cudnn(tmp_path, build_elf):
    provider = tmp_path / "provider.so"
    provider.write_bytes(build_elf(["libcublas.so.77", "libcudart.so.77", "libcuda.so.1", "libc.so.6", "libgone.so.5"]))
    found = {library.name: library for library in find_libraries(provider, "77.1")}
    assert list(found) == ["libcublas.so.77", "libcudart.so.77", "libgone.so.5", "libcudnn.so.9"]
    assert "No such file" in found["libcublas.so.77"].problem
    assert found["libcublas.so.77"].path == ""
    packages = [library.package for library in found.values()]
    assert packages == ["nvidia-cublas", "nvidia-cuda-runtime", "", "nvidia-cudnn-cu77"]


@LINUX
@pytest.mark.parametrize(
    ("cuda_version", "packages"),
    [("12.8", ["nvidia-cublas-cu12", "nvidia-cudnn-cu12"]), ("", ["nvidia-cublas", "nvidia-cudnn"])],
)
def test_pip_packages_are_named_for_the_version_of_cuda(tmp_path, cuda_version, packages, build_elf):
    provider = tmp_path / "provider.so"
    provider.write_bytes(build_elf(["libcublasLt.so.12", "libcudnn.so.9"]))
    assert [library.package for library in find_libraries(provider, cuda_version)] == packages


@LINUX
def test_a_library_that_loads_says_from_where(tmp_path, monkeypatch, build_elf):
    # The mathematics library of C stands in for one of NVIDIA's.
    monkeypatch.setitem(nvidia.PACKAGES, "m", "nvidia-m")
    ctypes.CDLL("libm.so.6")
    provider = tmp_path / "provider.so"
    provider.write_bytes(build_elf(["libm.so.6"]))
    (found, _) = find_libraries(provider, "13.0")
    assert found.problem == ""
    assert found.path.startswith("/")
    assert "libm" in found.path


def test_on_windows_the_names_are_those_of_windows(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    names = [library.name for library in find_libraries(tmp_path / "not read", "13.0")]
    assert names == ["cublasLt64_13.dll", "cublas64_13.dll", "cudart64_13.dll", "cufft64_12.dll", "cudnn64_9.dll"]
    packages = [library.package for library in find_libraries(tmp_path / "not read", "12.4")]
    assert packages[0] == "nvidia-cublas-cu12"
    assert packages[-1] == "nvidia-cudnn-cu12"
