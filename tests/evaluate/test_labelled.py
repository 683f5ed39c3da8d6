"""labels.csv: what is read, and what is refused with its line."""

import pytest

from edgeconv.evaluate.labelled import Segment, Truth, read_labels
from edgeconv.evaluate.spans import Span
from edgeconv.runtime.errors import InputError, MissingFileError

HEADER = "recording,start_s,end_s,label"


@pytest.fixture
def read(tmp_path):
    def read(*lines):
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_labels(tmp_path / "labels.csv")

    return read


def test_segments_come_by_recording_and_in_time_order_with_other_columns_left_alone(read):
    found = read(
        "\ufefflabel,recording,end_s,start_s,subject,note", "B,one,4.5,2.0,07,", "A,one,2.0,0,07,x", "",
        '"A, fast",two,1,0.5,,',
    )  # fmt: skip
    assert found == {
        "one": Truth((Segment(0, 2, "A"), Segment(2, 4.5, "B")), "07"),
        "two": Truth((Segment(0.5, 1, "A, fast"),), None),
    }


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["recording,start_s,label"], "no column 'end_s'"),
        ([""], "no column 'recording'"),
        ([HEADER], "no segments"),
        ([HEADER, "a,0,1,A", "a,1,x,B"], "line 3: end_s is 'x'; expected seconds from 0"),
        ([HEADER, "a,-1,1,A"], "line 2: start_s is '-1'"),
        ([HEADER, "a,0,inf,A"], "line 2: end_s is 'inf'"),
        ([HEADER, "a,0,1"], "line 2: 3 values; expected 4"),
        ([HEADER, "a,0,1,"], "line 2: recording 'a' and label ''"),
        ([HEADER, "a,2,1,A"], "line 2: the segment ends at 1 s and starts at 2 s"),
        ([HEADER, "a,1,1,A"], "line 2: the segment ends at 1 s"),
        ([HEADER, "a,0,2,A", "b,0,2,A", "a,1.5,3,B"], "line 4: B of a starts at 1.5 s, before A ends at 2 s"),
        ([f"{HEADER},subject", "a,0,1,A,1", "a,1,2,A,2"], "line 3: a is of subject 2, and of 1 in an earlier line"),
        ([HEADER, 'a,0,1,"A'], "line 2: no CSV"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(read, lines, words):
    with pytest.raises(InputError, match=words):
        read(*lines)


def test_a_file_that_is_not_there_or_no_text_is_said_so(tmp_path):
    with pytest.raises(MissingFileError, match="is not there"):
        read_labels(tmp_path / "gone.csv")
    (tmp_path / "no.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_labels(tmp_path / "no.csv")


def test_in_samples_segments_are_cut_at_the_end_joined_where_they_touch_and_unknown_where_the_label_is():
    truth = Truth(
        (Segment(0, 1, "A"), Segment(1, 2, "A"), Segment(2.04, 3, "X"), Segment(3, 4, "Y"), Segment(4, 9, "B"),
         Segment(9, 10, "A")),
        None,
    )  # fmt: skip
    # 2.04 s is sample 20.4, so sample 20; X and Y stay two, and the last one lies behind the end
    assert truth.spans(10, 60, ["A", "B"]) == (
        Span(0, 20, "A"), Span(20, 30, "unknown"), Span(30, 40, "unknown"), Span(40, 60, "B")
    )  # fmt: skip
