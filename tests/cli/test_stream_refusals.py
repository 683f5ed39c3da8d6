"""`edgeconv stream`: what it refuses, with which words and which exit code."""

from __future__ import annotations

import numpy as np
import pytest

GOOD_ROWS = "".join(f"{i},{-i}\n" for i in range(9))
HEADER = "acc_x,acc_y\n"

RECORDINGS = {
    "a missing column": (
        "acc_x,acc_z\n" + GOOD_ROWS,
        ["no column for 'acc_y'", "line 1", "names 'acc_x', 'acc_z'"],
    ),
    "text in a column of numbers": (
        HEADER + GOOD_ROWS + "9,left\n",
        ["line 11, column 'acc_y'", "'left' is not a number", "expected a value in every row"],
    ),
    "an empty cell": (HEADER + GOOD_ROWS + "9,\n", ["line 11, column 'acc_y'", "the cell is empty"]),
    "a row that is too short": (HEADER + GOOD_ROWS + "9\n", ["line 11 has 1 cell", "expected 2", "line 1"]),
    "a row that is too long": (HEADER + "0,0\n1,2,3\n", ["line 3 has 3 cells", "expected 2"]),
    "NaN": (HEADER + "0,0\nnan,1\n", ["line 3, column 'acc_x'", "'nan' is not finite"]),
    "infinity": (HEADER + "0,0\n1,-inf\n", ["line 3, column 'acc_y'", "'-inf' is not finite"]),
    "a value beyond float32": (HEADER + "0,1e39\n", ["line 2, column 'acc_y'", "too large for float32"]),
    "a decimal comma": ("acc_x;acc_y\n1,5;2,5\n", ["line 2, column 'acc_x'", "'1,5'", "write a point"]),
    "no header and too many columns": ("1,2,3\n4,5,6\n", ["line 1 has 3 numbers", "no header", "expected 2 columns"]),
    "a column named twice": ("acc_x,acc_y,acc_y\n1,2,3\n", ["line 1 names 'acc_y' 2 times"]),
    "nothing in it": ("", ["the file is empty", "expected one sample a line"]),
    "blank lines only": ("\n \n\n", ["the file is empty"]),
    "binary rubbish": (bytes(range(200, 256)) * 9, ["line 1 is not UTF-8 text", "expected text or NPY"]),
    "zero bytes": (b"\0\1\2\3" * 99, ["neither text nor NPY", "begins with"]),
    "a zip": (b"PK\3\4" + bytes(99), ["a ZIP archive", "unpack it first"]),
    "UTF-16": (HEADER.encode("utf-16"), ["UTF-16 text", "save it as UTF-8"]),
    "a damaged NPY header": (b"\x93NUMPY\1\0\xff\xff{", ["damaged NPY header", "write the file again"]),
}


@pytest.fixture
def walk(write, samples):
    return write("walk.csv", samples)


@pytest.mark.parametrize("problem", RECORDINGS)
def test_a_recording_that_cannot_be_used_is_refused_with_the_place(run, model, tmp_path, problem):
    content, words = RECORDINGS[problem]
    path = tmp_path / "bad.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    outcome = run("stream", model, path)
    assert outcome.code == 3
    assert outcome.error.startswith(f"{path}: ")
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""


ARRAYS = {
    "too many channels": (np.zeros((9, 3), np.float32), ["shape [9, 3]", "expected [timesteps, 2]"]),
    "channels first": (np.zeros((2, 9), np.float32), ["shape [2, 9]", "expected [timesteps, 2]", "array.T"]),
    "cut into windows": (np.zeros((3, 4, 2), np.float32), ["shape [3, 4, 2]", "cut into windows"]),
    "one axis": (np.zeros(18, np.float32), ["shape [18]", "expected [timesteps, 2]"]),
    "pickled objects": (np.array([[1, None]] * 9, dtype=object), ["pickled Python objects", "can run code"]),
    "complex numbers": (np.zeros((9, 2), np.complex64), ["dtype complex64", "a real dtype"]),
    "text": (np.full((9, 2), "1"), ["dtype <U1", "a real dtype"]),
    "NaN": (np.array([[0, 0], [0, np.nan]] * 4, np.float32), ["row 1 (counted from 0)", "'acc_y'", "is not finite"]),
}


