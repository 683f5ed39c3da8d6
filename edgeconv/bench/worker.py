"""A contestant's process: how it comes, answers and goes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NoReturn, Self

from edgeconv.runtime.errors import CheckError, EdgeconvError

from .contestant import Contestant, Entry, Ready

PATIENCE_S = 5.0
"""How long a process that was told to leave may take."""


class Worker:
    """A contestant in a process of its own; use it in a `with`.

    It computes only while it is asked something, and it leaves when the parent does, however the parent ends.
    """

    def __init__(self, entry: Entry) -> None:
        """Start the process and wait until the contestant is made and checked; raises as `ask` does."""
        self.name = entry.name
        context = multiprocessing.get_context("spawn")  # a fresh interpreter: its memory is the contestant's alone
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, entry), daemon=True)
        try:
            with _interrupts_held_back():
                self._process.start()
            theirs.close()
            self.ready: Ready = self._answer()
        except BaseException:
            self._stop(at_once=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop(at_once=kind is not None)

    def ask(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """Return `what(contestant, *arguments)`, computed in the contestant's process.

        Raises the edgeconv error that was raised there, and CheckError for any other failure or a process that died.
        """
        try:
            self._connection.send((what, arguments))
        except OSError:
            self._died()
        return self._answer()

    def _answer(self) -> Any:
        try:
            error, answer = self._connection.recv()
        except (EOFError, OSError):
            self._died()
        if error is not None:
            raise error
        return answer

    def _died(self) -> NoReturn:
        self._process.join(PATIENCE_S)
        raise CheckError(
            f"the process of {self.name} ended with exit code {self._process.exitcode} before it answered "
            "(-9 mostly means too little memory); what it said last stands above"
        )

    def _stop(self, *, at_once: bool) -> None:
        self._connection.close()
        if self._process.pid is None:  # never started
            return
        if not at_once:
            self._process.join(PATIENCE_S)  # it leaves because the pipe is closed
        for end in (self._process.terminate, self._process.kill):
            if self._process.is_alive():
                end()
                self._process.join(PATIENCE_S)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let a process begin deaf to Ctrl-C, which a terminal sends to all: to end it is its parent's part."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, entry: Entry) -> None:
    """Make the contestant and answer what the parent asks, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that the contestant can tidy up
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what an engine prints is no result

    contestant: Contestant | None = None

    def make() -> Ready:
        nonlocal contestant
        contestant = entry.make(**entry.arguments)
        return Ready(contestant.check(), contestant.units)

    reply = _attempt(entry.name, make)
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the pipe, or is gone
        while True:
            connection.send_bytes(reply)
            what, arguments = connection.recv()
            reply = _attempt(entry.name, lambda: what(contestant, *arguments))  # noqa: B023 (called at once)


def _attempt(name: str, what: Callable[[], Any]) -> bytes:
    """Return, pickled, the error or None and the answer."""
    try:
        return pickle.dumps((None, what()))
    except EdgeconvError as error:
        return pickle.dumps((error, None))
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        failure = CheckError(f"{name} failed: {type(error).__name__}: {first_line}")
        failure.add_note("".join(traceback.format_exception(error)))
        return pickle.dumps((failure, None))
