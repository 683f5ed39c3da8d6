"""edgeconv search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import train_options as by
from .console import DataOption, DataOptionsOption, count, data_options, load_data, note, progress, table

if TYPE_CHECKING:
    from edgeconv.train.search import Trial
    from edgeconv.train.search_space import Space

IN_PERCENT = ("accuracy", "macro_f1", "int8_loss")


def search(
    space: Annotated[
        Path, typer.Argument(help="TOML file: fixed settings, [space] and [objectives].", metavar="SPACE.toml")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trials that the study has in the end, earlier ones included.")],
    data: DataOption = None,
    data_option: DataOptionsOption = None,
    study: Annotated[str | None, typer.Option(help="Name of the study; by default the file's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the proposals.")] = 1,
    workers: by.WorkersOption = None,
    engine: by.EngineOption = "local",
    address: by.AddressOption = None,
    runs: by.RunsOption = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the Pareto front to write, .png or .svg.", metavar="FILE")
    ] = None,
) -> None:
    """Search for settings with Optuna on folds of the training subjects; every trial is a run.

    Test subjects are never looked at. A search that was stopped goes on with the same command, and a larger --trials
    adds to it; no finished fit is done again.

    Example: edgeconv search space.toml --trials 20
    """
    from edgeconv.export.int8_loss import int8_loss
    from edgeconv.runs.engine import make_engine
    from edgeconv.runs.plot import plot_front
    from edgeconv.runs.record import runs_folder
    from edgeconv.train.search import search as go_on
    from edgeconv.train.search_space import read_space

    wanted = read_space(space)
    chosen_engine = make_engine(engine, workers, address)
    dataset = load_data(data, options=data_options(data_option))
    with progress() as show:
        found = go_on(
            dataset,
            wanted,
            runs_folder(runs),
            trials=trials,
            study=study or space.stem,
            seed=seed,
            engine=chosen_engine,
            measures={"int8_loss": int8_loss},
            on_trial=lambda number, _config: show(f"trial {number}, {trials} asked for", number),
        )
    typer.echo(_table(found, wanted))
    pruned = sum(not trial.values for trial in found)
    note(f"{count(len(found), 'trial')}, {pruned} pruned; * is on the Pareto front: none is better in everything")
    if plot is not None:
        best = {trial.number for trial in found if trial.on_front}
        plot_front({trial.number: trial.values for trial in found if trial.values}, best, wanted.objectives, plot)
        note(f"{plot} is written")


def _table(found: Sequence[Trial], space: Space) -> str:
    """Return the trials as a table, the front first and the best accuracy on top."""
    first = space.objectives[0]
    order = sorted(found, key=lambda trial: (not trial.on_front, -trial.values.get(first, -1.0), trial.number))
    names = [name.removeprefix("options.") for name in space.ranges]
    rows = [
        ["*" if trial.on_front else "", trial.number,
         *(_figure(name, trial.values.get(name)) for name in space.objectives),
         *(_setting(trial.settings.get(name)) for name in space.ranges), trial.run]
        for trial in order
    ]  # fmt: skip
    head = ["", "trial", *(f"{name} %" if name in IN_PERCENT else name for name in space.objectives)]
    return table([*head, *names, "run"], rows)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "pruned"
    return f"{100 * value:.2f}" if name in IN_PERCENT else f"{value:.0f}"


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