@pytest.mark.parametrize("problem", ARRAYS)
def test_an_array_that_holds_no_samples_is_refused_with_what_it_holds(run, model, tmp_path, problem):
    array, words = ARRAYS[problem]
    path = tmp_path / "bad.npy"
    np.save(path, array, allow_pickle=True)
    outcome = run("stream", model, path)
    assert outcome.code == 3
    assert outcome.error.startswith(f"{path}: ")
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""


def test_a_truncated_npy_file_is_refused_with_both_sizes(run, model, tmp_path):
    path = tmp_path / "bad.npy"
    np.save(path, np.zeros((50, 2), np.float32))
    path.write_bytes(path.read_bytes()[:-100])
    outcome = run("stream", model, path)
    assert outcome.code == 3
    assert f"{path}: the file is truncated: it has 428 bytes; expected 528" in outcome.error


def test_a_recording_that_is_not_there_is_named(run, model, tmp_path):
    outcome = run("stream", model, tmp_path / "gone.csv")
    assert outcome.code == 3
    assert f"{tmp_path / 'gone.csv'}: there is no such file" in outcome.error
    assert outcome.out == ""


def test_a_folder_without_recordings_is_refused_and_so_is_a_glob(run, model, tmp_path):
    outcome = run("stream", model, tmp_path)
    assert outcome.code == 3
    assert f"{tmp_path}: no recordings in this folder; looked for files that end in .csv, " in outcome.error
    outcome = run("stream", model, tmp_path / "*.csv")
    assert outcome.code == 3
    assert f"{tmp_path}/*.csv fits no file" in outcome.error
    (tmp_path / "labels.csv").write_text("recording,start_s,end_s,label\n")
    outcome = run("stream", model, tmp_path)
    assert outcome.code == 3
    assert "without these there are no recordings" in outcome.error


def test_a_bad_second_recording_leaves_the_first_one_s_predictions_complete(run, model, walk, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text(HEADER + GOOD_ROWS + "9,left\n")
    outcome = run("stream", model, walk, bad)
    assert outcome.code == 3
    assert f"{bad}: line 11, column 'acc_y'" in outcome.error
    assert outcome.predictions == run("stream", model, walk).predictions


@pytest.mark.parametrize("form", ["csv", "table"])
def test_other_formats_are_complete_too_when_a_recording_is_bad(run, model, walk, tmp_path, form):
    outcome = run("stream", model, walk, tmp_path / "gone.csv", "--format", form)
    assert outcome.code == 3
    assert outcome.out == run("stream", model, walk, "--format", form).out


def refuse_model(run, path, walk, *words):
    outcome = run("stream", path, walk)
    assert outcome.code == 6
    assert str(path) in outcome.error
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize(
    "content", [b"", b"acc_x,acc_y\n1,2\n", bytes(range(256)) * 30], ids=["empty", "a CSV file", "rubbish"]
)
def test_a_model_file_that_is_not_onnx_is_refused(run, tmp_path, walk, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refuse_model(run, path, walk, "is not a model that ONNX Runtime can load", f"{len(content)} bytes")


@pytest.mark.parametrize("kept", [0.1, 0.4, 0.9])
def test_a_truncated_model_file_is_refused(run, model, tmp_path, walk, kept):
    path, data = tmp_path / "model.onnx", model.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refuse_model(run, path, walk, "is not a model that ONNX Runtime can load")


def test_a_model_without_a_spec_is_refused(run, models, walk):
    refuse_model(run, models / "no_spec.onnx", walk, "has no 'edgeconv.spec'", "export it with `edgeconv export`")


@pytest.mark.parametrize("name", ["other_window", "other_classes", "fixed_batch"])
def test_a_model_whose_spec_disagrees_with_its_shapes_is_refused(run, models, walk, name):
    refuse_model(run, models / f"{name}.onnx", walk, "disagrees with its spec", "[batch, 4, 2]", "[batch, 3]")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"spec_version": 1', b'"spec_version": 9', ["spec_version is 9", "reads 1"]),
        (b'"spec_version": 1', b'"spec_version": ;', ["the spec is not JSON"]),
        (b'"window": 4', b'"windoh": 4', ["the spec is incomplete", "window"]),
        (b'"acc_y"', b'"acc_x"', ["channel names repeat", "acc_x"]),
    ],
    ids=["another version", "no JSON", "a field missing", "a channel twice"],
)
def test_a_model_with_a_damaged_spec_is_refused(run, model, tmp_path, walk, old, new, words):
    path, data = tmp_path / "model.onnx", model.read_bytes()
    assert data.count(old) == 1  # and of the same length, so that only the spec is damaged
    path.write_bytes(data.replace(old, new))
    refuse_model(run, path, walk, *words)


