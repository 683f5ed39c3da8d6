"""Time series of the UCR and UEA archives: what they become, and what is refused with which words."""

import numpy as np
import pytest

from edgeconv.data import load_data
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

HEADER = """# made for a test
@problemName Waves
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength true
@seriesLength 3
@classLabel true up down
@data
"""
TRAIN = HEADER + "1,2,3:0.5,0.25,-1e-1:up\n4,5,6:7,8,9:down\n"
TEST = HEADER.replace("up down", "down up") + "-1,-2,-3:0,0,0:down\n"


@pytest.fixture
def write(tmp_path):
    def write(train=TRAIN, test=TEST):
        for end, text in (("TRAIN", train), ("TEST", test)):
            if text is not None:
                (tmp_path / f"Waves_{end}.ts").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize("name", ["", "Waves_TRAIN.ts", "Waves_TEST.ts"])
def test_whole_series_are_windows(write, name):
    dataset = load_data(write() / name, options={"rate": "12.5"})
    assert dataset.train.windows.tolist() == np.float32(
        [[[1, 0.5], [2, 0.25], [3, -0.1]], [[4, 7], [5, 8], [6, 9]]]
    ).tolist()  # fmt: skip
    assert dataset.test.windows[0, :, 0].tolist() == [-1, -2, -3]
    assert (dataset.labels, dataset.name, dataset.options) == (("up", "down"), "Waves", {"rate": "12.5"})
    assert (dataset.train.class_ids.tolist(), dataset.test.class_ids.tolist()) == ([0, 1], [1])
    assert [(channel.name, channel.unit) for channel in dataset.channels] == [("dim_0", "1"), ("dim_1", "1")]
    assert (dataset.sampling_rate_hz, dataset.window, dataset.hop) == (12.5, 3, 3)
    assert not dataset.subjects_known
    assert [*dataset.train.subjects, *dataset.test.subjects] == [1, 2, 3]


def test_a_univariate_file_may_say_little(write):
    short = "@univariate true\n@classLabel true 1 2\n@data\n1,2:1\n3,4:2\n"
    dataset = load_data(write(short, short))
    assert (dataset.train.windows.shape, dataset.name, dataset.sampling_rate_hz) == ((2, 2, 1), "Waves", 1.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("@equalLength true", "@equalLength false", r"line 7: .*different lengths; pad or cut"),
        ("@missing false", "@missing true", r"line 4: .*missing values; fill them"),
        ("@timeStamps false", "@timeStamps true", r"line 3: .*time stamps; resample"),
        ("@classLabel true up down", "@classLabel false", r"line 9: .*no class labels"),
        ("@classLabel true up down", "@targetLabel true", r"line 9: .*numbers to predict"),
        ("@classLabel true up down\n", "", "no line @classLabel true with two or more labels"),
        ("1,2,3:", "1,?,3:", r"line 11, dim_0: a number expected, '\?' seen; missing values"),
        ("1,2,3:", "1,NaN,3:", "line 11, dim_0: 'NaN' is no finite number; missing values"),
        ("1,2,3:", "(0,1),(1,2):", r"line 11, dim_0: .*time stamps"),
        ("1,2,3:", "1,2:", "line 11: dimensions of 2, 3 values"),
        ("1,2,3:0.5,0.25,-1e-1", "1,2:3,4", "line 11: 2 values in 2 dimensions; 3 in 2 expected"),
        ("4,5,6:", "", "line 12: 3 values in 1 dimensions; 3 in 2 expected"),
        (":up\n", ":left\n", r"line 11: a label \(up, down\) expected behind the last colon, 'left' seen"),
        ("@data\n", "1,2,3\n@data\n", "line 10: a line that begins with @ expected"),
        ("1,2,3:0.5,0.25,-1e-1:up\n4,5,6:7,8,9:down\n", "", "no series after @data"),
        ("true up down", "true up down left", "the same expected"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_do(write, old, new, words):
    assert old in TRAIN
    with pytest.raises(InputError, match=words):
        load_data(write(TRAIN.replace(old, new, 1)))


def test_both_sides_must_be_there_and_alike(write, tmp_path):
    with pytest.raises(MissingFileError, match=r"Waves_TEST.ts is not there"):
        load_data(write(test=None))
    with pytest.raises(
        InputError, match=r"series of 2 timesteps in 1 dimensions, and Waves_TRAIN.ts of 3 timesteps in 2"
    ):
        load_data(write(test="@classLabel true up down\n@data\n1,2:up\n"))
    (tmp_path / "Other_TRAIN.ts").write_text(TRAIN)
    with pytest.raises(InputError, match=r"holds 2 sets of .ts files"):
        load_data(tmp_path)
    (tmp_path / "any.ts").write_text(TRAIN)
    with pytest.raises(InputError, match=r"neither NAME_TRAIN.ts nor NAME_TEST.ts"):
        load_data(tmp_path / "any.ts")


def test_options_that_cannot_be_are_refused(write):
    with pytest.raises(UsageError, match="option rate is '0'; expected a number above 0"):
        load_data(write(), options={"rate": "0"})
