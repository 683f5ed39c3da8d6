"""Export a model folder: write aside, compare with Keras on all test windows, then put in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.certificate import certified, in_order, limits_of, load_artefact, require_same_contract
from edgeconv.evaluate.compare import Comparison, compare
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.evaluate.tflite import normalise
from edgeconv.runtime.errors import CheckError, ConversionError, EdgeconvError, UsageError
from edgeconv.runtime.forms import form_file
from edgeconv.runtime.spec import ModelSpec
from edgeconv.train.protocol import now

from .calibration import ATTEMPTS, Calibration
from .card import model_card
from .graph.writer import DEFAULT_LAYOUT, Layout
from .onnx import DEFAULT_OPSET, read_model, write_form
from .tflite import to_tflite
from .tune import tune

FORMATS = {
    "onnx": files.ONNX,
    "dense": files.DENSE,
    "stateful": files.STATEFUL,
    "tflite": files.TFLITE,
    "int8": files.INT8_TFLITE,
}
"""Names of the formats and the file that each writes."""
WITH_HOP = ("dense", "stateful")
"""Formats that are written for one hop, and again for each of `hops`."""


def export(
    folder: Path,
    dataset: Dataset,
    *,
    opset: int = DEFAULT_OPSET,
    formats: Sequence[str] | None = None,
    hops: Sequence[int] = (),
    tuned: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Export a trained model folder in all formats, or those given, and return its certificate.

    The dense and stateful forms are written at the spec's hop and at each of `hops`. Every file is written aside and
    compared with the Keras model on all test windows. Those within their limits are put in place together with the
    certificate. A file exported before stays if it was certified for the same model and data, and is removed otherwise,
    so that the folder never contradicts itself. Where no formats are given and a network has no dense or stateful form,
    the certificate's `left_out` says why. With `tuned` the layouts of the ONNX files are those that are fastest on this
    machine, and `tuning.json` says which these are and what was measured. Calls `on_progress` with what is done.
    Raises UsageError for an unknown format or a hop below 1, ConversionError where a format that was asked for cannot
    be, CheckError, after placing the others, where a file is out of its limits; the message says by how much.
    """
    wanted = tuple(FORMATS) if formats is None else formats
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        raise UsageError(f"format {', '.join(unknown) or '(none)'} is not known; choose from {', '.join(FORMATS)}")
    if any(hop < 1 for hop in hops):
        raise UsageError(f"hops are {', '.join(map(str, hops))}; give whole numbers from 1")
    spec = ModelSpec.load(folder / files.SPEC)
    training = files.read_json(folder / files.TRAINING, "`edgeconv train`")
    require_same_contract(spec, dataset)
    on_progress(f"{files.KERAS} on {len(dataset.test)} test windows")
    model = KerasModel.load(folder / files.KERAS)
    reference = model.predict(dataset.test.windows)
    # The ONNX converter's limits are no reason to have no TFLite file.
    source = read_model(model.model, spec, opset) if tuned or {"onnx", *WITH_HOP} & set(wanted) else None
    comparisons: dict[str, Comparison] = {}
    refused: list[str] = []
    left_out: dict[str, str] = {}
    with files.staging(folder) as aside:
        check = Check(spec, dataset, reference)
        layouts: dict[str, Layout] = {}
        if tuned and source:
            tuning = tune(
                source, aside, lambda file: not check(file).violations(limits_of(file.name)), on_progress=on_progress
            )
            layouts = tuning["choice"]["layouts"]
            files.write_json(aside / files.TUNING, tuning)
        for format_, hop, name in planned(wanted, hops, spec):
            on_progress(name)
            if format_ == "int8":
                seen = export_int8(folder, aside, dataset, spec, check, on_progress)
            elif format_ == "tflite":
                to_tflite(folder / files.KERAS, aside / name)
                seen = check(aside / name)
            elif source:
                try:
                    (aside / name).write_bytes(write_form(source, format_, hop, layouts.get(format_, DEFAULT_LAYOUT)))
                except ConversionError as error:
                    if formats is not None:
                        raise
                    left_out[name] = str(error)
                    continue
                seen = check(aside / name)
            violations = seen.violations(limits_of(name))
            if violations:
                refused.append(f"{name} was not put in place: {'; '.join(violations)}")
                for gone in (name, *((files.CALIBRATION,) if name == files.INT8_TFLITE else ())):
                    (aside / gone).unlink(missing_ok=True)
            else:
                comparisons[name] = seen
        if comparisons:
            certificate = certified(comparisons, folder, aside, dataset, now())
            certificate["left_out"] = left_out
            keep_earlier_entries(certificate, folder)
            files.write_json(aside / files.CERTIFICATE, certificate)
            card = model_card(spec, training, certificate, calibration_of(certificate, aside, folder))
            files.write_text(aside / files.CARD, card)
            place(aside, folder, certificate)
    if refused:
        raise CheckError("; ".join(refused))
    return certificate


