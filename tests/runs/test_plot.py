import re
import sys

import numpy as np
import pytest

from edgeconv.runs.plot import plot_front, plot_runs
from edgeconv.runtime import UsageError
from edgeconv.runtime.errors import DependencyError


def texts(path):
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


def test_a_picture_of_several_runs_names_them_and_every_axis_with_its_unit(make_run, tmp_path):
    runs = [make_run("a", np.full((4, 3), 0.9)), make_run("b", np.full((4, 1), 0.8))]
    plot_runs(runs, tmp_path / "pictures" / "runs.svg")
    said = texts(tmp_path / "pictures" / "runs.svg")
    for words in ("training loss (nats)", "learning rate", "epoch", "subject", "accuracy (%)",
                  "multiply-adds for one window (millions)", runs[0].id, f"{runs[1].id} (one repeat, no interval)",
                  f"{runs[0].id} (3 repeats)"):  # fmt: skip
        assert words in said
    assert {"0", "1", "2", "3"} <= set(said), "every subject has its place"


def test_a_picture_of_one_run_has_no_costs_and_the_same_run_gives_the_same_bytes(make_run, tmp_path):
    run = make_run("a", np.full((4, 2), 0.9))
    pictures = [tmp_path / name for name in ("one.svg", "two.svg")]
    for picture in pictures:
        plot_runs([run], picture)
    assert not [words for words in texts(pictures[0]) if "multiply-adds" in words]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_png_is_a_png_and_unfinished_fits_are_drawn_as_far_as_they_are(make_run, tmp_path):
    run = make_run("a", np.full((2, 2), 0.9), folds=2)
    run.fits()[0].folder.joinpath("result.json").unlink()
    plot_runs([run], tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_what_cannot_be_drawn_is_said_and_nothing_is_written(make_run, tmp_path):
    run = make_run("a", np.full((2, 1), 0.9))
    with pytest.raises(UsageError, match=r"ends in '\.gif'; a picture ends in \.png or \.svg"):
        plot_runs([run], tmp_path / "run.gif")
    run.fits()[0].folder.joinpath("result.json").unlink()
    with pytest.raises(UsageError, match="nothing to draw"):
        plot_runs([run], tmp_path / "run.png")
    with pytest.raises(UsageError, match="needs two objectives"):
        plot_front({0: {"accuracy": 0.9}}, [0], ["accuracy"], tmp_path / "front.png")
    assert not list(tmp_path.glob("*.*"))


def test_the_front_is_drawn_with_the_numbers_of_its_trials(tmp_path):
    values = {3: (0.9, 100), 5: (0.8, 50), 7: (0.7, 90)}
    trials = {number: {"accuracy": a, "multiply_adds": m} for number, (a, m) in values.items()}
    plot_front(trials, [3, 5], ["accuracy", "multiply_adds"], tmp_path / "front.svg")
    said = [words.strip() for words in texts(tmp_path / "front.svg")]
    assert {"accuracy (%)", "multiply-adds for one window", "Pareto front", "other trials", "3", "5"} <= set(said)
    assert "7" not in said


def test_without_matplotlib_it_says_what_to_install(make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match=r"edgeconv\[track\]"):
        plot_runs([make_run("a", np.full((2, 1), 0.9))], tmp_path / "run.png")
