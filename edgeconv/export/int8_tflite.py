"""The int8 TFLite file: ranges chosen, and layers left in float32 where they must be, by training subjects alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.data.dataset import Split
from edgeconv.evaluate.compare import compare
from edgeconv.evaluate.limits import limits_of
from edgeconv.evaluate.tflite import normalise
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ConversionError

from .calibration import ATTEMPTS, Calibration, figures, held_back
from .graph.equalise import equalised
from .graph.keras import to_keras
from .graph.net import Net, Scale, Step, fold_scales
from .graph.read import read_net
from .job import Job
from .ranges import activations, channel_ranges
from .tflite import finished, search_float_layers, to_mixed_tflite, to_tflite
from .ways import Channels

CUT: Mapping[str, float] = {"minmax": 0.0, "99.7 %": 0.003}
"""What ends the range of an input channel → part of its values cut off at either end, before the converter, which only
knows lowest and highest, is shown the windows."""
RANGES: Mapping[Channels, str] = {"as they are": "minmax", "equalised": "99.7 %"}
"""What is done to the channels → what ends the range of an input channel."""


def tries(job: Job, draws: Sequence[Calibration]) -> Iterator[tuple[Calibration, Channels]]:
    """Yield draws and what is done to the channels: with the first draw nothing, then, where they can be, equalised."""
    yield draws[0], "as they are"
    try:
        to_keras(normalised_source(job))
    except ConversionError:
        yield from ((draw, "as they are") for draw in draws[1:])
    else:
        yield from ((draw, "equalised") for draw in draws)


def write_int8_tflite(job: Job, artefact: Artefact, draws: Sequence[Calibration] = ATTEMPTS) -> None:
    """Write the int8 file with the draw of calibration windows that does best on held-back training subjects.

    The first of `tries` that keeps the limits there is taken. Where none does, the most accurate one is, among equals
    the one with the smaller mean |Δp|, and as few layers as possible stay in float32 for the limits to be kept. What
    was chosen and tried goes to `job.calibrations`; test windows decide nothing.
    Raises ConversionError.
    """
    train, file = job.dataset.train, job.aside / artefact.name
    normalised = normalise(train.windows, job.spec)
    judges = Judges.of(job)
    tried: list[dict[str, Any]] = []
    attempts: list[tuple[Calibration, Channels]] = []
    results: list[tuple[tuple[float, float], int, bytes]] = []
    for draw, channels in tries(job, draws):
        rows = judges.draw(draw, train, normalised)
        job.on_progress(
            f"{artefact.name}, calibrated on {len(rows)} windows ({draw.method}, seed {draw.seed}), channels {channels}"
        )
        way = {"channels": channels, "ranges": RANGES[channels]}
        try:
            content = rebuild(job, artefact, {**way, "rows": rows, "float_layers": []})
            file.write_bytes(content)
            probabilities = job.run(file, train.windows[judges.rows])
        except ConversionError:
            if not attempts:
                raise
            continue  # the converter took the network as it is, and does not take the equalised one
        attempts.append((draw, channels))
        seen = compare(judges.reference, probabilities, train.class_ids[judges.rows])
        kept = not seen.violations(limits_of(artefact.name))
        mean_abs_diff = float(np.abs(probabilities - judges.reference).mean())
        seen_of = {**figures(seen), "mean_abs_diff": mean_abs_diff, "kept_limits": kept}
        tried.append({**asdict(draw), **way, **seen_of})
        results.append(((-(seen.accuracy or 0.0), mean_abs_diff), len(results), content))
        if kept:
            chosen = len(results) - 1
            break
    else:
        _, chosen, content = min(results)
        file.write_bytes(content)
    draw, channels = attempts[chosen]
    rows = judges.draw(draw, train, normalised)
    entry: dict[str, Any] = {
        **asdict(draw),
        "channels": channels,
        "ranges": RANGES[channels],
        "subjects": np.unique(train.subjects[rows]).tolist(),
        "judged_on": {"subjects": np.unique(train.subjects[judges.rows]).tolist(), "windows": len(judges.rows)},
        "tried": tried,
        "float_layers": [],
    }
    if not tried[chosen]["kept_limits"]:
        job.on_progress(f"{artefact.name}, looking for the layers that must stay in float32")
        with converted_from(job, normalised[rows], entry) as (keras_file, windows):
            entry |= search_float_layers(
                keras_file,
                job.aside / f"{artefact.name}.search",
                windows,
                normalised[judges.rows],
                judges.reference,
                train.class_ids[judges.rows],
            )
    entry["rows"] = rows.tolist()
    entry["accuracy"] = {
        "float32": tried[chosen]["reference_accuracy"],
        "all_int8": tried[chosen]["accuracy"],
        "int8": (entry.get("with_float_layers") or tried[chosen])["accuracy"],
    }
    if entry["float_layers"]:
        file.write_bytes(rebuild(job, artefact, entry))
    job.calibrations["tflite"] = entry


def rebuild(job: Job, artefact: Artefact, entry: Mapping[str, Any]) -> bytes:
    """Return the int8 file that an entry of `calibration.json` describes, without searching: the same bytes.

    entry: `rows` of the training split that choose the ranges, `channels` and `ranges`, what is done to the network and
        to these windows, and `float_layers` that stay in float32
    Raises ConversionError.
    """
    raw = job.aside / f"{artefact.name}.raw"
    windows = normalise(job.dataset.train.windows[np.asarray(entry["rows"])], job.spec)
    with converted_from(job, windows, entry) as (keras_file, shown):
        try:
            if entry["float_layers"]:
                to_mixed_tflite(keras_file, raw, shown, entry["float_layers"])
            else:
                to_tflite(keras_file, raw, shown)
            return finished(job, raw.read_bytes(), normalised=True)
        finally:
            raw.unlink(missing_ok=True)


@contextmanager
def converted_from(
    job: Job, windows: NDArray[np.float32], entry: Mapping[str, Any]
) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    """Give the Keras file that an entry has converted, and the windows that its converter is shown to find ranges.

    windows: float32 [n, window, channels], normalised
    Raises ConversionError where the channels cannot be equalised, KeyError for what is not known.
    """
    # Entries from before channels could be equalised say neither.
    channels, part = entry.get("channels", "as they are"), CUT[entry.get("ranges", "minmax")]
    if channels not in RANGES:
        raise KeyError(channels)
    if part:
        windows = np.clip(windows, *np.quantile(windows, (part, 1 - part), axis=(0, 1)).astype(np.float32))
    if channels == "as they are":
        yield job.folder / files.KERAS, windows
        return
    net = normalised_source(job)
    net = equalised(net, channel_ranges(activations(net, job.spec, windows), "minmax"))
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as folder:
        path = Path(folder) / files.KERAS
        to_keras(net).save(path)
        yield path, windows


def normalised_source(job: Job) -> Net:
    """Return the canonical form of the network that takes normalised windows; raises ConversionError without one."""
    if job.source.net is None:
        raise ConversionError(job.source.refusal)
    net = read_net(job.source.converted, keep_first_scale=True)
    mean, std = (np.array([getattr(one, key) for one in job.spec.channels], np.float32) for key in ("mean", "std"))
    back = Step(Scale(std, mean), (0,), "physical units")
    steps = (replace(step, inputs=tuple(i + 1 for i in step.inputs)) for step in net.steps)
    net = fold_scales(replace(net, steps=(back, *steps)), keep_first=True)
    return without_identity(net)


def without_identity(net: Net) -> Net:
    """Return the network without a first scale that changes nothing but in float32 rounding."""
    scale = net.steps[0].operation
    if not isinstance(scale, Scale) or not (
        np.allclose(scale.factor, 1, atol=1e-5) and np.allclose(scale.shift, 0, atol=1e-4)
    ):
        return net
    return replace(
        net, steps=tuple(replace(step, inputs=tuple(max(i - 1, 0) for i in step.inputs)) for step in net.steps[1:])
    )


@dataclass(frozen=True)
class Judges:
    """The training windows that judge a calibration, and those left to make it: of other subjects."""

    rows: NDArray[np.int64]
    """int64 [n], of the training split."""
    others: NDArray[np.int64]
    """int64 [m], the rest of the rows."""
    reference: NDArray[np.float32]
    """float32 [n, classes], what the Keras model answers to the judging windows."""

    @classmethod
    def of(cls, job: Job) -> Judges:
        """Hold back the judging windows of a job and ask the model about them."""
        others, rows = held_back(job.dataset.train)
        return cls(rows, others, job.model.predict(job.dataset.train.windows[rows]))

    def draw(self, attempt: Calibration, train: Split, normalised: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the rows of the training split that an attempt draws from the windows that do not judge."""
        part = Split(train.windows[self.others], train.class_ids[self.others], train.subjects[self.others])
        return self.others[attempt.rows(part, normalised[self.others])]
