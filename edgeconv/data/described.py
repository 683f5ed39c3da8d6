"""`dataset.toml`: what a folder of recordings cannot show by itself, and everything that it lacks in one message."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeconv.runtime.errors import InputError
from edgeconv.runtime.spec import Channel

DESCRIPTION_FILE = "dataset.toml"
WRITTEN = "# Written by `edgeconv data recordings`."
"""First line of a description that edgeconv wrote, and may overwrite."""

_EXAMPLE_CHANNELS = (Channel("acc_x", "g"), Channel("acc_y", "g"), Channel("acc_z", "g"))


@dataclass(frozen=True)
class Description:
    """What `dataset.toml` says, its keys in this order."""

    name: str
    licence: str
    synthetic: bool
    sampling_rate_hz: float
    window: int
    """Timesteps."""
    hop: int
    """Timesteps."""
    channels: tuple[Channel, ...]
    """In the order of the windows' last axis."""
    labels: tuple[str, ...] = ()
    """In the order of the class ids; those seen, sorted, where nothing is said."""
    label_column: str = ""
    """Column in each file that says what each sample is; instead of `labels.csv`."""
    subject_column: str = ""
    """Column in each file that says who was recorded."""
    subject_pattern: str = ""
    """Regular expression whose first group finds the subject in a file's name without ending."""
    test_subjects: tuple[str, ...] | None = None
    test_recordings: tuple[str, ...] | None = None
    """Names of files without ending."""


def read_description(
    folder: Path, *, has_labels: bool, seen: Sequence[str] = (), subjects_in_labels: bool = False
) -> Description:
    """Return what a folder's `dataset.toml` says; raises one InputError for all that it lacks or has wrong.

    has_labels: whether `labels.csv` is there; otherwise a column must say the labels
    seen: names of columns in the folder's files, which the example in the message takes up
    """
    path = folder / DESCRIPTION_FILE
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        said = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from None
    problems = [f"{key} is not known" for key in said if key not in _KEYS]
    found: dict[str, Any] = {}
    for key, (expected, parse) in _KEYS.items():
        if key in said:
            try:
                found[key] = parse(said[key])
            except (ValueError, TypeError, KeyError, AttributeError):
                problems.append(f"{key} is {json.dumps(said[key], default=str)[:60]}, {expected} expected")
        elif key in _REQUIRED:
            problems.append(f"{key} is missing ({expected})")
    if not has_labels and "label_column" not in said:
        problems.append("neither labels.csv is there, nor label_column that names the column of the labels")
    if has_labels and "label_column" in said:
        problems.append("labels.csv is there and label_column, too; one of them is expected")
    subjects = [key for key in ("subject_column", "subject_pattern") if key in said]
    if len(subjects) + subjects_in_labels > 1:
        problems.append("the subject is said in two ways; one is expected")
    if ("test_subjects" in said) == ("test_recordings" in said):
        problems.append("either test_subjects or test_recordings is expected: which side is for tests ([] for none)")
    elif "test_subjects" in said and not (subjects or subjects_in_labels):
        problems.append(
            "test_subjects is said, and who was recorded is not: give subject_column, subject_pattern, a column "
            "`subject` in labels.csv, or test_recordings instead"
        )
    if problems:
        example = _example(
            path,
            found,
            seen,
            label_column="" if has_labels else "label",
            ask_subject=not (subjects or subjects_in_labels),
        )
        what = "has to be completed" if path.exists() else "is not there and has to say what the files cannot show"
        raise InputError(
            f"{path} {what}:\n  " + "\n  ".join(problems) + f"\nA complete example:\n\n{description_toml(example)}"
        )
    return Description(**{"name": folder.resolve().name, "licence": "not stated", "synthetic": False, **found})


def description_toml(description: Description) -> str:
    """Return a description as TOML, each key on its line; what has its default is left out."""
    lines = []
    for key in _KEYS:
        value = getattr(description, key)
        if value is None or (value in ("", ()) and not key.startswith("test_")):
            continue
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    if value and isinstance(value, tuple) and isinstance(value[0], Channel):
        rows = (f"    {{ name = {_toml(c.name)}, unit = {_toml(c.unit)} }},\n" for c in value)
        return f"[\n{''.join(rows)}]"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # a JSON text is a TOML text, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _example(
    path: Path, found: Mapping[str, Any], seen: Sequence[str], *, label_column: str, ask_subject: bool
) -> Description:
    """Return a description with all keys that are needed, what was found in its place."""
    aside = ("time", "time_s", "label", "subject", found.get("label_column"), found.get("subject_column"))
    channels = tuple(Channel(name, "g") for name in seen if name not in aside) or _EXAMPLE_CHANNELS
    said = {
        "name": path.parent.resolve().name,
        "licence": "CC BY 4.0",
        "synthetic": False,
        "sampling_rate_hz": 50.0,
        "window": 128,
        "hop": 64,
        "channels": channels,
        "label_column": label_column,
        **({"subject_pattern": r"user(\d+)"} if ask_subject else {}),
        **({} if "test_recordings" in found else {"test_subjects": ("3", "7")}),
    }
    return Description(**{**said, **found})


def subject_text(value: object) -> str:
    """Return a subject in its normal form: 02, "2" and 2 are the same person."""
    text = str(value).strip()
    return str(int(text)) if text.isdecimal() and text.isascii() else text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _channels(value: Any) -> tuple[Channel, ...]:
    channels = tuple(Channel(_text(one["name"]), _text(one["unit"])) for one in value)
    if (
        not channels
        or len({channel.name for channel in channels}) < len(channels)
        or any(len(one) > 2 for one in value)
    ):
        raise ValueError
    return channels


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(str(one)) for one in value)


def _labels(value: Any) -> tuple[str, ...]:
    labels = _texts(value)
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError
    return labels


def _subjects(value: Any) -> tuple[str, ...]:
    return tuple(map(subject_text, _texts(value)))


def _pattern(value: Any) -> str:
    try:
        if re.compile(value).groups < 1:
            raise ValueError
    except re.error:
        raise ValueError from None
    return _text(value)


_KEYS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "name": ("a text", _text),
    "licence": ("a text", _text),
    "synthetic": ("true or false", _flag),
    "sampling_rate_hz": ("samples per second, a number above 0", _rate),
    "window": ("timesteps, a whole number from 1", _whole),
    "hop": ("timesteps between the starts of two windows, a whole number from 1", _whole),
    "channels": ('different ones as { name = "acc_x", unit = "g" }, in the order of the model', _channels),
    "labels": ("two or more different texts", _labels),
    "label_column": ("the name of a column", _text),
    "subject_column": ("the name of a column", _text),
    "subject_pattern": ("a regular expression with a group", _pattern),
    "test_subjects": ("a list of subjects", _subjects),
    "test_recordings": ("a list of names of files without ending", _texts),
}
"""Each key of the file, in the order of writing: what its value must be, in words, and how it is read."""
_REQUIRED = ("sampling_rate_hz", "window", "hop", "channels")
