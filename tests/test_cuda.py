"""What runs on CUDA only: each test is skipped, with the reason, where no CUDA device works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier, DeviceError, Scorer
from edgeconv.runtime.binding import GRAPHS, Bound
from edgeconv.runtime.devices import CUDA, INSTALL_CUDA, Device, create_session
from edgeconv.runtime.doctor import PROBE, examine

pytestmark = pytest.mark.cuda
REPOSITORY = Path(__file__).resolve().parents[1]
MODEL = REPOSITORY / "models" / "har_conv1d"
TINY = REPOSITORY / "tests" / "runtime" / "models"
LIMIT = 1e-5
"""The certificate's limit for a float copy; float32 sums in another order stay well below it."""
PLAIN, GRAPH = Device("cuda"), Device("cuda", graph=True)
BOTH = pytest.mark.parametrize("device", [PLAIN, GRAPH], ids=["plain", "graph"])


@pytest.fixture(scope="module", autouse=True)
def _cuda():
    try:
        create_session(PROBE, PLAIN, threads=1, spin=False)
    except DeviceError as error:
        pytest.skip(str(error).partition(f"; {INSTALL_CUDA}")[0])


def session_on(file, device):
    return create_session(file.read_bytes(), device, threads=1, spin=False)[0]


@pytest.fixture(scope="module")
def windows():
    """Noise with the mean and spread of the model's channels: float32 [300, window, channels]."""
    spec = Classifier.load(MODEL).spec
    means, stds = ([getattr(channel, name) for channel in spec.channels] for name in ("mean", "std"))
    rng = np.random.default_rng(0)
    return rng.normal(means, stds, (300, spec.window, len(spec.channels))).astype(np.float32)


def test_the_device_that_runs_is_read_back(windows):
    classifier = Classifier.load(MODEL, "cuda")
    assert classifier.device == "cuda:0"
    assert session_on(MODEL / "model.onnx", PLAIN).get_providers()[0] == CUDA


def test_a_gpu_that_is_not_there_is_not_replaced_by_another_device():
    with pytest.raises(DeviceError, match="device cuda:99 is not available"):
        Classifier.load(MODEL, "cuda:99")


def test_windows_are_answered_as_on_the_processor(windows):
    answer = Classifier.load(MODEL, "cuda").predict(windows)
    np.testing.assert_allclose(answer, Classifier.load(MODEL).predict(windows), rtol=0, atol=LIMIT)


def test_real_windows_are_answered_as_on_the_processor(uci_har):
    answer = Classifier.load(MODEL, "cuda").predict(uci_har.test.windows)
    np.testing.assert_allclose(answer, Classifier.load(MODEL).predict(uci_har.test.windows), rtol=0, atol=LIMIT)


def test_recordings_are_answered_as_on_the_processor(windows):
    recording = windows.reshape(-1, windows.shape[2])
    answer = Scorer.load(MODEL, "cuda").score(recording)
    np.testing.assert_allclose(answer, Scorer.load(MODEL).score(recording), rtol=0, atol=LIMIT)


@BOTH
def test_bound_runs_answer_as_the_processor_does_in_any_order_of_shapes(windows, device):
    bound = Bound(session_on(MODEL / "model.onnx", device), device)
    cpu = Classifier.load(MODEL)
    rng = np.random.default_rng(1)
    for batch in (1, 1, 1, 1, 32, 32, 7, 32, 32, 1, 7, 32, 7, 7, 1):
        some = windows[rng.integers(0, len(windows), batch)]
        answer = bound.run({"windows": some})["probabilities"]
        np.testing.assert_allclose(answer, cpu.predict(some), rtol=0, atol=LIMIT)


def test_more_shapes_than_graphs_are_answered_too(windows):
    bound = Bound(session_on(MODEL / "model.onnx", GRAPH), GRAPH)
    cpu = Classifier.load(MODEL)
    for batch in [*range(1, GRAPHS + 3)] * 4:
        answer = bound.run({"windows": windows[:batch]})["probabilities"]
        np.testing.assert_allclose(answer, cpu.predict(windows[:batch]), rtol=0, atol=LIMIT)


@BOTH
def test_a_state_goes_round_in_the_gpu_s_memory(device):
    bound = Bound(session_on(TINY / "running_sum.onnx", device), device)
    # Whole numbers, so that sums are exact in whatever order.
    steps = np.random.default_rng(2).integers(-9, 9, (40, 3, 2)).astype(np.float32)
    state = bound.put(np.zeros((3, 2), np.float32))
    kept = []
    for i, x in enumerate(steps):
        outputs = bound.run({"x": x, "state": state}, keep=["state_out"])
        state = outputs["state_out"]
        assert state.device_name().lower() in ("cuda", "gpu")
        kept.append(state)
        np.testing.assert_array_equal(outputs["answer"], 2 * steps[: i + 1].sum(axis=0))
    for i, value in enumerate(kept):  # none was written over by the runs that followed
        np.testing.assert_array_equal(value.numpy(), steps[: i + 1].sum(axis=0))


def test_tf32_is_off_unless_asked_for_and_then_close_enough_to_name_the_same_class(windows):
    cpu = Classifier.load(MODEL).predict(windows)
    answer = Classifier.load(MODEL, "cuda,tf32").predict(windows)
    # Ten bits of mantissa in each product: far more than the limit, and still a probability's second decimal.
    np.testing.assert_allclose(answer, cpu, rtol=0, atol=0.05)
    options = session_on(MODEL / "model.onnx", PLAIN).get_provider_options()[CUDA]
    assert options["use_tf32"] == "0"


@pytest.mark.parametrize("text", ["cuda", "cuda,graph", "cuda,tf32", "cuda,tf32,graph"])
def test_the_doctor_finds_every_option_of_cuda_in_order(text):
    report = examine(Device.parse(text))
    assert report.cuda, report.findings


def test_the_check_of_cuda_passes(tmp_path):
    program = [sys.executable, "tools/check_cuda.py", "--sizes", "1,8", "--rounds", "2"]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
