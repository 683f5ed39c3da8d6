import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgeconv import folder as files
from edgeconv.bench import Plan
from edgeconv.bench.statistics import Interval
from edgeconv.cli.export import int8_table, tuning_table
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export import pipeline, tune, tune_int8
from edgeconv.export.onnx import Source, read_model
from edgeconv.export.pipeline import export
from edgeconv.export.tune import Row, Variant, fastest
from edgeconv.export.verify import verify
from edgeconv.runtime import ArtefactError, Classifier, ConversionError, ModelSpec
from edgeconv.runtime.machine import fingerprint
from edgeconv.runtime.tuning import read_tuning

QUICK = Plan(rounds=2, round_s=0.001, warm_up_s=0.02)


def row(layout, threads, value, half_width=0.01):
    interval = Interval(value, value - half_width, value + half_width)
    return Row(Variant("recording", layout, threads), Interval(10 * value, 0, 0), interval)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([row("1d", 1, 0.99), row("2d", 1, 1.0, 0.0)], ("2d", 1)),
        ([row("1d", 1, 0.98), row("2d", 1, 1.0, 0.0)], ("2d", 1)),  # below, by less than the margin
        ([row("1d", 1, 0.9, 0.08), row("2d", 1, 1.0, 0.0)], ("2d", 1)),  # below, by less than the noise
        ([row("1d", 1, 0.9), row("2d", 1, 1.0, 0.0)], ("1d", 1)),
        ([row("1d", 1, 0.9), row("2d", 1, 1.0, 0.0), row("2d", 2, 0.6)], ("2d", 2)),
        ([row("1d", 1, 0.61), row("2d", 1, 1.0, 0.0), row("2d", 2, 0.6)], ("1d", 1)),  # a second thread for nothing
        ([row("1d", 1, 1.0, 0.0), row("1d", 2, 1.2)], ("1d", 1)),  # the default did not pass the certificate
    ],
)
def test_the_default_stays_unless_another_is_faster_by_more_than_the_noise(rows, chosen):
    assert fastest(rows).variant[1:] == chosen


@pytest.fixture(scope="module")
def tuned_once(exported_once, dataset, tmp_path_factory):
    folder = shutil.copytree(exported_once, tmp_path_factory.mktemp("tuned") / "walk")
    with pytest.MonkeyPatch.context() as patch:
        real = tune.tune
        patch.setattr(pipeline, "tune", lambda *args, **options: real(*args, **options, plan=QUICK))
        int8 = tune_int8.tune_int8
        patch.setattr(pipeline, "tune_int8", lambda job: int8(job, plan=QUICK))
        formats = ["onnx", "dense", "stateful", "onnx-int8", "dense-int8"]
        export(folder, dataset, formats=formats, hops=[16], tuned=True)
    return folder


@pytest.fixture
def tuned(tuned_once, tmp_path):
    return shutil.copytree(tuned_once, tmp_path / "tuned")


def test_the_whole_table_and_the_choice_lie_beside_the_model(tuned_once):
    found = json.loads((tuned_once / files.TUNING).read_text())
    assert found["machine"]["id"] == fingerprint().id
    cores = fingerprint().cores_available
    for use in tune.USES:
        rows = [row for row in found["table"] if row["use"] == use]
        assert {(row["layout"], row["threads"]) for row in rows} >= {(la, n) for la in ("1d", "2d") for n in (1, cores)}
        assert [row["chosen"] for row in rows].count(True) == 1
        for row in rows:
            assert 0 < row["us_per_prediction"]["low"] <= row["us_per_prediction"]["high"]
            assert row["verdict"] in ("default", "faster", "slower", "not resolvable")
            assert not row["chosen"] or row["verdict"] in ("default", "faster")


def test_the_files_have_the_chosen_layouts_and_are_certified(tuned_once, dataset):
    layouts = json.loads((tuned_once / files.TUNING).read_text())["choice"]["layouts"]
    names = {"onnx": ["model.onnx"], "dense": ["dense.onnx", "dense.hop16.onnx"],
             "stateful": ["stateful.onnx", "stateful.hop16.onnx"]}  # fmt: skip
    for format_, layout in layouts.items():
        for name in names[format_]:
            graph = onnx.load(tuned_once / name).graph
            kernels = {
                len(a.ints) for n in graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "strides"
            }
            assert kernels == {int(layout[0])}
    assert verify(tuned_once, dataset).problems == ()


def test_the_command_prints_every_variant_and_marks_the_chosen_ones(tuned_once):
    found = json.loads((tuned_once / files.TUNING).read_text())
    lines = tuning_table(found).splitlines()
    rows = [line for line in lines if line.startswith(tuple(tune.USES))]
    assert len(rows) == len(found["table"])
    assert sum("chosen" in row for row in rows) == len(tune.USES)
    assert lines[-1].startswith("A stream that is alone goes ")


