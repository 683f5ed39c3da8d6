"""Sinks: what they write reads back, a line at a time."""

import csv
import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.sinks import open_sink
from edgeconv.runtime.sinks.sink import format_seconds

HAR = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
FORMATS = ("table", "jsonl", "csv")
FIELDS = ["recording", "start_s", "end_s", "label", "confidence"]


@dataclass(frozen=True)
class Answer:
    start_s: float
    end_s: float
    class_id: int
    label: str
    confidence: float
    probabilities: NDArray[np.float32]


def answer(probabilities, labels=HAR, start_s=1.28) -> Answer:
    values = np.asarray(probabilities, np.float32)
    best = int(values.argmax())
    return Answer(start_s, start_s + 2.56, best, labels[best], float(values[best]), values)


def written(kind, answers, labels=HAR, recording="walk.csv") -> str:
    stream = io.StringIO()
    sink = open_sink(kind, stream, labels)
    for one in answers:
        sink.write(recording, one)
    sink.close()
    return stream.getvalue()


WALKING_DOWN = answer([0.01, 0.04, 0.9, 0.02, 0.02, 0.01])


class Recorder(io.StringIO):
    """A stream that remembers each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.flushed = 0

    def write(self, text: str) -> int:
        self.calls.append(text)
        return super().write(text)

    def flush(self) -> None:
        self.flushed += 1


@pytest.mark.parametrize("kind", FORMATS)
def test_each_prediction_is_one_whole_line_in_one_call(kind):
    stream = Recorder()
    sink = open_sink(kind, stream, HAR)
    before = len(stream.calls)
    for _ in range(3):
        sink.write("walk.csv", WALKING_DOWN)
    assert len(stream.calls) == before + 3
    assert all(call.endswith("\n") and call.count("\n") == 1 for call in stream.calls)


@pytest.mark.parametrize("kind", FORMATS)
def test_close_flushes_the_stream_and_leaves_it_open(kind):
    stream = Recorder()
    sink = open_sink(kind, stream, HAR)
    sink.close()
    assert stream.flushed == 1
    assert not stream.closed


def test_an_unknown_format_is_a_usage_error_that_names_the_formats():
    with pytest.raises(UsageError, match=r"'xml'; expected one of table, jsonl, csv"):
        open_sink("xml", io.StringIO(), HAR)  # type: ignore[arg-type]


def test_a_json_line_has_the_fields_in_order_and_probabilities_in_label_order():
    (line,) = written("jsonl", [WALKING_DOWN]).splitlines()
    data = json.loads(line)
    assert list(data) == [*FIELDS, "probabilities"]
    assert list(data["probabilities"]) == list(HAR)
    assert line.startswith(
        '{"recording": "walk.csv", "start_s": 1.28, "end_s": 3.84, "label": "WALKING_DOWNSTAIRS", '
        '"confidence": 0.899999976'
    )


def test_csv_has_a_header_with_a_column_for_each_class():
    header, row = csv.reader(io.StringIO(written("csv", [WALKING_DOWN])))
    assert header == [*FIELDS, *(f"probability_{label}" for label in HAR)]
    assert row[:4] == ["walk.csv", "1.28", "3.84", "WALKING_DOWNSTAIRS"]


def test_csv_without_predictions_is_a_header():
    assert written("csv", []).startswith("recording,start_s,")
    assert written("csv", []).count("\n") == 1


def test_labels_that_are_not_ascii_stay_readable():
    labels = ("走る", "müde")
    for kind in FORMATS:
        text = written(kind, [answer([0.75, 0.25], labels)], labels)
        assert "走る" in text
        assert "müde" in text


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
simplex = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8)


@settings(derandomize=True, deadline=None)
@given(st.data(), simplex, names, st.floats(0, 1e6))
def test_json_lines_read_back_bit_for_bit_whatever_the_names(data, probabilities, recording, start_s):
    size = len(probabilities)
    labels = tuple(data.draw(st.lists(names, min_size=size, max_size=size, unique=True)))
    one = answer(probabilities, labels, start_s)
    text = written("jsonl", [one, one], labels, recording)
    lines = text.split("\n")
    assert lines[0] == lines[1]
    assert lines[2:] == [""]
    read = json.loads(lines[0])
    assert (read["recording"], read["label"]) == (recording, one.label)
    assert np.float32(read["confidence"]) == np.float32(one.confidence)
    assert tuple(read["probabilities"]) == labels
    np.testing.assert_array_equal(np.array(list(read["probabilities"].values()), np.float32), one.probabilities)
    assert read["start_s"] == pytest.approx(start_s, abs=5.1e-7)


@settings(derandomize=True, deadline=None)
@given(st.data(), simplex, names, st.floats(0, 1e6))
def test_csv_reads_back_bit_for_bit_whatever_the_names(data, probabilities, recording, start_s):
    size = len(probabilities)
    labels = tuple(data.draw(st.lists(names, min_size=size, max_size=size, unique=True)))
    one = answer(probabilities, labels, start_s)
    header, row = csv.reader(io.StringIO(written("csv", [one], labels, recording), newline=""))
    assert header[5:] == [f"probability_{label}" for label in labels]
    assert (row[0], row[3]) == (recording, one.label)
    np.testing.assert_array_equal(np.array([float(cell) for cell in row[5:]], np.float32), one.probabilities)


@settings(derandomize=True)
@given(st.floats(0, width=32, allow_infinity=False))
def test_any_float32_from_zero_up_reads_back_bit_for_bit(value):
    one = Answer(0.0, 2.56, 0, "a", value, np.array([value, 0], np.float32))
    read = json.loads(written("jsonl", [one], ("a", "b")))
    assert np.float32(read["probabilities"]["a"]).tobytes() == np.float32(value).tobytes()


def test_a_probability_that_is_not_finite_is_null_in_json():
    one = Answer(0.0, 2.56, 0, "a", float("nan"), np.array([np.nan, 0.25], np.float32))
    data = json.loads(written("jsonl", [one], ("a", "b")))
    assert data["confidence"] is None
    assert data["probabilities"] == {"a": None, "b": 0.25}


def test_percent_signs_in_labels_are_only_text():
    labels = ("100%", "%.9g")
    data = json.loads(written("jsonl", [answer([0.75, 0.25], labels)], labels))
    assert data["probabilities"] == {"100%": 0.75, "%.9g": 0.25}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_name_that_is_not_utf8_can_be_written(kind):
    text = written(kind, [WALKING_DOWN], recording="w\udcff.csv")
    assert r"w\udcff.csv" in text.replace("\\\\", "\\")
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.56, "2.56"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333"),
        (1280.0, "1280"),
        (20.0, "20"),
        (1e9, "1" + "0" * 9),
    ],
)
def test_seconds_have_at_most_six_decimals_and_no_noise(value, text):
    assert format_seconds(value) == text


def test_the_table_is_aligned_and_fits_80_columns_for_six_activities():
    answers = [answer(np.roll([0.9, 0.1, 0, 0, 0, 0], i), start_s=i * 9000.0) for i in range(6)]
    lines = written("table", answers, recording="subject07_walking_downstairs_waist.csv").splitlines()
    assert lines[0].split() == ["recording", "start_s", "end_s", "label", "conf", "runner-up"]
    assert max(map(len, lines)) <= 80
    column = lines[0].index("label")
    assert [line[column:].split()[0] for line in lines[1:]] == list(HAR)
    assert all(line.startswith("subjec…st.csv ") for line in lines[1:])
    assert lines[1].endswith("90%  10% WALKING_UPSTAIRS")
    assert " 45000.00 45002.56  " in lines[6]


def test_the_table_shortens_long_labels_in_the_middle_and_keeps_columns_aligned():
    labels = ("a" * 30 + "z", "歩いている", "b")
    text = written("table", [answer(np.roll([0.75, 0.25, 0], i), labels) for i in range(3)], labels)
    first, second, third = text.splitlines()[1:]
    assert "aaaaaaaaa…aaaaaaaz" in first
    # Each ideograph takes two columns of the terminal.
    assert first.index("75%") == second.index("75%") + 5 == third.index("75%")


def test_the_table_lets_no_name_break_a_line_or_command_the_terminal():
    text = written("table", [WALKING_DOWN], recording="a\nb\x1b[2J")
    assert text.count("\n") == 2
    assert "a?b?[2J" in text
