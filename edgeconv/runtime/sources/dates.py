"""Dates and times by ISO 8601, as seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPECTED = "expected a time by ISO 8601, such as 2024-05-31T12:00:00.250, or another unit of the time column"


def seconds_of(text: str) -> float:
    """Return the seconds since 1970, to a microsecond; a time without an offset is taken for UTC.

    Raises ValueError for what is no date.
    """
    moment = datetime.fromisoformat(text.strip())
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH).total_seconds()


def is_date(text: str) -> bool:
    """Whether a text is a date."""
    try:
        seconds_of(text)
    except ValueError:
        return False
    return not text.strip().isdecimal()  # 20240531 is a date, too, and more likely a number
