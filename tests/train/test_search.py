"""Searches: on real fits where fits matter, otherwise with made-up ones that take no time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from edgeconv.data.synthetic import synthetic_har
from edgeconv.runs.record import FitName, Run, find_run
from edgeconv.runtime import InputError, UsageError
from edgeconv.train.search import search
from edgeconv.train.search_space import read_space

SPACE = """
network = "tiny"
epochs = 1
folds = 2
[space]
learning_rate = {low = 1e-3, high = 1e-2, log = true}
[space.options]
filters = {choices = [[4, 4], [4, 6]]}
[objectives]
accuracy = "maximise"
multiply_adds = "minimise"
"""
ONE = SPACE.replace('multiply_adds = "minimise"\n', "")


@pytest.fixture(scope="module")
def small():
    return synthetic_har(train_subjects=2, test_subjects=2)


@pytest.fixture
def space(tmp_path):
    def space(text=SPACE):
        (tmp_path / "space.toml").write_text(text)
        return read_space(tmp_path / "space.toml")

    return space


class Heard:
    """Counts what is really fitted, and may press Ctrl-C at a fit."""

    def __init__(self, stop_at=None):
        self.fitted, self.stop_at = [], stop_at

    def begun(self, run, records):
        self.run = run.id

    def epoch(self, record, metrics):
        self.fitted.append((self.run, str(record.name)))
        if len(self.fitted) == self.stop_at:
            raise KeyboardInterrupt

    def finished(self, record, result):
        pass


def accuracy_of(config, fold):
    """What a made-up fit gives: the nearer the learning rate is to 0.005, the better."""
    return round(100 * (0.9 - 40 * abs(config.learning_rate - 0.005) - 0.01 * fold))


@pytest.fixture
def made_up(monkeypatch):
    """Let fits take no time."""

    def run_protocol(dataset, config, runs, *, engine, observers):
        filters = config.options["filters"]
        network = {"multiply_adds": 100 * sum(filters), "parameters": sum(filters), "peak_activation_values": 5}
        run = Run.create(runs, "made-up", {"config": config.as_dict(), "network": network})
        records = run.plan([FitName(f"folds-{fold}", 1) for fold in range(1, config.folds + 1)])
        for observer in observers:
            observer.begun(run, records)
        for fold, record in enumerate(records, start=1):
            if not record.finished:
                for observer in observers:
                    observer.epoch(record, {"epoch": 1})
            right = accuracy_of(config, fold)
            result = {"fold": record.name.fold, "seed": 1, "accuracy": right / 100, "macro_f1": 0.5,
                      "per_class": [{"label": "walk"}], "per_subject": {str(fold): right / 100},
                      "confusion": [[right, 100 - right], [0, 0]], "negative_log_likelihood": 0.1,
                      "calibration_error": 0.1, "at": "now"}  # fmt: skip
            result["per_class"].append({"label": "rest"})
            record.finish(result, [], b"")
            for observer in observers:
                observer.finished(record, result)
        return run, records

    monkeypatch.setattr("edgeconv.train.search.run_protocol", run_protocol)


def settings_of(trials):
    return [(trial.settings, trial.values) for trial in trials]


def test_a_stopped_search_proposes_what_an_undisturbed_one_does_and_repeats_no_finished_fit(
    small, space, made_up, tmp_path
):
    whole, heard = search(small, space(), tmp_path / "a", trials=6, study="s"), []
    for stop_at in (4, 3, None):
        heard.append(Heard(stop_at))
        try:
            parts = search(small, space(), tmp_path / "b", trials=6, study="s", observers=[heard[-1]])
        except KeyboardInterrupt:
            continue
    assert settings_of(parts) == settings_of(whole)
    assert len({trial.run for trial in parts}) == len({trial.run for trial in whole})
    last, *others = reversed([fit for each in heard for fit in each.fitted])
    assert len(others) + 1 - 2 == 2 * len({trial.run for trial in whole}), (
        "two fits were stopped, and only these are anew"
    )
    assert last[1] == "folds-2-seed001"


def test_more_trials_are_added_to_a_study_and_the_same_number_does_nothing(small, space, made_up, tmp_path):
    three = search(small, space(), tmp_path, trials=3, study="s")
    heard = Heard()
    assert settings_of(search(small, space(), tmp_path, trials=3, study="s", observers=[heard])) == settings_of(three)
    assert heard.fitted == []
    assert settings_of(search(small, space(), tmp_path, trials=5, study="s"))[:3] == settings_of(three)


def test_the_front_holds_the_trials_that_no_other_beats_in_everything(small, space, made_up, tmp_path):
    found = search(small, space(), tmp_path, trials=8, study="s")

    def beaten(one):
        return any(
            other.values["accuracy"] >= one.values["accuracy"]
            and other.values["multiply_adds"] <= one.values["multiply_adds"]
            and other.values != one.values
            for other in found
        )

    assert {trial.number for trial in found if trial.on_front} == {t.number for t in found if not beaten(t)}
    for trial in found:
        about = find_run(tmp_path, trial.run).about()
        assert about["config"]["learning_rate"] == trial.settings["learning_rate"]
        assert about["config"]["options"]["filters"] == trial.settings["options.filters"]
        assert about["config"]["split"] == "folds"


INT8 = SPACE.replace('multiply_adds = "minimise"', 'int8_loss = "minimise"')


def test_what_is_measured_of_fits_is_the_mean_over_the_windows_of_their_folds(small, space, made_up, tmp_path):
    asked = []

    def lost(keras_file, sides, config):
        asked.append((keras_file.parent.name, len(sides.train), len(sides.test), set(sides.test.subjects.tolist())))
        return 0.01 if keras_file.parent.name.startswith("folds-1") else 0.03

    (trial,) = search(small, space(INT8), tmp_path, trials=1, study="s", measures={"int8_loss": lost, "other": None})
    assert [name for name, *_ in asked] == ["folds-1-seed001", "folds-2-seed001"]
    (first, second), whole = [len_test for *_, len_test, _ in asked], len(small.train)
    assert (first + second, asked[0][1], asked[1][1]) == (whole, second, first)
    assert asked[0][3].isdisjoint(asked[1][3])
    assert asked[0][3] | asked[1][3] == set(small.train.subjects.tolist())
    assert trial.values["int8_loss"] == pytest.approx((0.01 * first + 0.03 * second) / whole)


def test_an_objective_that_nobody_measures_is_refused_before_any_fit(small, space, tmp_path):
    with pytest.raises(UsageError, match="int8_loss"):
        search(small, space(INT8), tmp_path, trials=1, study="s")
    assert list(tmp_path.glob("*-*")) == []


def test_trials_that_fall_behind_end_between_folds(small, space, made_up, tmp_path):
    text = "prune = true\n" + ONE.replace("folds = 2", "folds = 4")
    found = search(small, space(text), tmp_path, trials=16, study="s")
    pruned = [trial for trial in found if not trial.values]
    assert 0 < len(pruned) < len(found)
    assert not any(trial.on_front for trial in pruned)
    for trial in pruned:
        finished = sum(record.finished for record in find_run(tmp_path, trial.run).fits())
        assert finished < 4


def test_a_study_of_something_else_and_one_that_is_being_searched_are_refused(small, space, made_up, tmp_path):
    search(small, space(), tmp_path, trials=1, study="s")
    with pytest.raises(UsageError, match=r"study 's' has fixed .*'epochs': 1.* another --study"):
        search(small, space(SPACE.replace("epochs = 1", "epochs = 2")), tmp_path, trials=1, study="s")

    def inside(number, config):
        with pytest.raises(UsageError, match="another process works on study 's'"):
            search(small, space(), tmp_path, trials=2, study="s")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(small, space(), tmp_path, trials=2, study="s", on_trial=inside)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('split = "official"\n' + SPACE, UsageError, "the best on the test subjects"),
        ('split = "random"\n' + SPACE, UsageError, "folds or leave-one-subject-out"),
        ("prune = true\n" + SPACE, UsageError, "Trial.report refuses several objectives"),
        (SPACE.replace("epochs", "epoch"), InputError, "'epoch' is not known; settings are network,"),
        (SPACE.replace("learning_rate", "rate"), InputError, "'rate' is not known"),
        (SPACE.replace("learning_rate", "split"), InputError, "split cannot vary"),
        (SPACE.replace("high = 1e-2", "high = 1e-4"), InputError, "low must be below high"),
        (SPACE.replace("low = 1e-3, ", ""), InputError, "learning_rate has high, log; expected {low"),
        (SPACE.replace('"minimise"', '"maximise"'), InputError, "objective multiply_adds = 'maximise' is not known"),
        (SPACE.replace("[space", "[place"), InputError, "'place' is not known"),
        ("network = ", InputError, "cannot be read as TOML"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(space, text, error, words):
    with pytest.raises(error, match=words):
        space(text)


KILLED = """
import os, signal
from pathlib import Path
from edgeconv.data.synthetic import synthetic_har
from edgeconv.train.search import search
from edgeconv.train.search_space import read_space

