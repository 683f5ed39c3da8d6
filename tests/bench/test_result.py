from __future__ import annotations

import json
import sys

import pytest

from edgeconv.bench import read_result
from edgeconv.bench.result import Figure, Result, Row
from edgeconv.runtime import InputError, MissingFileError

ROW = Row(
    file="model.onnx", file_bytes=7, problem="", facts={"provider": "CPUExecutionProvider"},
    figures={"p50_us": Figure(2.0, 1.0, 3.0, (1.0, 2.0, 3.0))}, details={"worst_us": 9.0},
    relative={"to": "predict", "ratio": 1.5, "low": 1.4, "high": 1.6}, unstable=("too wide",), crowded=False,
    units_per_run=1.0, runs_per_round=350, warm_up_s=0.3, settled=True, retried_rounds=1, others_cores=0.5,
    peak_memory_mib=70.5,
)  # fmt: skip
RESULT = Result(
    created="2030-01-01T00:00:00+00:00", seconds=20.5, edgeconv="1.0", machine={"id": "abc", "processor": "Größe"},
    load_average=[0.5, None], model={"name": "walk", "version": "1", "files": {}}, left_out={"dense": "not there"},
    settings={"hop": 64}, scenarios={"single-stream": {"push": ROW}},
)  # fmt: skip


def test_what_is_written_is_read_back(tmp_path):
    RESULT.write(tmp_path / "a.json")
    assert read_result(tmp_path / "a.json") == RESULT
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert data["schema"] == "edgeconv.bench/1"
    assert data["scenarios"]["single-stream"]["push"]["verdict"] == "unstable"
    assert data["scenarios"]["single-stream"]["push"]["figures"]["p50_us"]["rounds"] == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders as POSIX has them")
def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"gone/a.json cannot be written \(No such file or directory\)"):
        RESULT.write(tmp_path / "gone" / "a.json")


def test_a_file_that_is_not_there_says_what_writes_it(tmp_path):
    with pytest.raises(MissingFileError, match=r"edgeconv bench MODEL --json"):
        read_result(tmp_path / "a.json")


def _without(data, *path):
    *parents, last = path
    for name in parents:
        data = data[name]
    del data[last]


ROUNDS = ("scenarios", "single-stream", "push", "figures", "p50_us")


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("\ufeff\udcff", "cannot be read as JSON"),
        ("[1]", "its schema is None, expected 'edgeconv.bench/1'"),
        ('{"schema": "edgeconv.bench/2"}', "its schema is 'edgeconv.bench/2'"),
        ('{"schema": "edgeconv.certificate/1"}', "its schema is 'edgeconv.certificate/1'"),
        (lambda data: _without(data, "scenarios"), r"damaged \(KeyError: 'scenarios'\)"),
        (lambda data: _without(data, "machine"), r"damaged \(KeyError: 'machine'\)"),
        (lambda data: _without(data, "machine", "id"), r"damaged \(KeyError: 'id'\)"),
        (lambda data: data["model"].update(files={"model.onnx": {}}), r"damaged \(KeyError: 'sha256'\)"),
        (lambda data: data.update(settings=3), "damaged"),
        (lambda data: _without(data, *ROUNDS, "rounds"), r"damaged \(KeyError: 'rounds'\)"),
        (lambda data: data.update(scenarios=[]), "damaged"),
        (lambda data: data["scenarios"].update(offline=None), "damaged"),
        (lambda data: data["scenarios"]["single-stream"]["push"]["figures"].update(a=3), "damaged"),
        (lambda data: data["scenarios"]["single-stream"]["push"]["figures"]["p50_us"].update(rounds=[1]), "two or"),
        (lambda data: data["scenarios"]["single-stream"]["push"]["figures"]["p50_us"].update(rounds=[1, -1]), "from 0"),
        (
            lambda data: data["scenarios"]["single-stream"]["push"]["figures"]["p50_us"].update(rounds=[1, "x"]),
            "damaged",
        ),
        (
            lambda data: data["scenarios"]["single-stream"]["push"]["figures"]["p50_us"].update(
                rounds=[1.0, float("nan")]
            ),
            "from 0",
        ),
    ],
)
def test_a_file_that_is_no_result_is_bad_input(tmp_path, content, telling):
    path = tmp_path / "a.json"
    if isinstance(content, str):
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    else:
        data = RESULT.to_json()
        content(data)
        path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=telling) as raised:
        read_result(path)
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_result(tmp_path):
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_result(tmp_path)
