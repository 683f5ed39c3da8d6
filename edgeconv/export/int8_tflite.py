"""The int8 TFLite file, with the calibration windows that keep its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from edgeconv import folder as files
from edgeconv.evaluate.limits import limits_of
from edgeconv.evaluate.tflite import normalise
from edgeconv.runtime.artefact import Artefact

from .calibration import ATTEMPTS, Calibration
from .job import Job
from .tflite import to_tflite


def write_int8_tflite(job: Job, artefact: Artefact, attempts: Sequence[Calibration] = ATTEMPTS) -> None:
    """Write the int8 file with the first calibration that keeps the limits, or the last one tried where none does."""
    train, file = job.dataset.train, job.aside / artefact.name
    normalised = normalise(train.windows, job.spec)
    failures: list[str] = []
    for attempt in attempts:
        rows = attempt.rows(train, normalised)
        job.on_progress(f"{artefact.name}, calibrated on {len(rows)} windows ({attempt.method}, seed {attempt.seed})")
        to_tflite(job.folder / files.KERAS, file, normalised[rows])
        violations = job.check(file).violations(limits_of(artefact.name))
        if not violations:
            break
        failures.append(f"{attempt.method} {attempt.count} seed {attempt.seed}: {'; '.join(violations)}")
    job.calibrations["tflite"] = {
        **asdict(attempt),
        "subjects": np.unique(train.subjects[rows]).tolist(),
        "tried_before": failures,
        "rows": rows.tolist(),
    }
