"""edgeconv train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import train_options as by
from .console import DataOption, DataOptionsOption, count, data_options, load_data, note, progress, table

if TYPE_CHECKING:
    from edgeconv.data.dataset import Dataset
    from edgeconv.runs.record import FitRecord, Run
    from edgeconv.train.config import TrainConfig


def train(
    out: Annotated[
        Path | None, typer.Option(help="Model folder to fill; its name is the model's name.", metavar="DIR")
    ] = None,
    data: DataOption = None,
    data_option: DataOptionsOption = None,
    network: by.NetworkOption = None,
    config_file: by.ConfigOption = None,
    split: Annotated[
        Literal["official", "folds", "leave-one-subject-out", "random"] | None,
        typer.Option(help="Test on the test subjects, or on some of the training subjects in turn."),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Parts for the splits folds and random; by default 5.")] = None,
    repeats: by.RepeatsOption = None,
    epochs: by.EpochsOption = None,
    batch_size: by.BatchOption = None,
    seed: by.SeedOption = None,
    standardise: by.StandardiseOption = None,
    filters: by.FiltersOption = None,
    kernel_size: by.KernelOption = None,
    dropout: by.DropoutOption = None,
    other: by.OtherOption = None,
    learning_rate: by.RateOption = None,
    schedule: by.ScheduleOption = None,
    weight_decay: by.DecayOption = None,
    label_smoothing: by.SmoothingOption = None,
    class_weights: by.ClassWeightsOption = None,
    averaged_epochs: by.AveragedOption = None,
    held_back_subjects: by.HeldBackOption = None,
    patience: by.PatienceOption = None,
    rotation_deg: by.RotationOption = None,
    scaling: by.ScalingOption = None,
    noise: by.NoiseOption = None,
    time_warp: by.WarpOption = None,
    channel_dropout: by.ChannelDropoutOption = None,
    model_version: Annotated[str, typer.Option(help="Version written into the spec.")] = "1",
    runs: by.RunsOption = None,
    workers: by.WorkersOption = None,
    engine: by.EngineOption = "local",
    address: by.AddressOption = None,
    track: Annotated[
        bool, typer.Option("--track", help="Send the run to MLflow: MLFLOW_TRACKING_URI, or a store in --runs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
    allow_shared_subjects: Annotated[
        bool, typer.Option("--allow-shared-subjects", help="Accept people who are in both train and test.")
    ] = False,
) -> None:
    """Fit a network several times and keep the lower-median one, with all results.

    Every fit is kept in the folder of its run as soon as it is finished: the same command goes on where it was stopped.
    Without --out only the run is written, and so with the splits that test on training subjects.

    Example: edgeconv train --network edge --out models/walk --repeats 3
    """
    from edgeconv.runs.engine import make_engine
    from edgeconv.runs.record import runs_folder
    from edgeconv.runs.tracker import Tracker, tracked
    from edgeconv.runtime.errors import UsageError
    from edgeconv.train.config import make_config
    from edgeconv.train.folds import fold_names
    from edgeconv.train.place import check_free, place
    from edgeconv.train.protocol import run_protocol
    from edgeconv.train.summary import summary

    given = {
        "split": split, "folds": folds, "repeats": repeats, "epochs": epochs, "batch_size": batch_size, "seed": seed,
        "standardise": standardise, "learning_rate": learning_rate, "schedule": schedule, "weight_decay": weight_decay,
        "label_smoothing": label_smoothing, "class_weights": class_weights, "averaged_epochs": averaged_epochs,
        "held_back_subjects": held_back_subjects, "patience": patience, "rotation_deg": rotation_deg,
        "scaling": scaling, "noise": noise, "time_warp": time_warp, "channel_dropout": channel_dropout,
        "options": by.network_options(filters, kernel_size, dropout, other),
    }  # fmt: skip
    config = make_config(network, config_file, given)
    if out is not None:
        if config.split != "official":
            raise UsageError(f"--split {config.split} fits many models and none for use; leave --out away")
        check_free(out, overwrite)
    chosen_engine = make_engine(engine, workers, address)
    dataset = load_data(data, options=data_options(data_option))
    tracker = Tracker(runs_folder(runs), summary, lambda why: note(f"warning: {why}")) if track else None

    def fit_all(config: TrainConfig) -> tuple[Run, list[FitRecord]]:
        fits = len(fold_names(dataset, config)) * config.repeats
        with progress(fits * config.epochs) as show, tracked(tracker) as trackers:
            return run_protocol(
                dataset,
                config,
                runs_folder(runs),
                engine=chosen_engine,
                allow_shared_subjects=allow_shared_subjects,
                observers=[Reporter(config, show), *trackers],
            )

    run, records = fit_all(config)
    results = [record.result() for record in records]
    say(results, dataset, config)
    if config.split == "random":
        by_subject = replace(config, split="folds")
        honest, others = fit_all(by_subject)
        say([record.result() for record in others], dataset, by_subject)
        note(flattery(results, [record.result() for record in others], config))
        note(f"{run.folder} and {honest.folder} hold the fits")
        return
    if out is None:
        note(f"{run.folder} holds the {count(len(records), 'fit')}")
        return
    training = place(
        run, records, dataset, config, out, version=model_version, allow_shared_subjects=allow_shared_subjects
    )
    if tracker is not None:
        tracker.model(out)
    note(f"{run.folder} holds the {count(len(records), 'fit')}")
    note(f"{out} holds the model of repeat {training['chosen_repeat']}; next: edgeconv export {out}")


class Reporter:
    """Says on stdout what each fit gave, and on stderr how far they are."""

    def __init__(self, config: TrainConfig, show: Any) -> None:
        self.config, self.show = config, show
        self.epochs: dict[str, int] = {}
        self.total = self.done = 0

    def begun(self, run: Run, records: Sequence[FitRecord]) -> None:
        """Say what is fitted, and how much of it is there."""
        from edgeconv.train.words import cost_in_words

        network = run.about()["network"]
        note(f"run {run.id}")
        note(f"network {self.config.network}: {cost_in_words(network)}")
        finished = sum(record.finished for record in records)
        self.total = len(records)
        if finished:
            note(f"{finished} of {count(len(records), 'fit')} finished before")

    def epoch(self, record: FitRecord, metrics: dict[str, float]) -> None:
        """Show progress."""
        self.epochs[str(record.name)] = int(metrics["epoch"])
        self.show(f"{self.done} of {count(self.total, 'fit')} finished", sum(self.epochs.values()))

    def finished(self, record: FitRecord, result: dict[str, Any]) -> None:
        """Say what a fit gave."""
        self.done += 1
        self.epochs[str(record.name)] = self.config.epochs
        what = f"#{record.name.seed}" if self.config.split == "official" else f"{record.name}"
        typer.echo(f">{what}: {100 * result['accuracy']:.3f}")


def say(results: list[dict[str, Any]], dataset: Dataset, config: TrainConfig) -> None:
    """Print what a run's fits say together."""
    from edgeconv.train.protocol import lower_median
    from edgeconv.train.summary import summary

    together = summary(results)
    typer.echo(accuracy_line(together))
    typer.echo(details_line(together))
    if config.split == "official":
        chosen = lower_median([result["accuracy"] for result in results])
        typer.echo("\n" + repeats_tables(results, chosen, dataset.name))
    else:
        typer.echo("\n" + folds_tables(results, together, dataset.name, config))


