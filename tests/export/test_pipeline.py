import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeconv import folder as files
from edgeconv.data.dataset import Split
from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.artefacts import load_artefact
from edgeconv.evaluate.certificate import check_hashes
from edgeconv.evaluate.keras_model import import_keras
from edgeconv.evaluate.limits import UserLimits
from edgeconv.evaluate.tflite import normalise
from edgeconv.export import formats as formats_module
from edgeconv.export import job as job_module
from edgeconv.export import pipeline
from edgeconv.export import tflite as tflite_module
from edgeconv.export.calibration import ATTEMPTS, held_back
from edgeconv.export.pipeline import export
from edgeconv.export.verify import verify
from edgeconv.runtime import ArtefactError, CheckError, ConversionError, InputError, ModelSpec, UsageError
from edgeconv.runtime.artefact import Artefact
from edgeconv.train.config import TrainConfig
from edgeconv.train.place import train

FLOAT16, DYNAMIC = "model.float16.tflite", "model.dynamic.tflite"
ALL = [
    files.ONNX, "model.int8.onnx", files.DENSE, "dense.int8.onnx", files.STATEFUL, "stateful.int8.onnx", files.TFLITE,
    FLOAT16, DYNAMIC, files.INT8_TFLITE,
]  # fmt: skip


def certificate_of(folder):
    return json.loads((folder / files.CERTIFICATE).read_text())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damaged(proto_bytes):
    """The model with one weight of its first convolution moved."""
    proto = onnx.load_from_string(proto_bytes)
    weight = next(i for i in proto.graph.initializer if len(i.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.5
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return proto.SerializeToString()


def test_the_certificate_says_what_was_compared_with_what_on_which_data(exported_once, dataset):
    certificate = certificate_of(exported_once)
    assert list(certificate["artefacts"]) == ALL
    assert certificate["data"]["windows"] == len(dataset.test)
    assert certificate["data"]["content_hash"] == dataset.content_hash()
    assert certificate["data"]["synthetic"] is True
    assert certificate["reference"]["sha256"] == files.file_sha256(exported_once / files.KERAS)
    for name, entry in certificate["artefacts"].items():
        assert entry["sha256"] == files.file_sha256(exported_once / name)
        assert 0.5 < entry["reference_accuracy"] <= 1
        assert abs(entry["accuracy"] - entry["reference_accuracy"]) <= 0.005 or "int8" not in name
    for name in (files.ONNX, files.DENSE, files.STATEFUL, files.TFLITE):
        assert certificate["artefacts"][name]["max_abs_diff"] <= 1e-5
        assert certificate["artefacts"][name]["top1_agreement"] == 1.0
    assert {"edgeconv", "tensorflow", "keras", "tf2onnx", "onnx", "onnx-ir", "onnxruntime", "numpy"} == set(
        certificate["environment"]["versions"]
    )


def test_nothing_else_stays_in_the_folder(exported_once):
    assert sorted(path.name for path in exported_once.iterdir()) == sorted(
        [files.KERAS, files.SPEC, files.TRAINING, *ALL, files.CALIBRATION, files.CERTIFICATE, files.CARD]
    )


def test_calibration_names_training_rows_and_holds_no_data(exported_once, dataset):
    whole = json.loads((exported_once / files.CALIBRATION).read_text())
    record = whole["tflite"]
    attempt = next(
        a for a in ATTEMPTS if (a.method, a.count, a.seed) == (record["method"], record["count"], record["seed"])
    )
    spec, train = pipeline.ModelSpec.load(exported_once / files.SPEC), dataset.train
    may_decide, judges = held_back(train)
    part = Split(train.windows[may_decide], train.class_ids[may_decide], train.subjects[may_decide])
    assert record["rows"] == may_decide[attempt.rows(part, normalise(part.windows, spec))].tolist()
    assert whole["split"] == "train"
    judged_on = record["judged_on"]
    assert judged_on == {"subjects": np.unique(train.subjects[judges]).tolist(), "windows": len(judges)}
    assert not set(record["subjects"]) & {*dataset.test.subjects.tolist(), *judged_on["subjects"]}
    assert [draw["kept_limits"] for draw in record["tried"]] == [True]
    assert record["float_layers"] == []
    assert whole["data"]["content_hash"] == dataset.content_hash()


def test_the_model_card_is_made_of_the_folder_s_own_figures(exported_once):
    card = (exported_once / files.CARD).read_text()
    training = json.loads((exported_once / files.TRAINING).read_text())
    assert "synthetic: generated, not measured" in card
    assert f"{100 * training['accuracy_mean']:.2f} %" in card
    assert training["data"]["licence"] in card
    for entry in certificate_of(exported_once)["artefacts"].values():
        assert f"{100 * entry['accuracy']:.2f}" in card
    assert "measured on 256 windows of the training subjects (`random`, seed 0" in card
    for label in pipeline.ModelSpec.load(exported_once / files.SPEC).labels:
        assert label in card


def test_a_file_out_of_limits_is_not_put_in_place_and_the_others_are(trained, dataset, monkeypatch):
    real = formats_module.write_form
    monkeypatch.setattr(formats_module, "write_form", lambda *args: damaged(real(*args)))
    with pytest.raises(
        CheckError, match=r"model.onnx was not put in place: largest \|Δlogit\| is [\d.e-]+ of the window"
    ):
        export(trained, dataset, formats=["onnx", "tflite"])
    assert not (trained / files.ONNX).exists()
    assert list(certificate_of(trained)["artefacts"]) == [files.TFLITE]
    assert verify(trained, dataset).problems == ()


@pytest.mark.parametrize("format_", ["onnx", "tflite-int8"])
def test_a_refused_file_leaves_the_earlier_certified_one_as_it_was(exported, dataset, monkeypatch, format_):
    name = pipeline.FORMATS[format_].name
    before = contents(exported)
    never = UserLimits({name: {"accuracy": 1.0}})
    with pytest.raises(CheckError, match=f"{name} was not put in place: accuracy is"):
        export(exported, dataset, formats=["tflite", format_], opset=14, limits=never)
    after = contents(exported)
    assert after[name] == before[name]
    assert after[files.CALIBRATION] == before[files.CALIBRATION]
    assert list(certificate_of(exported)["artefacts"]) == ALL
    monkeypatch.undo()
    check_hashes(exported, certificate_of(exported))


def test_when_every_file_is_out_of_limits_the_folder_stays_as_it_was(exported, dataset, monkeypatch):
    before = contents(exported)
    real = formats_module.write_form
    monkeypatch.setattr(formats_module, "write_form", lambda *args: damaged(real(*args)))
    with pytest.raises(CheckError):
        export(exported, dataset, formats=["onnx"])
    assert contents(exported) == before


def test_an_interrupted_or_failing_export_changes_nothing(exported, dataset, monkeypatch):
    before = contents(exported)

    def interrupt(what):
        if what == files.TFLITE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(exported, dataset, on_progress=interrupt)
    assert contents(exported) == before

    def fail(*_, **__):
        raise ConversionError("no")

    monkeypatch.setattr(tflite_module, "to_tflite", fail)
    with pytest.raises(ConversionError):
        export(exported, dataset, formats=["onnx", "tflite"])
    assert contents(exported) == before


def test_one_format_anew_keeps_the_others_that_were_certified_for_the_same_model(exported, dataset):
    before = certificate_of(exported)["artefacts"]
    export(exported, dataset, formats=["onnx"], opset=15)
    after = certificate_of(exported)["artefacts"]
    assert list(after) == ALL
    assert after[files.ONNX]["sha256"] != before[files.ONNX]["sha256"]
    assert after[files.INT8_TFLITE] == before[files.INT8_TFLITE]
    assert (exported / files.CALIBRATION).exists()
    check_hashes(exported, certificate_of(exported))


def test_what_was_certified_for_another_model_or_is_damaged_does_not_stay(exported, dataset):
    (exported / files.TFLITE).write_bytes(b"damaged")
    certificate = export(exported, dataset, formats=["onnx"])
    assert list(certificate["artefacts"]) == [name for name in ALL if name != files.TFLITE]
    assert not (exported / files.TFLITE).exists()
    spec = (exported / files.SPEC).read_text().replace('"version": "1"', '"version": "2"')
    (exported / files.SPEC).write_text(spec)
    certificate = export(exported, dataset, formats=["onnx"])
    assert list(certificate["artefacts"]) == [files.ONNX]
    assert not (exported / files.INT8_TFLITE).exists()
    assert not (exported / files.CALIBRATION).exists()


@pytest.mark.parametrize("formats", [["coreml"], []])
def test_unknown_formats_are_refused_with_the_choice(trained, dataset, formats):
    with pytest.raises(UsageError, match=r"choose from onnx, .*tflite, tflite-float16, tflite-dynamic, tflite-int8"):
        export(trained, dataset, formats=formats)


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda d: {"labels": d.labels[::-1]}, "other labels"),
        (lambda d: {"sampling_rate_hz": 100.0}, "other samples per second"),
        (lambda d: {"channels": d.channels[::-1]}, "other channels and units"),
        (lambda d: {"channels": (replace(d.channels[0], unit="m/s^2"), *d.channels[1:])}, "other channels and units"),
    ],
)
def test_data_that_break_the_signal_contract_are_refused(trained, dataset, change, telling):
    with pytest.raises(InputError, match=telling):
        export(trained, replace(dataset, **change(dataset)))


