"""Whole lines of a text file, in blocks: bounded memory, UTF-8 and nothing else, and the number of every line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import InputError

BLOCK_BYTES = 1 << 17
"""Read at a time: enough that the cost of a call is lost in it, little enough that its many short strings are small."""
LINE_LIMIT_BYTES = 1 << 20
"""No line of a recording is longer; a binary file, which may have no line ends, is not read whole."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    r"""Yield the bytes of a file in blocks that end where lines end, the last one perhaps without its \n.

    read: the file's method; with `read1`, a pipe is read as its data come
    A line beyond the limit is the end: what there is of it is yielded as a block, for `decode_lines` to refuse.
    """
    pending = b""
    while len(pending) <= LINE_LIMIT_BYTES and (data := read(BLOCK_BYTES)):
        pending += data
        end = pending.rfind(b"\n") + 1
        if end:
            yield pending[:end]
            pending = pending[end:]
    if pending:
        yield pending


def decode_lines(block: bytes, number: int, where: str) -> str:
    r"""Return the lines of a block, the first of which has this number (from 1), joined by \n without a last one.

    Line ends may be \n or \r\n. `where` names the file in messages. Raises InputError for bytes that are not UTF-8, a
    zero byte, a carriage return inside a line, and a line that is too long.
    """
    if len(block) > LINE_LIMIT_BYTES and b"\n" not in block:
        raise InputError(
            f"{where}: line {number} is longer than {LINE_LIMIT_BYTES >> 20} MiB; expected one sample a line, "
            r"each ended by \n or \r\n; is this a text file?"
        )
    if number == 1:
        block = block.removeprefix(BYTE_ORDER_MARK)
    position = block.find(b"\0")
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        position = error.start if position < 0 else min(position, error.start)
        text = ""
    if position >= 0:
        line = number + block.count(b"\n", 0, position)
        raise InputError(
            f"{where}: line {line} is not UTF-8 text, it holds the bytes {block[position : position + 4]!r}; "
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