def accuracy_line(together: dict[str, Any]) -> str:
    """Return mean accuracy and sample standard deviation over the repeats, in per cent."""
    spread = together["accuracy_sd"]
    plus_minus = "one run" if spread is None else f"+/-{100 * spread:.3f}"
    return f"Accuracy: {100 * together['accuracy_mean']:.3f}% ({plus_minus})"


def details_line(together: dict[str, Any]) -> str:
    """Return interval, worst subject and calibration in words."""
    worst, interval = together["worst_subject"], together["accuracy_interval"]
    parts = [] if interval is None else [f"95 % interval of the mean {100 * interval[0]:.2f}–{100 * interval[1]:.2f} %"]
    parts += [
        f"lowest subject {worst['subject']}: {100 * worst['accuracy']:.2f} %",
        f"calibration error {100 * together['calibration_error']:.2f} points",
        f"negative log-likelihood {together['negative_log_likelihood']:.3f}",
    ]
    return "; ".join(parts)


def flattery(random: list[dict[str, Any]], honest: list[dict[str, Any]], config: TrainConfig) -> str:
    """Return the warning that a random split deserves, with by how much it flatters here."""
    from edgeconv.train.summary import summary

    there, here = (100 * summary(results)["accuracy_mean"] for results in (random, honest))
    return (
        f"warning: a random split says {there:.2f} %, the same network tested on subjects that it never saw "
        f"{here:.2f} %: {there - here:+.2f} points of it are people and neighbouring windows remembered. "
        f"Report the {config.folds} folds by subject."
    )