def test_a_model_that_is_not_there_is_bad_input(run, tmp_path, walk):
    outcome = run("stream", tmp_path / "gone.onnx", walk)
    assert outcome.code == 3
    assert f"{tmp_path / 'gone.onnx'} is not there; give an exported model" in outcome.error


def test_a_model_folder_that_was_not_exported_is_bad_input(run, tmp_path, walk):
    (tmp_path / "model").mkdir()
    outcome = run("stream", tmp_path / "model", walk)
    assert outcome.code == 3
    assert f"{tmp_path / 'model' / 'model.onnx'} is not there" in outcome.error
    assert "`edgeconv export MODEL_DIR` writes it" in outcome.error


OPTIONS = {
    "a device nobody knows": (("--device", "gpu"), ["'gpu'", "choose cpu, cuda, cuda:1"]),
    "a number for the processor": (("--device", "cpu:1"), ["'cpu:1'", "choose cpu, cuda, cuda:1"]),
    "a hop of 0": (("--hop", "0"), ["hop is 0", "a whole number from 1"]),
    "a negative hop": (("--hop", "-3"), ["hop is -3", "a whole number from 1"]),
    "a hop that is no number": (("--hop", "often"), ["--hop", "integer", "edgeconv stream --help"]),
    "no thread": (("--threads", "0"), ["threads is 0", "a whole number from 1"]),
    "a format nobody knows": (("--format", "xml"), ["--format", "'xml'", "'table', 'jsonl', 'csv'", "--help"]),
    "an option nobody knows": (("--speed", "9"), ["--speed", "edgeconv stream --help"]),
    "a value left out": (("--hop",), ["--hop", "requires an argument", "--help"]),
}


@pytest.mark.parametrize("problem", OPTIONS)
def test_wrong_usage_is_one_line_that_says_what_can_be_chosen(run, model, walk, problem):
    options, words = OPTIONS[problem]
    outcome = run("stream", model, walk, *options)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize("given", [(), ("model",)], ids=["nothing", "a model alone"])
def test_arguments_left_out_are_named(run, model, given):
    outcome = run("stream", *(model for _ in given))
    assert outcome.code == 2
    assert "Missing argument" in outcome.error
    assert ("RECORDING" if given else "MODEL") in outcome.error


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_is_refused_where_onnx_runtime_is_built_without_it(run, model, walk, device):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    outcome = run("stream", model, walk, "--device", device)
    assert outcome.code == 5
    assert f"device {device if ':' in device else 'cuda:0'} is not available" in outcome.error
    assert "CPUExecutionProvider only" in outcome.error
    assert 'pip install "edgeconv[gpu]"' in outcome.error
    assert outcome.out == ""
