"""How much a reference differs from itself: what no copy of it can be asked to undercut."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .compare import logit_differences

Floats = NDArray[np.float32]
SAMPLED = 512
"""Windows, evenly spaced, on which the reference runs again."""
ONE_BY_ONE = 64
"""Windows that it runs one at a time."""
SEED = 1


class Reference(Protocol):
    """A model that others are compared with."""

    def predict(self, windows: Floats, batch: int = ...) -> Floats:
        """Float32 [n, window, channels] in physical units → probabilities, float32 [n, classes]."""
        ...

    def predict_alone(self, windows: Floats, /) -> Floats | None:
        """Return the same computed with one processor thread; None where that cannot be."""
        ...

    def predict_double(self, windows: Floats, /) -> Floats | None:
        """Return the same computed in float64 and rounded at the end; None where that cannot be."""
        ...


def noise_of(reference: Reference, windows: Floats, answers: Floats) -> float:
    """Return the largest relative |Δlogit| between a reference and itself.

    windows: float32 [n, window, channels], in physical units; answers: float32 [n, classes], what it said of them
    It runs again in other batch sizes, with one thread, in float64, and on the same windows with every value moved to
    the next float32 up or down: that shows how far rounding alone is carried by this network on such inputs.
    """
    rows = np.unique(np.linspace(0, len(windows) - 1, min(SAMPLED, len(windows))).astype(np.int64))
    some, said = windows[rows], answers[rows]
    few = np.arange(0, len(rows), -(-len(rows) // ONE_BY_ONE))
    others = (reference.predict_alone(some), reference.predict_double(some))
    found = [
        relative(said, reference.predict(some, batch=32)),
        relative(said[few], reference.predict(some[few], batch=1)),
        *(relative(said, reference.predict(moved(some, seed))) for seed in seeds_for(some)),
        *(relative(said, other) for other in others if other is not None),
    ]
    return max(float(values.max()) for values in found)


def noise_by_kind(reference: Reference, kinds: dict[str, Floats], answers: dict[str, Floats]) -> dict[str, float]:
    """Return the same for several kinds of windows, each by itself: some inputs carry rounding further than others."""
    windows, said = np.concatenate(list(kinds.values())), np.concatenate(list(answers.values()))
    double = reference.predict_double(windows)
    found = np.max(
        [
            relative(said, reference.predict(windows, batch=32)),
            *([] if double is None else [relative(said, double)]),
            *(relative(said, reference.predict(moved(windows, seed))) for seed in seeds_for(windows)),
        ],
        axis=0,
    )
    bounds = np.cumsum([0, *(len(rows) for rows in kinds.values())])
    return {name: float(found[bounds[i] : bounds[i + 1]].max()) for i, name in enumerate(kinds)}


def relative(reference: Floats, candidate: Floats) -> NDArray[np.float64]:
    """Return each window's largest |Δlogit| over its largest |logit|, float64 [n]."""
    difference, largest = logit_differences(reference, candidate)
    return difference / largest


def seeds_for(windows: NDArray[Any]) -> tuple[int, ...]:
    """Return by which draws windows are moved: two, and none for token ids, which have no next one."""
    return (SEED, SEED + 1) if np.issubdtype(windows.dtype, np.floating) else ()


def moved(windows: Floats, seed: int) -> Floats:
    """Return the windows with every value moved to the next float32, up or down by chance."""
    up = np.random.default_rng(seed).random(windows.shape) < 0.5
    return np.nextafter(windows, np.where(up, np.float32(np.inf), np.float32(-np.inf)))
