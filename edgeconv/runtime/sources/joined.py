"""Files that belong together: which they are, and their rows side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingFileError, UsageError
from .found import bare_name


@dataclass(frozen=True)
class Recording:
    """One recording, in one file or in several that belong together."""

    name: str
    """What the star of the pattern stands for, or the first file's name without ending."""
    paths: tuple[Path, ...]


def join_files(paths: Sequence[Path], patterns: Sequence[str]) -> list[Recording]:
    """Return the recordings that some files make; without patterns each file is one.

    patterns: such as `acc_*.txt` and `gyro_*.txt`, or `acc/*.csv` and `gyro/*.csv`; what the star stands for says which
    files belong together, in the patterns' order. Of each recording one file is enough to find the others.
    Raises InputError for a file that no pattern fits, MissingFileError where one of a recording is not there.
    """
    if not patterns:
        stems = [bare_name(path.name) for path in paths]
        names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
        return [Recording(name, (path,)) for name, path in zip(names, paths, strict=True)]
    found = group_files(paths, patterns)
    for group in found.values():
        there = [path for path in group if path.exists()]
        if len(there) < len(group):
            lacking = next(path for path in group if path not in there)
            belongs = (there or group)[0]
            raise MissingFileError(f"{lacking} is not there; it belongs to {belongs}, by --join {','.join(patterns)}")
    names = [star or bare_name(Path(patterns[0]).name) for _, star in found]
    if len(set(names)) < len(names):
        names = [str(root / name) for (root, _), name in zip(found, names, strict=True)]
    return [Recording(name, group) for name, group in zip(names, found.values(), strict=True)]


def group_files(paths: Sequence[Path], patterns: Sequence[str]) -> dict[tuple[Path, str], tuple[Path, ...]]:
    """Return the files of each recording by the folder that the patterns start from and what their star stands for.

    Some of them may not be there. Raises InputError for a file that no pattern fits.
    """
    found: dict[tuple[Path, str], tuple[Path, ...]] = {}
    for path in paths:
        root, star = _match(path, patterns)
        found[root, star] = tuple(root / pattern.replace("*", star) for pattern in patterns)
    return found


def _match(path: Path, patterns: Sequence[str]) -> tuple[Path, str]:
    """Return the folder that a pattern starts from, and what its star stands for."""
    for pattern in patterns:
        parts = Path(pattern).parts
        tail = "/".join(path.parts[-len(parts) :])
        before, star, after = "/".join(parts).partition("*")
        middle = tail[len(before) : len(tail) - len(after)]
        if star and tail == before + middle + after and middle and "/" not in middle:
            return Path(*path.parts[: -len(parts)]), middle
        if not star and tail == pattern:
            return Path(*path.parts[: -len(parts)]), ""
    raise InputError(f"{path} fits none of the names in --join {','.join(patterns)}; expected a file of one of them")


def side_by_side(
    sources: Sequence[Iterator[NDArray[np.float64]]], names: Sequence[str]
) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of several sources side by side: float64 [n, all columns].

    Raises InputError that says all lengths where they differ.
    """
    if len(sources) == 1:
        yield from sources[0]
        return
    held = [np.empty((0, 0)) for _ in sources]
    lengths = [0] * len(sources)
    while True:
        for at, source in enumerate(sources):
            while len(held[at]) == 0 and (block := next(source, None)) is not None:
                held[at], lengths[at] = block, lengths[at] + len(block)
        count = min(map(len, held))
        if count == 0:
            break
        yield np.concatenate([block[:count] for block in held], axis=1)
        held = [block[count:] for block in held]
    for at, source in enumerate(sources):
        lengths[at] += sum(map(len, source))
    if len(set(lengths)) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in zip(names, lengths, strict=True))
        raise InputError(f"files that are joined row by row differ in length: {said} samples; expected as many in each")


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Put the name of the recording in front of an error's message."""
    try:
        yield
    except (InputError, UsageError) as error:
        raise type(error)(f"{where}: {error}") from None
