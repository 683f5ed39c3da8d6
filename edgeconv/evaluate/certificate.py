"""The certificate of a model folder: what each artefact was seen to do, bound to its bytes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import ArtefactError, InputError
from edgeconv.runtime.machine import fingerprint
from edgeconv.runtime.spec import ModelSpec

from .examination import Examination
from .examine import Examiner
from .reference import reference_file

SCHEMA = "edgeconv.certificate/2"
SAME_MACHINE_NOISE = 2e-3
"""How far an accuracy (fraction 0–1) may lie from the certificate's on the same data, on another machine."""


def require_same_contract(spec: ModelSpec, dataset: Dataset) -> None:
    """Raise InputError where the data set's windows are not what the model was made for."""
    for what, wanted, given in (
        ("channels and units", [(c.name, c.unit) for c in spec.channels], [(c.name, c.unit) for c in dataset.channels]),
        ("timesteps per window", spec.window, dataset.window),
        ("samples per second", spec.sampling_rate_hz, dataset.sampling_rate_hz),
        ("labels", list(spec.labels), list(dataset.labels)),
    ):
        if wanted != given:
            raise InputError(
                f"{dataset.name} does not fit model {spec.name!r}: it has other {what} ({given}; the model wants "
                f"{wanted}); give the data that the model was trained on"
            )


def certified(
    examinations: Mapping[str, Examination], examiner: Examiner, folder: Path, records: Mapping[str, Path], created: str
) -> dict[str, Any]:
    """Return the certificate of some files.

    records: where the files lie that tell how these were made, such as `calibration.json`; their bytes are bound, too
    """
    dataset, reference = examiner.dataset, reference_file(folder)
    return {
        "schema": SCHEMA,
        "created": created,
        "reference": {
            "file": reference,
            "sha256": files.file_sha256(folder / reference),
            "noise": examiner.noise,
            "adversarial_noise": examiner.adversarial_noise,
            **examiner.quality(examiner.answers),
        },
        "spec": {"file": files.SPEC, "sha256": files.file_sha256(folder / files.SPEC)},
        "records": {name: files.file_sha256(path) for name, path in records.items()},
        "data": {
            "name": dataset.name,
            "synthetic": dataset.synthetic,
            "split": "test",
            "windows": len(dataset.test),
            "subjects": np.unique(dataset.test.subjects).tolist(),
            "content_hash": dataset.content_hash(),
        },
        "artefacts": {name: seen.to_json() for name, seen in examinations.items()},
        "environment": environment(),
    }


def environment() -> dict[str, Any]:
    """Return versions and machine of this process, and a hash over them."""
    machine = fingerprint()
    found: dict[str, Any] = {
        "versions": files.versions("tensorflow", "keras", "tf2onnx", "onnx", "onnx-ir", "onnxruntime", "numpy"),
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": machine.processor,
        "cores": machine.cores_available,
    }
    return found | {"sha256": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()}


def check_hashes(folder: Path, certificate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the certificate's entry of each artefact after checking that all files have the certified bytes.

    Raises ArtefactError where one has not, or where the certificate is not complete.
    """
    where = folder / files.CERTIFICATE
    again = f"run `edgeconv export {folder}` again"
    try:
        if certificate["schema"] != SCHEMA:
            raise ArtefactError(
                f"{where}: schema is {certificate['schema']!r}, this edgeconv reads {SCHEMA!r}; {again}"
            )
        entries: dict[str, dict[str, Any]] = certificate["artefacts"]
        hashes = {certificate[part]["file"]: certificate[part]["sha256"] for part in ("reference", "spec")}
        hashes |= dict(certificate["records"]) | {name: entry["sha256"] for name, entry in entries.items()}
        certificate["data"]["windows"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArtefactError(f"{where} is not a complete certificate ({error} is missing); {again}") from None
    unknown = sorted(name for name in entries if Artefact.parse(name) is None)
    if unknown or not entries:
        raise ArtefactError(f"{where} certifies {unknown or 'no file at all'}; {again}")
    needed = {reference_file(folder), files.SPEC} - set(hashes)
    if needed:
        raise ArtefactError(f"{where} does not name {' and '.join(sorted(needed))}; {again}")
    for name, wanted in hashes.items():
        if not (folder / name).is_file():
            raise ArtefactError(f"{folder / name} is certified but not there; {again}")
        found = files.file_sha256(folder / name)
        if found != wanted:
            raise ArtefactError(
                f"{folder / name} is not the file that was certified: its SHA-256 is {found}, "
                f"the certificate says {wanted}; {again}"
            )
    return entries


def contradictions(entry: dict[str, Any], seen: Examination) -> list[str]:
    """Return, in words, where a certificate's figures are not those seen on the same data."""
    found = []
    for figure, measured in (
        ("accuracy", seen.windows.accuracy),
        ("reference_accuracy", seen.windows.reference_accuracy),
        ("top1_agreement", seen.windows.top1_agreement),
        ("expected_calibration_error", seen.quality["expected_calibration_error"]),
    ):
        stated = entry.get(figure)
        assert measured is not None  # the truth is known on test windows
        if not isinstance(stated, int | float) or not abs(stated - measured) <= SAME_MACHINE_NOISE:
            found.append(f"the certificate says {figure} {stated}, measured on the same data {measured:.6f}")
    return found
