"""A config comes from the network's recipe, a TOML file and options, in this order."""

import pytest

from edgeconv.runtime import InputError, UsageError
from edgeconv.train.config import TrainConfig, make_config
from edgeconv.train.networks import INERTIAL, build, network_of, source_of
from edgeconv.train.summary import summary


def test_options_win_over_the_file_and_the_file_over_the_recipe(tmp_path):
    file = tmp_path / "walk.toml"
    file.write_text('network = "edge"\nepochs = 7\nnoise = 0.3\n[options]\nkernel_size = 7\n')
    config = make_config(None, file, {"noise": 0.1, "repeats": None, "options": {"dropout": 0.5}})
    assert (config.network, config.epochs, config.noise) == ("edge", 7, 0.1)
    assert config.options == {"kernel_size": 7, "dropout": 0.5}
    assert config.rotation_deg == INERTIAL["rotation_deg"]
    assert config.repeats == TrainConfig().repeats
    assert make_config("seed") == TrainConfig()


def test_a_split_of_many_folds_has_one_repeat_where_nobody_says_how_many(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("repeats = 4\n")
    assert make_config("edge", None, {"split": "folds"}).repeats == 1
    assert make_config("edge", file, {"split": "folds"}).repeats == 4
    assert make_config("edge", file, {"split": "folds", "repeats": 3}).repeats == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "'epoch' is not known; the names are network, repeats, epochs"),
        ("epochs = 3.5", "epochs is 3.5; expected int"),
        ("epochs = true", "epochs is True; expected int"),
        ("options = 3", "options is 3; expected a table"),
        ("epochs = ", "cannot be read as TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, text, message):
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        make_config(None, file)


@pytest.mark.parametrize(
    "value",
    [{"learning_rate": 0}, {"label_smoothing": 2}, {"schedule": "step"}, {"split": "half"}, {"folds": 1}, {"noise": -1},
     {"class_weights": "inverse"}, {"learning_rate": float("nan")}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(value):
    with pytest.raises(UsageError, match=f"{next(iter(value))} is"):
        TrainConfig(**value)


def test_a_network_of_ones_own_is_a_function_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_nets_of_this_test.py").write_text(
        "import keras\n\n\ndef small(windows, classes, *, filters=4):\n"
        "    x = keras.layers.Conv1D(filters, 3, activation='relu')(windows)\n"
        "    return keras.layers.Dense(classes, activation='softmax')(keras.layers.GlobalMaxPooling1D()(x))\n\n\n"
        "number = 3\n\n\ndef wrong(windows, classes):\n    return windows\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "my_nets_of_this_test:small"
    model = build(name, 20, 2, 3, options={"filters": 5})
    assert model.count_params() == 2 * 3 * 5 + 5 + 5 * 3 + 3
    assert "filters=4" in source_of(name)
    assert source_of("edge") is None
    with pytest.raises(UsageError, match=r"has no option kernel; its options are: filters \(4\)"):
        build(name, 20, 2, 3, options={"kernel": 5})
    for missing in ("my_nets_of_this_test:tall", "no_such_module_here:small"):
        with pytest.raises(UsageError, match="cannot be imported"):
            network_of(missing)
    with pytest.raises(UsageError, match="is a int, not a function"):
        network_of("my_nets_of_this_test:number")
    with pytest.raises(UsageError, match=r"answers \[20, 2\] for each window; expected \[3\]"):
        build("my_nets_of_this_test:wrong", 20, 2, 3)


def result(fold, seed, confusion, per_subject):
    return {
        "fold": fold, "seed": seed, "confusion": confusion, "per_subject": per_subject,
        "per_class": [{"label": "A"}, {"label": "B"}], "negative_log_likelihood": 0.5, "calibration_error": 0.1,
    }  # fmt: skip


def test_a_summary_pools_the_folds_of_a_repeat_and_spreads_over_repeats():
    results = [
        result("folds-1", 1, [[8, 2], [0, 10]], {"1": 0.9}),
        result("folds-2", 1, [[5, 0], [0, 5]], {"2": 1.0}),
        result("folds-1", 2, [[10, 0], [4, 6]], {"1": 0.8}),
        result("folds-2", 2, [[5, 0], [1, 4]], {"2": 0.9}),
    ]
    found = summary(results)
    first, second = 28 / 30, 25 / 30
    assert found["accuracy_mean"] == pytest.approx((first + second) / 2)
    assert found["accuracy_sd"] == pytest.approx(abs(first - second) / 2**0.5)
    # Student's t with one degree of freedom, 12.706, times the standard error
    half = 12.706 * found["accuracy_sd"] / 2**0.5
    assert found["accuracy_interval"] == pytest.approx([found["accuracy_mean"] - half, found["accuracy_mean"] + half])
    assert found["per_subject"] == pytest.approx({"1": 0.85, "2": 0.95})
    assert found["worst_subject"] == {"subject": "1", "accuracy": pytest.approx(0.85)}
    assert found["recall"] == pytest.approx({"A": 28 / 30, "B": 25 / 30})