def folds_tables(results: list[dict[str, Any]], together: dict[str, Any], data_name: str, config: TrainConfig) -> str:
    """Return the tables of a cross-validation: folds, subjects, classes."""
    folds = [
        [result["fold"], result["seed"], result["train_windows"], result["test_windows"],
         f"{100 * result['accuracy']:.2f}", f"{100 * result['macro_f1']:.2f}"]
        for result in results
    ]  # fmt: skip
    subjects = [[subject, f"{100 * accuracy:.2f}"] for subject, accuracy in together["per_subject"].items()]
    classes = [[label, f"{100 * recall:.2f}"] for label, recall in together["recall"].items()]
    tables = [f"Split {config.split} of the training windows of {data_name}:"]
    if config.split != "leave-one-subject-out":
        tables.append(table(["fold", "seed", "trained on", "tested on", "accuracy %", "macro-F1 %"], folds))
    tables += [table(["subject", "accuracy %"], subjects), table(["class", "recall %"], classes)]
    return "\n\n".join(tables)


def repeats_tables(repeats: list[dict[str, Any]], position: int, data_name: str) -> str:
    """Return the tables per subject and class, macro-F1 and the confusion of the chosen repeat."""
    chosen = repeats[position]
    labels = [scores["label"] for scores in chosen["per_class"]]

    def mean(values: list[float]) -> str:
        return f"{100 * sum(values) / len(values):.2f}"

    subjects = [
        [name, f"{100 * accuracy:.2f}", mean([r["per_subject"][name] for r in repeats])]
        for name, accuracy in chosen["per_subject"].items()
    ]
    classes = [
        [s["label"], s["windows"], *(f"{100 * s[key]:.2f}" for key in ("recall", "precision", "f1")),
         mean([r["per_class"][i]["recall"] for r in repeats])]
        for i, s in enumerate(chosen["per_class"])
    ]  # fmt: skip
    confusion = [[label, *row] for label, row in zip(labels, chosen["confusion"], strict=True)]
    return "\n\n".join(
        [
            f"Repeat {position + 1} (the lower median), on the test subjects of {data_name}:",
            table(["subject", "accuracy %", "mean of repeats"], subjects),
            table(["class", "windows", "recall %", "precision %", "F1 %", "mean recall"], classes),
            f"macro-F1 {100 * chosen['macro_f1']:.2f} %, of all repeats {mean([r['macro_f1'] for r in repeats])} %",
            "Windows by true class (row) and predicted class (column):\n"
            + table(
                ["", *(str(i) for i in range(len(labels)))],
                [[f"{i} {row[0]}", *row[1:]] for i, row in enumerate(confusion)],
            ),
        ]
    )
