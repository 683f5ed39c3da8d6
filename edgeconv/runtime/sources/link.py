"""Lines of one device over a connection that may break, and is then opened again with back-off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from ..errors import InputError
from .live import Fleeting
from .messages import Arrival, Decoder, Lines, Loss
from .say import Say, to_nobody

FIRST_S, LONGEST_S = 1.0, 30.0
"""The first and the longest wait before opening again; each is twice the one before."""


class Link(Protocol):
    """One connection, while it holds."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, waiting for it so long; raises OSError where the connection is broken or ended."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LinkSource(Fleeting):
    """The lines of one device; each connection has a header of its own, and no window spans two."""

    def __init__(
        self,
        device: str,
        decoder: Decoder,
        open_link: Callable[[], Link],
        *,
        starts_inside: bool = False,
        say: Say = to_nobody,
    ) -> None:
        """Open the connection; raises InputError where it cannot be opened the first time.

        open_link: opens it, raises OSError
        starts_inside: whether a connection may begin in the middle of a line
        """
        self._device, self._decoder, self._say = device, decoder, say
        self._open_link, self._starts_inside = open_link, starts_inside
        self._wait_s, self._next_s = FIRST_S, 0.0
        self.reconnects = 0
        try:
            self._link: Link | None = open_link()
        except OSError as error:
            raise InputError(f"{device} cannot be opened ({error.strerror or error}); is it there?") from None
        self._lines = Lines(decoder, starts_inside=starts_inside)

    def take(self, timeout_s: float) -> list[Arrival | Loss]:
        """Return what has come, as `LiveSource.take` says; opens again what broke."""
        if self._link is None and not self._open_again(timeout_s):
            return []
        assert self._link is not None
        try:
            data = self._link.read(timeout_s)
        except OSError as error:
            self._link.close()
            self._link = None
            self._next_s = time.monotonic() + self._wait_s
            reason = f"the connection is lost ({error.strerror or error})"
            self._say(f"{self._device}: {reason}; opening it again")
            return [*name_results(self._device, self._lines), Loss(self._device, reason)]
        return name_results(self._device, self._lines, data)

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    def _open_again(self, timeout_s: float) -> bool:
        wait_s = self._next_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
            return False
        try:
            self._link = self._open_link()
        except OSError:
            self._wait_s = min(2 * self._wait_s, LONGEST_S)
            self._next_s = time.monotonic() + self._wait_s
            return False
        self._wait_s = FIRST_S
        self._lines = Lines(self._decoder, starts_inside=self._starts_inside)
        self.reconnects += 1
        self._say(f"{self._device} is there again")
        return True


def name_results(device: str, lines: Lines, data: bytes | None = None) -> list[Arrival | Loss]:
    """Return what a device's lines hold after these bytes, or what is wrong at their end where there are no more."""
    found = lines.finish() if data is None else lines.push(data)
    return [Loss(device, str(each)) if isinstance(each, InputError) else Arrival(device, *each) for each in found]
