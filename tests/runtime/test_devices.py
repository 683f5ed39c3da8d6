"""The choice of device, with a stand-in for what ONNX Runtime reports of machines that this one is not."""

import numpy as np
import onnxruntime
import pytest

from edgeconv.runtime import ArtefactError, Classifier, DeviceError, UsageError, devices
from edgeconv.runtime.binding import Bound
from edgeconv.runtime.devices import CPU, CUDA, Device, create_session


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("cpu", Device("cpu")),
        ("cuda", Device("cuda", 0)),
        ("cuda:1", Device("cuda", 1)),
        ("CUDA:12", Device("cuda", 12)),
        ("auto", Device("auto")),
        ("cuda,tf32", Device("cuda", 0, tf32=True)),
        ("cuda:2,graph", Device("cuda", 2, graph=True)),
        ("CUDA:1, Graph, TF32", Device("cuda", 1, tf32=True, graph=True)),
    ],
)
def test_devices_are_read_by_their_usual_names(text, device):
    assert Device.parse(text) == device
    assert Device.parse(str(device)) == device


@pytest.mark.parametrize(
    "text", ["gpu", "cuda:", "cuda:-1", "cpu:0", "auto:1", "", ",", "tf32", "cuda:1:2", "cu da", None]
)
def test_other_names_are_refused_with_the_choice(text):
    with pytest.raises(UsageError, match="choose cpu, cuda, cuda:1"):
        Device.parse(text)


@pytest.mark.parametrize("text", ["cpu,tf32", "cpu,graph", "auto,tf32", "cpu,fp16", "cpu,"])
def test_options_are_refused_on_what_may_be_the_processor(text):
    with pytest.raises(UsageError, match=r"has options, which only cuda has; choose (cpu|auto) or cuda"):
        Device.parse(text)


@pytest.mark.parametrize("text", ["cuda,fp16", "cuda,tf32,", "cuda,tf32,cuda:1", "cuda,,graph"])
def test_options_that_cuda_does_not_have_are_refused_with_those_it_has(text):
    with pytest.raises(UsageError, match=r"has the option '.*'; cuda's are tf32 and graph"):
        Device.parse(text)


class MachineWithCuda:
    """Replaces what ONNX Runtime knows of the machine; sessions still run on the CPU and report `reported`.

    failure: what making a session on CUDA raises; missing: what the search for libraries prints; said: what making a
    session prints before it goes on with the CPU
    """

    def __init__(self, monkeypatch, reported, failure=None, missing="", said=""):
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
                if providers != [CPU]:
                    print(said)
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


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("cuda,tf32", {"device_id": "0", "use_tf32": "1"}),
        ("cuda:1,graph", {"device_id": "1", "use_tf32": "0", "enable_cuda_graph": "1"}),
        ("cuda,graph,tf32", {"device_id": "0", "use_tf32": "1", "enable_cuda_graph": "1"}),
    ],
)
def test_options_reach_the_provider_on_request_and_show_in_the_device_that_runs(monkeypatch, models, text, options):
    machine = MachineWithCuda(monkeypatch, reported=[CUDA, CPU])
    assert Device.parse(Classifier.load(models / "tiny.onnx", text).device) == Device.parse(text)
    assert machine.asked_for == [[(CUDA, options), CPU]]


def test_a_session_with_a_graph_refuses_runs_whose_arrays_a_replay_would_not_read(monkeypatch, models):
    MachineWithCuda(monkeypatch, reported=[CUDA, CPU])
    session, device = create_session((models / "tiny.onnx").read_bytes(), Device.parse("cuda,graph"), 1, False)
    windows = np.zeros((1, 4, 2), np.float32)
    with pytest.raises(DeviceError, match="fixed buffers and is run by `Bound`"):
        session.run(None, {"windows": windows})
    # What runs here is the processor, so the values are put there.
    answer = Bound(session, Device("cpu", graph=device.graph)).run({"windows": windows})["probabilities"]
    np.testing.assert_allclose(answer, 1 / 3, rtol=0, atol=1e-6)


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


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "*************** EP Error ***************\n"
            'EP Error /src/info.cc:63 [ONNXRuntimeError] : 1 : FAIL : Failed to parse provider option "device_id": '
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=vm\n"
            "Falling back to ['CPUExecutionProvider'] and retrying.",
            r"\(CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version\)",
        ),
        ("EP Error [ONNXRuntimeError] : 1 : FAIL : Invalid device ID 7 when using []", r"\(Invalid device ID 7 when"),
    ],
)
def test_what_onnx_runtime_prints_of_a_cuda_that_fails_is_in_the_error_and_not_on_stdout(
    monkeypatch, models, capsys, said, reason
):
    MachineWithCuda(monkeypatch, reported=[CPU], said=said, missing="Failed to load libcudnn.so.9: not found")
    with pytest.raises(DeviceError, match=reason):
        Classifier.load(models / "tiny.onnx", "cuda")
    assert capsys.readouterr().out == ""


def test_where_onnx_runtime_says_nothing_the_loader_s_reason_is_in_the_error(monkeypatch, models, tmp_path):
    MachineWithCuda(monkeypatch, reported=[CPU])
    provider = tmp_path / "no_library.so"
    monkeypatch.setattr(devices, "provider_file", lambda: provider)
    with pytest.raises(DeviceError, match=r"would have run on CPUExecutionProvider \(.*no_library.so"):
        Classifier.load(models / "tiny.onnx", "cuda")


def test_a_damaged_model_is_the_model_s_fault_on_cuda_too(monkeypatch, tmp_path):
    MachineWithCuda(monkeypatch, reported=[CUDA, CPU])
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"not a model")
    with pytest.raises(ArtefactError, match="not a model that ONNX Runtime can load"):
        Classifier.load(damaged, "cuda")


def test_a_cuda_that_cannot_start_is_named_with_its_reason(monkeypatch, models):
    MachineWithCuda(monkeypatch, reported=[], failure="libcudnn.so.9: cannot open shared object file\nmore")
    with pytest.raises(DeviceError, match=r"libcudnn.so.9: cannot open shared object file\)"):
        Classifier.load(models / "tiny.onnx", "cuda")
    with pytest.raises(DeviceError, match=r"; perhaps without graph: cuda:2$"):
        Classifier.load(models / "tiny.onnx", "cuda:2,graph")


def test_one_thread_that_does_not_spin_is_the_default(monkeypatch, models):
    machine = MachineWithCuda(monkeypatch, reported=[CPU])
    Classifier.load(models / "tiny.onnx")
    assert machine.options.intra_op_num_threads == 1
    assert machine.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    Classifier.load(models / "tiny.onnx", threads=2, spin=True)
    assert machine.options.intra_op_num_threads == 2
    assert machine.options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
