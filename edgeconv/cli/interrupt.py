"""Ctrl-C where nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeVar

from .console import note

if TYPE_CHECKING:
    from edgeconv.runtime.sinks import Sink

_T = TypeVar("_T")


class Interrupt:
    """Holds the first Ctrl-C back while `shielded`, until `check`; use it in a `with`.

    Python raises KeyboardInterrupt wherever it happens to be: in the middle of a write, whose rest it forgets, or in a
    callback of a library, where it is printed and lost. A second Ctrl-C ends the process at once, because what is being
    waited for may never come.
    """

    def __init__(self, *, until: str = "") -> None:
        """Begin shielded if `until` says, for people, what a first Ctrl-C waits for."""
        self.until = until
        self.shielded = bool(until)
        self.asked = False
        self._in_charge = False

    def __enter__(self) -> Self:
        # Somebody else may be in charge of Ctrl-C: a shell that ignores it for its jobs, an application with threads.
        if threading.current_thread() is threading.main_thread():
            self._in_charge = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._in_charge:
            signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._in_charge:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.asked:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
        self.asked = True
        if not self.shielded:
            raise KeyboardInterrupt
        if self.until:
            note(f"stopping after {self.until}; Ctrl-C again stops at once")


class Ending(Interrupt):
    """Ctrl-C and SIGTERM as a wish to end: held back while what has begun is finished; use it in a `with`.

    `wanted` says that one of them came, and `check` raises for Ctrl-C only: to be terminated is a service's usual end.
    """

    def __init__(self, *, until: str) -> None:
        """Hold back until `until`, which says for people what is waited for."""
        super().__init__(until=until)
        self.then: Callable[[], None] = lambda: None
        """Called once, at the first of the signals."""
        self.terminated = False
        self._before: Any = None

    @property
    def wanted(self) -> bool:
        """Whether the end was asked for."""
        return self.asked or self.terminated

    def __enter__(self) -> Self:
        super().__enter__()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_terminate)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        super().__exit__(*error)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        super()._on_signal(number, frame)
        self.then()

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self.terminated = True
        self.then()


class WholeLines:
    """A text stream whose writes are finished before Ctrl-C is raised, however slow the reader; use it in a `with`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        self._interrupt.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._interrupt.__exit__(*error)

    def write(self, text: str) -> int:
        """Write to the stream; what is given in one call is written as a whole.

        Raises BrokenPipeError where the reader has gone, and InputError for any other reason not to write.
        """
        return self.finish(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Flush the stream; raises as `write` does."""
        self.finish(self._stream.flush)

    def finish(self, do: Callable[[], _T]) -> _T:
        """Do something that writes; raises as `write` does."""
        # While a first Ctrl-C is already on its way out, what is left is written without raising again.
        leaving = self._interrupt.asked
        self._interrupt.shielded = True
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
            self._interrupt.shielded = False
        if not leaving:
            self._interrupt.check()
        return result


class WholeCalls:
    """A sink of which each call is finished before Ctrl-C is raised: half a row group would spoil a file."""

    def __init__(self, out: WholeLines, sink: Sink[Any]) -> None:
        self._out, self._sink = out, sink

    def write(self, recording: str, said: Any, /) -> None:
        """Write what was said of a recording; raises as `WholeLines.write` does."""
        self._out.finish(lambda: self._sink.write(recording, said))

    def close(self) -> None:
        """Close the sink; raises as `WholeLines.write` does."""
        self._out.finish(self._sink.close)
