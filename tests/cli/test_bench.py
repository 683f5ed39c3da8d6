"""`edgeconv bench`: what it prints, what it refuses, and that it leaves no process behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from edgeconv.bench import read_result
from edgeconv.cli.bench import number

PATIENCE_S = 20.0
posix = pytest.mark.skipif(os.name != "posix", reason="signals and process groups as POSIX has them")


@pytest.fixture
def folder(models, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    shutil.copy(models / "tiny.onnx", folder / "model.onnx")
    shutil.copy(models / "dense.onnx", folder / "dense.onnx")
    return folder


@pytest.fixture
def measured(run, folder, tmp_path):
    """A result of the quickest scenario, as the command writes it, and what the command said."""
    path = tmp_path / "a.json"
    outcome = run("bench", folder, "--scenario", "offline", "--rounds", 2, "--json", path)
    assert outcome.code == 0, outcome.err
    return path, outcome


def change(path, to, **changes):
    """Write a copy of a result, each of its figures multiplied and made quiet."""
    data = json.loads(path.read_text())
    for rows in data["scenarios"].values():
        for row in rows.values():
            row.update(unstable=[], verdict="stable", crowded=False)
            for figure in row["figures"].values():
                factor, level = changes.get("factor", 1.0), figure["median"]
                figure.update(median=factor * level, rounds=[factor * level * (1 + 0.001 * i) for i in range(9)])
    data["machine"].update(changes.get("machine", {}))
    to.write_text(json.dumps(data))
    return to


def test_a_table_per_scenario_and_everything_in_the_file(measured):
    path, outcome = measured
    heading, table = outcome.out.split("\n\n")
    assert heading.startswith("tiny version 1, hop 2, on cpu (CPUExecutionProvider), 1 thread\n")
    assert "onnxruntime" in heading
    title, head, *rows = table.splitlines()
    assert title == "offline: a whole recording at once"
    assert head.split()[:4] == ["file", "µs", "each", "±%"]
    assert head.endswith("verdict")
    assert "× windows" in head
    assert [row.split()[:2] for row in rows] == [["windows", "model.onnx"], ["dense", "dense.onnx"]]
    assert all(row.split()[-1] in ("stable", "unstable") for row in rows)
    result = read_result(path)
    assert list(result.scenarios["offline"]) == ["windows", "dense"]
    assert number(result.scenarios["offline"]["windows"].figures["us_per_prediction"].median) in rows[0].split()
    assert outcome.notes[0] == "offline: …"
    assert outcome.notes[-1].startswith("2 contestants in ")
    assert outcome.notes[-1].endswith(f"; {path} has every round")


def test_a_form_with_other_answers_is_shown_and_fails(run, folder):
    data = (folder / "dense.onnx").read_bytes()
    (folder / "dense.onnx").write_bytes(data.replace(b"\x00\x00\x00\x40", b"\x00\x00\x40\x40"))
    outcome = run("bench", folder, "--scenario", "offline", "--rounds", 2)
    assert outcome.code == 4
    assert "not timed, because the answers are wrong: offline dense: the answers differ from" in outcome.error
    assert outcome.out.splitlines()[-1].split()[:2] == ["dense", "dense.onnx"]
    assert outcome.out.endswith("wrong\n")


def test_another_hop_says_which_form_is_not_there(run, folder):
    outcome = run("bench", folder, "--scenario", "offline", "--rounds", 2, "--hop", 3)
    assert outcome.code == 0
    assert "no dense form at hop 3: dense.hop3.onnx is not there" in outcome.notes


REFUSED = {
    "nothing": ((), 2, ["a MODEL to time or two results to --compare"]),
    "an unknown scenario": (("{model}", "--scenario", "offline,server"), 2, ["'server'", "choose from single-stream"]),
    "an empty scenario": (("{model}", "--scenario", ""), 2, ["''", "choose from single-stream"]),
    "one round": (("{model}", "--rounds", "1"), 2, ["rounds is 1", "from 2"]),
    "a hop of 0": (("{model}", "--hop", "0"), 2, ["hop is 0", "from 1"]),
    "no thread": (("{model}", "--threads", "0"), 2, ["threads is 0", "from 1"]),
    "no sensor": (("{model}", "--streams", "0"), 2, ["streams is 0", "from 1"]),
    "a device nobody knows": (("{model}", "--device", "gpu"), 2, ["'gpu'", "choose cpu, cuda"]),
    "a folder without files": (("{folder}",), 3, ["model.onnx is not there", "edgeconv export"]),
    "a model that is not there": (("gone.onnx",), 3, ["gone.onnx is not there"]),
    "no model": (("{text}",), 6, ["is not a model that ONNX Runtime can load"]),
    "a place that is not there": (("{model}", "--json", "gone/a.json"), 3, ["gone/a.json cannot be written"]),
    "a folder as file": (("{model}", "--json", "{folder}"), 3, ["cannot be written"]),
    "both": (("{model}", "--compare", "a.json", "b.json"), 2, ["either a MODEL", "--compare"]),
    "one result": (("--compare", "a.json"), 2, ["--compare", "2"]),
    "results that are not there": (("--compare", "a.json", "b.json"), 3, ["a.json is not there"]),
    "no results": (("--compare", "{text}", "{text}"), 3, ["cannot be read as JSON"]),
    "a model as result": (("--compare", "{model}", "{model}"), 3, ["cannot be read as JSON"]),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_bad_input_is_one_line_before_anything_is_measured(run, model, tmp_path, monkeypatch, problem):
    monkeypatch.chdir(tmp_path)
    arguments, code, words = REFUSED[problem]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("no model")
    places = {"model": model, "folder": tmp_path / "empty", "text": tmp_path / "text.onnx"}
    outcome = run("bench", *(argument.format(**places) for argument in arguments))
    assert outcome.code == code
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""
    assert len(outcome.notes) == 1


@pytest.mark.parametrize("device", ["cuda"])
def test_a_device_that_is_not_there_is_an_error_of_the_contestant(run, model, device):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    outcome = run("bench", model, "--scenario", "offline", "--device", device)
    assert outcome.code == 5
    assert "device cuda:0 is not available" in outcome.error


@pytest.mark.parametrize(
    ("factor", "verdict", "code"), [(1.0, "not resolvable", 0), (1.1, "slower", 4), (0.9, "faster", 0)]
)
def test_comparing_says_what_became_of_every_figure(run, measured, tmp_path, factor, verdict, code):
    path, _ = measured
    before, after = change(path, tmp_path / "before.json"), change(path, tmp_path / "after.json", factor=factor)
    outcome = run("bench", "--compare", before, after)
    assert outcome.code == code
    head, *rows = outcome.out.splitlines()
    assert head.split() == [
        "scenario",
        "figure",
        "before",
        "after",
        "ratio",
        "95",
        "%",
        "interval",
        "margin",
        "%",
        "verdict",
    ]
    assert len(rows) == 4
    for row in rows:
        assert row.endswith(verdict)
        assert f"{factor:.3f}" in row
    if code:
        assert outcome.error.startswith("4 of 4 figures are slower: offline windows us_per_prediction ×1.10, ")
    else:
        assert outcome.notes[-1].startswith("4 figures: ")


def test_the_margin_is_given_in_per_cent(run, measured, tmp_path):
    path, _ = measured
    before, after = change(path, tmp_path / "before.json"), change(path, tmp_path / "after.json", factor=1.1)
    assert run("bench", "--compare", before, after, "--margin", 20).code == 0
    assert run("bench", "--compare", before, after, "--margin", 5).code == 4
    outcome = run("bench", "--compare", before, after, "--margin", -1)
    assert (outcome.code, "margin is -1 %" in outcome.error) == (2, True)


def test_results_of_two_machines_need_to_be_asked_for(run, measured, tmp_path):
    path, _ = measured
    other = change(path, tmp_path / "other.json", machine={"id": "0123456789ab", "processor": "Another"})
    mine = change(path, tmp_path / "mine.json")
    outcome = run("bench", "--compare", mine, other)
    assert (outcome.code, outcome.out) == (2, "")
    assert "two machines" in outcome.error
    assert "--across-machines" in outcome.error
    outcome = run("bench", "--compare", mine, other, "--across-machines")
    assert outcome.code == 0
    assert any(note.startswith("warning: two machines: ") for note in outcome.notes)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (45, "45"), (45.1234, "45.12"), (0.0055123, "0.005512"), (48761.2, "48761"), (1234.56, "1235")],
)
def test_numbers_have_four_digits_that_count(value, text):
    assert number(value) == text


def group_is_gone(group):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@posix
@pytest.mark.parametrize("scenario", ["offline", "paced", "cold-start"])
@pytest.mark.parametrize("to", ["the group, as a terminal does", "the command alone"])
def test_ctrl_c_ends_it_and_everything_it_started(start, finish, folder, tmp_path, scenario, to):
    path = tmp_path / "a.json"
    process = start("bench", folder, "--scenario", scenario, "--rounds", 1000, "--json", path, start_new_session=True)
    assert process.stderr.readline() == f"edgeconv: {scenario}: …\n"
    time.sleep(1.5)  # in the middle of it: processes are being started, or rounds are run
    if to == "the command alone":
        process.send_signal(signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.notes == ["interrupted; what was finished is kept"]
    assert outcome.out == ""
    assert not path.exists()
    assert group_is_gone(process.pid)


@posix
def test_scenarios_that_were_finished_are_shown_when_it_is_interrupted(start, finish, folder):
    process = start("bench", folder, "--scenario", "offline,paced", "--rounds", 2, start_new_session=True)
    while process.stderr.readline() != "edgeconv: paced: …\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert outcome.out.count("model.onnx") == 1
    assert group_is_gone(process.pid)


@posix
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_its_processes_leave_when_it_is_killed(start, folder, sign):
    process = start("bench", folder, "--scenario", "offline", "--rounds", 1000, start_new_session=True)
    assert process.stderr.readline()
    time.sleep(1.5)
    process.send_signal(sign)
    assert process.wait(PATIENCE_S) == -sign
    assert group_is_gone(process.pid)


def test_nothing_of_the_workshop_is_loaded(folder, tmp_path):
    code = (
        "import sys\nsys.argv = ['edgeconv', 'bench', sys.argv[1], '--scenario', 'offline', '--rounds', '2']\n"
        "from edgeconv.cli import main\n"
        "if __name__ == '__main__':\n    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    names = {name.partition('.')[0] for name in sys.modules}\n"
        "    print(sorted(names & {'tensorflow', 'keras', 'onnx', 'tf2onnx', 'onnx_ir'}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"
