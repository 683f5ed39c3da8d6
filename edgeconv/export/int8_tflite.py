"""The int8 TFLite file: ranges chosen, and layers left in float32 where they must be, by training subjects alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.data.dataset import Split
from edgeconv.evaluate.compare import compare
from edgeconv.evaluate.limits import limits_of
from edgeconv.evaluate.tflite import normalise
from edgeconv.runtime.artefact import Artefact

from .calibration import ATTEMPTS, Calibration, figures, held_back
from .job import Job
from .tflite import finished, search_float_layers, to_mixed_tflite, to_tflite


def write_int8_tflite(job: Job, artefact: Artefact, attempts: Sequence[Calibration] = ATTEMPTS) -> None:
    """Write the int8 file with the draw of calibration windows that does best on held-back training subjects.

    The first draw that keeps the limits there is taken. Where none does, the most accurate one is, among equals the
    one with the smaller mean |Δp|, and as few layers as possible stay in float32 for the limits to be kept. What was
    chosen and tried goes to `job.calibrations`; test windows decide nothing.
    Raises ConversionError.
    """
    train, file = job.dataset.train, job.aside / artefact.name
    normalised = normalise(train.windows, job.spec)
    judges = Judges.of(job)
    tried: list[dict[str, Any]] = []
    draws: list[tuple[tuple[float, float], int, bytes]] = []
    for attempt in attempts:
        rows = judges.draw(attempt, train, normalised)
        job.on_progress(f"{artefact.name}, calibrated on {len(rows)} windows ({attempt.method}, seed {attempt.seed})")
        content = rebuild(job, artefact, {"rows": rows, "float_layers": []})
        file.write_bytes(content)
        probabilities = job.run(file, train.windows[judges.rows])
        seen = compare(judges.reference, probabilities, train.class_ids[judges.rows])
        kept = not seen.violations(limits_of(artefact.name))
        mean_abs_diff = float(np.abs(probabilities - judges.reference).mean())
        tried.append({**asdict(attempt), **figures(seen), "mean_abs_diff": mean_abs_diff, "kept_limits": kept})
        draws.append(((-(seen.accuracy or 0.0), mean_abs_diff), len(draws), content))
        if kept:
            chosen = len(draws) - 1
            break
    else:
        _, chosen, content = min(draws)
        file.write_bytes(content)
    rows = judges.draw(attempts[chosen], train, normalised)
    entry: dict[str, Any] = {
        **asdict(attempts[chosen]),
        "subjects": np.unique(train.subjects[rows]).tolist(),
        "judged_on": {"subjects": np.unique(train.subjects[judges.rows]).tolist(), "windows": len(judges.rows)},
        "tried": tried,
        "float_layers": [],
    }
    if not tried[chosen]["kept_limits"]:
        job.on_progress(f"{artefact.name}, looking for the layers that must stay in float32")
        entry |= search_float_layers(
            job.folder / files.KERAS,
            job.aside / f"{artefact.name}.search",
            normalised[rows],
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

    entry: `rows` of the training split that choose the ranges, and `float_layers` that stay in float32
    Raises ConversionError.
    """
    raw = job.aside / f"{artefact.name}.raw"
    windows = normalise(job.dataset.train.windows[np.asarray(entry["rows"])], job.spec)
    try:
        if entry["float_layers"]:
            to_mixed_tflite(job.folder / files.KERAS, raw, windows, entry["float_layers"])
        else:
            to_tflite(job.folder / files.KERAS, raw, windows)
        return finished(job, raw.read_bytes(), normalised=True)
    finally:
        raw.unlink(missing_ok=True)


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
