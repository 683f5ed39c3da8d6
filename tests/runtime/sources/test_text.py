"""Recordings as text: what is read, and what is refused with which words."""

import codecs
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.sources import read_recording
from edgeconv.runtime.sources.lines import LINE_LIMIT_BYTES
from edgeconv.runtime.sources.rows import Layout
from edgeconv.runtime.sources.text import lay_out, read_text

XY = ("x", "y")


@pytest.fixture
def read(tmp_path):
    """Read text or bytes as the file walk.csv."""

    def read(content, channels=XY, chunk=4096):
        path = tmp_path / "walk.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        chunks = list(read_recording(path, channels, chunk))
        assert all(len(piece) for piece in chunks)
        return np.concatenate([np.empty((0, len(channels)), np.float32), *chunks])

    return read


def parse(content: str, channels=XY) -> np.ndarray:
    """Read text without a file, which is quicker."""
    pieces = list(read_text(io.BufferedReader(io.BytesIO(content.encode())), "walk.csv", channels))
    return np.concatenate([np.empty((0, len(channels)), np.float32), *pieces])


EXPECTED = np.array([[1.5, -2], [3, 4e-3]], np.float32)


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1.5,-2\n3,4e-3\n",
        "x,y\n1.5,-2\n3,4e-3",
        "x,y\r\n1.5,-2\r\n3,4e-3\r\n",
        "x,y\r\n1.5,-2\r\n3,4e-3\r",
        "\ufeffx,y\n1.5,-2\n3,4e-3\n",
        "x;y\n1.5;-2\n3;4e-3\n",
        "x\ty\n1.5\t-2\n3\t4e-3\n",
        "x y\n1.5 -2\n3 4e-3\n",
        "  x    y\n  1.50000 -2.00\n\t3\t4e-3  \n".replace("\t", "  "),
        "y,x\n-2,1.5\n4e-3,3\n",
        '"x" , y\n1.5,-2\n3,4e-3\n'.replace(" ,", ","),
        '"x","y"\n"1.5","-2"\n"3","4e-3"\n',
        "time_s,x,label,y\n0,1.5,WALKING,-2\n0.02,3,,4e-3\n",
        'label,x,y\n"a, ""b"", c",1.5,-2\nb,3,4e-3\n',
        'y "my label" x\n-2 "a b" 1.5\n4e-3 "" 3\n',
        "1.5,-2\n3,4e-3\n",
        "1.5 -2\n3 4e-3\n",
        "\n\n  \nx,y\n\n1.5,-2\n   \n\n3,4e-3\n\n\n",
        "x, y\n 1.5 , -2\n +3. , .004\n",
        "x#,x,y\n#,1.5,-2\n#,3,4e-3\n",
        "note;x;y\na,b;1.5;-2\n;3;4E-3\n",
    ],
)
def test_layouts_that_hold_the_same_samples_read_alike(read, text):
    np.testing.assert_array_equal(read(text), EXPECTED)


def test_columns_may_have_numbers_for_names_where_the_channels_have():
    np.testing.assert_array_equal(parse("1,0\n5,6\n", ("0", "1")), [[6, 5]])
    np.testing.assert_array_equal(parse("time,0,1\n9,5,6\n", ("0", "1")), [[5, 6]])


def test_a_file_with_only_a_header_has_no_samples(read):
    assert read("x,y\n").shape == (0, 2)
    assert read("x,y").shape == (0, 2)


