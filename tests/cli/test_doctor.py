"""`edgeconv doctor`: its lines, its JSON and its exit codes."""

from __future__ import annotations

import json

import pytest

STATES = ("ok", "note", "problem")


def test_it_prints_one_line_for_each_finding_and_ends_well_where_the_processor_works(run):
    outcome = run("doctor")
    assert outcome.code == 0
    assert outcome.notes == []
    head, *lines = outcome.out.splitlines()
    assert head.split()[0] == "edgeconv"
    assert {line.split()[0] for line in lines} <= set(STATES)
    topics = [line.split()[1] for line in lines]
    assert topics[:5] == ["Python", "platform", "numpy", "onnxruntime", "providers"]
    assert "cpu" in topics
    assert all(" → " in line for line in lines if line.startswith("problem"))


def test_json_holds_the_same_findings(run):
    lines = run("doctor", "--device", "cpu").out.splitlines()[1:]
    outcome = run("doctor", "--device", "cpu", "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["cpu"] is True
    assert report["cuda"] is False
    assert [[finding["state"], finding["topic"]] for finding in report["findings"]] == [
        line.split()[:2] for line in lines
    ]
    for finding in report["findings"]:
        assert list(finding) == ["topic", "state", "text", "advice"]


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda,tf32,graph"])
def test_cuda_that_was_asked_for_and_does_not_work_is_exit_code_5_after_all_findings(run, device):
    from edgeconv.runtime.doctor import examine

    if examine().cuda:
        pytest.skip("CUDA works here")
    outcome = run("doctor", "--device", device)
    assert outcome.code == 5
    assert outcome.error.startswith("device cuda:")
    assert outcome.error.endswith("does not work; the findings say why and what to do")
    (line,) = (line for line in outcome.out.splitlines() if line.split()[1:2] == ["cuda"])
    assert line.startswith("problem")


def test_a_device_nobody_knows_is_wrong_usage(run):
    outcome = run("doctor", "--device", "cpu,tf32")
    assert outcome.code == 2
    assert "only cuda has" in outcome.error


def test_without_onnx_runtime_that_is_the_finding(start):
    code = "import sys\nsys.modules['onnxruntime'] = None\nfrom edgeconv.cli import main\nmain()"
    process = start("doctor", "--json", code=code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    (finding,) = json.loads(out)["findings"]
    assert finding["topic"] == "onnxruntime"
    assert finding["text"] == "not installed"
    assert 'pip install "edgeconv[gpu]"' in finding["advice"]
    assert err.startswith("edgeconv: error: edgeconv.runtime needs ONNX Runtime")
