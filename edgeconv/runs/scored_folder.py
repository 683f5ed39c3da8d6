"""A folder of scored recordings: which are done, and with which model; so that a run that was stopped goes on."""

from __future__ import annotations

import glob
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgeconv import folder as files
from edgeconv.runtime.errors import InputError, UsageError
from edgeconv.runtime.sources.found import LOOKED_FOR, bare_name, glob_files, is_hidden, is_recording
from edgeconv.runtime.sources.joined import group_files

from .engine import Engine
from .record import read_lines
from .scoring import Format, Model, Scored, Task, score_recording

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Found:
    """A recording that was found."""

    paths: tuple[Path, ...]
    """One, or with `join` several that belong together, of which some may not be there."""
    key: str
    """Path below the folder that was given, with slashes; with `join`, what their star stands for in its place."""

    @property
    def name(self) -> str:
        """What its predictions call it: the path below the folder without ending."""
        return bare_name(self.key)


def find_recordings(source: str, out: Path, join: Sequence[str] = ()) -> list[Found]:
    """Return the recordings in a folder and below it, or those that a glob names, in the order of their paths.

    join: names of files that belong together, as a signal has them; in a folder the first of them is looked for
    What lies in `out` and what is hidden is left out. Raises InputError where there is none, UsageError for an `out`
    that would mix answers with recordings.
    """
    root = Path(source)
    if root.is_dir():
        paths = list(root.rglob(join[0])) if join else [path for path in root.rglob("*") if is_recording(path)]
    elif root.exists() and not glob.has_magic(source):
        raise InputError(f"{source} is one file; `edgeconv stream` answers for one, this takes a folder or a glob")
    else:
        root, paths = glob_files(source)
    if out.resolve() == root.resolve():
        raise UsageError(f"--out is {root}, where the recordings are; name another folder, which may be inside it")
    inside = out.resolve() if out.resolve() not in root.resolve().parents else None
    kept = [
        path
        for path in sorted(paths)
        if path.is_file() and not is_hidden(path, root) and inside not in path.resolve().parents
    ]
    if not kept:
        wanted = f"files that fit {join[0]}, the first name in --join" if join else LOOKED_FOR
        raise InputError(f"{source} names no recordings; give a folder with {wanted}; or a glob")
    if not join:
        return [Found((path,), path.relative_to(root).as_posix()) for path in kept]
    return [Found(paths, _joined_key(root, *place, paths[0])) for place, paths in group_files(kept, join).items()]


def _joined_key(root: Path, start: Path, star: str, first: Path) -> str:
    """Return the path of files that belong together: where their names start, and there what their star stands for."""
    below = start.relative_to(root) if start.is_relative_to(root) else Path()
    return (below / (star + "".join(first.suffixes) if star else first.name)).as_posix()


@dataclass
class Totals:
    """What was done and what there is."""

    recordings: int
    scored: int = 0
    done_before: int = 0
    without_windows: int = 0
    windows: int = 0
    """Of all recordings, also those done before, as are `signal_s` and `labels`."""
    signal_s: float = 0.0
    new_windows: int = 0
    seconds: float = 0.0
    """That scoring took."""

    def __post_init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self.implausible: dict[str, dict[str, str]] = {}

    def add(self, line: dict[str, Any]) -> None:
        """Count one recording as the manifest has it."""
        self.windows += line["windows"]
        self.without_windows += line["windows"] == 0
        self.signal_s += line["signal_s"]
        self.labels.update(line["labels"])
        if found := line.get("implausible"):
            self.implausible[line["recording"]] = found

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        per_s = 1 / max(self.seconds, 1e-9)
        return {
            "recordings": self.recordings,
            "scored": self.scored,
            "done_before": self.done_before,
            "failed": len(self.errors),
            "without_windows": self.without_windows,
            "windows": self.windows,
            "signal_s": round(self.signal_s, 3),
            "labels": dict(sorted(self.labels.items())),
            "seconds": round(self.seconds, 3),
            "recordings_per_s": round((self.scored + len(self.errors)) * per_s, 2),
            "windows_per_s": round(self.new_windows * per_s, 1),
            "errors": dict(sorted(self.errors.items())),
            "implausible": dict(sorted(self.implausible.items())),
        }