def test_other_data_of_the_same_contract_are_named_in_the_certificate(trained):
    other = synthetic_har(seed=5, train_subjects=2, test_subjects=1)
    certificate = export(trained, other, formats=["onnx"])
    assert certificate["data"]["content_hash"] == other.content_hash()


@pytest.fixture
def padded(trained, dataset):
    """The trained folder with a network whose convolution pads in the model's place."""
    keras = import_keras()
    layers = keras.layers
    stack = [
        layers.Conv1D(4, 3, padding="same"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(6, activation="softmax"),
    ]
    keras.Sequential([keras.Input((128, 9)), *stack]).save(trained / files.KERAS)
    return trained


def test_a_network_that_pads_gets_its_windowed_file_only_and_the_layer_is_named(padded, dataset, monkeypatch):
    # Its weights are random, so that int8 has nothing to agree with.
    forms = {name: kind for name, kind in pipeline.FORMATS.items() if kind == Artefact(kind.form)}
    monkeypatch.setattr(pipeline, "FORMATS", forms)
    monkeypatch.setattr(formats_module, "FORMATS", forms)
    certificate = export(padded, dataset, hops=[16])
    assert list(certificate["artefacts"]) == [files.ONNX]
    left_out = [files.DENSE, "dense.hop16.onnx", files.STATEFUL, "stateful.hop16.onnx"]
    assert list(certificate["left_out"]) == left_out
    for name in left_out:
        assert not (padded / name).exists()
        assert re.search("conv1d.* pads", certificate["left_out"][name])


@pytest.mark.parametrize("form", ["dense", "stateful"])
def test_a_form_that_is_asked_for_and_cannot_be_is_a_conversion_error(padded, dataset, form):
    with pytest.raises(ConversionError, match=r"conv1d.* pads"):
        export(padded, dataset, formats=[form])


@pytest.mark.parametrize(("form", "axis"), [("dense", 0), ("stateful", 1)])
def test_a_form_that_is_shifted_by_one_sample_is_not_put_in_place(trained, dataset, monkeypatch, form, axis):
    real = formats_module.write_form

    def shifted(*arguments):
        proto = onnx.load_from_string(real(*arguments))
        first = proto.graph.node[0]
        starts, ends, axes = (f"shift_{name}" for name in ("starts", "ends", "axes"))
        for name, value in ((starts, 1), (ends, 2**62), (axes, axis)):
            proto.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
        end = onnx.helper.make_node("Concat", ["late", "last"], ["moved"], axis=axis)
        late = onnx.helper.make_node("Slice", ["samples", starts, ends, axes], ["late"])
        proto.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "minus_one"))
        last = onnx.helper.make_node("Slice", ["samples", "minus_one", ends, axes], ["last"])
        first.input[0] = "moved"
        for position, node in enumerate((late, last, end)):
            proto.graph.node.insert(position, node)
        return proto.SerializeToString()

    name = pipeline.FORMATS[form].name
    monkeypatch.setattr(formats_module, "write_form", lambda *args: shifted(*args) if args[1] == form else real(*args))
    with pytest.raises(CheckError, match=rf"{name} was not put in place: largest \|Δlogit\| is"):
        export(trained, dataset, formats=["onnx", form])
    assert not (trained / name).exists()
    assert (trained / files.ONNX).exists()


