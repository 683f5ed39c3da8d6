import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from edgeconv.data.dataset import Split
from edgeconv.data.synthetic import synthetic_har
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.runs.record import Run
from edgeconv.runtime import InputError, ModelSpec, UsageError
from edgeconv.runtime.conditioning.derive import Derived
from edgeconv.runtime.conditioning.filters import Filter
from edgeconv.runtime.plausibility.seen import seen_in
from edgeconv.train.config import TrainConfig
from edgeconv.train.fit import channel_statistics, fit
from edgeconv.train.folds import fold_names, make_fold
from edgeconv.train.place import make_spec, train
from edgeconv.train.protocol import lower_median, run_protocol
from edgeconv.train.summary import summary

CONFIG = TrainConfig(repeats=3, epochs=1, seed=7)


@pytest.fixture(scope="module")
def small():
    """A generated set that one epoch takes about a second for."""
    return synthetic_har(train_subjects=2, test_subjects=2)


@pytest.fixture(scope="module")
def undisturbed(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "walk"
    return out, train(small, CONFIG, out)


def weights(path):
    return KerasModel.load(path).model.get_weights()


def test_the_folder_gets_model_spec_and_training_record_and_nothing_else(undisturbed, small):
    out, training = undisturbed
    assert sorted(path.name for path in out.iterdir()) == ["model.keras", "spec.json", "training.json"]
    assert json.loads((out / "training.json").read_text()) == training
    assert [r["seed"] for r in training["repeats"]] == [7, 8, 9]
    assert training["config"]["network"] == "seed"
    assert training["data"]["content_hash"] == small.content_hash()
    assert training["data"]["synthetic"] is True
    assert training["data"]["test"]["subjects"] == [101, 102]
    assert {"edgeconv", "tensorflow", "keras", "numpy"} <= set(training["versions"])
    assert ModelSpec.load(out / "spec.json").name == "walk"
    assert "synthetic" in ModelSpec.load(out / "spec.json").trained_on


def test_the_saved_model_is_uncompiled_and_is_the_lower_median_repeat(undisturbed, small):
    out, training = undisturbed
    chosen = training["repeats"][training["chosen_repeat"] - 1]
    assert sorted(r["accuracy"] for r in training["repeats"])[1] == chosen["accuracy"]
    model = KerasModel.load(out / "model.keras")
    with zipfile.ZipFile(out / "model.keras") as archive:
        assert json.loads(archive.read("config.json")).get("compile_config") in (None, {})
    accuracy = (model.predict(small.test.windows).argmax(axis=1) == small.test.class_ids).mean()
    assert accuracy == chosen["accuracy"]


def test_the_figures_are_those_of_the_repeats(undisturbed, small):
    _, training = undisturbed
    accuracies = [r["accuracy"] for r in training["repeats"]]
    assert training["accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert training["accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    for repeat in training["repeats"]:
        confusion = np.array(repeat["confusion"])
        assert confusion.sum() == len(small.test)
        assert repeat["accuracy"] == pytest.approx(confusion.trace() / confusion.sum())
        assert set(repeat["per_subject"]) == {"101", "102"}


@pytest.mark.parametrize(
    ("accuracies", "position"),
    [([0.9], 0), ([0.9, 0.8], 1), ([0.7, 0.9, 0.8], 2), ([0.9, 0.7, 0.8, 0.6], 1), ([1, 1, 1], 1)],
)
def test_the_lower_median_is_one_of_the_runs(accuracies, position):
    assert lower_median(accuracies) == position


def test_same_seed_same_weights_and_another_seed_others(small):
    config = TrainConfig(epochs=1)
    names = [channel.name for channel in small.channels]
    one, again, other = (fit(small.train, names, 6, config, seed).model.get_weights() for seed in (3, 3, 4))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


class Stop:
    """Presses Ctrl-C in the first epoch of the second fit, and hears what is fitted."""

    def __init__(self, at=None):
        self.at, self.fitted, self.done = at, [], []

    def begun(self, run, records):
        self.names = [str(record.name) for record in records]

    def epoch(self, record, metrics):
        if str(record.name) == self.at:
            raise KeyboardInterrupt
        self.fitted.append(str(record.name))

    def finished(self, record, result):
        self.done.append(str(record.name))


def test_an_interrupted_run_keeps_finished_fits_and_the_same_call_gives_what_an_undisturbed_one_gives(
    undisturbed, small, tmp_path
):
    out, runs = tmp_path / "walk", tmp_path / "runs"
    stopped = Stop("official-seed008")
    with pytest.raises(KeyboardInterrupt):
        train(small, CONFIG, out, runs=runs, observers=[stopped])
    assert stopped.done == ["official-seed007"]
    assert not out.exists(), "no model before all repeats are done"

    again = Stop()
    resumed = train(small, CONFIG, out, runs=runs, observers=[again])
    assert set(again.fitted) == {"official-seed008", "official-seed009"}, "the finished repeat is not fitted again"
    assert again.done == again.names
    _, reference = undisturbed
    for a, b in zip(resumed["repeats"], reference["repeats"], strict=True):
        assert {**a, "fit_s": 0, "at": 0} == {**b, "fit_s": 0, "at": 0}
    for a, b in zip(weights(out / "model.keras"), weights(undisturbed[0] / "model.keras"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_repeats_are_fits_of_the_same_run_and_another_config_is_another_run(small, tmp_path):
    one = TrainConfig(repeats=1, epochs=1)
    run, _ = run_protocol(small, one, tmp_path)
    heard = Stop()
    same, records = run_protocol(small, replace(one, repeats=2), tmp_path, observers=[heard])
    assert same.id == run.id
    assert heard.fitted == ["official-seed002"]
    assert all(record.finished for record in records)
    other, _ = run_protocol(small, replace(one, epochs=2), tmp_path)
    assert other.id != run.id
    assert {path.name for path in tmp_path.iterdir()} == {run.id, other.id}


def test_a_run_says_what_decided_it_and_a_fit_what_it_gave(small, tmp_path):
    run, (record,) = run_protocol(small, TrainConfig(repeats=1, epochs=2), tmp_path)
    about = Run.open(run.folder).about()
    assert about["config"]["epochs"] == 2
    assert about["network"]["parameters"] == 411_650
    assert about["network"]["multiply_adds"] == 2_138_840
    assert about["data"]["content_hash"] == small.content_hash()
    assert [line["epoch"] for line in record.metrics()] == [1, 2]
    assert record.metrics()[1]["loss"] < record.metrics()[0]["loss"]
    result = record.result()
    assert result["machine"]["cores"] >= 1
    assert 0 <= result["calibration_error"] <= 1
    assert np.sum(result["confusion"]) == len(small.test) == result["test_windows"]


@pytest.mark.parametrize("split", ["folds", "random", "leave-one-subject-out"])
def test_folds_test_every_training_window_once_and_never_a_test_subject(small, split):
    config = TrainConfig(split=split, folds=2)
    folds = [make_fold(small, config, name) for name in fold_names(small, config)]
    tested = np.concatenate([fold.test.windows for fold in folds])
    assert len(tested) == len(small.train)
    key = lambda windows: sorted(windows.reshape(len(windows), -1).sum(axis=1, dtype=np.float64))  # noqa: E731
    assert key(tested) == key(small.train.windows)
    for fold in folds:
        assert len(fold.train) + len(fold.test) == len(small.train)
        shared = np.intersect1d(fold.train.subjects, fold.test.subjects)
        assert (len(shared) > 0) == (split == "random")
    assert len(folds) == 2


def test_more_folds_than_subjects_are_refused(small):
    with pytest.raises(UsageError, match=r"5 folds needs at least 5 training subjects, and .* has 2"):
        fold_names(small, TrainConfig(split="folds"))


@pytest.mark.parametrize("split", ["folds", "leave-one-subject-out"])
def test_a_set_that_does_not_say_who_was_recorded_is_not_split_by_subject(small, split):
    unknown = replace(small, subjects_known=False)
    with pytest.raises(UsageError, match=r"does not say who was recorded.*take --split official or random"):
        fold_names(unknown, TrainConfig(split=split, folds=2))
    assert len(fold_names(unknown, TrainConfig(split="random", folds=2))) == 2
    assert fold_names(unknown, TrainConfig()) == ["official"]


def test_a_side_without_windows_is_refused_where_it_is_needed(small):
    nothing = Split(small.test.windows[:0], small.test.class_ids[:0], small.test.subjects[:0])
    with pytest.raises(UsageError, match="no windows on its test side"):
        fold_names(replace(small, test=nothing), TrainConfig())
    assert len(fold_names(replace(small, test=nothing), TrainConfig(split="folds", folds=2))) == 2
    with pytest.raises(UsageError, match="no windows on its train side"):
        fold_names(replace(small, train=nothing), TrainConfig(split="random"))


def test_a_cross_validation_fits_each_fold_and_says_what_all_say_together(small, tmp_path):
    run, records = run_protocol(small, TrainConfig(split="folds", folds=2, repeats=1, epochs=1), tmp_path)
    assert [record.name.fold for record in records] == ["folds-1", "folds-2"]
    together = summary(run.results())
    right = sum(np.trace(result["confusion"]) for result in run.results())
    assert together["accuracy_mean"] == pytest.approx(right / len(small.train))
    assert together["accuracy_sd"] is None
    assert set(together["per_subject"]) == {"1", "2"}
    with pytest.raises(UsageError, match="not from folds"):
        train(small, TrainConfig(split="folds", folds=2), tmp_path / "m", runs=tmp_path)


def test_a_trained_folder_is_only_replaced_when_asked_and_then_loses_what_was_exported_from_the_old_model(
    small, tmp_path
):
    config = TrainConfig(repeats=1, epochs=1)
    train(small, config, tmp_path / "m")
    (tmp_path / "m" / "model.onnx").write_bytes(b"of the old model")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds a trained model"):
        train(small, config, tmp_path / "m")
    train(small, config, tmp_path / "m", overwrite=True)
    assert not (tmp_path / "m" / "model.onnx").exists()
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_a_split_that_shares_a_subject_is_refused_unless_asked_for_by_name(small, tmp_path):
    test = small.test
    subjects = np.where(test.subjects == 101, 1, test.subjects)
    leaking = replace(small, test=Split(test.windows, test.class_ids, subjects))
    config = TrainConfig(repeats=1, epochs=1)
    with pytest.raises(InputError, match=r"subjects 1 are in both train and test.*--allow-shared-subjects"):
        train(leaking, config, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    training = train(leaking, config, tmp_path / "m", allow_shared_subjects=True)
    assert training["config"]["allow_shared_subjects"] is True


def test_the_spec_keeps_range_and_mean_norm_of_the_training_windows(small):
    windows = small.train.windows
    spec = make_spec(small, TrainConfig(), "m", "1")
    assert [c.minimum for c in spec.channels] == pytest.approx(windows.min(axis=(0, 1)).tolist())
    assert [c.maximum for c in spec.channels] == pytest.approx(windows.max(axis=(0, 1)).tolist())
    assert [t.name for t in spec.triads] == ["total_acc", "body_acc", "body_gyro"]
    norms = np.linalg.norm(windows[:, :, :3].astype(np.float64), axis=2)
    assert spec.triads[0].mean_norm == pytest.approx(norms.mean())
    assert not spec.normalises
    mean, std = channel_statistics(windows)
    standardised = make_spec(small, TrainConfig(standardise=True), "m", "1")
    assert [c.mean for c in standardised.channels] == mean.tolist()
    assert [c.std for c in standardised.channels] == std.tolist()


def test_the_spec_keeps_what_a_window_looked_like_and_how_channels_are_derived(small):
    derived = (Derived("body_acc_x", "acc_x", (Filter("median", 3),)),)
    spec = make_spec(replace(small, derived=derived), TrainConfig(), "m", "1")
    assert spec.seen == seen_in(small.train.windows, small.channels, small.sampling_rate_hz)
    assert [triad.name for triad in spec.seen.triads] == [triad.name for triad in spec.triads]
    assert spec.derived == derived


def test_a_constant_channel_is_divided_by_one():
    windows = np.zeros((3, 4, 2), np.float32)
    windows[:, :, 1] = 5
    mean, std = channel_statistics(windows)
    assert (mean.tolist(), std.tolist()) == ([0, 5], [1, 1])


@pytest.mark.parametrize("value", [{"repeats": 0}, {"epochs": 0}, {"batch_size": 0}, {"seed": -1}])
def test_numbers_that_make_no_sense_are_refused(value):
    with pytest.raises(UsageError, match=f"{next(iter(value))} is"):
        TrainConfig(**value)
