"""The form of an entry of the cache: arrays as NPY files, everything else and all hashes in `meta.json`.

Of a set with continuous recordings these are kept, and its windows are cut again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.spec import Channel

from .cut import cut_windows
from .dataset import SPLITS, Dataset, Recording, Segment, Split, SplitName

CACHE_VERSION = 2
"""Counted up when a parser gives something else for the same file, or the form of an entry changes."""
_DTYPES = {"windows": "<f4", "class_ids": "<i8", "subjects": "<i8"}
_SAMPLES = "<f4"


def entry_name(source_hash: str, options: Mapping[str, str]) -> str:
    """Return the name of the folder of an entry."""
    if not options:
        return source_hash
    text = json.dumps(dict(sorted(options.items())))
    return f"{source_hash}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def can_be_kept(dataset: Dataset) -> bool:
    """Whether the windows of a set are those of its continuous recordings, where it has such."""
    return not dataset.continuous or all(
        _same_rows(dataset.split(split), _cut(dataset.continuous.get(split, ()), dataset)) for split in SPLITS
    )


def _same_rows(a: Split, b: Split) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in _DTYPES)


def _cut(recordings: Sequence[Recording], dataset: Dataset) -> Split:
    return cut_windows(recordings, dataset.window, dataset.hop, len(dataset.channels))


def read_meta(path: Path) -> dict[str, Any] | None:
    """Return the `meta.json` of an entry, or None where there is none that can be used."""
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        usable = meta["cache_version"] == CACHE_VERSION and {"name", "source", "content_sha256"} <= meta.keys()
        usable = usable and entry_name(meta["source_sha256"], meta["options"]) == path.name
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return meta if usable else None


def read_dataset(path: Path) -> Dataset | None:
    """Return the data set of an entry, or None where there is none or it is damaged."""
    meta = read_meta(path)
    if meta is None:
        return None
    try:
        continuous = _read_recordings(path, meta)
        channels = tuple(Channel(**channel) for channel in meta["channels"])
        if continuous:
            form = meta["window"], meta["hop"], len(channels)
            train, test = (cut_windows(continuous[split], *form) for split in SPLITS)
        else:
            train, test = (
                Split(*(_read_array(path, f"{split}_{part}", dtype, meta) for part, dtype in _DTYPES.items()))
                for split in SPLITS
            )
        dataset = Dataset(
            name=meta["name"],
            synthetic=meta["synthetic"],
            licence=meta["licence"],
            labels=tuple(meta["labels"]),
            channels=channels,
            sampling_rate_hz=meta["sampling_rate_hz"],
            hop=meta["hop"],
            train=train,
            test=test,
            source=meta["source"],
            continuous=continuous,
            options=meta["options"],
            subjects_known=meta["subjects_known"],
        )
    except Exception:  # damaged files raise OSError, ValueError, KeyError, SyntaxError, …; all mean: parse again
        return None
    # Hashing is a small part of a load; training on a flipped bit would cost trust.
    return dataset if _hashes(dataset) == (meta["content_sha256"], meta["recordings_sha256"]) else None


def _hashes(dataset: Dataset) -> tuple[str, str]:
    """Return the content hash, and the SHA-256 of all samples and segments, also those that are in no window."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for recording in dataset.continuous.get(split, ()):
            segments = [(segment.start, segment.end, segment.class_id) for segment in recording.segments]
            digest.update(repr((split, recording.name, recording.subject, recording.samples.shape, segments)).encode())
            digest.update(np.ascontiguousarray(recording.samples, dtype=_SAMPLES).tobytes())
    return dataset.content_hash(), digest.hexdigest()


def _read_recordings(path: Path, meta: dict[str, Any]) -> dict[SplitName, tuple[Recording, ...]]:
    """Return the continuous recordings of an entry, by split; nothing where the set has none."""
    if meta["recordings"] is None:
        return {}
    found: dict[SplitName, tuple[Recording, ...]] = {}
    for split in SPLITS:
        samples, at, recordings = _read_array(path, f"{split}_samples", _SAMPLES, meta), 0, []
        for said in meta["recordings"][split]:
            segments = tuple(Segment(*segment) for segment in said["segments"])
            recordings.append(
                Recording(said["name"], samples[at : (at := at + said["samples"])], said["subject"], segments)
            )
        found[split] = tuple(recordings)
    return found


def _read_array(path: Path, name: str, dtype: str, meta: dict[str, Any]) -> NDArray[Any]:
    file, expected = path / f"{name}.npy", meta["arrays"][name]
    if file.stat().st_size != expected["bytes"]:
        raise ValueError(f"{name} has another size than when it was written")
    # Mapped first: a damaged header may claim an array that does not fit into memory.
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if array.dtype != np.dtype(dtype) or list(array.shape) != expected["shape"]:
        raise ValueError(f"{name} has another shape or type than when it was written")
    return np.array(array)


def write_files(folder: Path, source_hash: str, options: Mapping[str, str], dataset: Dataset) -> None:
    """Write the files of an entry into a folder that is there."""
    arrays = {}
    for array_name, array in _arrays(dataset).items():
        file = folder / f"{array_name}.npy"
        np.save(file, array, allow_pickle=False)
        arrays[array_name] = {"shape": list(array.shape), "bytes": file.stat().st_size}
    content_sha256, recordings_sha256 = _hashes(dataset)
    meta = {
        "cache_version": CACHE_VERSION,
        "source": dataset.source,
        "source_sha256": source_hash,
        "options": dict(options),
        "content_sha256": content_sha256,
        "recordings_sha256": recordings_sha256,
        "name": dataset.name,
        "synthetic": dataset.synthetic,
        "licence": dataset.licence,
        "labels": dataset.labels,
        "channels": [asdict(channel) for channel in dataset.channels],
        "sampling_rate_hz": dataset.sampling_rate_hz,
        "window": dataset.window,
        "hop": dataset.hop,
        "subjects_known": dataset.subjects_known,
        "recordings": _describe_recordings(dataset),
        "arrays": arrays,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False), encoding="utf-8")


def _arrays(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Return what an entry keeps as arrays: all samples of each split's recordings, or else its windows."""
    if dataset.continuous:
        nothing = np.empty((0, len(dataset.channels)), _SAMPLES)
        return {
            f"{split}_samples": np.concatenate([nothing, *(r.samples for r in dataset.continuous.get(split, ()))])
            for split in SPLITS
        }
    return {
        f"{split}_{part}": np.ascontiguousarray(getattr(dataset.split(split), part), dtype=dtype)
        for split in SPLITS
        for part, dtype in _DTYPES.items()
    }


def _describe_recordings(dataset: Dataset) -> dict[str, list[dict[str, Any]]] | None:
    if not dataset.continuous:
        return None
    return {
        split: [
            {
                "name": recording.name,
                "subject": recording.subject,
                "samples": len(recording.samples),
                "segments": [astuple(segment) for segment in recording.segments],
            }
            for recording in dataset.continuous.get(split, ())
        ]
        for split in SPLITS
    }
