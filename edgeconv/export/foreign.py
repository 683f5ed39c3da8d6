"""A model made elsewhere: what its file says of its ends, and whether that and a spec can be about the same model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeconv.runtime.errors import InputError, UsageError
from edgeconv.runtime.spec import ModelSpec

LAYOUTS = ("channels-last", "channels-first")
"""[batch, window, channels], as Keras and our own files have it, and [batch, channels, window], as PyTorch has it."""


@dataclass(frozen=True)
class ModelEnds:
    """What a file says of the model's input and answers; None for a size that it leaves open."""

    input: Literal["signal", "tokens"]
    sizes: tuple[int | None, ...]
    """Of the input behind the batch: two for a signal, one for tokens."""
    classes: int | None
    """Numbers in an answer; 1 stands for two classes."""
    layouts: tuple[str, ...] = LAYOUTS[:1]
    """Which orders of window and channels the format knows."""
    vocabulary: int | None = None
    """Rows of the table that the token ids are looked up in."""

    @property
    def window(self) -> int | None:
        """Timesteps of the window, where the file alone says so."""
        if self.input == "signal" and len(self.layouts) > 1:
            return None
        return self.sizes[0]

    @property
    def labels(self) -> int | None:
        """How many labels the answers need."""
        return 2 if self.classes == 1 else self.classes

    def sides(self, layout: str, window: int | None, channels: int) -> bool:
        """Whether the input's sizes can be a window and its channels in that order."""
        wanted = (window, channels) if layout == LAYOUTS[0] else (channels, window)
        return all(size is None or want is None or size == want for size, want in zip(self.sizes, wanted, strict=True))

    def layout(self, channels: int, window: int | None, asked: str | None = None) -> str:
        """Return the order of window and channels.

        asked: what the user says of it
        Raises InputError where the sizes cannot be these, UsageError where both orders fit and none is asked for.
        """
        if asked is not None and asked not in LAYOUTS:
            raise UsageError(f"layout {asked!r} is not known; choose {' or '.join(LAYOUTS)}")
        fitting = [name for name in self.layouts if self.sides(name, window, channels)]
        shape = f"[batch, {', '.join('?' if size is None else str(size) for size in self.sizes)}]"
        if not fitting or (asked is not None and asked not in fitting):
            order = " or ".join(
                "[batch, window, channels]" if name == LAYOUTS[0] else "[batch, channels, window]"
                for name in ([asked] if asked else self.layouts)
            )
            raise InputError(
                f"the model's input is {shape}; the spec says {channels} channels"
                f"{'' if window is None else f' and a window of {window} timesteps'}, which is no {order}; "
                "correct the channels or the window, or give another model"
            )
        if asked is None and len(fitting) > 1:
            raise UsageError(
                f"the model's input {shape} can be [batch, window, channels] or [batch, channels, window]; "
                f"say which with --layout {' or '.join(LAYOUTS)}"
            )
        return asked or fitting[0]

    def length(self, layout: str) -> int | None:
        """Return the timesteps of the window in a layout; None where the file leaves them open."""
        return self.sizes[0] if self.input == "tokens" or layout == LAYOUTS[0] else self.sizes[1]

    def require_fit(self, spec: ModelSpec, asked: str | None = None) -> str:
        """Return the layout of a model that is what the spec says; raises InputError that says both sides."""
        if self.input != spec.input:
            raise InputError(
                f"the model takes {self.input}, the spec says {spec.input}: token ids are [batch, timesteps], "
                "a signal [batch, window, channels]"
            )
        if self.labels is not None and self.labels != len(spec.labels):
            one = " (one number, for two classes)" if self.classes == 1 else ""
            raise InputError(
                f"the model answers {self.classes} classes{one}, the spec has {len(spec.labels)} labels "
                f"({', '.join(spec.labels)}); give one label for each class, in the order of the output"
            )
        if spec.input == "tokens":
            if self.sizes[0] not in (None, spec.window):
                raise InputError(f"the model takes texts of {self.sizes[0]} tokens, the spec says {spec.window}")
            if self.vocabulary not in (None, spec.vocabulary):
                raise InputError(
                    f"the model looks up {self.vocabulary} token ids, the spec says a vocabulary of {spec.vocabulary}"
                )
            return LAYOUTS[0]
        return self.layout(len(spec.channels), spec.window, asked)


def choose_output(names: list[str], wanted: str | None, where: Path | str) -> int:
    """Return the position of the output that is wanted, or of the only one; raises UsageError that lists them."""
    if wanted is None and len(names) == 1:
        return 0
    if wanted not in names:
        said = "several outputs" if wanted is None else f"no output {wanted!r}"
        raise UsageError(f"{where} has {said}; choose one with --output: {', '.join(names)}")
    return names.index(wanted)