class Kill:
    count = 0
    def begun(self, run, records): pass
    def epoch(self, record, metrics):
        Kill.count += 1
        if Kill.count == 4:
            os.kill(os.getpid(), signal.SIGKILL)
    def finished(self, record, result): pass

small = synthetic_har(train_subjects=2, test_subjects=2)
search(small, read_space(Path("space.toml")), Path("runs"), trials=2, study="s", observers=[Kill()])
"""


def test_a_search_killed_in_a_trial_goes_on_with_that_trial_and_repeats_no_finished_fit(small, space, tmp_path):
    wanted = space(SPACE.replace("[4, 6]", "[6, 4]"))
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED)], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    kept = {path.parent: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/fits/*/result.json")}
    assert len(kept) == 3, "one trial of two folds, and a fold of the second"
    heard = Heard()
    found = search(small, wanted, tmp_path / "runs", trials=2, study="s", observers=[heard])
    assert [name for _, name in heard.fitted] == ["folds-2-seed001"], "only the fit that was killed"
    assert len(found) == 2
    assert {(path, (path / "result.json").stat().st_mtime_ns) for path in kept} == set(kept.items())
    assert all(len(find_run(tmp_path / "runs", trial.run).results()) == 2 for trial in found)
    assert {trial.run for trial in found} == {path.parents[1].name for path in kept}