def test_a_channel_alone_needs_no_delimiter(read):
    np.testing.assert_array_equal(read("x\n1\n\n2\n", ("x",)), [[1], [2]])
    np.testing.assert_array_equal(read("1\n\n2", ("x",)), [[1], [2]])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        # cells
        ("x,y\n1,2\n\n3,abc\n", ["line 4, column 'y': 'abc' is not a number; expected a value in every row"]),
        ("1,2\n3,abc\n", ["line 2, column 'y': 'abc' is not a number"]),
        ("time,y,x\n0,1,2\n0,?,2\n", ["line 3, column 'y': '?' is not a number"]),
        ("x,y\n1,\n", ["line 2, column 'y': the cell is empty", "fill the gap"]),
        ("x,y\n1,  \n", ["line 2, column 'y': the cell is empty"]),
        ('x,y\n1,""\n', ["line 2, column 'y': the cell is empty"]),
        ("x\ty\n\t\n", ["line 2, column 'x': the cell is empty"]),
        ("x,y\n1,2\nnan,2\n", ["line 3, column 'x': 'nan' is not finite"]),
        ("nan,NaN\n", ["line 1, column 'x': 'nan' is not finite"]),
        ("x,y\n1,-Infinity\n", ["line 2, column 'y': '-Infinity' is not finite"]),
        ("x,y\n1,inf\n", ["line 2, column 'y': 'inf' is not finite"]),
        ("x,y\n1,1e60\n", ["line 2, column 'y': '1e60' is too large for float32"]),
        ("x,y\n1,-1e999\n", ["line 2, column 'y': '-1e999' is too large for float32"]),
        ("x,y\n1,1_000\n", ["line 2, column 'y': '1_000' is not a number"]),
        ("x,y\n1,0x10\n", ["'0x10' is not a number"]),
        ("x,y\n1,1j\n", ["'1j' is not a number"]),
        ("x,y\n1,٣\n", ["'٣' is not a number"]),
        ("x,y\n1,2#3\n", ["'2#3' is not a number"]),
        ("x;y\n1;0,5\n", ["line 2, column 'y': '0,5' is not a number", "decimal comma: write a point"]),
        ("x,y\n1," + "z" * 9999 + "\n", ["zzz…' is not a number"]),
        # rows
        ("x,y\n1,2\n3\n", ["line 3 has 1 cell; expected 2 in every row, as in line 1: complete the row"]),
        ("x,y\n1,2,3\n", ["line 2 has 3 cells; expected 2"]),
        ("y,x\n1,2,3\n", ["line 2 has 3 cells; expected 2"]),
        ("x,y\n1,2,\n", ["line 2 has 3 cells; expected 2"]),
        ("x,y\n0,5,1,2\n", ["line 2 has 4 cells; expected 2"]),
        ("x,y,label\n1,2,a\n1,2\n", ["line 3 has 2 cells; expected 3 in every row, as in line 1"]),
        ("x,y,label\n1,2,a,b\n1,2,a\n", ["line 2 has 4 cells; expected 3"]),
        ("x y label\n1 2 a\n1 2\n", ["line 3 has 2 cells; expected 3"]),
        ("\n1 2\n1 2 3\n", ["line 3 has 3 cells; expected 2 in every row, as in line 2"]),
        ('x,y,label\n1,2,"a\nb"\n', ["line 2 cannot be split into cells", "quotes that close on their line"]),
        ('x,"y\n', ["line 1 cannot be split into cells"]),
        # the first line
        ("x,z\n1,2\n", ["no column for 'y'; the header (line 1) names 'x', 'z'"]),
        ("\na,b\n1,2\n", ["no column for 'x', 'y'; the header (line 2) names 'a', 'b'"]),
        ("x,y,x\n1,2,3\n", ["line 1 names 'x' 2 times; expected one column for each channel"]),
        ("1,2,3\n", ["line 1 has 3 numbers and there is no header; expected 2 columns ('x', 'y')"]),
        ("1\n2\n", ["line 1 has 1 number and there is no header"]),
        ("1,abc\n", ["line 1, column 2: 'abc' is not a number, but others on this line are"]),
        ("1,,2\n", ["line 1, column 2: '' is not a number, but others"]),
        ("0,5\t1,5\n", ["no column for 'x', 'y'", "'0,5' has a decimal comma: write a point"]),
        # the file
        ("", ["the file is empty; expected one sample a line"]),
        ("\n \n\r\n", ["the file is empty"]),
        (codecs.BOM_UTF8, ["the file is empty"]),
        (b"x,y\n1,2\n3,\xe4\n", ["line 3 is not UTF-8 text", r"b'\xe4\n'", "save a text as UTF-8"]),
        (b"x,y\n" + b"1,2\n" * 30000 + b"1,\0\n", ["line 30002 is not UTF-8 text", r"b'\x00\n'"]),
        (b"x,y\n" + b"1,2\n" * 30000 + b"1,a\n", ["line 30002, column 'y'"]),
        ("x,y\r1,2\r3,4\r", [r"line 1 holds a carriage return (\r)", r"lines ended by \n or \r\n"]),
        ("x,y\n1,2\n1,2\r\r\n", [r"line 3 holds a carriage return (\r)"]),
        ("x,y\n1,2\n3" + " " * (2 * LINE_LIMIT_BYTES), ["line 3 is longer than 1 MiB"]),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["neither text nor NPY, it begins with b'\\x89PNG"]),
        (b"\xff\xd8\xff\xe0JFIF", ["line 1 is not UTF-8 text", r"b'\xff\xd8\xff\xe0'"]),
        ("x,y\n1,2\n".encode("utf-16"), ["UTF-16 text", "save it as UTF-8"]),
        ("x,y\n1,2\n".encode("utf-16-le"), ["UTF-16 text", "save it as UTF-8"]),
        ("x,y\n1,2\n".encode("utf-16-be"), ["UTF-16 text", "save it as UTF-8"]),
        ("x,y\n1,2\n".encode("utf-32"), ["UTF-32 text", "save it as UTF-8"]),
        (b"PK\x03\x04\x14\0", ["ZIP archive", "unpack it first"]),
        (b"\x1f\x8b\x08\0", ["gzip", "it is cut off", "copy the file again"]),
        (b"PAR1\x15\0", ["the Parquet file cannot be read", "copy it again"]),
    ],
)
def test_bad_input_is_refused_in_words_that_name_it(read, tmp_path, content, parts):
    with pytest.raises(InputError) as caught:
        read(content)
    message = str(caught.value)
    assert type(caught.value) is InputError
    assert message.startswith(f"{tmp_path / 'walk.csv'}: ")
    assert "\n" not in message
    assert len(message) < 400 + len(str(tmp_path))
    for part in parts:
        assert part in message


