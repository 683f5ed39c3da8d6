"""The choice of device, with a stand-in for what ONNX Runtime reports of machines that this one is not."""

import onnxruntime
import pytest

from edgeconv.runtime import Classifier, DeviceError, UsageError
from edgeconv.runtime.devices import CPU, CUDA, Device


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("cpu", Device("cpu")),
        ("cuda", Device("cuda", 0)),
        ("cuda:1", Device("cuda", 1)),
        ("CUDA:12", Device("cuda", 12)),
        ("auto", Device("auto")),
    ],
)
def test_devices_are_read_by_their_usual_names(text, device):
    assert Device.parse(text) == device


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:-1", "cpu:0", "auto:1", "", "cuda:1:2", None])
def test_other_names_are_refused_with_the_choice(text):
    with pytest.raises(UsageError, match="choose cpu, cuda, cuda:1"):
        Device.parse(text)


class MachineWithCuda:
    """Replaces what ONNX Runtime knows of the machine; sessions still run on the CPU and report `reported`."""

    def __init__(self, monkeypatch, reported, failure=None, missing=""):
        self.asked_for = []
        self.fallback_disabled = False
        real = onnxruntime.InferenceSession
        machine = self

        class Session:
            def __init__(self, model, options, providers):
                machine.asked_for.append(providers)
                machine.options = options
                if failure and providers != [CPU]:
                    raise RuntimeError(failure)
                self._real = real(model, options, providers=[CPU])
                self._reported = [CPU] if providers == [CPU] else reported

            def get_providers(self):
                return self._reported

            def disable_fallback(self):
                machine.fallback_disabled = True

            def __getattr__(self, name):
                return getattr(self._real, name)

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(missing), raising=False)


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this ONNX Runtime is built for CUDA")
def test_cuda_on_a_cpu_build_is_an_error_that_says_what_to_install(models):
    with pytest.raises(DeviceError, match=r"device cuda:0 is not available.*CPUExecutionProvider.*edgeconv\[gpu\]"):
        Classifier.load(models / "tiny.onnx", "cuda")


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this ONNX Runtime is built for CUDA")
def test_auto_takes_the_processor_where_there_is_no_cuda_and_says_so(models):
    assert Classifier.load(models / "tiny.onnx", "auto").device == "cpu"


def test_the_cuda_device_asked_for_is_the_one_used(monkeypatch, models):
    machine = MachineWithCuda(monkeypatch, reported=[CUDA, CPU])
    assert Classifier.load(models / "tiny.onnx", "cuda:3").device == "cuda:3"
    assert machine.asked_for == [[(CUDA, {"device_id": "3", "use_tf32": "0"}), CPU]]
    assert machine.fallback_disabled


def test_auto_takes_cuda_where_it_is(monkeypatch, models):
    MachineWithCuda(monkeypatch, reported=[CUDA, CPU])
    assert Classifier.load(models / "tiny.onnx", "auto").device == "cuda:0"


def test_a_session_that_quietly_dropped_cuda_counts_as_not_there(monkeypatch, models):
    MachineWithCuda(monkeypatch, reported=[CPU])
    with pytest.raises(DeviceError, match="ONNX Runtime dropped CUDAExecutionProvider and would have run on CPU"):
        Classifier.load(models / "tiny.onnx", "cuda")
    assert Classifier.load(models / "tiny.onnx", "auto").device == "cpu"


def test_a_missing_library_is_named_in_the_error_and_not_on_stdout(monkeypatch, models, capsys):
    MachineWithCuda(
        monkeypatch, reported=[CPU], missing="Microsoft Visual C++\nFailed to load libcudnn.so.9: not found"
    )
    with pytest.raises(DeviceError, match=r"\(Failed to load libcudnn.so.9: not found\)"):
        Classifier.load(models / "tiny.onnx", "cuda")
    assert capsys.readouterr().out == ""


def test_a_cuda_that_cannot_start_is_named_with_its_reason(monkeypatch, models):
    MachineWithCuda(monkeypatch, reported=[], failure="libcudnn.so.9: cannot open shared object file\nmore")
    with pytest.raises(DeviceError, match=r"libcudnn.so.9: cannot open shared object file\)"):
        Classifier.load(models / "tiny.onnx", "cuda")


def test_one_thread_that_does_not_spin_is_the_default(monkeypatch, models):
    machine = MachineWithCuda(monkeypatch, reported=[CPU])
    Classifier.load(models / "tiny.onnx")
    assert machine.options.intra_op_num_threads == 1
    assert machine.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    Classifier.load(models / "tiny.onnx", threads=2, spin=True)
    assert machine.options.intra_op_num_threads == 2
    assert machine.options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
