"""The tracker against MLflow's own server on loopback, read back with MLflow's client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from edgeconv.runs.record import FitName
from edgeconv.runs.tracker import Tracker, send, tracked
from edgeconv.runtime import UsageError
from edgeconv.runtime.errors import CheckError, DependencyError
from edgeconv.train.summary import summary


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of its own, which is up."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "artifacts")],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, cwd=folder, start_new_session=True,
        stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def client(server, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return MlflowClient(tracking_uri=server)


def sent(client, name="made up"):
    """Return parent and children, by the names that people see."""
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.info.run_id: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    children = {}
    for run in runs:
        if "mlflow.parentRunId" in run.data.tags:
            children.setdefault(run.data.tags["mlflow.parentRunId"], {})[run.info.run_name] = run
    return {run.info.run_name: (run, children.get(run_id, {})) for run_id, run in parents.items()}


def test_a_run_is_a_parent_with_a_nested_run_for_each_fit_and_sending_it_twice_adds_nothing(make_run, client, tmp_path):
    run = make_run("twice", np.full((3, 2), 0.9), folds=2, learning_rate=0.003)
    assert send(run, Tracker(tmp_path, summary)) == 4
    parent, fits = sent(client)[run.id]
    assert set(fits) == {str(record.name) for record in run.fits()}
    assert {each.info.status for each in (parent, *fits.values())} == {"FINISHED"}
    assert parent.data.params["learning_rate"] == "0.003"
    assert parent.data.params["options.filters"] == "[8, 8]"
    assert parent.data.params["data.content_hash"] == "a" * 64
    assert parent.data.metrics["accuracy_mean"] == pytest.approx(summary(run.results())["accuracy_mean"])
    assert parent.data.metrics["multiply_adds"] == 5000
    ((data,),) = [each.dataset_inputs for each in (parent.inputs,)]
    assert (data.dataset.name, data.dataset.digest) == ("made up", "a" * 36)
    fit = fits["folds-1-seed001"]
    assert fit.data.params["fold"] == "folds-1"
    assert fit.data.metrics["accuracy"] == run.fit(FitName("folds-1", 1)).result()["accuracy"]
    history = client.get_metric_history(fit.info.run_id, "loss")
    assert [(entry.step, entry.value) for entry in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    path = client.download_artifacts(fit.info.run_id, "result.json", str(tmp_path))
    assert json.loads(open(path).read()) == run.fit(FitName("folds-1", 1)).result()  # noqa: PTH123, SIM115
    assert [each.path for each in client.list_artifacts(parent.info.run_id)] == ["run.json"]

    assert send(run, Tracker(tmp_path, summary)) == 4
    again, fits_again = sent(client)[run.id]
    assert again.info.run_id == parent.info.run_id
    assert {name: each.info.run_id for name, each in fits_again.items()} == {
        name: each.info.run_id for name, each in fits.items()
    }
    assert len(client.get_metric_history(fit.info.run_id, "loss")) == 3
    assert len(client.get_metric_history(parent.info.run_id, "accuracy_mean")) == 1


def test_an_attempt_that_did_not_end_is_replaced_by_the_fit_that_did(make_run, client, tmp_path, monkeypatch):
    monkeypatch.setattr("edgeconv.runs.tracker.FLUSH_S", 0.0)
    run = make_run("stopped", np.full((2, 1), 0.9))
    (record,) = run.fits()
    result, metrics = record.result(), record.metrics()
    (record.folder / "result.json").unlink()
    tracker = Tracker(tmp_path, summary)
    with pytest.raises(KeyboardInterrupt), tracked(tracker) as observers:  # noqa: PT012
        observers[0].begun(run, [record])
        observers[0].epoch(record, metrics[0])
        raise KeyboardInterrupt
    parent, fits = sent(client)[run.id]
    assert [each.info.status for each in (parent, *fits.values())] == ["KILLED", "KILLED"]
    tracker = Tracker(tmp_path, summary)
    tracker.begun(run, [record])
    for entry in metrics:
        tracker.epoch(record, entry)
    record.finish(result, metrics, b"model")
    tracker.finished(record, result)
    again, fits = sent(client)[run.id]
    assert again.info.run_id == parent.info.run_id
    assert [each.info.status for each in (again, *fits.values())] == ["FINISHED", "FINISHED"]
    (fit,) = fits.values()
    assert [entry.step for entry in client.get_metric_history(fit.info.run_id, "loss")] == [1, 2, 3]


def test_the_model_folder_and_the_figures_of_its_certificate_are_sent_once(make_run, client, tmp_path):
    run = make_run("model", np.full((2, 1), 0.9))
    folder = tmp_path / "walk"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"model")
    (folder / "training.json").write_text(json.dumps({"run": run.id}))
    send(run, Tracker(tmp_path, summary), folder)
    entry = {"accuracy": 0.91, "reference_accuracy": 0.92, "max_abs_diff": 0.1, "relative_logit_diff": 0.01,
             "top1_agreement": 0.99, "bytes": 4096, "flips": [{}, {}]}  # fmt: skip
    (folder / "certificate.json").write_text(json.dumps({"artefacts": {"model.int8.onnx": entry}}))
    for _ in range(2):
        send(run, Tracker(tmp_path, summary), folder)
    parent, _ = sent(client)[run.id]
    assert parent.data.metrics["model.int8.onnx/accuracy"] == 0.91
    assert parent.data.metrics["model.int8.onnx/flips"] == 2
    assert len(client.get_metric_history(parent.info.run_id, "model.int8.onnx/accuracy")) == 1
    names = {each.path for each in client.list_artifacts(parent.info.run_id, "model")}
    assert names == {"model/model.keras", "model/training.json", "model/certificate.json"}
    (folder / "training.json").write_text(json.dumps({"run": "another"}))
    with pytest.raises(UsageError, match=f"filled by run another, not by {run.id}"):
        send(run, Tracker(tmp_path, summary), folder)


def test_without_a_server_there_is_a_store_in_the_folder_of_runs(make_run, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    run = make_run("local", np.full((2, 1), 0.9))
    send(run, Tracker(tmp_path / "runs", summary))
    parent, fits = sent(MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db"), "mine")[run.id]
    assert list(fits) == ["folds-1-seed001"]
    assert parent.info.artifact_uri.startswith((tmp_path / "runs" / "mlflow-artifacts" / "mine").as_uri())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"], "nothing in the working directory either"


def test_a_server_that_is_gone_is_one_warning_and_an_error_for_a_command(make_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    run = make_run("gone", np.full((2, 3), 0.9))
    heard = []
    tracker = Tracker(tmp_path, summary, heard.append)
    assert send(run, tracker) == 3, "every fit is there"
    (warning,) = heard
    assert "does not take it" in warning
    assert "`edgeconv runs track` sends them later" in warning
    with pytest.raises(CheckError, match="does not take it"):
        send(run, Tracker(tmp_path, summary))


def test_without_mlflow_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr("edgeconv.runs.tracker.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"edgeconv\[track\]"):
        Tracker(tmp_path, summary)
