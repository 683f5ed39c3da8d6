"""Ray as an engine, on a real cluster of two nodes on this machine, of which one is killed at the end."""

import importlib
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.runs import ray_cluster
from edgeconv.runs.engine import Processes, make_engine
from edgeconv.runs.ray_data import RayData
from edgeconv.runs.ray_engine import Ray
from edgeconv.runtime import CheckError, InputError, UsageError
from edgeconv.train.config import TrainConfig
from edgeconv.train.protocol import run_protocol

NODE = {"num_cpus": 1, "object_store_memory": 100 * 1024 * 1024, "include_dashboard": False}
QUICK_TO_NOTICE = {"health_check_period_ms": 300, "health_check_failure_threshold": 3, "health_check_timeout_ms": 2000}


@pytest.fixture(scope="module")
def toys():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("engine_toys")


@pytest.fixture(scope="module")
def cluster(toys):
    """Two nodes of one core each."""
    ray_cluster.import_ray()
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        roots = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
        patch.setenv("PYTHONPATH", os.pathsep.join(roots))
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "_system_config": QUICK_TO_NOTICE})
        cluster.add_node(**NODE)
        yield cluster
        ray_cluster.import_ray().shutdown()
        cluster.shutdown()


@pytest.fixture
def joined(cluster):
    """This process as one that has joined the cluster, which the engines then use as it is."""
    ray = ray_cluster.import_ray()
    if not ray.is_initialized():
        ray.init(cluster.address, log_to_driver=False, logging_level="CRITICAL")
    return cluster


@pytest.fixture
def apart(cluster):
    """This process as one that has joined nothing."""
    ray_cluster.import_ray().shutdown()
    return cluster


def executions(toys, folder):
    return {task: len(pids) for task, pids in toys.begun(folder).items()}


@pytest.mark.parametrize("engine", [Ray, RayData])
def test_results_do_not_depend_on_the_engine_and_both_nodes_work(joined, toys, tmp_path, engine):
    found = dict(engine(joined.address).run(toys.meet, tmp_path, list(range(6)), print))
    assert {position: task for position, (_, task) in found.items()} == {i: i for i in range(6)}
    assert len({node for node, _ in found.values()}) == 2
    assert executions(toys, tmp_path) == {str(i): 1 for i in range(6)}


def test_events_reach_the_driver_in_their_order_and_before_the_result(apart, toys, tmp_path):
    heard = []
    for position, _ in Ray(apart.address, 1).run(toys.square, tmp_path, [3, 5], heard.append):
        heard.append(position)
    assert heard == [(3, "begun"), (3, "half"), 0, (5, "begun"), (5, "half"), 1]


@pytest.mark.parametrize("engine", [Ray, RayData])
def test_a_killed_worker_s_task_is_done_again_and_what_was_finished_is_not(joined, toys, tmp_path, engine):
    found = list(engine(joined.address).run(toys.die_once, tmp_path, [0, 1, 2, 3], print))
    assert sorted(found) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert executions(toys, tmp_path) == {"0": 1, "1": 2, "2": 1, "3": 1}


@pytest.mark.parametrize("engine", [Ray, RayData])
def test_three_deaths_are_a_check_error(joined, toys, tmp_path, engine):
    with pytest.raises(CheckError, match="3 times"):
        list(engine(joined.address).run(toys.die_always, tmp_path, [0, 1], print))
    assert executions(toys, tmp_path)["1"] == 3


@pytest.mark.parametrize("engine", [Ray, RayData])
def test_an_exception_of_the_work_is_raised_as_it_is_and_not_tried_again(joined, toys, tmp_path, engine):
    with pytest.raises(ValueError, match="does not like its number") as raised:
        list(engine(joined.address).run(toys.fail, tmp_path, [1, 0], print))
    assert "engine_toys.py" in "".join(raised.value.__notes__)
    assert executions(toys, tmp_path)["1"] == 1