def test_many_missing_columns_do_not_make_an_endless_message():
    channels = tuple(f"channel_{i}" for i in range(1000))
    with pytest.raises(InputError, match="'channel_19' and 980 more"):
        parse("x,y\n", channels)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
tables = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.lists(finite, min_size=n, max_size=n), min_size=1, max_size=20)
)
law = settings(derandomize=True, deadline=None)


def as_text(rows, delimiter=",", header=None):
    lines = [delimiter.join(f"{value:.9g}" for value in row) for row in rows]
    return "\n".join(lines if header is None else [delimiter.join(header), *lines])


@law
@given(tables, st.sampled_from(",;\t "), st.booleans())
def test_nine_digits_read_back_bit_for_bit_with_any_delimiter(rows, delimiter, with_header):
    channels = tuple("abcd"[: len(rows[0])])
    read = parse(as_text(rows, delimiter, channels if with_header else None), channels)
    assert read.tobytes() == np.array(rows, np.float32).tobytes()


@law
@given(tables, st.data())
def test_order_of_columns_and_extra_columns_do_not_matter(rows, data):
    channels = tuple("abcd"[: len(rows[0])])
    extra = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)
    names = [*channels, "time_s", "note"]
    cells = [
        [*(f"{value:.9g}" for value in row), "0.5", '"' + data.draw(extra).replace('"', '""') + '"'] for row in rows
    ]
    order = data.draw(st.permutations(range(len(names))))
    text = "\n".join(",".join(row[i] for i in order) for row in [names, *cells])
    np.testing.assert_array_equal(parse(text, channels), np.array(rows, np.float32))


