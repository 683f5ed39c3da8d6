"""What an incremental class remembers, so that a checkpoint can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar


class Resumable:
    """Gives a class `state` and `restore`: it lists its attributes that change, some perhaps Resumable themselves."""

    _kept: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Return a copy of all that changes: numbers, texts, numpy arrays, and lists and dicts of these."""
        return {name: _copy(getattr(self, name)) for name in self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, of an object made in the same way; raises KeyError for another's."""
        for name in self._kept:
            value = getattr(self, name)
            if isinstance(value, Resumable):
                value.restore(state[name])
            else:
                setattr(self, name, deepcopy(state[name]))


def _copy(value: Any) -> Any:
    return value.state() if isinstance(value, Resumable) else deepcopy(value)
