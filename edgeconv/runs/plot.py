"""Pictures of runs: how fits went, how subjects fared, what accuracy costs. As PNG or SVG, with Matplotlib."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.folder import write_bytes
from edgeconv.runtime.errors import DependencyError, UsageError

from .record import Run
from .statistics import student_half_width

MARKERS = "osD^vP*X<>"
LINES = ("-", "--", "-.", ":")


def plot_runs(runs: Sequence[Run], out: Path) -> None:
    """Draw the fits' loss and learning rate, the accuracy of subjects and, for several runs, accuracy against cost.

    Raises UsageError for an ending that is neither png nor svg, or where no run has a finished fit, and
    DependencyError without Matplotlib.
    """
    figure = _figure(out)
    if not any(record.finished for run in runs for record in run.fits()):
        raise UsageError(f"no fit of {', '.join(run.id for run in runs)} is finished; there is nothing to draw")
    figure.set_size_inches(9, 9 if len(runs) == 1 else 12)
    rows = figure.subplots(2 if len(runs) == 1 else 3, 1, squeeze=False)[:, 0]
    top = rows[0].get_subplotspec()
    rows[0].remove()
    loss, rate = (figure.add_subplot(part) for part in top.subgridspec(1, 2))
    _epochs(loss, rate, runs)
    _subjects(rows[1], runs)
    if len(runs) > 1:
        _costs(rows[2], runs)
    _write(figure, out)


def plot_front(
    trials: Mapping[int, Mapping[str, float]], best: Collection[int], objectives: Sequence[str], out: Path
) -> None:
    """Draw the trials of a search, each further objective against the first, and the Pareto front among them.

    trials: by number, the values of the objectives; best: the numbers of those on the front
    Raises what `plot_runs` raises, and UsageError for fewer than two objectives.
    """
    if len(objectives) < 2:
        raise UsageError("a Pareto front needs two objectives; the search has one")
    figure = _figure(out)
    first, *others = objectives
    figure.set_size_inches(6 * len(others), 4.5)
    for axes, other in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        places = {
            number: (_shown(values[other], other), _shown(values[first], first)) for number, values in trials.items()
        }
        front = sorted(places[number] for number in best)
        rest = [place for number, place in places.items() if number not in best]
        if rest:
            axes.plot(*zip(*rest, strict=True), "o", mfc="none", color="0.5", label="other trials")
        line = "-" if len(objectives) == 2 else ""
        axes.plot(*zip(*front, strict=True), "s", ls=line, drawstyle="steps-post", color="C0", label="Pareto front")
        for number in best:
            axes.annotate(f" {number}", places[number], fontsize=8)
        axes.set_xlabel(_words(other))
        axes.set_ylabel(_words(first))
        axes.set_title("Trials by number")
        axes.grid(alpha=0.3)
        axes.legend()
    _write(figure, out)


def _epochs(loss: Any, rate: Any, runs: Sequence[Run]) -> None:
    for position, run in enumerate(runs):
        label = run.id
        for record in run.fits():
            metrics = record.metrics()
            epochs = [line["epoch"] for line in metrics]
            style = {"color": f"C{position % 10}", "ls": LINES[position % 4], "marker": "." if len(epochs) < 2 else ""}
            for axes, name in ((loss, "loss"), (rate, "learning_rate")):
                axes.plot(epochs, [line[name] for line in metrics], lw=0.9, alpha=0.7, label=label, **style)
            label = "_same run"
    loss.set_title("Every fit")
    loss.set_ylabel("training loss (nats)")
    rate.set_ylabel("learning rate")
    rate.set_title("The same for all folds and repeats" if len(runs) == 1 else "Every fit")
    for axes in (loss, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    loss.legend(fontsize=8)


def _subjects(axes: Any, runs: Sequence[Run]) -> None:
    by_run = [_by_subject(run) for run in runs]
    names = sorted({name for found in by_run for name in found}, key=lambda name: (len(name), name))
    for position, (run, found) in enumerate(zip(runs, by_run, strict=True)):
        shift = 0.6 * (position - (len(runs) - 1) / 2) / len(runs)
        places = np.array([i for i, name in enumerate(names) if name in found]) + shift
        values = [100 * np.array(found[name]) for name in names if name in found]
        means = np.array([each.mean() for each in values])
        spread = np.array([[m - each.min(), each.max() - m] for m, each in zip(means, values, strict=True)]).T
        repeats = max((len(each) for each in values), default=0)
        axes.errorbar(
            places, means, spread.reshape(2, -1), fmt=MARKERS[position % len(MARKERS)], ms=5, capsize=3, lw=1,
            color=f"C{position % 10}", label=f"{run.id} ({repeats} repeat{'' if repeats == 1 else 's'})",
        )  # fmt: skip
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("subject")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("Accuracy by subject: mean, lowest and highest repeat")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)  # below, off the marks


def _costs(axes: Any, runs: Sequence[Run]) -> None:
    for position, run in enumerate(runs):
        accuracies = 100 * np.array(list(repeat_accuracies(run.results()).values()))
        if not len(accuracies):
            continue
        mean, half = accuracies.mean(), student_half_width(accuracies)
        interval = None if half is None else [[min(half, mean)], [min(half, 100 - mean)]]
        axes.errorbar(
            run.about()["network"]["multiply_adds"] / 1e6, mean, interval,
            fmt=MARKERS[position % len(MARKERS)], ms=7, capsize=4, color=f"C{position % 10}",
            label=run.id + (" (one repeat, no interval)" if half is None else ""),
        )  # fmt: skip
    costs = [run.about()["network"]["multiply_adds"] for run in runs]
    if max(costs) > 10 * min(costs) > 0:
        axes.set_xscale("log")
    axes.set_xlabel("multiply-adds for one window (millions)")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("Accuracy against cost: mean over repeats and its 95 % interval (Student's t)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def repeat_accuracies(results: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Return the accuracy over all windows of all folds of each repeat: seed → fraction 0–1."""
    confusions: dict[int, Any] = {}
    for result in results:
        confusions[result["seed"]] = confusions.get(result["seed"], 0) + np.array(result["confusion"])
    return {seed: float(confusion.trace() / confusion.sum()) for seed, confusion in sorted(confusions.items())}


def _by_subject(run: Run) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for result in run.results():
        for subject, accuracy in result["per_subject"].items():
            found.setdefault(str(subject), []).append(accuracy)
    return found


def _words(objective: str) -> str:
    known = {
        "accuracy": "accuracy (%)",
        "macro_f1": "macro-F1 (%)",
        "multiply_adds": "multiply-adds for one window",
        "peak_activation_values": "values between layers at once",
        "int8_loss": "accuracy lost in int8 (points)",
    }
    return known.get(objective, objective.replace("_", " "))


def _shown(value: float, objective: str) -> float:
    return 100 * value if objective in ("accuracy", "macro_f1", "int8_loss") else value


def _figure(out: Path) -> Any:
    if out.suffix not in (".png", ".svg"):
        raise UsageError(f"{out} ends in {out.suffix!r}; a picture ends in .png or .svg")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise DependencyError('pictures need Matplotlib: pip install "edgeconv[track]"') from None
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, out: Path) -> None:
    import matplotlib as mpl

    picture = BytesIO()
    # Neither date nor random ids, so that the same runs give the same picture.
    with mpl.rc_context({"svg.hashsalt": "edgeconv", "svg.fonttype": "none"}):
        figure.savefig(picture, format=out.suffix[1:], dpi=120, metadata={"Date": None} if out.suffix == ".svg" else {})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, picture.getvalue())
