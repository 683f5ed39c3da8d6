"""Events as text: what is written reads back, and a table fits a terminal."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import Event, UsageError
from edgeconv.runtime.sinks import open_event_sink

FIELDS = ["recording", "start_s", "end_s", "label", "confidence", "known_s", "windows"]
texts = st.text(max_size=12)
times = st.integers(0, 10**9).map(lambda microseconds: microseconds / 1e6)
marks = st.lists(st.sampled_from(["unit", "turning"]), max_size=2, unique=True).map(tuple)
events = st.builds(Event, texts, times, times, st.floats(0, 1), times, st.integers(1, 10**6), marks)


def written(kind, found, recording="walk", *, marked=False, labels=("sit", "walk")):
    stream = io.StringIO(newline="")
    sink = open_event_sink(kind, stream, labels, marks=marked)
    for event in found:
        sink.write(recording, event)
    sink.close()
    return stream.getvalue()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(found=st.lists(events, max_size=3), recording=texts, marked=st.booleans())
def test_json_lines_and_csv_read_back(found, recording, marked):
    lines = [json.loads(line) for line in written("jsonl", found, recording, marked=marked).split("\n")[:-1]]
    rows = list(csv.DictReader(io.StringIO(written("csv", found, recording, marked=marked), newline="")))
    assert len(lines) == len(rows) == len(found)
    for event, line, row in zip(found, lines, rows, strict=True):
        assert list(line) == list(row) == FIELDS + ["implausible"] * marked
        expected = {name: getattr(event, name) for name in FIELDS[1:]}
        assert {name: line[name] for name in expected} == expected
        assert {name: type(value)(row[name]) for name, value in expected.items()} == expected
        assert line["recording"] == row["recording"] == recording
        if marked:
            assert line["implausible"] == list(event.implausible) == row["implausible"].split()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(found=st.lists(events, max_size=3), recording=texts)
def test_a_table_has_a_line_for_each_event_and_fits_a_terminal(found, recording):
    lines = written("table", found, recording, marked=True).removesuffix("\n").split("\n")
    assert len(lines) == 1 + len(found)
    assert max(map(len, lines)) <= 80


def test_a_table_shows_times_label_confidence_and_doubt():
    text = written("table", [Event("walk", 1.0, 63.5, 0.876, 2.0, 48, ("unit",))], marked=True)
    assert text.splitlines()[1].split() == ["walk", "1.00", "63.50", "walk?", "88%", "48"]


def test_another_format_is_refused():
    with pytest.raises(UsageError, match="there is no output format 'xml'"):
        open_event_sink("xml", io.StringIO(), ("sit",))
