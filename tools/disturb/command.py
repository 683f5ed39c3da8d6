"""The command's answers, and those for the recordings as they were."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeconv.data.dataset import Recording

from .made import RATE_HZ, Table

ROOT = Path(__file__).resolve().parents[2]
USUAL = re.compile(r"edgeconv: (.* version .*, trained on .*; on |\d+ windows of |window by window, because )")
"""What the command says of every recording."""
DONE, REFUSED = 0, (2, 3)
FOLDER = "recordings"
Grid = NDArray[np.float64]
"""The reference of one recording: float64 [samples at which a window can begin, classes]."""


@dataclass(frozen=True)
class Answers:
    """What the command made of some recordings."""

    code: int
    said: tuple[str, ...]
    """What it said beside what it always says; of what is refused, why."""
    starts: Mapping[str, NDArray[np.int64]]
    """Of each recording: the windows' first samples, at the model's rate."""
    probabilities: Mapping[str, NDArray[np.float64]]
    marked: int
    """Windows that are marked as implausible."""


def stream(model: Path, recordings: Sequence[str], options: Sequence[str], where: Path) -> Answers:
    """Run the command in a folder, so that it names no other place."""
    command = [sys.executable, "-m", "edgeconv", "stream", str(model), *recordings, *options, "--format", "csv"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, cwd=where, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode not in (DONE, *REFUSED):
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
    said = [line.removeprefix("edgeconv: ") for line in done.stderr.splitlines() if not USUAL.match(line)]
    if done.returncode:
        said = [line for line in said if line.startswith("error: ")]
    head, *rows = csv.reader(io.StringIO(done.stdout or "confidence"))  # nothing at all where options cannot be
    first = head.index("confidence") + 1
    last = first + sum(name.startswith("probability_") for name in head)
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    begin = {name: np.array([float(row[1]) for row in own]) for name, own in found.items()}
    return Answers(
        code=done.returncode,
        said=tuple(re.sub(rf"^(error: )?({FOLDER}/)?([\w.]+: )?", "", line) for line in said),
        starts={name: np.rint(start_s * RATE_HZ).astype(np.int64) for name, start_s in begin.items()},
        probabilities={name: np.array([row[first:last] for row in own], np.float64) for name, own in found.items()},
        marked=sum(bool(row[-1]) for row in rows) if head[-1] == "implausible" else 0,
    )


def reference_of(model: Path, recordings: Sequence[Recording], folder: Path) -> dict[str, Grid]:
    """Stream the recordings as they are, with a window at every sample, so that any window has its like."""
    (folder / FOLDER).mkdir()
    for recording in recordings:
        Table(recording.samples.astype(np.float64)).write(folder / FOLDER / f"{recording.name}.csv")
    every, usual = (stream(model, [FOLDER], hop, folder) for hop in (["--hop", "1"], []))
    if every.code or usual.code:
        raise SystemExit(f"a recording as it was is refused: {'; '.join((*every.said, *usual.said))}")
    found = dict(every.probabilities)
    for name, starts in every.starts.items():
        assert (starts == np.arange(len(starts))).all()
        # Where the model's own hop has a window, it is the reference: another form of the network may answer it.
        found[name][usual.starts[name]] = usual.probabilities[name]
    return found
