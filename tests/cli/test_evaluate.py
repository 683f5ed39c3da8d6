"""`edgeconv evaluate`: what it prints, writes, notes and refuses."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier

MODEL = Path(__file__).resolve().parents[2] / "models" / "har_conv1d"
HEADER = "recording,start_s,end_s,label\n"


@pytest.fixture
def walk(write, samples):
    return write("walk.csv", samples)


@pytest.fixture
def labels(tmp_path):
    def labels(text, header=HEADER):
        (tmp_path / "labels.csv").write_text(header + text)
        return tmp_path / "labels.csv"

    return labels


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Recordings of the generated set, written by the command."""
    from edgeconv.cli import main

    folder = tmp_path_factory.mktemp("generated") / "recordings"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["edgeconv", "data", "recordings", "--out", str(folder)])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder


def figures(outcome):
    """The table of figures: name → raw and smoothed."""
    block = next(part for part in outcome.out.split("\n\n") if "raw  smoothed" in part.splitlines()[0])
    return {line[:44].strip(): tuple(map(float, line[44:].split())) for line in block.splitlines()[1:]}


def test_the_committed_model_on_generated_recordings(run, generated, tmp_path):
    labels = generated / "labels.csv"
    outcome = run("evaluate", MODEL, generated, "--labels", labels, "--json", tmp_path / "found.json")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["schema"] == "edgeconv.evaluation/1"
    seen = figures(outcome)
    for side, place in (("raw", 0), ("smoothed", 1)):
        entry = found[side]
        assert seen["windows: accuracy %"][place] == pytest.approx(100 * entry["windows"]["accuracy"], abs=0.005)
        assert seen["time: right %"][place] == pytest.approx(100 * entry["time"]["accuracy"], abs=0.005)
        assert seen["events: detected"][place] == entry["events"]["overall"]["detected"]
        assert seen["false changes per hour"][place] == pytest.approx(
            entry["events"]["false_changes_per_hour"], abs=0.05
        )
        assert entry["events"]["overall"]["segments"] == 96  # 8 people, 6 activities, twice
        counts = [entry["windows"][name] for name in ("scored", "in_unknown", "straddling", "unlabelled")]
        assert sum(counts) == entry["windows"]["windows"] == sum(r["windows"] for r in found["recordings"].values())
    # events tile each recording up to its last window
    for recording in found["recordings"].values():
        for side in ("raw", "smoothed"):
            assert recording[side][0]["start_s"] == 0
            assert sum(event["windows"] for event in recording[side]) == recording["windows"]
    assert found["smoothed"]["smoothing"] == "exponential:2.56s,hold=2.56s"
    assert found["raw"]["change_delay_s"] == pytest.approx(1.92)
    assert "windows of 2.56 s every 1.28 s, on cpu" in outcome.out
    assert f"{labels} holds labels, not samples, and is left out" in outcome.notes


def test_the_accuracy_is_that_of_the_classifier_on_the_windows_inside(run, model, walk, samples, labels):
    outcome = run("evaluate", model, walk, "--labels", labels("walk,0,2.1,still\nwalk,2.1,4.1,run\n"), "--hop", 1)
    said = Classifier.load(model).score(samples, 1).argmax(axis=1)
    # windows of 4 samples at 10 Hz: those of still start at 0 … 17, those of run at 21 … 37
    hits = (said[:18] == 0).sum() + (said[21:38] == 2).sum()
    assert figures(outcome)["windows: accuracy %"][0] == pytest.approx(100 * hits / 35, abs=0.005)
    assert "38 windows: 35 inside one segment with a known label" in outcome.out


def test_with_subjects_each_has_a_row_and_the_worst_is_named(run, model, write, labels):
    rng = np.random.default_rng(1)
    paths = [write(f"{name}.csv", rng.normal(size=(60, 2))) for name in ("a", "b", "c")]
    lines = "a,0,6,walk,07\nb,0,6,walk,08\nc,0,6,run,08\n"
    outcome = run("evaluate", model, *paths, "--labels", labels(lines, HEADER.replace("label", "label,subject")))
    (block,) = [
        part for part in outcome.out.split("\n\n") if part.startswith("Accuracy of the windows of each subject")
    ]
    rows = [line.split() for line in block.splitlines()[2:]]
    assert {row[0] for row in rows} == {"07", "08"}
    worst = min(float(row[1]) for row in rows)
    assert figures(outcome)["windows: accuracy % of the worst subject"][0] == worst == float(rows[0][1])


