"""Which of several processes takes a device: rendezvous hashing.

Every process scores every device by itself and nobody has to be asked; the highest score takes it. With one process
more, the only devices that move are those which it takes, about one of n; none moves between the others.

Source: D. G. Thaler, C. V. Ravishankar. Using name-based mappings to increase hit rates. IEEE/ACM Transactions on
Networking 6 (1998).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from .errors import UsageError


def owner(device: str, shards: int) -> int:
    """Return which of so many shards, counted from 0, takes a device; the same on every machine and in every version.

    Raises UsageError for a number of shards below 1.
    """
    if shards < 1:
        raise UsageError(f"there are {shards} shards; expected 1 or more")
    name = device.encode("utf-8", "surrogatepass")
    return max(range(shards), key=lambda shard: _score(name, shard))


def _score(name: bytes, shard: int) -> bytes:
    # The number as the salt: devices whose names end in digits cannot run into it.
    return blake2b(name, digest_size=8, salt=shard.to_bytes(8, "little")).digest()


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the devices."""

    index: int
    """From 0."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `2/5`, the second of five; raises UsageError."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        index, count = (int(found[1]) - 1, int(found[2])) if found else (-1, 0)
        if not 0 <= index < count:
            raise UsageError(f"the shard is {text!r}; give its number from 1 and how many there are, such as 2/5")
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def takes(self, device: str) -> bool:
        """Whether the device falls to this process."""
        return owner(device, self.count) == self.index
