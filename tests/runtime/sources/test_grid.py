"""Plain tables of numbers: every engine gives what the careful way gives, bit for bit, or nothing."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeconv.runtime.sources.engines import LOADTXT_BYTES
from edgeconv.runtime.sources.grid import NUMBER_BYTES, parse_grid
from edgeconv.runtime.sources.lines import LINE_LIMIT_BYTES, decode_lines
from edgeconv.runtime.sources.rows import Layout

XY = Layout("walk.csv", ",", ("x", "y"), (0, 1), 1)
YX = Layout("walk.csv", ";", ("time", "y", "note", "x"), (3, 1), 1)
law = settings(derandomize=True, deadline=None)


def parse_carefully(data: bytes, layout: Layout) -> np.ndarray | None:
    try:
        return layout.parse_carefully(decode_lines(data, 2, layout.where), 2)
    except ValueError:
        return None


def assert_same_or_nothing(data, layout, engine):
    fast = parse_grid(data, layout, engine)
    if fast is not None:
        careful = parse_carefully(data, layout)
        assert careful is not None
        assert fast.dtype == np.float32
        assert fast.shape == careful.shape
        assert fast.tobytes() == careful.tobytes()


def numbers_between(low: float, high: float) -> str:
    """Return the exact decimal digits of the middle of two numbers."""
    with localcontext(prec=2000):
        return str((Decimal(low) + Decimal(high)) / 2)


@st.composite
def delicate(draw) -> str:
    """Digits at, just above or just below the middle of two neighbouring float32 or float64 numbers."""
    kind = draw(st.sampled_from([np.float32, np.float64]))
    magnitude = st.floats(1e-37, 1e37) | st.floats(1e-3, 1e3)
    low = kind(draw(magnitude if kind is np.float64 else magnitude.map(np.float32)))
    middle = numbers_between(float(low), float(np.nextafter(low, kind(np.inf))))
    if "." not in middle or "E" in middle:
        return middle
    return middle + draw(st.sampled_from(["", "0" * 400 + "1", "1"]))


plain = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.9g}"),
    st.floats(-1e38, 1e38).map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["+1", ".5", "5.", "-0", "-.0e-3", "1E5", "1e-400", "0e999", "007", "1.17549435e-38", "1.4e-45"]),
    delicate(),
)


@law
@given(rows=st.lists(st.tuples(plain, plain), min_size=1, max_size=9), last=st.booleans(), end=st.sampled_from("\n\r"))
def test_numbers_are_read_by_the_engine_and_bit_for_bit(engine, rows, last, end):
    line_end = "\r\n" if end == "\r" else "\n"
    data = (line_end.join(",".join(row) for row in rows) + line_end * last).encode()
    samples = parse_grid(data, XY, engine)
    assert samples is not None
    assert samples.tobytes() == np.array([[np.float32(float(cell)) for cell in row] for row in rows]).tobytes()
    assert samples.flags.c_contiguous
    assert samples.flags.writeable


def test_digits_are_rounded_to_float64_first_as_python_does(engine):
    """Just above the middle of two float32, and so close that float64 is the middle: rounded at once it would go up."""
    middle = numbers_between(1.0, float(np.nextafter(np.float32(1), np.float32(2))))
    cell = middle + "0" * 20 + "1"
    (row,) = parse_grid(f"{cell},{cell}\n".encode(), XY, engine).tolist()
    assert row == [1.0, 1.0]


@pytest.mark.parametrize("first", ["0", "1", "9", "+", "-", ".", "e", "E"])
def test_of_the_strings_of_number_characters_the_numbers_are_taken(engine, first):
    for length in range(4):
        for rest in product("01+-.eE", repeat=length):
            cell = first + "".join(rest)
            data = f"7,{cell}\n".encode()
            fast, careful = parse_grid(data, XY, engine), parse_carefully(data, XY)
            assert (fast is None) == (careful is None), cell
            assert fast is None or fast.tobytes() == careful.tobytes(), cell


UGLY = [
    "", " ", '"1"', '"', '"a,b"', " 1", "1 ", "\t1", "1e400", "-1e39", "nan", "NaN", "inf", "-Infinity", "0x1", "0x1p3",
    "1_000", "1,5", "1;5", "1#2", "#", "1d5", "1f", "true", "null", "NA", "½", "٣", "\ufeff1", "1\r", "\r", "\0", "\v1",
    "1e", "1e+", "--1", "+-1", "1.2.3", ".", "-", "e5", "1-2", "1+2", "1/2", "'1'", "\\1",
]  # fmt: skip
ugly = st.sampled_from(UGLY) | st.text(max_size=3) | st.text("0123456789+-.eE", max_size=12)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.data())
def test_ugly_cells_and_rows_are_read_as_the_careful_way_does_or_not_at_all(engine, data):
    layout = data.draw(st.sampled_from([XY, YX]))
    row = st.lists(plain, min_size=len(layout.columns), max_size=len(layout.columns))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(rows) - 1))
        match data.draw(st.sampled_from(["cell", "cell", "cell", "longer", "shorter", "blank", "moved"])):
            case "cell" if rows[at]:
                rows[at][data.draw(st.integers(0, len(rows[at]) - 1))] = data.draw(ugly)
            case "longer":
                rows[at] = [*rows[at], "1"]
            case "shorter":
                rows[at] = rows[at][:-1]
            case "blank":
                rows.insert(at, [])
            case "moved":
                # As many cells as there should be, but not in the right rows.
                rows[0] = rows[0][:-1]
                rows.append([*rows.pop(), "1"] if len(rows) > 1 else ["1"] * (len(layout.columns) + 1))
    line_end = data.draw(st.sampled_from(["\n", "\r\n"]))
    ended = data.draw(st.booleans())
    text = line_end.join(layout.delimiter.join(cells) for cells in rows) + line_end * ended
    if text:
        assert_same_or_nothing(text.encode(), layout, engine)


@pytest.mark.parametrize("cell", UGLY)
def test_each_ugly_cell_where_a_channel_is_and_where_none_is(engine, cell):
    for layout in (XY, YX):
        for at in range(len(layout.columns)):
            cells = ["1"] * len(layout.columns)
            cells[at] = cell
            line = layout.delimiter.join(cells) + "\n"
            plain = layout.delimiter.join(["2"] * len(layout.columns)) + "\n"
            for text in (line, line + plain, plain + line, line + line):
                assert_same_or_nothing(text.encode(), layout, engine)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=40), st.sampled_from([XY, YX]))
@example(b"1,2\n\n3,4\n", XY)
@example(b"1\n,2,3,4\n", XY)
@example(b"1,2\r\n3,4\n", XY)
@example(b"1,2\n3,4\r\n", XY)
@example(b"1,2\n3,4\r", XY)
@example(b"1,2\r\r\n", XY)
@example(b"\n", XY)
@example(b",\n", XY)
def test_any_bytes_are_read_as_the_careful_way_does_or_not_at_all(engine, data, layout):
    if data:
        assert_same_or_nothing(data, layout, engine)


def test_columns_that_no_channel_has_may_hold_any_characters_of_numbers_or_the_table_is_not_plain(engine):
    samples = parse_grid(b"0.02;1.5;3;2.5\n0.04;-1;4;-2\n", YX, engine)
    assert samples.tolist() == [[2.5, 1.5], [-2, -1]]
    assert samples.flags.c_contiguous
    for note in ("walking", "", "1-2", "2024-01-01", '"3"'):
        assert_same_or_nothing(f"0.02;1.5;{note};2.5\n".encode(), YX, engine)


@pytest.mark.parametrize("text", ["1,2\n3\n", "1,2\n\n", "1,2\n3, 4\n", "1,2\n3,nan\n", "1,2\n3,1e39\n", "1,2\n3,\n"])
def test_what_is_not_plain_is_not_read(engine, text):
    assert parse_grid(text.encode(), XY, engine) is None


def test_white_space_is_not_a_delimiter_here(engine):
    assert parse_grid(b"1 2\n", Layout("walk.txt", None, ("x", "y"), (0, 1), 1), engine) is None


def test_a_line_beyond_the_limit_is_not_read(engine):
    assert parse_grid(b"1,2\n3," + b"0" * LINE_LIMIT_BYTES, XY, engine) is None


@pytest.mark.parametrize("length", [LOADTXT_BYTES - 6, LOADTXT_BYTES - 5, LOADTXT_BYTES, 3 * LOADTXT_BYTES])
def test_long_lines_and_many_lines_are_read_whole(engine, length):
    lines = ["1,2", "3," + "0" * length + "4", *(f"{i},{i / 7}" for i in range(20_000))]
    samples = parse_grid("\n".join(lines).encode(), XY, engine)
    expected = [[1, 2], [3, 4], *([i, i / 7] for i in range(20_000))]
    np.testing.assert_array_equal(samples, np.array(expected, np.float32))


def test_the_characters_of_numbers_are_not_delimiters():
    assert not set(NUMBER_BYTES) & set(b"\t;,\r\n")