def test_other_hops_have_files_of_their_own_that_are_certified_and_stay(exported, dataset):
    certificate = export(exported, dataset, formats=["dense", "stateful"], hops=[1, 24, 64, 16])
    both = [f"{form}{hop}.onnx" for form in ("dense", "stateful") for hop in ("", ".hop24", ".hop16", ".hop1")]
    assert [name for name in certificate["artefacts"] if name not in both] == [
        name for name in ALL if name not in (files.DENSE, files.STATEFUL)
    ]
    assert [name for name in certificate["artefacts"] if name in both] == both
    for name in both:
        assert certificate["artefacts"][name]["max_abs_diff"] <= 1e-5
    check_hashes(exported, certificate_of(exported))
    export(exported, dataset, formats=["onnx"])
    assert list(certificate_of(exported)["artefacts"]) == list(certificate["artefacts"])
    (exported / "dense.hop24.onnx").write_bytes((exported / "dense.hop16.onnx").read_bytes())
    with pytest.raises(ArtefactError, match=r"dense.hop24.onnx is not the file that was certified"):
        check_hashes(exported, certificate_of(exported))


def test_a_form_at_another_hop_under_the_wrong_name_is_refused(exported, dataset, tmp_path):
    spec = ModelSpec.load(exported / files.SPEC)
    (exported / "dense.hop7.onnx").write_bytes((exported / files.DENSE).read_bytes())
    with pytest.raises(ArtefactError, match=r"dense.hop7.onnx: the spec inside differs"):
        load_artefact(exported / "dense.hop7.onnx", spec)