def planned(formats: Sequence[str], hops: Sequence[int], spec: ModelSpec) -> list[tuple[str, int, str]]:
    """Return format, hop and file name of every file to write, in the certificate's order."""
    other_hops = sorted(set(hops) - {spec.hop}, reverse=True)
    return [
        (name, hop, form_file(name, hop, spec) if name in WITH_HOP else FORMATS[name])
        for name in FORMATS
        if name in formats
        for hop in (spec.hop, *(other_hops if name in WITH_HOP else ()))
    ]


class Check:
    """Compare a file with the reference on all test windows."""

    def __init__(self, spec: ModelSpec, dataset: Dataset, reference: NDArray[np.float32]) -> None:
        """Keep the reference's probabilities, float32 [n, classes], for the data set's test windows."""
        self._spec, self._test, self._reference = spec, dataset.test, reference

    def __call__(self, path: Path) -> Comparison:
        """Run the file and return what was seen."""
        candidate = load_artefact(path, self._spec)
        return compare(self._reference, candidate.predict(self._test.windows), self._test.class_ids)


def export_int8(
    folder: Path,
    aside: Path,
    dataset: Dataset,
    spec: ModelSpec,
    check: Check,
    on_progress: Callable[[str], None],
    attempts: Sequence[Calibration] = ATTEMPTS,
) -> Comparison:
    """Write the int8 file with the first calibration that keeps the limits, and `calibration.json` beside it.

    Returns what was seen of that file, or of the last one tried where none keeps them.
    """
    normalised = normalise(dataset.train.windows, spec)
    failures: list[str] = []
    for attempt in attempts:
        rows = attempt.rows(dataset.train, normalised)
        on_progress(f"{files.INT8_TFLITE}, calibrated on {len(rows)} windows ({attempt.method}, seed {attempt.seed})")
        to_tflite(folder / files.KERAS, aside / files.INT8_TFLITE, normalised[rows])
        seen = check(aside / files.INT8_TFLITE)
        violations = seen.violations(limits_of(files.INT8_TFLITE))
        if not violations:
            break
        failures.append(f"{attempt.method} {attempt.count} seed {attempt.seed}: {'; '.join(violations)}")
    record = {
        "schema": "edgeconv.calibration/1",
        **asdict(attempt),
        "split": "train",
        "subjects": np.unique(dataset.train.subjects[rows]).tolist(),
        "data": {"name": dataset.name, "content_hash": dataset.content_hash()},
        "tried_before": failures,
        "rows": rows.tolist(),
    }
    files.write_json(aside / files.CALIBRATION, record)
    return seen


def keep_earlier_entries(certificate: dict[str, Any], folder: Path) -> None:
    """Take over from the present certificate the files of other formats that it certified for the same model.

    Same model means the same `model.keras`, spec and data, and bytes that are still those certified.
    """
    try:
        earlier = files.read_json(folder / files.CERTIFICATE, "`edgeconv export`")
        same = all(
            earlier[part][key] == certificate[part][key]
            for part, key in (("reference", "sha256"), ("spec", "sha256"), ("data", "content_hash"))
        )
        entries = {**earlier["artefacts"], **certificate["artefacts"]} if same else certificate["artefacts"]
        certificate["artefacts"] = {
            name: entries[name]
            for name in in_order(entries)
            if name in certificate["artefacts"] or files.file_sha256(folder / name) == entries[name]["sha256"]
        }
    except (EdgeconvError, KeyError, ValueError, TypeError, OSError):
        return  # no certificate, or none that says anything: nothing to take over


def calibration_of(certificate: dict[str, Any], aside: Path, folder: Path) -> dict[str, Any] | None:
    """Return the record of the int8 file's calibration, written now or earlier; None without an int8 file."""
    if files.INT8_TFLITE not in certificate["artefacts"]:
        return None
    written_now = (aside / files.CALIBRATION).exists()
    return files.read_json((aside if written_now else folder) / files.CALIBRATION, "`edgeconv export`")


def place(aside: Path, folder: Path, certificate: dict[str, Any]) -> None:
    """Move the verified files into the folder, the certificate last.

    The old certificate goes first: between the two moments the folder has none, rather than a wrong one.
    """
    (folder / files.CERTIFICATE).unlink(missing_ok=True)
    if any(path.suffix == ".onnx" for path in aside.iterdir()):
        (folder / files.TUNING).unlink(missing_ok=True)  # what it says of layouts holds for the files before these
    for name in files.exported_files(folder):
        certified_as = {files.CALIBRATION: files.INT8_TFLITE, files.TUNING: files.ONNX}.get(name, name)
        if certified_as not in certificate["artefacts"] and name != files.CARD:
            (folder / name).unlink(missing_ok=True)
    for name in files.exported_files(aside):
        if name != files.CERTIFICATE:
            (aside / name).replace(folder / name)
    (aside / files.CERTIFICATE).replace(folder / files.CERTIFICATE)
