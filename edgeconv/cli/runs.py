"""edgeconv runs: what was trained, what it gave, and whether one run is better than another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import train_options as by
from .console import command, count, note, table
from .train import accuracy_line, details_line, folds_tables, repeats_tables

if TYPE_CHECKING:
    from edgeconv.runs.compare import Comparison
    from edgeconv.runs.record import Run

app = typer.Typer(help="List, show, compare, draw and track the runs of training.", no_args_is_help=True)

RunArgument = Annotated[str, typer.Argument(help="A run: its folder, id or the beginning of its id.", metavar="RUN")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]


@app.command("list")
@command
def list_(runs: by.RunsOption = None, as_json: JsonOption = False) -> None:
    """List all runs, oldest first.

    Example: edgeconv runs list
    """
    from edgeconv.runs.record import all_runs, runs_folder

    folder = runs_folder(runs)
    lines = [_line(run) for run in all_runs(folder)]
    if as_json:
        typer.echo(json.dumps(lines, indent=2, ensure_ascii=False))
        return
    if not lines:
        note(f"no runs in {folder}; `edgeconv train` makes one")
        return
    head = ["id", "created", "network", "split", "data", "fits", "accuracy %", "parameters", "M multiply-adds"]
    rows = [
        [
            line["id"], line["created"], line["network"], line["split"], line["data"],
            f"{line['finished']}/{line['asked_for']}", _accuracy(line), line["parameters"],
            f"{line['multiply_adds'] / 1e6:.3f}",
        ]
        for line in lines
    ]  # fmt: skip
    typer.echo(table(head, rows))


@app.command()
@command
def show(run: RunArgument, runs: by.RunsOption = None, as_json: JsonOption = False) -> None:
    """Show a run: what decided it, its fits on which machines, and what they say together.

    Example: edgeconv runs show edge-official-1a2b
    """
    from edgeconv.runs.record import find_run, runs_folder
    from edgeconv.train.summary import summary
    from edgeconv.train.words import cost_in_words

    chosen = find_run(runs_folder(runs), run)
    about, results = chosen.about(), chosen.results()
    fits = [
        {
            "fold": record.name.fold,
            "seed": record.name.seed,
            "finished": record.finished,
            **(record.result() if record.finished else {"last_epoch": _last_epoch(record.metrics())}),
        }
        for record in chosen.fits()
    ]
    together = summary(results) if results else None
    if as_json:
        said = {"id": chosen.id, "run": about, "fits": fits, "summary": together}
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    data = about["data"]
    typer.echo(f"run {chosen.id}, created {about['created']}, in {chosen.folder}")
    typer.echo(f"network {about['config']['network']}: {cost_in_words(about['network'])}")
    typer.echo(f"data {data['name']}{' (generated, not measured)' if data['synthetic'] else ''}, {data['source']}")
    typer.echo(f"content hash {data['content_hash']}")
    typer.echo("versions " + ", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    for machine in sorted({_machine(result) for result in results}):
        typer.echo(f"fitted on {machine}")
    settings = {**about["config"], **{f"options.{name}": v for name, v in about["network"]["options"].items()}}
    settings.pop("options", None)
    typer.echo("\n" + table(["setting", "value"], [[name, _plain(value)] for name, value in settings.items()]))
    head = ["fold", "seed", "accuracy %", "epochs", "fit s", "state"]
    typer.echo("\n" + table(head, [_fit_row(fit, about["config"]["epochs"]) for fit in fits]))
    if together is None:
        note("no fit is finished; the same `edgeconv train` goes on with them")
        return
    unfinished = sum(not fit["finished"] for fit in fits)
    if unfinished:
        note(f"{unfinished} of {count(len(fits), 'fit')} not finished; what follows is of the others")
    typer.echo("\n" + accuracy_line(together))
    typer.echo(details_line(together))
    typer.echo("\n" + _tables(about, results, together))


@app.command()
@command
def compare(
    before: Annotated[str, typer.Argument(help="The run to compare with.", metavar="A")],
    after: Annotated[str, typer.Argument(help="The run of which the verdict speaks.", metavar="B")],
    runs: by.RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether run B is better than run A, worse, or not to be told apart, on the same data and folds.

    The interval is over subjects and repeats together. With one repeat it is over folds, each with its subjects; with
    one repeat of one fold there is none, because nothing says how much another seed would have changed.

    Example: edgeconv runs compare tiny-folds-1a2b edge-folds-3c4d
    """
    from edgeconv.runs.compare import compare as compare_runs
    from edgeconv.runs.record import find_run, runs_folder

    found = compare_runs(*(find_run(runs_folder(runs), name) for name in (before, after)))
    typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if as_json else _comparison(found))


