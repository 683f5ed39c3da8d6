"""Recordings written as CSV or WAV files that any tool reads, and that give the same float32 values back."""

from __future__ import annotations

import math
import secrets
import shutil
import wave
from collections.abc import Callable, Sequence
from csv import writer
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Literal

import numpy as np

from edgeconv.runtime.errors import InputError, UsageError

from .dataset import SPLITS, Dataset, Recording
from .described import DESCRIPTION_FILE, WRITTEN, Description, description_toml
from .label_table import LABELS_FILE, LABELS_HEADER, SUBJECT
from .stitch import recordings as recordings_of

FULL_SCALE = "full scale"
"""Unit of sounds: what a WAV file holds."""
FileFormat = Literal["csv", "wav"]
_FORBIDDEN = set('/\\:*?"<>|\0\r\n')


def write_recordings(
    dataset: Dataset,
    recordings: Sequence[Recording],
    folder: str | Path,
    *,
    file_format: FileFormat = "csv",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Write each recording as `<name>.csv` or `<name>.wav`, all segments as `labels.csv`, and `dataset.toml`.

    `load_data` reads the folder again, with the same windows, class ids and subjects. Returns the recordings' paths.

    A WAV file has PCM of as few bits as give every value back: 16, 24 or 32. A CSV file has the columns `time_s` and
    one per channel, in its unit; values in the shortest form that reads back to the same float32. `labels.csv` has
    recording, start_s, end_s (the first moment after the segment), label and, where that is known, subject. The folder
    appears complete or not at all.
    `progress` is told how many of how many are written. Raises UsageError where the folder holds something: with
    `overwrite` only where that is not what this function writes; InputError for a recording that does not fit the data
    set, the disk or a WAV file.
    """
    target = Path(folder).resolve()
    _check_recordings(dataset, recordings)
    _check_target(target, overwrite)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        for number, recording in enumerate(recordings, start=1):
            if file_format == "wav":
                _write_wav(aside / f"{recording.name}.wav", dataset, recording)
            else:
                _write_text(aside / f"{recording.name}.csv", _recording_csv(dataset, recording))
            if progress is not None:
                progress(number, len(recordings))
        _write_text(aside / LABELS_FILE, _labels_csv(dataset, recordings))
        _write_text(aside / DESCRIPTION_FILE, f"{WRITTEN}\n{description_toml(_describe(dataset, recordings))}")
        _put_in_place(aside, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror or error}); give another place") from None
    finally:
        # Also after Ctrl-C: nothing half-written stays.
        shutil.rmtree(aside, ignore_errors=True)
    return tuple(target / f"{recording.name}.{file_format}" for recording in recordings)


def usual_format(dataset: Dataset) -> FileFormat:
    """Return the format in which recordings of a data set are best written: WAV for sounds."""
    return "wav" if all(channel.unit == FULL_SCALE for channel in dataset.channels) else "csv"


def time_decimals(sampling_rate_hz: float) -> int:
    """Return the decimals that write index / rate exactly, or to a thousandth of a sample where no number does."""
    period = 1 / Fraction(str(sampling_rate_hz))
    exact = (d for d in range(10) if (period * 10**d).denominator == 1)
    return next(exact, max(0, math.ceil(math.log10(sampling_rate_hz))) + 3)


def _check_recordings(dataset: Dataset, recordings: Sequence[Recording]) -> None:
    seen = {Path(LABELS_FILE).stem}
    for recording in recordings:
        name, shape = recording.name, recording.samples.shape
        if not name or name.startswith(".") or _FORBIDDEN & set(name):
            raise InputError(f"a recording is called {name!r}, which is no name for a file")
        # Some file systems take no notice of case.
        if name.casefold() in seen:
            raise InputError(f"a recording is called {name!r}, and so is another file that would be written")
        seen.add(name.casefold())
        if len(shape) != 2 or shape[1] != len(dataset.channels):
            raise InputError(f"recording {name} has the shape {shape}, [timesteps, {len(dataset.channels)}] expected")


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; a folder is expected")
    names = [path.name for path in target.iterdir()]
    if names and not overwrite:
        raise UsageError(f"{target} is not empty; give another folder, or say to overwrite it")
    # Overwriting replaces the whole folder, so it must hold nothing else: a slip must not cost anybody's files.
    description = target / DESCRIPTION_FILE
    ours = not description.exists() or description.read_text(encoding="utf-8", errors="replace").startswith(WRITTEN)
    written = (".csv", ".wav", *([DESCRIPTION_FILE] if ours else []))
    others = sorted(name for name in names if not name.endswith(written))
    if names and (others or LABELS_FILE not in names):
        what = f"also holds {others[0]}" if others else f"holds no {LABELS_FILE}"
        raise UsageError(f"{target} was not written by edgeconv ({what}) and is not overwritten; give another folder")


def _put_in_place(aside: Path, target: Path) -> None:
    if not target.exists():
        aside.rename(target)
        return
    old = aside.with_name(f"{aside.name}.old")
    target.rename(old)
    try:
        aside.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_wav(path: Path, dataset: Dataset, recording: Recording) -> None:
    rate_hz = dataset.sampling_rate_hz
    if rate_hz != int(rate_hz):
        raise InputError(f"a WAV file has a whole number of samples per second, not {rate_hz:g}; write CSV")
    samples = np.asarray(recording.samples, np.float64)
    for width in (2, 3, 4):
        steps = samples * 2.0 ** (8 * width - 1)
        if (steps == np.rint(steps)).all() and (samples >= -1).all() and (samples < 1).all():
            break
    else:
        raise InputError(
            f"recording {recording.name} has values from {samples.min():g} to {samples.max():g} that no PCM holds "
            "exactly; expected fractions of full scale, −1 … 1: write CSV"
        )
    frames = np.ascontiguousarray(steps.astype("<i4")).view(np.uint8).reshape(-1, 4)[:, :width]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(int(rate_hz))
        file.writeframes(frames.tobytes())


def _recording_csv(dataset: Dataset, recording: Recording) -> str:
    header = ",".join(["time_s", *(channel.name for channel in dataset.channels)])
    decimals = time_decimals(dataset.sampling_rate_hz)
    # NumPy writes the shortest text that gives the same float32: 1.04122, where '%.9g' would write 1.04121995.
    values = np.asarray(recording.samples, dtype=np.float32).astype(np.str_).tolist()
    rows = (f"{i / dataset.sampling_rate_hz:.{decimals}f},{','.join(row)}" for i, row in enumerate(values))
    return "\n".join([header, *rows, ""])


def _labels_csv(dataset: Dataset, recordings: Sequence[Recording]) -> str:
    decimals = time_decimals(dataset.sampling_rate_hz)
    text = StringIO()
    table = writer(text, lineterminator="\n")
    table.writerow([*LABELS_HEADER, *([SUBJECT] if dataset.subjects_known else [])])
    for recording in recordings:
        subject = [recording.subject] if dataset.subjects_known else []
        for segment in recording.segments:
            times = (f"{at / dataset.sampling_rate_hz:.{decimals}f}" for at in (segment.start, segment.end))
            table.writerow([recording.name, *times, dataset.labels[segment.class_id], *subject])
    return text.getvalue()


def _describe(dataset: Dataset, recordings: Sequence[Recording]) -> Description:
    """Return what the files do not say; the test side by subjects where they are known and on one side only."""
    labelled = [recording for recording in recordings if recording.segments]
    train, test = (
        {*dataset.split(side).subjects.tolist(), *(one.subject for one in dataset.continuous.get(side, ()))}
        for side in SPLITS
    )
    by_subject = dataset.subjects_known and not train & test
    if by_subject:
        names = tuple(str(subject) for subject in sorted(test & {recording.subject for recording in labelled}))
    else:
        tests = {recording.name for recording in recordings_of(dataset, "test")}
        names = tuple(recording.name for recording in labelled if recording.name in tests)
    return Description(
        name=dataset.name,
        licence=dataset.licence,
        synthetic=dataset.synthetic,
        sampling_rate_hz=dataset.sampling_rate_hz,
        window=dataset.window,
        hop=dataset.hop,
        channels=dataset.channels,
        labels=dataset.labels,
        test_subjects=names if by_subject else None,
        test_recordings=None if by_subject else names,
    )
