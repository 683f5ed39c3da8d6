"""Work that is done before it is asked for, on a second core."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2
"""Items that may wait: one to be taken and one in the making."""
NAP_S = 1e-6
"""The shortest sleep there is, some 50 µs: long enough for the other side to get hold of Python's global lock."""


def work_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator, none of them None, that runs in a thread of its own, a few items ahead.

    What it raises is raised in its place, after the items before it. The thread never waits for its items to be taken
    and has ended when this iterator has, also when that is closed early.
    """
    from concurrent.futures import ThreadPoolExecutor

    def make_item() -> T | None:
        time.sleep(NAP_S)
        return next(items, None)

    thread = ThreadPoolExecutor(1, "edgeconv-ahead")
    try:
        ahead = deque(thread.submit(make_item) for _ in range(DEPTH))
        while (item := ahead.popleft().result()) is not None:
            ahead.append(thread.submit(make_item))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
