"""Bound runs: the answers of `session.run`, and values that stay, with and without the fixed buffers of a CUDA graph.

All of it runs on the processor, where a graph is never recorded but the buffers and their order are the same.
"""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import DeviceError
from edgeconv.runtime.binding import GRAPHS, Bound
from edgeconv.runtime.devices import Device, create_session

PLAIN, GRAPH = Device("cpu"), Device("cpu", graph=True)
BOTH = pytest.mark.parametrize("device", [PLAIN, GRAPH], ids=["plain", "graph"])


def open_session(path):
    return create_session(path.read_bytes(), PLAIN, threads=1, spin=False)[0]


@pytest.fixture(scope="module")
def tiny_session(models):
    return open_session(models / "tiny.onnx")


@pytest.fixture(scope="module")
def dense_session(models):
    return open_session(models / "dense.onnx")


@pytest.fixture(scope="module")
def sum_session(models):
    """answer = 2 · (state + x), state_out = state + x; all [batch, 2]."""
    return open_session(models / "running_sum.onnx")


class Watched:
    """A session that notes with which binding and which graph number each run was started."""

    def __init__(self, session):
        self._session = session
        self.runs = []

    def run_with_iobinding(self, binding, options):
        self.runs.append((binding, options and int(options.get_run_config_entry("gpu_graph_id"))))
        self._session.run_with_iobinding(binding, options)

    def __getattr__(self, name):
        return getattr(self._session, name)


