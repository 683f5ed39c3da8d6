"""Windows of any origin from an `.npz` file, which the spec of a model, or the file itself, says the meaning of.

The file holds, for `test` and, where int8 ranges are to be measured, for `train`:

    <split>_windows    float [n, window, channels] in the spec's units and order; for tokens integers [n, window]
    <split>_class_ids  integers [n], from 0: the place of the label in the spec
    <split>_subjects   integers [n]: who was recorded (one number for all where that is not known)

and, if wanted, the texts `name` and `licence`, and `synthetic`, true for data that were generated. Where no model is
given, as for training, the file describes itself:

    labels             texts [classes], in the order of the class ids
    channel_names      texts [channels]
    units              texts [channels]
    sampling_rate_hz   a number
    hop                an integer: timesteps between the starts of two windows
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.runtime.errors import ArtefactError, InputError, MissingFileError
from edgeconv.runtime.spec import Channel, ModelSpec
from edgeconv.runtime.windows import as_float32, as_tokens, require_finite

from .dataset import SPLITS, Dataset, Split

PARTS = ("windows", "class_ids", "subjects")
OTHERS = ("name", "licence", "synthetic")
DESCRIPTION = {
    "labels": "np.array(['rest', 'walk'])",
    "channel_names": "np.array(['acc_x', 'acc_y'])",
    "units": "np.array(['g', 'g'])",
    "sampling_rate_hz": "50.0",
    "hop": "64",
}
"""Arrays by which a file describes itself, each with an example."""


def load_arrays(path: Path, spec: ModelSpec | None = None) -> Dataset:
    """Return the windows of an `.npz` file as the data set of a model, or as the file describes itself.

    With a spec the file's own description, where there is one, is checked against it, but for the hop. Without training
    windows the split `train` is empty. Raises MissingFileError, or InputError that names the array and
    says what is wrong with it.
    """
    arrays = _read(path)
    known = {f"{split}_{part}" for split in SPLITS for part in PARTS} | set(OTHERS) | set(DESCRIPTION)
    unknown = sorted(set(arrays) - known)
    if unknown:
        raise InputError(
            f"{path} holds {', '.join(unknown)}, which is not known; the arrays are "
            f"{', '.join(f'{split}_{part}' for split in SPLITS for part in PARTS)}, {', '.join(OTHERS)}, and for "
            f"training {', '.join(DESCRIPTION)}"
        )
    wanted = [split for split in SPLITS if split == "test" or any(f"{split}_{part}" in arrays for part in PARTS)]
    missing = [f"{split}_{part}" for split in wanted for part in PARTS if f"{split}_{part}" not in arrays]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; each split has windows, class_ids and subjects (who was recorded, one "
            "number for all where that is not known)"
        )
    if spec is None:
        spec = _described(arrays, path)
    else:
        _require_agreement(arrays, spec, path)
    splits = {split: _split(arrays, split, spec, path) for split in wanted}
    if not len(splits["test"]):
        raise InputError(f"{path}: test_windows holds no window; an export is proved on the test windows")
    train = splits.get("train") or _nothing(splits["test"])
    return Dataset(
        name=_text(arrays, "name", path) or path.stem,
        synthetic=_flag(arrays, path),
        licence=_text(arrays, "licence", path) or "not stated",
        labels=spec.labels,
        channels=spec.channels,
        sampling_rate_hz=spec.sampling_rate_hz,
        hop=spec.hop,
        train=train,
        test=splits["test"],
        source=f"{path.name} (sha256 {files.file_sha256(path)})",
    )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise InputError(f"{path} holds one array, not several; write it with `numpy.savez`")
        with found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; give an .npz file that `numpy.savez` wrote") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not an .npz file that can be read ({' '.join(str(error).split())[:120]}); write arrays of "
            "numbers with `numpy.savez`"
        ) from None


def _described(arrays: Mapping[str, NDArray[Any]], path: Path) -> ModelSpec:
    """Return what the file says of its windows as a spec; raises one InputError for all that it does not say."""
    if missing := [name for name in DESCRIPTION if name not in arrays]:
        example = ", ".join(f"{name}={DESCRIPTION[name]}" for name in missing)
        raise InputError(
            f"{path} holds windows and does not say what they are: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing, and no model is given whose spec says it; save the file "
            f"again with np.savez(…, {example})"
        )
    for name in ("labels", "channel_names", "units"):
        if arrays[name].dtype.kind != "U" or arrays[name].ndim != 1:
            raise InputError(f"{path}: {name} is {arrays[name].dtype} {list(arrays[name].shape)}; texts [n] expected")
    for name, kinds in (("sampling_rate_hz", "fiu"), ("hop", "iu")):
        if arrays[name].dtype.kind not in kinds or arrays[name].ndim:
            what = "a number" if "f" in kinds else "an integer"
            raise InputError(f"{path}: {name} is {arrays[name].dtype} {list(arrays[name].shape)}; {what} expected")
    names, units = arrays["channel_names"].tolist(), arrays["units"].tolist()
    shape = arrays["test_windows"].shape
    if len(names) != len(units) or len(shape) != 3 or shape[2] != len(names):
        raise InputError(
            f"{path} has {len(names)} channel_names, {len(units)} units and test_windows {list(shape)}; one name and "
            "one unit for each channel of [n, window, channels] expected"
        )
    channels = tuple(Channel(name, unit) for name, unit in zip(names, units, strict=True))
    rate_hz, labels = float(arrays["sampling_rate_hz"]), tuple(arrays["labels"].tolist())
    try:
        return ModelSpec(path.stem, "", channels, rate_hz, shape[1], int(arrays["hop"]), labels)
    except ArtefactError as error:
        raise InputError(f"{path}: {str(error).partition('is not valid: ')[2]}") from None


def _require_agreement(arrays: Mapping[str, NDArray[Any]], spec: ModelSpec, path: Path) -> None:
    """Raise InputError where the file describes itself otherwise than the spec of the model does."""
    expected = {
        "labels": list(spec.labels),
        "channel_names": list(spec.channel_names),
        "units": [channel.unit for channel in spec.channels],
        "sampling_rate_hz": spec.sampling_rate_hz,
    }
    for name, value in expected.items():
        if name in arrays and arrays[name].tolist() != value:
            raise InputError(f"{path}: {name} is {arrays[name].tolist()}, and the model's spec says {value}")


def _split(arrays: Mapping[str, NDArray[Any]], split: str, spec: ModelSpec, path: Path) -> Split:
    given = arrays[f"{split}_windows"]
    where = f"{path}: {split}_windows"
    windows: Any  # Split calls them float32, and token ids are int32
    try:
        if spec.input == "tokens":
            windows = as_tokens(given, spec.window, spec.vocabulary or 0)
        else:
            windows = as_float32(given, "windows")
            _require_shape(windows.shape, spec, where)
            require_finite(windows, "windows")
    except InputError as error:
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from None
    class_ids, subjects = (_whole(arrays, f"{split}_{part}", len(windows), path) for part in PARTS[1:])
    outside = (class_ids < 0) | (class_ids >= len(spec.labels))
    if outside.any():
        at = int(outside.argmax())
        counted = "; they count from 0" if class_ids.min() == 1 and class_ids.max() == len(spec.labels) else ""
        raise InputError(
            f"{path}: {split}_class_ids holds {class_ids[at]} at index {at}; the spec has {len(spec.labels)} labels, "
            f"so 0 to {len(spec.labels) - 1} are expected{counted}"
        )
    return Split(windows, class_ids, subjects)


def _require_shape(shape: tuple[int, ...], spec: ModelSpec, where: str) -> None:
    if len(shape) != 3 or shape[1:] != spec.window_shape:
        swapped = len(shape) == 3 and shape[:0:-1] == spec.window_shape
        raise InputError(
            f"{where} has shape {list(shape)}; the spec says [n, {spec.window}, {len(spec.channels)}]: {spec.window} "
            f"timesteps of {len(spec.channels)} channels"
            f"{'; the axes are swapped: save windows.transpose(0, 2, 1)' if swapped else ''}"
        )


def _whole(arrays: Mapping[str, NDArray[Any]], name: str, windows: int, path: Path) -> NDArray[np.int64]:
    array = arrays[name]
    if array.dtype.kind not in "iu" or array.shape != (windows,):
        one_hot = "; from one-hot rows, save rows.argmax(axis=1)" if array.ndim == 2 else ""
        raise InputError(
            f"{path}: {name} is {array.dtype} {list(array.shape)}; one integer for each of {windows} windows is "
            f"expected{one_hot}"
        )
    return array.astype(np.int64)


def _nothing(like: Split) -> Split:
    return Split(like.windows[:0], like.class_ids[:0], like.subjects[:0])


def _text(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> str:
    if name not in arrays:
        return ""
    if arrays[name].dtype.kind != "U" or arrays[name].ndim:
        raise InputError(f"{path}: {name} is {arrays[name].dtype} {list(arrays[name].shape)}; one text is expected")
    return str(arrays[name])


def _flag(arrays: Mapping[str, NDArray[Any]], path: Path) -> bool:
    found = arrays.get("synthetic", np.array(False))
    if found.dtype != np.bool_ or found.ndim:
        raise InputError(f"{path}: synthetic is {found.dtype} {list(found.shape)}; true or false is expected")
    return bool(found)
