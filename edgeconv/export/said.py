"""What is said of a model made elsewhere, from several sides, put together as its spec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edgeconv.data.dataset import Dataset
from edgeconv.runtime.errors import ArtefactError, MissingFileError, UsageError
from edgeconv.runtime.spec import SPEC_VERSION, ModelSpec

from .foreign import ModelEnds

NOT_KNOWN = "data that are not stated"
"""What a spec says of the training where nobody says anything."""
OPTIONS = {
    "channels": '--channels "acc_x:g,acc_y:g,acc_z:g" (name and unit of each, in the order of the model)',
    "sampling_rate_hz": "--sampling-rate (samples a second)",
    "window": "--window (timesteps; the model leaves them open)",
    "hop": "--hop (timesteps between windows)",
    "labels": "--labels walk,run,rest (in the order of the output)",
    "vocabulary": "--vocabulary (how many token ids there are)",
}
"""Field of the spec → the option that says it."""


def read_said(path: Path) -> dict[str, Any]:
    """Return what a `spec.json` says, which need not be all; raises MissingFileError or ArtefactError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise MissingFileError(f"{path} is not there; give the spec as a JSON file, or by options") from None
    except ValueError as error:
        raise ArtefactError(f"{path} is not JSON ({error}); see docs/your-model.md for what a spec holds") from None
    if not isinstance(found, dict) or found.pop("spec_version", SPEC_VERSION) != SPEC_VERSION:
        raise ArtefactError(f"{path} is not a spec of version {SPEC_VERSION}; see docs/your-model.md for what it holds")
    known = [field.name for field in fields(ModelSpec)]
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ArtefactError(f"{path} says {', '.join(unknown)}, which is not known; a spec says {', '.join(known)}")
    kinds = {"window": int, "hop": int, "vocabulary": int, "labels": list, "channels": list, "name": str, "input": str}
    for key, kind in kinds.items():
        if found.get(key) is not None and not isinstance(found[key], kind):
            raise ArtefactError(
                f"{path}: {key} is {found[key]!r} ({type(found[key]).__name__}); {kind.__name__} is expected"
            )
    for channel in found.get("channels") or ():
        if not isinstance(channel, dict) or not {"name", "unit"} <= set(channel):
            raise ArtefactError(
                f'{path}: channel {channel!r} needs a name and a unit, as in {{"name": "acc_x", "unit": "g"}}'
            )
    return found


def read_channels(text: str) -> list[dict[str, Any]]:
    """Return the channels of `acc_x:g,acc_y:g`; raises UsageError where one has no unit."""
    channels = []
    for part in text.split(","):
        name, colon, unit = part.strip().rpartition(":")
        if not (name and colon and unit):
            raise UsageError(
                f"--channels has {part.strip()!r}; each is a name and a unit, as in acc_x:g,acc_y:g (unit 1 for none)"
            )
        channels.append({"name": name.strip(), "unit": unit.strip()})
    return channels


def said_by(dataset: Dataset) -> dict[str, Any]:
    """Return what a data set of ours says of its windows."""
    return {
        "channels": [asdict(channel) for channel in dataset.channels],
        "sampling_rate_hz": dataset.sampling_rate_hz,
        "hop": dataset.hop,
        "labels": list(dataset.labels),
    }


def complete_spec(
    ends: ModelEnds, said: Mapping[str, Any], name: str, layout: str | None = None, more_missing: Sequence[str] = ()
) -> ModelSpec:
    """Return the spec of a model, from what its file says and what is said of it.

    said: fields of a spec as JSON has them, as far as they are known
    name: the model's, where none is said
    more_missing: what else the caller lacks, to be listed with the rest
    Raises UsageError that lists everything that is missing, or where what is said makes no spec, InputError where model
    and words disagree.
    """
    said = {key: value for key, value in said.items() if value is not None}
    window = said.get("window", ends.window)
    if ends.input == "signal":
        wanted = ["channels", "sampling_rate_hz", "hop", "labels"]
        # With a free size both orders may fit, until the window is said.
        if "channels" in said and window is None and (layout or None not in ends.sizes):
            window = ends.length(ends.layout(len(said["channels"]), None, layout))
        if window is None and None in ends.sizes:
            wanted.insert(2, "window")
    else:
        wanted = ["window", "labels", "vocabulary"]
        # A text has no rate, and its next one begins where it ends.
        defaults: dict[str, Any] = {
            "channels": [],
            "sampling_rate_hz": 1.0,
            "hop": window,
            "vocabulary": ends.vocabulary,
        }
        said = defaults | said
    said = said | {"window": window, "input": ends.input}
    unsaid = [OPTIONS[key] for key in wanted if said.get(key) is None]
    if unsaid or more_missing:
        whole = "; or --spec FILE with what it says of the signal" if unsaid else ""
        raise UsageError(f"the model alone does not say everything; give {'; '.join([*unsaid, *more_missing])}{whole}")
    usual = {"name": name, "version": "1", "trained_on": NOT_KNOWN}
    try:
        spec = ModelSpec.from_json(
            json.dumps({"spec_version": SPEC_VERSION, **usual, **said}), "what is said of the model"
        )
    except ArtefactError as error:
        raise UsageError(str(error)) from None
    ends.require_fit(spec, layout)
    return spec
