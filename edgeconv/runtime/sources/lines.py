"""Whole lines of a text file, in blocks: bounded memory, UTF-8 and nothing else, and the number of every line."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from ..errors import InputError

BLOCK_BYTES = 1 << 18
"""Read at a time: enough that the cost of a call is lost in it, little enough that its many short strings are small."""
LINE_LIMIT_BYTES = 1 << 20
"""No line of a recording is longer; a binary file, which may have no line ends, is not read whole."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_blocks(file: BufferedReader, where: str) -> Iterator[tuple[int, str]]:
    r"""Yield the lines of a file: the number of the first line (from 1), and lines joined by \n without a last one.

    Line ends may be \n or \r\n. A pipe is read as its data come. `where` names the file in messages. Raises InputError
    for bytes that are not UTF-8, a zero byte, a carriage return inside a line, and a line that is too long.
    """
    number = 1
    pending = b""
    while data := file.read1(BLOCK_BYTES):
        pending += data
        end = pending.rfind(b"\n") + 1
        if end:
            text = _decode(pending[:end], number, where)
            yield number, text
            number += text.count("\n") + 1
            pending = pending[end:]
        if len(pending) > LINE_LIMIT_BYTES:
            raise InputError(
                f"{where}: line {number} is longer than {LINE_LIMIT_BYTES >> 20} MiB; expected one sample a line, "
                r"each ended by \n or \r\n; is this a text file?"
            )
    if pending:
        yield number, _decode(pending, number, where)


def _decode(data: bytes, number: int, where: str) -> str:
    if number == 1:
        data = data.removeprefix(BYTE_ORDER_MARK)
    position = data.find(b"\0")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start if position < 0 else min(position, error.start)
        text = ""
    if position >= 0:
        line = number + data.count(b"\n", 0, position)
        raise InputError(
            f"{where}: line {line} is not UTF-8 text, it holds the bytes {data[position : position + 4]!r}; "
            "expected text or NPY: save a text as UTF-8, anything else as CSV or NPY"
        )
    text = text.removesuffix("\n")
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        position = text.find("\r")
        if position >= 0:
            raise InputError(
                rf"{where}: line {number + text.count(chr(10), 0, position)} holds a carriage return (\r) that is not "
                r"followed by \n; expected lines ended by \n or \r\n: save the file with such line ends"
            )
    return text
