"""What every sink does, and how they all write seconds and names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from ..events import Event
    from ..stream import Prediction

Said = TypeVar("Said", "Prediction", "Event", contravariant=True)


class Sink(Protocol[Said]):
    """Takes predictions, or events; each becomes one whole line, handed to the stream in one call."""

    def write(self, recording: str, said: Said, /) -> None:
        """Write what was said of one window of a recording, or of a stretch of it."""
        ...

    def close(self) -> None:
        """Flush the stream, and leave it open: it is the caller's."""
        ...


def format_seconds(value: float) -> str:
    """Return seconds with at most 6 decimals, and no more than it takes."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def make_encodable(text: str) -> str:
    r"""Return the text as it is, but what no encoding can write (a file name that is not UTF-8) as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
