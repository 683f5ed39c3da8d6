"""Whom live sources and sinks tell what people should know."""

from collections.abc import Callable

Say = Callable[[str], None]


def to_nobody(_text: str) -> None:
    """Tell nobody."""