def test_training_anew_removes_the_forms_of_every_hop(exported, dataset):
    export(exported, dataset, formats=["dense"], hops=[3])
    assert (exported / "dense.hop3.onnx").exists()
    train(dataset, TrainConfig(repeats=1, epochs=1), exported, overwrite=True)
    assert sorted(path.name for path in exported.iterdir() if path.suffix == ".onnx") == []


@pytest.mark.parametrize("hops", [[0], [16, -1]])
def test_a_hop_below_one_is_refused(trained, dataset, hops):
    with pytest.raises(UsageError, match="give whole numbers from 1"):
        export(trained, dataset, hops=hops)


def test_two_exports_in_two_processes_give_the_same_bytes(trained, dataset, tmp_path):
    """The names that the converter draws differ from run to run; those of the files do not."""
    script = """
import hashlib, sys
from pathlib import Path
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.onnx import read_model, write_form
from edgeconv.runtime import ModelSpec

folder = Path(sys.argv[1])
source = read_model(KerasModel.load(folder / "model.keras").model, ModelSpec.load(folder / "spec.json"))
for form in ("onnx", "dense", "stateful"):
    for hop in (64, 3):
        print(hashlib.sha256(write_form(source, form, hop)).hexdigest())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, str(trained)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 6


def test_a_tflite_file_needs_no_conversion_to_onnx(trained, dataset, monkeypatch):
    def fail(*_):
        raise ConversionError("no")

    monkeypatch.setattr(job_module, "read_model", fail)
    assert list(export(trained, dataset, formats=["tflite"])["artefacts"]) == [files.TFLITE]
    with pytest.raises(ConversionError):
        export(trained, dataset, formats=["onnx"])


def test_a_network_that_takes_channels_first_is_exported_and_verified(trained, dataset):
    keras = import_keras()
    layers, first = keras.layers, {"data_format": "channels_first"}
    keras.utils.set_random_seed(8)
    network = keras.Sequential(
        [
            keras.Input((9, 128)), layers.BatchNormalization(axis=1), layers.Conv1D(6, 4, activation="relu", **first),
            layers.MaxPooling1D(2, **first), layers.Conv1D(6, 3, **first), layers.Flatten(**first),
            layers.Dense(6, activation="softmax"),
        ]
    )  # fmt: skip
    network.save(trained / files.KERAS)
    certificate = export(trained, dataset, formats=("onnx", "dense", "stateful", "tflite"))
    assert set(certificate["artefacts"]) == {files.ONNX, files.DENSE, files.STATEFUL, files.TFLITE}
    assert verify(trained, dataset).problems == ()
