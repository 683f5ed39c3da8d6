"""Working ahead: the same items and errors in the same order, never too many at once, and no thread that stays."""

import subprocess
import sys
import threading
import time

import pytest

from edgeconv.runtime.sources.ahead import DEPTH, work_ahead


def names_of_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgeconv-ahead")]


def test_items_come_in_order_and_from_another_thread():
    made_in = set()

    def make():
        for item in range(100):
            made_in.add(threading.current_thread().name)
            yield item

    assert list(work_ahead(make())) == list(range(100))
    assert len(made_in) == 1
    assert threading.current_thread().name not in made_in
    assert names_of_threads() == []


@pytest.mark.parametrize("count", [0, 1, DEPTH, 9])
def test_an_error_comes_after_the_items_before_it(count):
    def make():
        yield from range(count)
        raise ValueError("line 7 is wrong")

    items, seen = work_ahead(make()), []
    with pytest.raises(ValueError, match="line 7 is wrong"):
        seen.extend(items)
    assert seen == list(range(count))
    assert names_of_threads() == []


def test_no_more_items_are_made_than_may_wait():
    made = 0

    def make():
        nonlocal made
        for item in range(50):
            made += 1
            yield item

    for taken, _ in enumerate(work_ahead(make()), 1):
        deadline = time.monotonic() + 10
        while made < min(50, taken + DEPTH):
            assert time.monotonic() < deadline
        time.sleep(0.002)  # time to make more, if it would
        assert made <= taken + DEPTH


def test_closing_early_ends_the_thread():
    items = work_ahead(iter(range(1000)))
    assert next(items) == 0
    assert len(names_of_threads()) == 1
    items.close()
    assert names_of_threads() == []


def test_nothing_runs_before_the_first_item_is_asked_for():
    work_ahead(iter(range(3))).close()
    assert names_of_threads() == []


def test_the_same_is_done_while_the_consumer_is_interrupted():
    def consume():
        for item in work_ahead(iter(range(1000))):
            if item == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert names_of_threads() == []


def test_a_process_that_ends_with_items_left_does_not_hang():
    code = "import sys; from edgeconv.runtime.sources.ahead import work_ahead\n" \
        "items = work_ahead(iter(range(1000))); print(next(items)); sys.exit(5)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, "0\n", "")