@BOTH
@settings(deadline=None)
@given(batches=st.lists(st.integers(1, 40), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_any_sequence_of_batch_sizes_answers_as_plain_runs_do_bit_for_bit(tiny_session, device, batches, seed):
    rng = np.random.default_rng(seed)
    bound = Bound(tiny_session, device)
    for batch in batches:
        windows = rng.normal(size=(batch, 4, 2)).astype(np.float32)
        (answer,) = bound.run({"windows": windows}).values()
        np.testing.assert_array_equal(answer, tiny_session.run(None, {"windows": windows})[0])


@BOTH
def test_the_dense_form_answers_as_plain_runs_do_for_any_length(dense_session, device):
    bound = Bound(dense_session, device)
    (given_name,) = (value.name for value in dense_session.get_inputs())
    for length in (4, 9, 9, 9, 64, 9, 64, 64, 5):
        samples = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
        answers = bound.run({given_name: samples})
        np.testing.assert_array_equal(answers["probabilities"], dense_session.run(None, {given_name: samples})[0])


@BOTH
def test_inputs_need_not_be_contiguous(tiny_session, device):
    bound = Bound(tiny_session, device)
    values = np.random.default_rng(1).normal(size=(2, 4, 12)).astype(np.float32)
    for windows in [values.transpose(2, 1, 0), values.transpose(2, 1, 0)[::-1], values.transpose(2, 1, 0)] * 2:
        assert not windows.flags.c_contiguous
        answer = bound.run({"windows": windows})["probabilities"]
        expected = tiny_session.run(None, {"windows": np.ascontiguousarray(windows)})[0]
        np.testing.assert_array_equal(answer, expected)


@BOTH
@pytest.mark.parametrize("batch", [1, 3])
def test_a_state_goes_round_on_the_device(sum_session, device, batch):
    bound = Bound(sum_session, device)
    # Whole numbers, so that sums are exact in whatever order.
    steps = np.random.default_rng(2).integers(-9, 9, (50, batch, 2)).astype(np.float32)
    state = bound.put(np.zeros((batch, 2), np.float32))
    for i, x in enumerate(steps):
        outputs = bound.run({"x": x, "state": state}, keep=["state_out"])
        state = outputs["state_out"]
        assert not isinstance(state, np.ndarray)
        np.testing.assert_array_equal(outputs["answer"], 2 * steps[: i + 1].sum(axis=0))
    np.testing.assert_array_equal(state.numpy(), steps.sum(axis=0))


@BOTH
def test_two_streams_with_states_of_their_own_share_one_session(sum_session, device):
    bound = Bound(sum_session, device)
    ones = np.ones((1, 2), np.float32)
    states = [bound.put(0 * ones), bound.put(0 * ones)]
    for step in range(1, 11):
        for stream in (0, 1):
            outputs = bound.run({"x": ones * (1 + stream), "state": states[stream]}, keep=["state_out"])
            states[stream] = outputs["state_out"]
            assert outputs["answer"].tolist() == [[2 * step * (1 + stream)] * 2]


@BOTH
def test_what_a_run_gave_stays_as_it_is_when_others_follow(sum_session, device):
    bound = Bound(sum_session, device)
    zeros = np.zeros((1, 2), np.float32)
    given_out = []
    for i in range(8):
        outputs = bound.run({"x": zeros + i, "state": zeros}, keep=["state_out"])
        given_out.append((outputs["answer"], outputs["state_out"]))
    for i, (answer, kept) in enumerate(given_out):
        assert answer.tolist() == [[2 * i, 2 * i]]
        assert kept.numpy().tolist() == [[i, i]]


@BOTH
def test_a_value_put_on_the_device_is_a_copy_and_can_be_used_again(sum_session, device):
    bound = Bound(sum_session, device)
    array = np.ones((1, 2), np.float32)
    x = bound.put(array)
    array[:] = 7
    for _ in range(4):
        assert bound.run({"x": x, "state": x})["answer"].tolist() == [[4, 4]]


def test_without_a_graph_each_run_has_a_binding_of_its_own_and_no_options(tiny_session):
    watched = Watched(tiny_session)
    bound = Bound(watched, PLAIN)
    for _ in range(3):
        bound.run({"windows": np.zeros((1, 4, 2), np.float32)})
    bindings, numbers = zip(*watched.runs, strict=True)
    assert len(set(bindings)) == 3
    assert numbers == (None, None, None)


def test_a_shape_that_comes_again_keeps_its_buffers_and_its_graph(tiny_session):
    watched = Watched(tiny_session)
    bound = Bound(watched, GRAPH)
    for batch in (2, 5, 2, 2, 5, 2, 5, 7, 5, 2):
        bound.run({"windows": np.zeros((batch, 4, 2), np.float32)})
    bindings, numbers = zip(*watched.runs, strict=True)
    #                   2   5   2  2   5  2  5   7  5  2: the first two runs of a shape, and any single one, have none
    assert numbers == (-1, -1, -1, 1, -1, 1, 2, -1, 2, 1)
    assert bindings[3] is bindings[5] is bindings[9]
    assert bindings[6] is bindings[8]
    assert bindings[3] is not bindings[6]


def test_no_more_shapes_are_recorded_than_the_limit_and_the_others_still_run(tiny_session):
    watched = Watched(tiny_session)
    bound = Bound(watched, GRAPH)
    for batch in range(1, GRAPHS + 4):
        for _ in range(4):
            windows = np.full((batch, 4, 2), batch, np.float32)
            answer = bound.run({"windows": windows})["probabilities"]
            np.testing.assert_array_equal(answer, tiny_session.run(None, {"windows": windows})[0])
    assert {number for _, number in watched.runs} == {-1, *range(1, GRAPHS + 1)}


@BOTH
def test_threads_that_share_it_get_their_own_answers(sum_session, device):
    bound = Bound(sum_session, device)
    zeros = np.zeros((1, 2), np.float32)
    wrong = []

    def work(number):
        for _ in range(200):
            answer = bound.run({"x": zeros + number, "state": zeros})["answer"]
            if answer.tolist() != [[2 * number] * 2]:
                wrong.append((number, answer))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class Failing(Watched):
    def run_with_iobinding(self, binding, options):
        raise RuntimeError("CUDA failure 2: out of memory\nmore")


def test_a_run_that_fails_on_the_device_is_an_error_that_names_it(sum_session, monkeypatch):
    bound = Bound(Failing(sum_session), Device("cuda", 1))
    monkeypatch.setattr(bound, "_value", lambda array: array)
    monkeypatch.setattr(Failing, "io_binding", lambda self: Anything(), raising=False)
    with pytest.raises(DeviceError, match=r"cuda:1 failed in a run \(CUDA failure 2: out of memory more\)"):
        bound.run({"x": np.zeros((1, 2), np.float32), "state": np.zeros((1, 2), np.float32)})


class Anything:
    """Takes any call: the binding of a device that is not there."""

    def __getattr__(self, name):
        return lambda *arguments: None


def test_an_input_of_the_wrong_shape_is_onnx_runtime_s_own_error_on_the_processor(sum_session):
    with pytest.raises(Exception, match="Got invalid dimensions for input: x"):
        Bound(sum_session, PLAIN).run({"x": np.zeros((1, 3), np.float32), "state": np.zeros((1, 2), np.float32)})
