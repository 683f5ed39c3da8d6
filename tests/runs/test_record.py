import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv.runs.record import FitName, Run, all_runs, find_run, read_lines, runs_folder
from edgeconv.runtime import MissingFileError, UsageError
from edgeconv.runtime.errors import ArtefactError


@given(st.from_regex(r"[a-z]+(-[a-z0-9]+)?", fullmatch=True), st.integers(0, 10**6))
def test_a_fit_s_name_reads_back(fold, seed):
    assert FitName.parse(str(FitName(fold, seed))) == FitName(fold, seed)


def test_a_fit_is_finished_when_its_result_is_there_and_then_stays_as_it_is(tmp_path):
    run = Run.create(tmp_path, "a", {"config": 1})
    (record,) = run.plan([FitName("official", 1)])
    record.begin()
    record.add_metrics({"epoch": 1})
    (record.folder / "metrics.jsonl").open("a").write('{"epoch": 2, "lo')
    assert not record.finished
    assert record.metrics() == [{"epoch": 1}], "a line that a crash cut off is left out"
    record.finish({"accuracy": 0.5}, [{"epoch": 1}], b"model")
    record.finish({"accuracy": 0.9}, [], b"other")
    assert record.result() == {"accuracy": 0.5}
    assert record.model.read_bytes() == b"model"
    assert list(read_lines(tmp_path / "gone")) == []


def test_what_decides_a_run_is_its_identity_and_a_later_call_finds_its_fits(tmp_path):
    run = Run.create(tmp_path, "a b/c", {"config": {"epochs": 1}})
    run.plan([FitName("official", 2), FitName("official", 1)])
    again = Run.create(tmp_path, "a b/c", {"config": {"epochs": 1}})
    assert again.folder == run.folder
    assert [record.name.seed for record in again.fits()] == [1, 2]
    assert Run.create(tmp_path, "a b/c", {"config": {"epochs": 2}}).id != run.id
    assert run.folder.parent == tmp_path


def test_copies_of_a_run_filled_on_two_machines_are_merged_by_copying(make_run, tmp_path):
    run = make_run("a", np.full((2, 4), 0.9))
    shutil.copytree(run.folder.parent, tmp_path / "other")
    for seed, runs in ((1, run), (2, run), (3, find_run(tmp_path / "other", run.id))):
        shutil.rmtree(runs.fit(FitName("folds-1", seed)).folder)
    assert [record.name.seed for record in run.fits()] == [3, 4]
    shutil.copytree(tmp_path / "other", run.folder.parent, dirs_exist_ok=True)
    assert [result["seed"] for result in run.results()] == [1, 2, 3, 4]


def test_a_run_is_found_by_folder_id_and_the_beginning_of_an_id(make_run, tmp_path):
    a, b = (make_run(name, np.full((2, 1), 0.9)) for name in ("aa", "ab"))
    runs = a.folder.parent
    assert [run.id for run in all_runs(runs)] == sorted([a.id, b.id])
    for reference in (str(a.folder), a.id, "aa"):
        assert find_run(runs, reference).id == a.id
    with pytest.raises(UsageError, match=r"'a' fits several runs"):
        find_run(runs, "a")
    with pytest.raises(MissingFileError, match=f"no run 'b' in .*{a.id}"):
        find_run(runs, "b")
    (a.folder / "run.json").write_text(json.dumps({"schema": "something/1"}))
    with pytest.raises(ArtefactError, match=r"'edgeconv\.run/1' expected"):
        find_run(runs, str(a.folder))


def test_the_folder_of_runs_is_chosen_or_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGECONV_RUNS", "elsewhere")
    assert (str(runs_folder(tmp_path)), str(runs_folder())) == (str(tmp_path), "elsewhere")
    monkeypatch.delenv("EDGECONV_RUNS")
    assert str(runs_folder()) == "runs"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another folder of runs with --runs"):
        Run.create(tmp_path / "file", "a", {})