def test_leaving_early_ends_the_workers_of_a_cluster(joined, toys, tmp_path):
    results = Ray(joined.address).run(toys.hold, tmp_path, [0, 1, 2], print)
    assert next(results) == (0, 0)
    results.close()
    pids = [pid for pids in toys.begun(tmp_path).values() for pid in pids]
    toys.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_real_fit_gives_what_a_process_gives(apart, tmp_path):
    data = synthetic_har(train_subjects=1, test_subjects=1)
    config = TrainConfig("tiny", repeats=1, epochs=1)
    networks = []
    for name, engine in (("ray", Ray(apart.address)), ("local", Processes(1))):
        _, records = run_protocol(data, config, tmp_path / name, engine=engine)
        assert all(record.finished for record in records)
        networks.append([KerasModel.load(record.model).model.get_weights() for record in records])
    for one, other in zip(*networks, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_cluster_with_other_versions_is_refused_with_both_named(joined, toys, monkeypatch):
    here = ray_cluster.versions_here()
    monkeypatch.setattr(ray_cluster, "versions_here", lambda: {**here, "tensorflow": "1.15.0"})
    with pytest.raises(CheckError, match=rf"has tensorflow {here['tensorflow']} \(here 1\.15\.0\)"):
        list(Ray(joined.address).run(toys.square, None, [1], print))


def test_a_node_that_lacks_a_package_is_told_apart_from_one_that_has_more():
    assert ray_cluster.differences({"numpy": "2.1"}, {}) == "numpy not installed (here 2.1)"
    assert ray_cluster.differences({"numpy": "2.1"}, {"numpy": "2.1", "keras": "3"}) == ""


def test_a_cluster_that_cannot_be_reached_is_an_error_in_bounded_time(apart, toys, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(InputError, match=f"no Ray cluster can be joined at {address}.*refused"):
            list(Ray(address).run(toys.square, None, [1], print))
    monkeypatch.setattr(ray_cluster, "HEALTH_S", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(InputError, match="no Ray cluster can be joined"):
            list(Ray(f"127.0.0.1:{silent.getsockname()[1]}").run(toys.square, None, [1], print))
        assert time.monotonic() - began < 20
    for address in ("somewhere", "http://head:6379", "head:many"):
        with pytest.raises(UsageError, match="give auto, host:port or ray://host:port"):
            list(Ray(address).run(toys.square, None, [1], print))


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A head that `ray start` started, which wants a token, as it does where its machine has one."""
    ray_cluster.import_ray()
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, client = probe.getsockname()[1], other.getsockname()[1]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    log = tmp_path_factory.mktemp("ray") / "log"
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", str(port),
         "--num-cpus", "1", "--include-dashboard=false", "--ray-client-server-port", str(client),
         "--object-store-memory", "100000000", "--node-ip-address", "127.0.0.1"],
        env={**os.environ, **token}, start_new_session=True, stdout=log.open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for _ in range(600):
            if "Ray runtime started" in log.read_text():
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", token
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def test_a_cluster_that_wants_a_token_is_joined_with_it_and_says_so_without(apart, started, monkeypatch):
    address, token = started
    with pytest.raises(InputError, match="it wants a token: set RAY_AUTH_MODE=token"):
        ray_cluster.check_reachable(address)
    for name, value in token.items():
        monkeypatch.setenv(name, value)
    ray_cluster.check_reachable(address)


def test_bulk_scoring_through_the_client_is_refused_because_ray_data_cannot():
    with pytest.raises(UsageError, match="Ray Data does not work through"):
        make_engine("ray", address="ray://head:10001", many=True)


def test_no_tasks_start_no_ray(toys):
    for engine in (make_engine("ray"), make_engine("ray", many=True)):
        assert list(engine.run(toys.square, None, [], print)) == []


def test_a_killed_node_loses_nothing_and_what_was_finished_is_not_repeated(apart, toys, tmp_path):
    # The last test, because it takes a node of the cluster away.
    results = Ray(apart.address).run(toys.hold_on_node, tmp_path, [0, 1, 2], print)
    found = [next(results)]
    assert found == [(0, 0)]
    toys.wait_for(lambda: len(list(tmp_path.glob("*.0.node"))) == 3)
    second = next(node for node in apart.worker_nodes)
    raylet = str(second.all_processes["raylet"][0].process.pid)
    lost = [path.name.split(".")[0] for path in tmp_path.glob("[12].0.node") if path.read_text() == raylet]
    assert len(lost) == 1, "one task is at work on each node"
    apart.remove_node(second, allow_graceful=False)
    (tmp_path / "killed").write_text("")
    found += results
    assert sorted(found) == [(0, 0), (1, 1), (2, 2)]
    assert executions(toys, tmp_path) == {"0": 1, "1": 1, "2": 1, lost[0]: 2}