@law
@given(tables, st.integers(1, 25))
def test_the_size_of_chunks_does_not_matter(tmp_path_factory, rows, chunk):
    path = tmp_path_factory.mktemp("chunks") / "walk.csv"
    path.write_text(as_text(rows))
    pieces = list(read_recording(path, "abcd"[: len(rows[0])], chunk))
    assert all(1 <= len(piece) <= chunk for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), np.array(rows, np.float32))


NEARLY_NUMBERS = st.text("0123456789+-.eE_xXjJdDlLnaifNAIF()#'\" \t\v\f\x1c\x85\xa0\u2028\u3000٣²½−,;", max_size=9)


def result(parse, *arguments):
    try:
        return parse(*arguments).tolist()
    except ValueError:
        return None


@settings(derandomize=True, deadline=None, max_examples=1500)
@given(st.one_of(NEARLY_NUMBERS, st.floats().map(str), st.text(max_size=4)), st.sampled_from([",", ";", "\t", None]))
@example("1_0", ",")
@example("0x1p3", None)
@example("1e60", ",")
@example("3.4028235677973366e+38", ",")
@example("3.4028235677973362e+38", ",")
@example('"1', None)
@example('"', ",")
@example("\xa01\u3000", ",")
def test_both_ways_to_parse_accept_the_same_cells_and_read_the_same_values(cell, delimiter):
    cell = cell.translate(dict.fromkeys(map(ord, "\n\r\0")))
    for columns, used in [(XY, (0, 1)), (XY, (1, 0)), (("x", "y", "z"), (1, 0)), (("z", "x", "y"), (1, 2))]:
        layout = Layout("walk.csv", delimiter, columns, used, 1)
        sample = [*["7"] * (len(columns) - 1)]
        for at in range(len(columns)):
            text = (delimiter or " ").join([*sample[:at], cell, *sample[at:]])
            slow = result(layout.parse_carefully, text, 1)
            assert result(layout.parse_fast, text) == slow
            assert result(layout.parse_fast, f"{text}\n\n{text}") == (slow and slow * 2)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.text('12.- ,\t"\n', max_size=30), st.sampled_from([",", "\t", None]), st.integers(1, 3), st.data())
@example('1\n""', ",", 1, None)
@example('1\n""', None, 1, None)
@example("\t\t\n\t\t", "\t", 3, None)
def test_what_the_fast_way_accepts_the_careful_way_reads_alike(text, delimiter, width, data):
    used = tuple(range(width)) if data is None else tuple(data.draw(st.permutations(range(width))))
    if data is not None:
        used = used[: data.draw(st.integers(1, width))]
    layout = Layout("walk.csv", delimiter, tuple("abc"[:width]), used, 1)
    fast = result(layout.parse_fast, text)
    if fast is not None:
        assert fast == result(layout.parse_carefully, text, 1)


@law
@given(st.binary(max_size=200), st.sampled_from([b"", b"x,y\n", b"1,2\n", codecs.BOM_UTF8]))
def test_any_bytes_are_read_or_refused_as_input(data, start):
    message, pieces = "walk.csv: ", []
    try:
        pieces = list(read_text(io.BufferedReader(io.BytesIO(start + data)), "walk.csv", XY))
    except InputError as error:
        message = str(error)
    assert message.startswith("walk.csv: ")
    assert len(message.splitlines()) == 1
    assert all(np.isfinite(piece).all() and piece.shape[1] == 2 for piece in pieces)


def test_a_line_of_one_mebibyte_is_taken_and_the_header_tells_its_layout():
    note = "n" * (LINE_LIMIT_BYTES - 4)
    np.testing.assert_array_equal(parse(f"x,y,note\n1,2,{note}\n3,4,\n"), [[1, 2], [3, 4]])


def test_a_header_is_told_from_samples():
    assert lay_out("x,time,y", 1, "walk.csv", XY) == (Layout("walk.csv", ",", ("x", "time", "y"), (0, 2), 1), True)
    assert lay_out("1 2", 3, "walk.csv", XY) == (Layout("walk.csv", None, XY, (0, 1), 3), False)
    assert lay_out('"a;b",x,y', 1, "walk.csv", XY)[0].columns == ("a;b", "x", "y")
