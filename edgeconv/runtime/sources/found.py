"""Which files are recordings: those in a folder, those that a glob names, and what a file is called."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

PACKED_ENDINGS = (".gz", ".zst")
SOME_ENDINGS = (".csv", ".tsv", ".txt", ".npy", ".wav")
"""Of recordings that may be compressed."""
ENDINGS = (*SOME_ENDINGS, ".npz", ".parquet", ".arrow", ".feather")
LOOKED_FOR = f"files that end in {', '.join(ENDINGS)}, or in one of the first {len(SOME_ENDINGS)} and .gz or .zst"


def find_recordings(given: Sequence[Path], join: Sequence[str] = ()) -> list[Path]:
    """Return the files that are given, and in place of a folder or a glob those in it, `walk2.csv` before `walk10.csv`.

    Of a folder these are the files directly in it that end as recordings do; with `join` those that fit its first name.
    A glob takes whatever files it names, with `**` in folders below, too. Hidden files are left out. What is not there
    is returned as it is, for whoever opens it to say so. Raises InputError where nothing is found.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += _in_folder(path, join)
        elif glob.has_magic(str(path)) and not path.exists():
            found += _visible(*glob_files(str(path)), f"{path} fits no file; expected a glob of recordings, in quotes")
        else:
            found.append(path)
    return found


def _in_folder(folder: Path, join: Sequence[str]) -> list[Path]:
    if join:
        nothing = f"{folder}: no file in this folder fits {join[0]}, the first name in --join"
        return _visible(folder, list(folder.glob(join[0])), nothing)
    return _visible(
        folder,
        [path for path in folder.iterdir() if is_recording(path)],
        f"{folder}: no recordings in this folder; looked for {LOOKED_FOR}: name other ones, or a glob in quotes such "
        f"as '{folder}/**/*.csv' for folders below",
    )


def glob_files(pattern: str) -> tuple[Path, list[Path]]:
    """Return the folder that a glob starts from, and what it names, in any order."""
    parts = Path(pattern).parts
    first = next((at for at, part in enumerate(parts) if glob.has_magic(part)), max(0, len(parts) - 1))
    root = Path(*parts[:first])
    return root, list(root.glob(Path(*parts[first:]).as_posix()))


def is_recording(path: Path) -> bool:
    """Whether a file's name ends as those of recordings do."""
    name = path.name.lower()
    return name.endswith((*ENDINGS, *(ending + packed for ending in SOME_ENDINGS for packed in PACKED_ENDINGS)))


def bare_name(name: str) -> str:
    """Return a file's name or path without its ending: `walk` of `walk.csv`, and of `walk.csv.gz`."""
    for packed in PACKED_ENDINGS:
        name = name.removesuffix(packed)
    return name.removesuffix(Path(name).suffix)


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a path, or a folder between it and the root, begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _visible(root: Path, paths: list[Path], nothing: str) -> list[Path]:
    found = [path for path in paths if path.is_file() and not is_hidden(path, root)]
    if not found:
        raise InputError(nothing)
    return sorted(found, key=_in_nature)


def _in_nature(path: Path) -> list[str | int]:
    """Return what puts numbers in names in the order of their size."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"([0-9]+)", str(path)))]