@dataclass(frozen=True)
class ScoredFolder:
    """The folder that a bulk run fills: one file of answers for each recording, and a manifest."""

    folder: Path

    def score(
        self,
        recordings: Sequence[Found],
        model: Model,
        engine: Engine,
        *,
        overwrite: bool = False,
        on_recording: Callable[[int], None] = lambda _done: None,
    ) -> Totals:
        """Score what is not done yet, write each file as soon as its answers are there, and return what there is.

        A recording is done where the manifest has it with its present size and time of change, and the model's digest,
        and its file is there. One that cannot be read is in the errors, and its old answers go.
        Raises UsageError where the folder cannot be written, and what the engine raises.
        """
        digest, totals = model.digest, Totals(len(recordings))
        began = time.perf_counter()
        missing, states = [], {}
        lines = self._start(overwrite)
        for recording in recordings:
            states[recording.key] = {**_state(recording.paths), "model": digest}
            line = lines.get(recording.key)
            output = self.file(recording, model)
            if line is None or not output.is_file() or {key: line.get(key) for key in _STATE} != states[recording.key]:
                missing.append(recording)
            else:
                totals.done_before += 1
                totals.add(line)
        tasks = [Task(tuple(str(path.absolute()) for path in recording.paths), recording.name) for recording in missing]
        for position, scored in engine.run(score_recording, model, tasks, lambda _event: None):
            recording = missing[position]
            self._keep(recording, model, states[recording.key], scored, totals)
            on_recording(totals.scored + len(totals.errors))
        totals.seconds = time.perf_counter() - began
        return totals

    def file(self, recording: Found, model: Model) -> Path:
        """Return where the answers for a recording are: `walk.wav` → `walk.wav.csv`, so that no two share a file."""
        return self.folder / f"{recording.key}.{model.format}"

    def _start(self, overwrite: bool) -> dict[str, dict[str, Any]]:
        """Return the manifest's lines by recording; what a crash left of a line, or aside of a file, goes."""
        path = self.folder / MANIFEST
        lines = {} if overwrite else {line["recording"]: line for line in read_lines(path)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files.remove_leftovers(self.folder, path.suffix, *(f".{name}" for name in get_args(Format)))
            files.write_text(path, "".join(map(_as_line, lines.values())))
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot be written ({error.strerror}); name another folder with --out"
            ) from None
        return lines

    def _keep(self, recording: Found, model: Model, state: dict[str, Any], scored: Scored, totals: Totals) -> None:
        output = self.file(recording, model)
        if scored.error is not None:
            output.unlink(missing_ok=True)
            totals.errors[recording.key] = scored.error
            return
        output.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(output, scored.data)
        line = {
            "recording": recording.key,
            **state,
            "windows": scored.windows,
            "signal_s": scored.signal_s,
            "labels": dict(scored.labels),
            **({"implausible": dict(scored.implausible)} if model.doubt == "mark" else {}),
        }
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
            file.write(_as_line(line))
        totals.scored += 1
        totals.new_windows += scored.windows
        totals.add(line)


_STATE = ("size", "mtime_ns", "model")


def _state(paths: Sequence[Path]) -> dict[str, Any]:
    """Return sizes and times of change: numbers of one file, lists of several, of which one may not be there."""
    found = [path.stat() if path.exists() else None for path in paths]
    sizes = [status and status.st_size for status in found]
    changed = [status and status.st_mtime_ns for status in found]
    alone = len(found) == 1
    return {"size": sizes[0] if alone else sizes, "mtime_ns": changed[0] if alone else changed}


def _as_line(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=True) + "\n"