def test_unknown_labels_have_a_row_and_a_column(run, model, walk, labels):
    where = labels("walk,0,2,run\nwalk,2,4.1,dance\n")
    outcome = run("evaluate", model, walk, "--labels", where, "--smooth", "unknown=0.99")
    assert "the model does not know dance: unknown, and left out of the accuracies" in outcome.notes
    (block,) = [part for part in outcome.out.split("\n\n") if "label said, smoothed" in part]
    rows = {line.split()[0]: line.split()[1:] for line in block.splitlines()[1:]}
    assert sum(map(int, rows["run"])) == 9  # windows at 0 … 16
    assert sum(map(int, rows["unknown"])) == 9  # windows at 20 … 36
    assert block.splitlines()[1].split()[-1] == "unknown"


def test_a_label_can_be_taken_as_unknown_and_must_be_one_of_the_model_s(run, model, walk, labels):
    where = labels("walk,0,2,run\nwalk,2,4.1,still\n")
    outcome = run("evaluate", model, walk, "--labels", where, "--as-unknown", "still")
    assert "9 inside one segment with a known label, 9 inside one with another" in outcome.out
    refused = run("evaluate", model, walk, "--labels", where, "--as-unknown", "dance")
    assert (refused.code, refused.out) == (2, "")
    assert refused.error == "--as-unknown is 'dance'; the model's labels are still, walk, run"


def test_what_does_not_meet_is_noted(run, model, walk, write, samples, labels):
    other = write("other.csv", samples)
    where = labels("walk,0,5,run\ngone,0,1,run\n")
    outcome = run("evaluate", model, walk, other, "--labels", where)
    assert outcome.code == 0
    assert "without labels, and so left out: other" in outcome.notes
    assert "labels of 1 recording not given: gone" in outcome.notes
    assert "walk: its labels reach 0.90 s beyond its end; what lies there is left out" in outcome.notes


def test_an_accuracy_can_be_required(run, model, walk, labels, tmp_path):
    where = labels("walk,0,4.1,run\n")
    accuracy = figures(run("evaluate", model, walk, "--labels", where))["windows: accuracy %"][0]
    assert 0 < accuracy < 99
    assert run("evaluate", model, walk, "--labels", where, "--require", accuracy / 100 - 0.001).code == 0
    failed = run("evaluate", model, walk, "--labels", where, "--require", 0.99, "--json", tmp_path / "found.json")
    assert failed.code == 4
    assert failed.error == f"accuracy of the windows is {accuracy:.2f} %; at least 99 % required"
    assert figures(failed)["windows: accuracy %"][0] == accuracy, "what was found is printed all the same"
    assert json.loads((tmp_path / "found.json").read_text())["raw"]["windows"]["accuracy"] < 0.99


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--require", "90"], 2, "--require is 90; give a fraction from 0 to 1"),
        (["--smooth", "often"], 2, "smoothing is 'often'"),
        (["--hop", "0"], 2, "hop is 0"),
        (["--json", "nowhere/found.json"], 3, "nowhere/found.json cannot be written"),
        (["--device", "tpu"], 2, "tpu"),
    ],
)
def test_options_that_make_no_sense_are_refused(run, model, walk, labels, options, code, words):
    outcome = run("evaluate", model, walk, "--labels", labels("walk,0,4.1,run\n"), *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert words in outcome.error


def test_labels_that_are_missing_or_wrong_are_refused(run, model, walk, labels, tmp_path):
    assert run("evaluate", model, walk).code == 2
    assert "is not there" in run("evaluate", model, walk, "--labels", tmp_path / "gone.csv").error
    assert (
        "line 3: run of walk starts"
        in run("evaluate", model, walk, "--labels", labels("walk,0,2,run\nwalk,1,3,run\n")).error
    )
    outcome = run("evaluate", model, walk, "--labels", labels("other,0,2,run\n"))
    assert (outcome.code, outcome.out) == (3, "")
    assert "none of the recordings has labels" in outcome.error


def test_it_runs_where_neither_tensorflow_nor_onnx_is_installed(start, finish, model, walk, labels):
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'tensorflow', 'keras', 'onnx', 'tf2onnx', 'pandas', 'scipy'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from edgeconv.cli import main\n"
        f"sys.argv = ['edgeconv', 'evaluate', {str(model)!r}, {str(walk)!r}, '--labels', "
        f"{str(labels('walk,0,4.1,run'))!r}]\n"
        "main()\n"
    )
    outcome = finish(start(code=code))
    assert outcome.code == 0, outcome.err
    assert "windows: accuracy %" in outcome.out


def test_without_onnx_runtime_one_line_says_what_to_install(start, finish, model, walk, labels):
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'onnxruntime' else find(name, *rest)\n"
        "from edgeconv.cli import main\n"
        f"sys.argv = ['edgeconv', 'evaluate', {str(model)!r}, {str(walk)!r}, '--labels', "
        f"{str(labels('walk,0,4.1,run'))!r}]\n"
        "main()\n"
    )
    outcome = finish(start(code=code))
    assert outcome.code == 2
    assert "needs ONNX Runtime" in outcome.error
