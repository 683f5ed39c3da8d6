"""`--data-option` through train, export and verify, on a tiny set in HAPT's layout, and its default."""

import json
import zipfile

import numpy as np
import pytest

from edgeconv.cli.console import data_options, load_data_of
from edgeconv.runtime.errors import UsageError

LABELS = ("WALK", "UP", "DOWN", "SIT", "STAND", "LIE", "A", "B", "C", "D", "E", "F")
OPTIONS = ("--data-option", "window=64", "--data-option", "hop=32")


@pytest.fixture(scope="module")
def hapt(tmp_path_factory):
    """Four people, two of them of the test side, who do all activities and one transition, 96 samples each."""
    rng = np.random.default_rng(3)
    files = {"activity_labels.txt": "".join(f"{i} {name}\n" for i, name in enumerate(LABELS, 1))}
    rows = []
    for number, user in enumerate((1, 2, 3, 4), 1):
        rows += [f"{number} {user} {i} {(i - 1) * 96 + 1} {i * 96}\n" for i in range(1, 8)]
        levels = np.repeat(np.arange(7.0), 96)[:, None]
        for sensor in ("acc", "gyro"):
            values = levels + rng.normal(0, 0.1, (7 * 96, 3))
            text = "".join(" ".join(f"{value:.4f}" for value in row) + "\n" for row in values)
            files[f"RawData/{sensor}_exp{number:02d}_user{user:02d}.txt"] = text
    path = tmp_path_factory.mktemp("hapt") / "hapt.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, "RawData/labels.txt": "".join(rows)}.items():
            archive.writestr(f"HAPT Data Set/{name}", text)
    return path


def test_options_are_names_with_values():
    assert data_options(None) == {}
    assert data_options(["window=64", " leave-out = A, B "]) == {"window": "64", "leave-out": "A, B"}


@pytest.mark.parametrize(
    ("given", "words"),
    [(["window"], "is not NAME=VALUE"), (["=3"], "is not NAME"), (["a="], "is not NAME"), (["a=1", "a=1"], "twice")],
)
def test_what_is_no_option_is_refused(given, words):
    with pytest.raises(UsageError, match=words):
        data_options(given)


def test_the_options_of_the_training_hold_for_export_and_verify(run, hapt, tmp_path):
    out = tmp_path / "net"
    trained = run(
        "train", "--data", hapt, *OPTIONS, "--network", "tiny", "--epochs", "1", "--repeats", "1", "--out", out
    )
    assert trained.code == 0, trained.err
    training = json.loads((out / "training.json").read_text())
    assert training["data"]["options"] == {"hop": "32", "window": "64"}
    assert json.loads((out / "spec.json").read_text())["window"] == 64
    # The path alone is enough; other options are other data, which is said.
    assert load_data_of(out, hapt).content_hash() == training["data"]["content_hash"]
    assert load_data_of(out, hapt, {"transitions": "class"}).options == {
        "hop": "32",
        "transitions": "class",
        "window": "64",
    }
    with pytest.raises(UsageError, match="give it with --data"):
        load_data_of(out, None, {"window": "64"})
    exported = run("export", out, "--data", hapt, "--format", "onnx")
    assert exported.code == 0, exported.err
    verified = run("verify", out, "--data", hapt, *OPTIONS)
    assert verified.code == 0, verified.err
    assert not any("these are other data" in note for note in [*exported.notes, *verified.notes])


def test_transitions_of_hapt_are_written_as_one_class_unless_said_otherwise(run, hapt, tmp_path):
    def labels(name, *options):
        outcome = run("data", "recordings", "--data", hapt, *OPTIONS, *options, "--out", tmp_path / name)
        assert outcome.code == 0, outcome.err
        lines = (tmp_path / name / "labels.csv").read_text().splitlines()[1:]
        return {line.split(",")[3] for line in lines}

    assert labels("default") == {*LABELS[:6], "TRANSITION"}
    assert labels("none", "--data-option", "transitions=leave-out") == set(LABELS[:6])
    assert labels("each", "--data-option", "transitions=each") == set(LABELS[:7])
