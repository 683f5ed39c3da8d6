"""Payloads of live sources: what is accepted, and what is said of the rest."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import InputError
from edgeconv.runtime.sources.messages import Decoder, Lines

TEXT = Decoder(("acc_x", "acc_y"))
NAN = float("nan")


def decoded(payload, decoder=TEXT):
    names, values = decoder.decode(payload if isinstance(payload, bytes) else payload.encode())
    assert values.dtype == np.float64
    return names, values.tolist()


NAMED, BARE = ("acc_x", "acc_y"), None


@pytest.mark.parametrize(
    ("payload", "names", "values"),
    [
        ('{"acc_x": 1, "acc_y": 2.5}', NAMED, [[1, 2.5]]),
        ('{"acc_y": [2, 4], "acc_x": [1, 3], "who": "me", "mood": [null]}', NAMED, [[1, 2], [3, 4]]),
        ('{"acc_x": 1, "acc_y": [2]}', NAMED, [[1, 2]]),
        ('[{"acc_x": 1, "acc_y": 2}, {"acc_y": 4, "acc_x": 3, "note": "x"}]', NAMED, [[1, 2], [3, 4]]),
        ('{"samples": [[2, "a", 1], [4, "b", 3]], "columns": ["acc_y", "note", "acc_x"]}', NAMED, [[1, 2], [3, 4]]),
        ('{"samples": [[1, 2], [3, 4]]}', BARE, [[1, 2], [3, 4]]),
        ("[[1, 2], [3, 4]]", BARE, [[1, 2], [3, 4]]),
        ("[1, 2]", BARE, [[1, 2]]),
        ("1,2\n3,4\n", BARE, [[1, 2], [3, 4]]),
        ("1 2", BARE, [[1, 2]]),
        ("\n1;2;3\r\n", BARE, [[1, 2, 3]]),
        ("acc_y\tacc_x\n2\t1\n", NAMED, [[1, 2]]),
        ('\ufeffnote,"acc_x",acc_y\n"a, b",1,2\n', NAMED, [[1, 2]]),
        ("1e3,-.5", BARE, [[1000, -0.5]]),
        ('{"acc_x": 1700000000123, "acc_y": 1e300}', NAMED, [[1700000000123, 1e300]]),
    ],
)
def test_the_shapes_of_a_text_payload(payload, names, values):
    assert decoded(payload) == (names, values)


@pytest.mark.parametrize(
    "payload",
    ['{"acc_x": null, "acc_y": 2}', '[{"acc_y": 2}, {"acc_x": 1, "acc_y": 2}]', "acc_x,acc_y\n,2", "nan,2", "[NaN, 2]"],
)
def test_a_missing_value_is_nan(payload):
    _, values = decoded(payload)
    assert np.isnan(values[0][0])
    assert values[0][1] == 2


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2026-11-23T12:00:00Z", 1795435200),
        ("2026-11-23 12:00:00.25", 1795435200.25),
        ("2026-11-23T13:00:00+01:00", 1795435200),
    ],
)
def test_a_time_in_iso_8601_becomes_seconds(time, seconds):
    decoder = Decoder(("t", "acc_x"))
    assert decoded(json.dumps({"t": time, "acc_x": 1}), decoder) == (("t", "acc_x"), [[seconds, 1]])
    assert decoded(f"{time},1", decoder) == (None, [[seconds, 1]])


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "the message is empty"),
        (b"\xff\xfe\x00", "this is not UTF-8 text"),
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ("{}", "there is no 'acc_x'; the columns are none"),
        ('{"acc_x": 1, "acc_z": 2}', "there is no 'acc_y'; the columns are 'acc_x', 'acc_z'"),
        ('{"acc_x": [1, 2], "acc_y": 3}', "the columns have 1 and 2 values"),
        ('{"acc_x": [], "acc_y": []}', "the columns have 0 values"),
        ('{"acc_x": "fast", "acc_y": 1}', "column 'acc_x' holds 'fast', which is not a number"),
        ('{"acc_x": {}, "acc_y": 1}', "column 'acc_x' holds '{}', which is not a number"),
        ('{"acc_x": [[1]], "acc_y": [1]}', "column 'acc_x' holds '[1]', which is not a number"),
        ('{"acc_x": 1' + "0" * 400 + ', "acc_y": 1}', "which is not a number"),
        ("[]", "this JSON is no samples"),
        ("[[1, 2], 3]", "this JSON is no samples"),
        ('{"samples": 3, "x": 1}', "there is no 'acc_x'"),
        ("[[1, 2], [3]]", "not all of one length"),
        ('{"samples": [[1, 2]], "columns": ["acc_x"]}', "expected 2 names"),
        ('{"samples": [[1, 2]], "columns": ["acc_x", "acc_x"]}', "there are several 'acc_x'"),
        ("hello", "holds 'hello', which is not a number"),
        ("1,2\n3", "a line has 1 cell; expected 2"),
        ("acc_x,acc_y\n", "there is a header and no sample"),
        ("acc_x,acc_z\n1,2", "there is no 'acc_y'"),
        ('1,"2', "cannot be split into cells"),
    ],
)
def test_what_is_wrong_with_a_payload_is_said(payload, words):
    with pytest.raises(InputError) as error:
        decoded(payload)
    assert words in str(error.value)
    assert len(str(error.value)) < 400


def test_packed_values_are_little_endian_and_whole_samples():
    decoder = Decoder(("a", "b", "c"), "float32")
    samples = np.arange(6, dtype="<f4").reshape(2, 3)
    assert decoded(samples.tobytes(), decoder) == (None, samples.tolist())
    for size in (0, 4, 8, 23):
        with pytest.raises(
            InputError, match=f"has {size} bytes, no whole number of samples: 3 values in float32 take 12"
        ):
            decoder.decode(bytes(size))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(payload):
    for decoder in (TEXT, Decoder(("a", "b"), "float32")):
        try:
            _, values = decoder.decode(payload)
        except InputError:
            continue
        assert values.ndim == 2
        assert len(values) > 0


LINES = [
    "acc_x,acc_y,note",
    "1,2,a",
    '{"acc_x": 3, "acc_y": [4]}',
    "",
    "5,6,b",
    "words",
    "7,8",
    "9,ten,c",
    "11,12,d",
    "acc_y,acc_x",
    "14,13",
    "{",
    "[15, 16]",
]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 120), max_size=12))
def test_lines_are_the_same_however_they_are_cut(cuts):
    data = "\r\n".join(LINES).encode() + b"\n"
    lines, found = Lines(TEXT), []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        found += lines.push(data[start:end])
    rows = [row for each in found if not isinstance(each, InputError) for row in each[1].tolist()]
    assert rows == [[n, n + 1] for n in range(1, 17, 2) if n not in (7, 9)]
    assert sum(isinstance(each, InputError) for each in found) == 4
    assert lines.finish() == []


def test_a_line_that_never_ends_is_refused_and_the_next_one_is_taken():
    lines = Lines(TEXT)
    (error,) = lines.push(b"1," * 50_000)
    assert "a line is longer than 64 KiB" in str(error)
    assert lines.push(b"9\n1,2\n")[0][1].tolist() == [[1, 2]]
    assert lines.push(b"3,4") == []
    (error,) = lines.finish()
    assert str(error) == "the last line never ended: '3,4'"


@pytest.mark.parametrize(
    ("first", "taken"),
    [("25,2", []), ("acc_y,acc_x", []), ('{"acc_x": 7, "acc_y": 8}', [[7, 8]]), ('x": 7, "acc_y": 8}', [])],
)
def test_where_reading_begins_inside_a_line_only_a_whole_first_line_counts(first, taken):
    lines = Lines(TEXT, starts_inside=True)
    found = lines.push(f"{first}\n2,1\n".encode())
    rows = [row for each in found for row in each[1].tolist()]
    assert rows == [*taken, [1, 2] if first.startswith("acc") else [2, 1]]
