"""Runs in MLflow: a run of ours is a parent run there, each of its fits a run nested in it.

The run's folder stays the record; what a server did not get can be sent later, and nothing is sent twice.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.runtime.errors import CheckError, DependencyError, EdgeconvError, UsageError

from .mlflow_values import certified_metrics, digest_of, key, milliseconds, numbers, params_of
from .record import RESULT, RUN, FitName, FitRecord, Run

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own environment variables: the server, and the name under which runs are gathered."""
STORE, ARTEFACTS = "mlflow.db", "mlflow-artifacts"
"""What is written in the folder of runs where no server is named."""
RUN_TAG, FIT_TAG, SENT_TAG, MODEL_TAG = "edgeconv.run", "edgeconv.fit", "edgeconv.sent", "edgeconv.model"
PARENT = "all"
"""What stands for a fit's name in the tags of the parent run."""
FLUSH_S = 5.0
"""Metrics of epochs are sent this often, in one batch."""
METRICS_AT_ONCE, PARAMS_AT_ONCE, DIGEST_LENGTH = 1000, 100, 36
"""The most that MLflow takes in one request, and of a data set's digest."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a training tells nobody outside about itself
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is gone must not hold up fits
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
SCORES = ("accuracy", "macro_f1", "negative_log_likelihood", "calibration_error", "fit_s")
SUMMARISED = ("accuracy_mean", "accuracy_sd", "negative_log_likelihood", "calibration_error")

Summary = Callable[[Sequence[dict[str, Any]]], Mapping[str, Any]]


class Tracker:
    """An observer of runs that sends them to MLflow; the first failure is one warning, and then it is silent."""

    def __init__(self, runs: Path, summary: Summary, warn: Callable[[str], None] | None = None) -> None:
        """Make ready to send.

        runs: the folder of runs, which holds the store where MLFLOW_TRACKING_URI names no server
        summary: what finished fits say together
        warn: hears why sending failed; without it CheckError is raised
        Raises DependencyError without MLflow.
        """
        if find_spec("mlflow") is None:
            raise DependencyError('tracking needs MLflow: pip install "edgeconv[track]"')
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        self.runs, self.summary, self.warn = runs, summary, warn
        self.server = os.environ.get(URI)
        self.uri = self.server or f"sqlite:///{(runs / STORE).resolve()}"
        self.gone = False
        self.parent: str | None = None
        self.children: dict[FitName, str] = {}
        self.epochs: dict[FitName, list[dict[str, float]]] = {}
        """Epochs that are not sent yet."""
        self.counts: dict[FitName, int] = {}
        """Epochs that are."""
        self.flushed_at = time.monotonic()

    def begun(self, run: Run, records: Sequence[FitRecord]) -> None:
        """Find or make the parent run."""
        self.run, self.records = run, records
        self.parent, self.children, self.epochs, self.counts = None, {}, {}, {}
        self._safely(self._begin)

    def epoch(self, record: FitRecord, metrics: dict[str, float]) -> None:
        """Keep an epoch's metrics, and send what has gathered now and then."""
        self.epochs.setdefault(record.name, []).append(metrics)
        if time.monotonic() - self.flushed_at > FLUSH_S:
            self._safely(self._send_all_epochs)

    def finished(self, record: FitRecord, result: dict[str, Any]) -> None:
        """Send a finished fit, unless it was sent before; with the last one the parent is finished, too."""
        self._safely(self._send_fit, record, result)
        if all(each.finished for each in self.records):
            self._safely(self._send_summary)

    def model(self, folder: Path) -> None:
        """Send a model folder that this run filled, and its certificate's figures as metrics.

        Raises UsageError where the folder was filled by another run.
        """
        training = files.read_json(folder / files.TRAINING, "`edgeconv train`")
        if training.get("run") != self.run.id:
            raise UsageError(f"{folder} was filled by run {training.get('run')}, not by {self.run.id}")
        self._safely(self._send_model, folder)

    def stopped(self, status: str) -> None:
        """Say that a training ended before its fits were finished: KILLED or FAILED."""
        self._safely(self._stop, status)

    def _safely(self, send: Callable[..., None], *arguments: Any) -> None:
        """Send something, unless sending failed before; no failure of the tracker ends a training."""
        if self.gone:
            return
        try:
            send(*arguments)
        except EdgeconvError:
            raise
        except Exception as error:  # whatever a store, a server or the way to it can raise
            self.gone = True
            why = f"MLflow at {self.uri} does not take it ({_first_line(error)})"
            if self.warn is None:
                raise CheckError(f"{why}; what was sent stays, and the same command sends the rest") from None
            self.warn(f"{why}; nothing more is sent, and the fits go on: `edgeconv runs track` sends them later")

    def _begin(self) -> None:
        about = self.run.about()
        self.client = self._client()
        self.experiment = self._experiment(about["data"]["name"])
        self.parent = self._find(PARENT)
        if self.parent is None:
            tags = {RUN_TAG: self.run.id, FIT_TAG: PARENT, "edgeconv.data": about["data"]["content_hash"]}
            self.parent = self._make(self.run.id, milliseconds(about["created"]), tags)
        if not self.client.get_run(self.parent).data.params:
            self.client.log_artifact(self.parent, str(self.run.folder / RUN))
            self._log_data(about["data"])
            self._log(self.parent, metrics=numbers(about["network"]), params=params_of(about))
        self.client.update_run(self.parent, status="RUNNING")

    def _log_data(self, data: Mapping[str, Any]) -> None:
        """Name the data set where MLflow has a column for it; its digest is the beginning of the content hash."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        said = Dataset(data["name"], data["content_hash"][:DIGEST_LENGTH], "local", data["source"] or data["name"])
        context = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(self.parent, [DatasetInput(said, context)])

    def _send_all_epochs(self) -> None:
        for name in list(self.epochs):
            self._send_epochs(self.run.fit(name))

    def _send_model(self, folder: Path) -> None:
        digest = digest_of(folder)
        if self._tag(self.parent, MODEL_TAG) == digest:
            return
        self.client.log_artifacts(self.parent, str(folder), "model")
        if (folder / files.CERTIFICATE).exists():
            certificate = files.read_json(folder / files.CERTIFICATE, "`edgeconv export`")
            self._log(self.parent, metrics=certified_metrics(certificate))
        self.client.set_tag(self.parent, MODEL_TAG, digest)

    def _stop(self, status: str) -> None:
        self._send_all_epochs()
        for name, child in self.children.items():
            if not self.run.fit(name).finished:
                self.client.set_terminated(child, status)
        self.client.set_terminated(self.parent, status)

    def _send_fit(self, record: FitRecord, result: dict[str, Any]) -> None:
        child = self.children.get(record.name) or self._find(record.name)
        if child is not None and self._tag(child, SENT_TAG) == result["at"]:
            self.epochs.pop(record.name, None)
            return
        metrics = record.metrics()
        self.epochs[record.name] = metrics[self.counts.get(record.name, 0) :]
        self._send_epochs(record, milliseconds(result["at"]))
        child = self.children[record.name]
        last = numbers({name: result[name] for name in SCORES})
        self._log(child, metrics=last, step=len(metrics), at=milliseconds(result["at"]))
        machine = {f"machine.{name}": value for name, value in result["machine"].items()}
        self._log(child, params={"epochs": result["epochs"], **machine})
        self.client.log_artifact(child, str(record.folder / RESULT))
        self.client.set_tag(child, SENT_TAG, result["at"])
        self.client.set_terminated(child, "FINISHED", milliseconds(result["at"]))

    def _send_epochs(self, record: FitRecord, ended_at: int | None = None) -> None:
        name, waiting = record.name, self.epochs.pop(record.name, [])
        if name not in self.children:
            # What an attempt left that did not end is taken back: the fit is done anew from its first epoch.
            left = self._find(name)
            if left is not None:
                self.client.delete_run(left)
            seconds = sum(entry["seconds"] for entry in waiting)
            began = (ended_at or milliseconds()) - round(1000 * seconds)
            tags = {RUN_TAG: self.run.id, FIT_TAG: str(name), "mlflow.parentRunId": str(self.parent)}
            self.children[name] = self._make(str(name), began, tags)
            self._log(self.children[name], params={"fold": name.fold, "seed": name.seed})
        from mlflow.entities import Metric

        when = ended_at or milliseconds()
        metrics = []
        for entry in reversed(waiting):
            step = int(entry["epoch"])
            said = numbers({name: value for name, value in entry.items() if name != "epoch"})
            metrics += [Metric(key(name), value, when, step) for name, value in said.items()]
            when -= round(1000 * entry["seconds"])
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(self.children[name], metrics=metrics[start : start + METRICS_AT_ONCE])
        self.counts[name] = self.counts.get(name, 0) + len(waiting)
        self.flushed_at = time.monotonic()

    def _send_summary(self) -> None:
        results = self.run.results()
        if self._tag(self.parent, SENT_TAG) != str(len(results)):
            together = self.summary(results)
            metrics = {name: together[name] for name in SUMMARISED if together[name] is not None}
            metrics["worst_subject_accuracy"] = together["worst_subject"]["accuracy"]
            metrics |= {f"recall.{label}": recall for label, recall in together["recall"].items()}
            self._log(self.parent, metrics=numbers(metrics), step=len(results))
            self.client.set_tag(self.parent, SENT_TAG, str(len(results)))
        self.client.set_terminated(self.parent, "FINISHED", milliseconds(max(result["at"] for result in results)))

    def _client(self) -> Any:
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # one warning is enough
        if not self.server:
            self.runs.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri)

    def _experiment(self, data: str) -> str:
        name = os.environ.get(EXPERIMENT) or data
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.server else ((self.runs / ARTEFACTS).resolve() / re.sub(r"[^\w.-]+", "-", name)).as_uri()
        return str(self.client.create_experiment(name, artifact_location=place))

    def _find(self, name: FitName | str) -> str | None:
        """Return the MLflow run of a fit of this run, or of the run itself; the latest that is not deleted."""
        wanted = f"tags.`{RUN_TAG}` = '{self.run.id}' and tags.`{FIT_TAG}` = '{name}'"
        found = self.client.search_runs([self.experiment], wanted, order_by=["attributes.start_time DESC"])
        return str(found[0].info.run_id) if found else None

    def _make(self, name: str, began_ms: int, tags: dict[str, str]) -> str:
        made = self.client.create_run(self.experiment, start_time=began_ms, tags=tags, run_name=name)
        return str(made.info.run_id)

    def _tag(self, run_id: str | None, name: str) -> str | None:
        tag = self.client.get_run(run_id).data.tags.get(name)
        return None if tag is None else str(tag)

    def _log(
        self,
        run_id: str | None,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        step: int = 0,
        at: int | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param

        when = at or milliseconds()
        listed = [Metric(key(name), value, when, step) for name, value in (metrics or {}).items()]
        said = [Param(key(name), value if isinstance(value, str) else json.dumps(value))
                for name, value in (params or {}).items()]  # fmt: skip
        self.client.log_batch(run_id, metrics=listed[:METRICS_AT_ONCE], params=said[:PARAMS_AT_ONCE])


@contextmanager
def tracked(tracker: Tracker | None) -> Iterator[list[Tracker]]:
    """Give the observers that a training has for its tracker; where the block ends early, MLflow hears that, too."""
    try:
        yield [] if tracker is None else [tracker]
    except BaseException as error:
        if tracker is not None and tracker.parent is not None:
            tracker.stopped("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def send(run: Run, tracker: Tracker, model: Path | None = None) -> int:
    """Send the finished fits of a run that is there, and its model folder; return how many fits it has finished.

    Raises CheckError where MLflow does not take it, and what `Tracker.model` raises.
    """
    records = run.fits()
    tracker.begun(run, records)
    finished = [record for record in records if record.finished]
    for record in finished:
        tracker.finished(record, record.result())
    if model is not None:
        tracker.model(model)
    return len(finished)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
