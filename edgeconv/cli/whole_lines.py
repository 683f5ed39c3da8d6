"""Ctrl-C between lines, not inside them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self, TextIO, TypeVar

_T = TypeVar("_T")


class WholeLines:
    """A text stream that finishes a write before Ctrl-C is raised; use it in a `with`.

    Python raises KeyboardInterrupt in the middle of a write that waits for a slow reader and forgets the rest of what
    was to be written: finished lines are missing, and the last one is cut. A second Ctrl-C ends the process at once,
    because the reader may never go on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writing = False
        self._asked = False
        self._in_charge = False

    def __enter__(self) -> Self:
        # Somebody else may be in charge of Ctrl-C: a shell that ignores it for its jobs, an application with threads.
        if threading.current_thread() is threading.main_thread():
            self._in_charge = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._in_charge:
            signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._in_charge:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def write(self, text: str) -> int:
        """Write to the stream; what is given in one call is written as a whole.

        Raises BrokenPipeError where the reader has gone, and InputError for any other reason not to write.
        """
        return self._finish(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Flush the stream; raises as `write` does."""
        self._finish(self._stream.flush)

    def _finish(self, do: Callable[[], _T]) -> _T:
        self._writing = True
        asked_before = self._asked
        try:
            result = do()
        except BrokenPipeError:
            raise
        except OSError as error:
            from edgeconv.runtime.errors import InputError

            raise InputError(
                f"the results cannot be written ({error.strerror or error}); let them go to another place"
            ) from None
        finally:
            self._writing = False
        if self._asked and not asked_before:
            raise KeyboardInterrupt
        return result

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self._asked = True
        if not self._writing:
            raise KeyboardInterrupt
