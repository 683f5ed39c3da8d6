"""Cut a stream of samples into overlapping windows."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from .errors import InputError, UsageError
from .resumable import Resumable


class SlidingWindow(Resumable):
    """Collect samples and hand out every window as soon as it is full.

    However a recording is cut into pushes, the windows are exactly those of the whole recording: window i starts at
    sample i · hop. Between pushes it holds fewer samples than one window.
    """

    _kept = ("_held", "_skip", "start")

    def __init__(self, window: int, hop: int, channels: int) -> None:
        """Windows of `window` timesteps, one every `hop` timesteps, of `channels` channels.

        A hop above the window leaves samples out; one below it overlaps. Raises UsageError for a size below 1.
        """
        for name, value in (("window", window), ("hop", hop), ("channels", channels)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise UsageError(f"{name} is {value!r}; give a whole number from 1")
        self.window = int(window)
        self.hop = int(hop)
        self.channels = int(channels)
        self.reset()

    def reset(self) -> None:
        """Forget all samples; the next push starts a new recording."""
        self._held = np.empty((0, self.channels), np.float32)
        self._skip = 0  # samples still to be left out before the next window starts (hop above window)
        self.start = 0
        """Index, in the recording, of the first sample of the next window."""

    def push(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples and return the windows that they complete.

        samples: any real dtype [n, channels], any n from 0
        returns: float32 [k, window, channels], a read-only view of a private copy of the samples
        Raises InputError for another shape or for values that are not numbers.
        """
        return self.cut(self.extend(samples))

    def cut(self, span: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the windows of a span that `extend` returned: float32 [k, window, channels], a read-only view."""
        if len(span) == 0:
            return np.empty((0, self.window, self.channels), np.float32)
        return sliding_window_view(span, self.window, axis=0)[:: self.hop].transpose(0, 2, 1)

    def extend(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples and return the span of the recording that the windows completed by them cover.

        samples: as for `push`
        returns: float32 [(k - 1) * hop + window, channels] for k windows, none of the samples' memory; empty for k = 0
        Raises what `push` raises.
        """
        added = as_float32(samples, "samples")
        if added.ndim != 2 or added.shape[1] != self.channels:
            raise InputError(
                f"samples have shape {list(added.shape)}; expected [n, {self.channels}], one row per timestep"
            )
        if self._skip:
            left_out = min(self._skip, len(added))
            self._skip -= left_out
            added = added[left_out:]
        held = np.concatenate((self._held, added))
        count = max(0, (len(held) - self.window) // self.hop + 1)
        used = count * self.hop
        self._skip += max(0, used - len(held))
        # A copy, so that a large push is not kept alive by the few samples that are left of it.
        self._held = held[used:].copy()
        self.start += used
        return held[: used - self.hop + self.window] if count else held[:0]


def as_float32(values: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return the values as a float32 array.

    Raises InputError where they are not real numbers or the rows differ in length.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} are not a rectangular array of numbers ({error})") from None
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} have dtype {array.dtype}; expected real numbers")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused as such
        return array.astype(np.float32)


def as_tokens(values: ArrayLike, window: int, vocabulary: int) -> NDArray[np.int32]:
    """Return token ids as int32 [n, window].

    Raises InputError for another shape, for values that are not integers, and for ids that are not in the vocabulary.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"tokens are not a rectangular array of ids ({error}); pad or cut the texts") from None
    if array.ndim != 2 or array.shape[1] != window:
        hint = "; for one text use tokens[None]" if array.shape == (window,) else "; pad or cut the texts"
        raise InputError(f"tokens have shape {list(array.shape)}; expected [n, {window}]{hint}")
    if array.dtype.kind not in "iu":
        raise InputError(f"tokens have dtype {array.dtype}; expected integer ids")
    outside = (array < 0) | (array >= vocabulary)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise InputError(
            f"tokens hold the id {array[place]} at index {list(place)}; expected ids from 0 to {vocabulary - 1}, "
            "those of the vocabulary that the model was trained with"
        )
    return array.astype(np.int32)


def require_finite(array: NDArray[np.float32], name: str, first: int = 0) -> None:
    """Raise InputError that names the first place where the array is NaN or infinite; rows count from `first`."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        index = [place[0] + first, *place[1:]]
        raise InputError(f"{name} hold {array[place]} at index {index}; expected finite numbers")
