"""Columns of texts beside the samples of a recording."""

import pytest

from edgeconv.runtime.errors import InputError, MissingFileError
from edgeconv.runtime.sources.columns import column_names, read_columns


@pytest.mark.parametrize(
    "text",
    [
        "x,what,y\n1,A,2\n\n3,,4\n5,B c,6\n",
        "\ufeffx\twhat\ty\r\n1\tA\t2\r\n3\t\t4\r\n5\t B c\t6",
        'x;what;y\n1;"A";2\n3;"";4\n5;"B c";6\n',
    ],
)
def test_texts_are_those_of_the_rows_with_samples(tmp_path, text):
    path = tmp_path / "walk.csv"
    path.write_bytes(text.encode())
    assert read_columns(path, ["what"]) == [["A", "", "B c"]]


def test_a_long_file_is_read_in_blocks(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text("what,x\n" + "".join(f"label {i},{i}\n" for i in range(30_000)))
    assert read_columns(path, ["what", "x"]) == [[f"label {i}" for i in range(30_000)], [*map(str, range(30_000))]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n", "no columns called 'what', one expected; its header names 'x', 'y'"),
        ("1,2\n", "it has no header"),
        ("what,what\na,b\n", "2 columns called 'what'"),
        ("what,x\na,1\nb\n", "has 1 cell; expected 2 in every row: 'b'"),
        ('what,x\n"a,1\n', "cannot be split"),
        ("", "the file is empty"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, words):
    path = tmp_path / "walk.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_columns(path, ["what"])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        column_names(tmp_path / "none.csv")
