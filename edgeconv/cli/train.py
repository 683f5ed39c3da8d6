"""edgeconv train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import DataOption, load_data, note, progress, table
from .interrupt import Interrupt

if TYPE_CHECKING:
    from edgeconv.train.protocol import Progress


def train(
    out: Annotated[Path, typer.Option(help="Model folder to fill; its name is the model's name.", metavar="DIR")],
    data: DataOption = None,
    network: Annotated[str, typer.Option(help="Preset: seed, or audio for seconds of sound.")] = "seed",
    repeats: Annotated[int, typer.Option(help="Fits that differ in their seed only.")] = 10,
    epochs: Annotated[int, typer.Option(help="Passes over the training windows.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Windows per step.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the first repeat; the next ones count up.")] = 1,
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Let the network's first layer standardise each channel.")
    ] = False,
    model_version: Annotated[str, typer.Option(help="Version written into the spec.")] = "1",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
    allow_shared_subjects: Annotated[
        bool, typer.Option("--allow-shared-subjects", help="Accept people who are in both train and test.")
    ] = False,
) -> None:
    """Fit a network several times and keep the lower-median one, with all results.

    Example: edgeconv train --out models/walk --repeats 3
    """
    from edgeconv.train.fit import TrainConfig
    from edgeconv.train.protocol import train as run

    config = TrainConfig(network, repeats, epochs, batch_size, seed, standardise)
    dataset = load_data(data)
    # TensorFlow calls back into Python in many places where an exception is lost, so Ctrl-C waits for the epoch's end.
    with progress(repeats * epochs) as show, Interrupt(until="this epoch") as interrupt:

        def report(step: Progress) -> None:
            show(f"repeat {step.repeat} of {repeats}", (step.repeat - 1) * epochs + step.epoch)
            if step.result is not None:
                typer.echo(f">#{step.repeat}: {100 * step.result['accuracy']:.3f}")
            interrupt.check()

        training = run(
            dataset,
            config,
            out,
            version=model_version,
            resume=resume,
            overwrite=overwrite,
            allow_shared_subjects=allow_shared_subjects,
            on_progress=report,
        )
    typer.echo(accuracy_line(training))
    typer.echo("\n" + results(training, dataset.name))
    note(f"{out} holds the model of repeat {training['chosen_repeat']}; next: edgeconv export {out}")


def accuracy_line(training: dict[str, Any]) -> str:
    """Return mean accuracy and sample standard deviation over the repeats, in per cent."""
    spread = training["accuracy_sd"]
    plus_minus = "one run" if spread is None else f"+/-{100 * spread:.3f}"
    return f"Accuracy: {100 * training['accuracy_mean']:.3f}% ({plus_minus})"


def results(training: dict[str, Any], data_name: str) -> str:
    """Return the tables per subject and class, macro-F1 and the confusion of the chosen repeat."""
    repeats = training["repeats"]
    chosen = repeats[training["chosen_repeat"] - 1]
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
            f"Repeat {chosen['repeat']} (the lower median), on the test subjects of {data_name}:",
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
