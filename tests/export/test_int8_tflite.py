"""Which calibration the int8 TFLite file gets, and which of its layers stay in float32."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeconv import folder as files
from edgeconv.evaluate.compare import compare
from edgeconv.evaluate.examine import Examiner
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.tflite import TfliteModel, ends, normalise
from edgeconv.export import int8_tflite
from edgeconv.export.calibration import ATTEMPTS, Calibration, held_back
from edgeconv.export.card import _calibration
from edgeconv.export.formats import FORMATS
from edgeconv.export.graph.keras import to_keras
from edgeconv.export.graph.net import Scale
from edgeconv.export.int8_tflite import normalised_source, rebuild, write_int8_tflite
from edgeconv.export.job import Job
from edgeconv.export.tflite_mixed_child import smallest
from edgeconv.runtime import ConversionError, ModelSpec

INT8 = FORMATS["tflite-int8"]


@pytest.fixture
def job(trained, dataset, tmp_path):
    """A job whose test windows are not there: whoever looks at them fails."""
    spec, model = ModelSpec.load(trained / files.SPEC), KerasModel.load(trained / files.KERAS)
    aside = tmp_path / "aside"
    aside.mkdir()
    return Job(trained, aside, model, Examiner(model, spec, replace(dataset, test=None)), 17)


@pytest.fixture
def answered(job, monkeypatch):
    """Let the draws' files answer with given shifts of the model's own probabilities, without converting."""

    def answer(shifts):
        job.reports = []
        runs = iter(shifts)

        def give(path, windows):
            expected = job.model.predict(windows)
            wrong, offset = next(runs)
            changed = expected.copy()
            changed[:wrong] = np.roll(changed[:wrong], 1, axis=1)
            return changed + np.float32(offset)

        monkeypatch.setattr(job, "run", give)
        monkeypatch.setattr(int8_tflite, "rebuild", lambda *args: str(args[2]["rows"][:3]).encode())
        monkeypatch.setattr(
            int8_tflite,
            "search_float_layers",
            lambda *args: job.reports.append(args) or {"float_layers": [], "with_float_layers": None},
        )

    return answer


def test_the_first_draw_that_keeps_the_limits_on_held_back_subjects_is_taken(job, answered):
    answered([(200, 0.0), (100, 0.0), (1, 0.001)])
    write_int8_tflite(job, INT8)
    record = job.calibrations["tflite"]
    assert [record[key] for key in ("method", "count", "seed")] == [ATTEMPTS[1].method, ATTEMPTS[1].count, 1]
    assert [draw["kept_limits"] for draw in record["tried"]] == [False, False, True]
    assert [draw["channels"] for draw in record["tried"]] == ["as they are", "equalised", "equalised"]
    assert (record["channels"], record["ranges"]) == ("equalised", "99.7 %")
    judges = held_back(job.dataset.train)[1]
    assert record["judged_on"]["windows"] == len(judges)
    assert not set(record["rows"]) & set(judges.tolist())
    assert not set(record["subjects"]) & set(record["judged_on"]["subjects"])
    assert job.reports == []
    assert (job.aside / INT8.name).read_bytes() == str(np.array(record["rows"])[:3]).encode()


def test_where_no_draw_keeps_the_limits_the_most_accurate_and_then_the_closest_goes_on(job, answered):
    answered([(200, 0.0), (150, 0.0), (100, 0.02), (100, 0.01), (150, 0.0), (120, 0.0), (101, 0.0)])
    write_int8_tflite(job, INT8)
    record = job.calibrations["tflite"]
    assert [record[key] for key in ("method", "count", "seed")] == ["balanced", 512, 2]
    assert len(record["tried"]) == 1 + len(ATTEMPTS)
    (asked,) = job.reports
    judging = job.dataset.train.windows[held_back(job.dataset.train)[1]]
    np.testing.assert_array_equal(asked[4], job.model.predict(judging))
    assert len(asked[2]) == len(record["rows"]) == 512
    assert (job.aside / INT8.name).read_bytes() == str(np.array(record["rows"])[:3]).encode()


def test_a_network_without_canonical_form_is_converted_as_it_is(job, answered):
    job.source = replace(job.source, net=None, refusal="it loops")
    answered([(200, 0.0)] * len(ATTEMPTS))
    write_int8_tflite(job, INT8)
    record = job.calibrations["tflite"]
    assert {draw["channels"] for draw in record["tried"]} == {"as they are"}
    assert [draw["seed"] for draw in record["tried"]] == [draw.seed for draw in ATTEMPTS]


def test_an_equalised_network_that_the_converter_refuses_costs_nothing(job, answered, monkeypatch):
    answered([(200, 0.0)])

    def refuse(_job, _artefact, entry):
        if entry["channels"] == "equalised":
            raise ConversionError("the converter fell")
        return b"as it is"

    monkeypatch.setattr(int8_tflite, "rebuild", refuse)
    write_int8_tflite(job, INT8)
    assert [one["channels"] for one in job.calibrations["tflite"]["tried"]] == ["as they are"]
    assert job.calibrations["tflite"]["channels"] == "as they are"
    assert (job.aside / INT8.name).read_bytes() == b"as it is"


def test_the_network_over_normalised_windows_is_the_model_without_its_normalisation(job):
    windows = job.dataset.train.windows[:64]
    expected = job.model.predict(windows)
    net = normalised_source(job)
    assert not isinstance(net.steps[0].operation, Scale)
    got = np.asarray(to_keras(net)(normalise(windows, job.spec)))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_record_from_before_channels_were_equalised_still_gives_its_file(job):
    rows = list(range(0, 512, 16))
    old = {"rows": rows, "float_layers": []}
    assert rebuild(job, INT8, old) == rebuild(job, INT8, old | {"channels": "as they are", "ranges": "minmax"})


def test_equalised_channels_are_built_again_byte_by_byte_and_answer_as_the_model_does(job):
    entry = {"rows": list(range(0, 2560, 20)), "channels": "equalised", "ranges": "99.7 %", "float_layers": []}
    content = rebuild(job, INT8, entry)
    assert content == rebuild(job, INT8, entry)
    (job.aside / INT8.name).write_bytes(content)
    windows = job.dataset.train.windows[held_back(job.dataset.train)[1]]
    got = TfliteModel.load(job.aside / INT8.name, job.spec).predict(windows)
    assert (got.argmax(axis=1) == job.model.predict(windows).argmax(axis=1)).mean() > 0.985
    for unknown in ({"channels": "sorted"}, {"ranges": "guess"}):
        with pytest.raises(KeyError):
            rebuild(job, INT8, entry | unknown)


class NoStrides(Calibration):
    """A draw of standing still and a little movement: its ranges cut off every real stride."""

    def rows(self, train, normalised):
        return np.abs(normalised).max(axis=(1, 2)).argsort()[750 : 750 + self.count]


def test_layers_stay_in_float_where_int8_cannot_keep_the_limits_and_the_record_rebuilds_the_file(job):
    write_int8_tflite(job, INT8, [NoStrides("quiet", 50, 0)])
    record, path = job.calibrations["tflite"], job.aside / INT8.name
    names = [row["layer"] for row in record["layer_errors"]]
    harm = [row["alone_mean_abs_diff"] for row in record["layer_errors"]]
    assert harm == sorted(harm, reverse=True)
    assert harm[0] > 5 * harm[-1]
    assert max(row["relative_error"] for row in record["layer_errors"]) > 0.1
    assert 0 < len(record["float_layers"]) < len(names)
    assert set(record["float_layers"]) <= set(names)
    assert set(record["float_layers"]) & set(names[:2])
    before, after = max(record["tried"], key=lambda one: one["accuracy"]), record["with_float_layers"]
    assert before["accuracy"] < before["reference_accuracy"] - 0.005
    assert after["accuracy"] >= after["reference_accuracy"] - 0.005

    model, train = TfliteModel.load(path, job.spec), job.dataset.train
    assert {end["dtype"] for end in ends(model).values()} == {"float32"}
    types = {np.dtype(details["dtype"]).name for details in model.interpreter.get_tensor_details()}
    assert {"int8", "float32"} <= types
    judges = held_back(train)[1]
    reference = job.model.predict(train.windows[judges])
    seen = compare(reference, model.predict(train.windows[judges]), train.class_ids[judges])
    assert seen.accuracy == after["accuracy"]
    assert seen.top1_agreement >= 0.985

    assert rebuild(job, INT8, record) == path.read_bytes()
    assert sorted(p.name for p in job.aside.iterdir()) == [INT8.name]
    card = _calibration({"tflite": record})
    assert f"{len(record['float_layers'])} layers stay in float32 (`{record['float_layers'][0]}`" in card
    assert f"{100 * before['accuracy']:.2f} % without and {100 * after['accuracy']:.2f} % with them" in card


LAYERS = list("abcdefg")


@given(st.lists(st.sets(st.sampled_from(LAYERS), min_size=1), min_size=1, max_size=3), st.permutations(LAYERS))
def test_of_the_layers_left_in_float_none_can_be_spared(enough, names):
    """Any superset of one of the sets in `enough` keeps the limits."""

    def keeps(layers):
        return any(wanted <= set(layers) for wanted in enough)

    found = smallest(names, keeps)
    if not found:
        assert not keeps(names[:-1])
        assert not any(len(wanted) == 1 for wanted in enough)
        return
    assert keeps(found)
    assert not any(keeps([other for other in found if other != name]) for name in found)
    assert (len(found) == 1) == any(len(wanted) == 1 for wanted in enough)
    assert len(found) < len(names)
