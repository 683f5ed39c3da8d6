import pytest

from edgeconv.evaluate.limits import Limits, UserLimits, limits_of
from edgeconv.runtime import MissingFileError, UsageError


@pytest.fixture
def load(tmp_path):
    def write(text):
        path = tmp_path / "limits.toml"
        path.write_text(text)
        return UserLimits.load(path)

    return write


def test_a_section_for_a_file_is_stronger_than_its_kind_s_precision_s_and_all(load):
    user = load(
        "[all]\naccuracy = 0.8\ntop1_agreement = 0.9\n[int8]\naccuracy_drop = 0.01\ntop1_agreement = 0.95\n"
        '["dense.int8.onnx"]\naccuracy_drop = 0.02\n["dense.hop3.int8.onnx"]\nmax_abs_diff = 0.5\n'
    )
    built_in = limits_of("dense.int8.onnx")
    seen = user.applied("dense.hop3.int8.onnx", built_in)
    assert (seen.accuracy, seen.accuracy_drop, seen.top1_agreement, seen.max_abs_diff) == (0.8, 0.02, 0.95, 0.5)
    assert seen.rebuilt_diff == built_in.rebuilt_diff, "what the user does not name stays"
    assert user.applied("model.int8.onnx", built_in).accuracy_drop == 0.01
    float_limits = limits_of("model.onnx")
    seen = user.applied("model.onnx", float_limits)
    assert (seen.accuracy, seen.accuracy_drop) == (0.8, None)
    assert seen.relative_logit_diff == float_limits.relative_logit_diff


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("[int9]\naccuracy = 1", r"section \[int9\] is not known; use all, float32"),
        ("[all]\nacuracy = 1", r"\[all\] has no figure 'acuracy'; choose from accuracy, accuracy_drop"),
        ("[all]\naccuracy = 90.0", r"accuracy is 90.0; give a number from 0 to 1"),
        ("[all]\naccuracy = true", r"accuracy is True; give a number"),
        ("[all]\naccuracy = 'high'", r"accuracy is 'high'; give a number"),
        ("all = 0.9", r"all = 0.9 stands outside a section"),
        ("[all", r"cannot be read as TOML"),
    ],
)
def test_a_file_that_says_something_else_is_refused(load, text, telling):
    with pytest.raises(UsageError, match=telling):
        load(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"limits.toml is not there"):
        UserLimits.load(tmp_path / "limits.toml")


def test_only_figures_that_have_a_limit_are_given():
    assert Limits(accuracy=0.9).given() == {"accuracy": 0.9}
    assert set(limits_of("model.onnx").given()) == {"relative_logit_diff"}