@app.command()
@command
def plot(
    names: Annotated[list[str], typer.Argument(help="Runs: folders, ids or beginnings of ids.", metavar="RUN…")],
    out: Annotated[Path, typer.Option(help="Picture to write, .png or .svg.", metavar="FILE")],
    runs: by.RunsOption = None,
) -> None:
    """Draw loss and learning rate of all fits, accuracy by subject and, for several runs, accuracy against cost.

    Example: edgeconv runs plot tiny-folds-1a2b edge-folds-3c4d --out runs.png
    """
    from edgeconv.runs.plot import plot_runs
    from edgeconv.runs.record import find_run, runs_folder

    chosen = [find_run(runs_folder(runs), name) for name in names]
    plot_runs(chosen, out)
    tests = {(run.about()["data"]["content_hash"], run.about()["config"]["split"]) for run in chosen}
    if len(tests) > 1:
        note("warning: these runs were tested on different data or splits, so their accuracies cannot be compared")
    note(f"{out} is written")


@app.command()
@command
def track(
    run: RunArgument,
    model: Annotated[
        Path | None, typer.Option(help="Model folder that the run filled, sent with its certificate.", metavar="DIR")
    ] = None,
    runs: by.RunsOption = None,
) -> None:
    """Send the finished fits of a run to MLflow, as `train --track` does; what it has is not sent again.

    The server is MLFLOW_TRACKING_URI, by default a store in the folder of runs; the experiment is
    MLFLOW_EXPERIMENT_NAME, by default the data set.

    Example: edgeconv runs track edge-official-1a2b --model models/walk
    """
    from edgeconv.runs.record import find_run, runs_folder
    from edgeconv.runs.tracker import Tracker, send
    from edgeconv.train.summary import summary

    folder = runs_folder(runs)
    chosen, tracker = find_run(folder, run), Tracker(folder, summary)
    note(f"{count(send(chosen, tracker, model), 'finished fit')} of {chosen.id} in MLflow at {tracker.uri}")


def _comparison(found: Comparison) -> str:
    """Return a comparison in words and tables."""
    points = f"{100 * found.difference:+.2f} points"
    repeats = f"{count(len(found.seeds), 'repeat')} and {count(len(found.per_subject), 'subject')}"
    if found.interval is None:
        sure = f"{points}, without an interval: one repeat of one fold does not say what another seed gives"
    else:
        sure = f"{points}, 95 % interval {100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f}"
        sure += f", over {repeats}" if len(found.seeds) > 1 else f", over {len(found.folds)} folds of one repeat"
    verdict = {"better": "B is better than A", "worse": "B is worse than A", "not resolvable": "not resolvable"}

    def rows(pairs: dict[str, Any]) -> list[list[str]]:
        return [
            [name, f"{100 * p.before:.2f}", f"{100 * p.after:.2f}", f"{100 * p.difference:+.2f}"]
            for name, p in pairs.items()
        ]

    parts = [
        f"A {found.before}\nB {found.after}",
        f"{verdict[found.verdict]}: accuracy on a subject {sure}",
        f"Of all windows A has {100 * found.accuracy.before:.2f} %, B {100 * found.accuracy.after:.2f} % right; "
        f"paired over {repeats}",
        table(["subject", "A accuracy %", "B accuracy %", "B - A"], rows(found.per_subject)),
        table(["class", "A recall %", "B recall %", "B - A"], rows(found.per_class)),
    ]
    if found.changed:
        changed = [[name, _plain(a), _plain(b)] for name, (a, b) in found.changed.items()]
        parts.append(table(["what differs", "A", "B"], changed))
    else:
        parts.append("Nothing differs between their settings.")
    return "\n\n".join(parts)


def _line(run: Run) -> dict[str, Any]:
    """Return what the list says of a run."""
    from edgeconv.train.summary import summary

    about, fits, results = run.about(), run.fits(), run.results()
    together = summary(results) if results else {}
    return {
        "id": run.id,
        "created": about["created"],
        "network": about["config"]["network"],
        "split": about["config"]["split"],
        "data": about["data"]["name"],
        "finished": len(results),
        "asked_for": len(fits),
        "accuracy": together.get("accuracy_mean"),
        "accuracy_sd": together.get("accuracy_sd"),
        "parameters": about["network"]["parameters"],
        "multiply_adds": about["network"]["multiply_adds"],
    }


def _accuracy(line: dict[str, Any]) -> str:
    if line["accuracy"] is None:
        return "-"
    spread = line["accuracy_sd"]
    return f"{100 * line['accuracy']:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def _tables(about: dict[str, Any], results: list[dict[str, Any]], together: dict[str, Any]) -> str:
    from edgeconv.train.config import TrainConfig
    from edgeconv.train.protocol import lower_median

    split, name = about["config"]["split"], about["data"]["name"]
    if split == "official":
        return repeats_tables(results, lower_median([result["accuracy"] for result in results]), name)
    return folds_tables(results, together, name, TrainConfig(split=split))


def _fit_row(fit: dict[str, Any], epochs: int) -> list[Any]:
    if fit["finished"]:
        return [fit["fold"], fit["seed"], f"{100 * fit['accuracy']:.2f}", fit["epochs"], fit["fit_s"], "finished"]
    begun = f"epoch {fit['last_epoch']} of {epochs}" if fit["last_epoch"] else "not begun"
    return [fit["fold"], fit["seed"], "", "", "", begun]


def _last_epoch(metrics: list[dict[str, Any]]) -> int:
    return int(metrics[-1]["epoch"]) if metrics else 0


def _machine(result: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in result["machine"].items() if value not in (None, ""))


def _plain(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
