"""What a folder's exports are compared with must answer probabilities."""

import numpy as np
import pytest

from edgeconv import folder as files
from edgeconv.evaluate.reference import load_reference, reference_file, require_probabilities, why_no_probabilities
from edgeconv.runtime import CheckError, MissingFileError


def test_probabilities_pass_with_the_noise_of_float16():
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet(np.ones(5), 200)
    for values in (drawn, drawn.astype(np.float16)):
        assert why_no_probabilities(values.astype(np.float32)) is None


@pytest.mark.parametrize(
    ("row", "telling"),
    [
        ([0.5, 0.2, 0.2], "on 1 of 3 windows.*window 1: lowest 0.2, sum 0.9.*a sigmoid for each class"),
        ([1.2, -0.2, 0.0], "window 1: lowest -0.2, sum 1.*--logits"),
        ([4.0, -2.0, 0.5], "sum 2.5.*--logits"),
    ],
)
def test_other_answers_are_named_with_the_first_window_and_the_way_out(row, telling):
    answers = np.array([[0.2, 0.3, 0.5], row, [1, 0, 0]], np.float32)
    with pytest.raises(CheckError, match=telling):
        require_probabilities(answers)


def test_what_is_not_finite_is_left_to_the_comparison():
    assert why_no_probabilities(np.array([[np.nan, 1.0]], np.float32)) is None


def test_the_original_is_the_reference_where_it_is_there(tmp_path):
    assert reference_file(tmp_path) == files.KERAS
    with pytest.raises(MissingFileError, match=r"model.keras is not there"):
        load_reference(tmp_path)
    (tmp_path / files.ORIGINAL).write_bytes(b"")
    assert reference_file(tmp_path) == files.ORIGINAL