def test_the_int8_files_are_all_written_as_was_chosen(tuned_once):
    int8 = json.loads((tuned_once / files.TUNING).read_text())["int8"]
    timed = {(row["use"], row["form"]) for row in int8["table"]}
    assert timed == {(use, form) for use in tune_int8.USES for form in ("qoperator-u8", "qdq-u8")}
    assert json.loads((tuned_once / files.CALIBRATION).read_text())["onnx"]["form"] == int8["form"]
    for name in ("model.int8.onnx", "dense.int8.onnx", "dense.hop16.int8.onnx"):
        kinds = {node.op_type for node in onnx.load(tuned_once / name).graph.node}
        assert ("QLinearConv" in kinds) == (int8["form"] == "qoperator-u8")
    assert int8_table(int8).count("chosen") == 3


def ratio(value, half_width=0.01):
    return Interval(value, value - half_width, value + half_width)


@pytest.mark.parametrize(
    ("one_window", "recording", "chosen"),
    [
        (ratio(0.9), ratio(0.9), "qdq-u8"),
        (ratio(0.9), ratio(1.0, 0.1), "qdq-u8"),  # faster for one, no difference to be seen for the other
        (ratio(0.9), ratio(1.1), "qoperator-u8"),  # faster for one and slower for the other
        (ratio(0.9, 0.08), ratio(0.9, 0.08), "qoperator-u8"),  # by less than the noise
        (ratio(0.98), ratio(0.98), "qoperator-u8"),  # by less than the margin
    ],
)
def test_another_int8_form_is_taken_only_where_it_gains_and_nowhere_loses(one_window, recording, chosen):
    ratios = {("one window", "qoperator-u8"): ratio(1.0, 0.0), ("recording", "qoperator-u8"): ratio(1.0, 0.0),
              ("one window", "qdq-u8"): one_window, ("recording", "qdq-u8"): recording}  # fmt: skip
    assert tune_int8.faster(ratios) == chosen


def change(folder, **changes):
    found = json.loads((folder / files.TUNING).read_text())
    (folder / files.TUNING).write_text(json.dumps({**found, **changes}))


@pytest.mark.parametrize("one_stream", ["stateful", "windowed"])
def test_the_runtime_takes_the_choice_for_its_own_machine_and_network_only(tuned, one_stream):
    choice = {**json.loads((tuned / files.TUNING).read_text())["choice"], "one stream": one_stream}
    change(tuned, choice=choice)
    assert Classifier.load(tuned).forms().stateful_for_one == (one_stream == "stateful")
    assert read_tuning(tuned).threads == choice["threads"]
    by_rule = Classifier.load(tuned).forms(16).stateful_for_one
    for other in ({"network": "0" * 64}, {"hop": 16, "network": "0" * 64}, {"machine": {"id": "0" * 12}}):
        before = (tuned / files.TUNING).read_text()
        change(tuned, **other)
        assert Classifier.load(tuned).forms(16).stateful_for_one == by_rule
        assert not Classifier.load(tuned).forms().stateful_for_one
        (tuned / files.TUNING).write_text(before)


@pytest.mark.parametrize("broken", ["{", "[]", '{"schema": "edgeconv.tuning/9"}', '{"schema": "edgeconv.tuning/1"}'])
def test_a_tuning_that_cannot_be_read_is_an_artefact_error(tuned, broken):
    (tuned / files.TUNING).write_text(broken)
    with pytest.raises(ArtefactError, match=r"tuning.json cannot be used .* --tune"):
        Classifier.load(tuned).forms()


def test_an_export_without_tuning_takes_the_tuning_away(tuned, dataset):
    export(tuned, dataset, formats=["tflite"])
    assert (tuned / files.TUNING).exists()
    export(tuned, dataset, formats=["onnx"])
    assert not (tuned / files.TUNING).exists()


def test_a_variant_that_is_not_equivalent_is_not_timed(exported, dataset, tmp_path, monkeypatch):
    model = KerasModel.load(exported / files.KERAS)
    spec = ModelSpec.load(exported / files.SPEC)
    source = read_model(model.model, spec)
    monkeypatch.setattr(tune, "USES", {"one window": "onnx", "recording": "dense"})
    monkeypatch.setattr(tune, "DECIDES", {"onnx": "one window", "dense": "recording"})
    found = tune.tune(source, tmp_path, lambda file: "2d" not in str(file) or "dense" in str(file), plan=QUICK)
    assert found["left_out"] == ["model.onnx with 2d convolutions is out of the certificate's limits"]
    assert {row["layout"] for row in found["table"] if row["use"] == "one window"} == {"1d"}
    assert found["choice"]["layouts"]["onnx"] == "1d"
    assert found["choice"]["one stream"] == "windowed"
    assert np.isfinite([row["us_per_prediction"]["value"] for row in found["table"]]).all()
    with pytest.raises(ConversionError, match="nothing to choose from: lstm reads backwards"):
        tune.tune(replace(source, net=None, refusal="lstm reads backwards"), tmp_path, lambda _: True)
    assert isinstance(source, Source)
