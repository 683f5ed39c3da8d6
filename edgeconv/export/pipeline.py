"""Export a model folder: write aside, compare with the reference on all test windows, then put in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from edgeconv import folder as files
from edgeconv.data.dataset import Dataset
from edgeconv.evaluate.artefacts import artefact_of, in_order
from edgeconv.evaluate.certificate import certified
from edgeconv.evaluate.examination import Examination
from edgeconv.evaluate.limits import UserLimits
from edgeconv.evaluate.reference import require_probabilities
from edgeconv.runs.record import now
from edgeconv.runtime.errors import CheckError, ConversionError, EdgeconvError, UsageError
from edgeconv.runtime.spec import ModelSpec

from .card import model_card
from .formats import FORMATS, WRITERS, planned
from .job import Job, record_of
from .onnx import DEFAULT_OPSET
from .tune import tune
from .tune_int8 import tune_int8


def export(
    folder: Path,
    dataset: Dataset,
    *,
    opset: int = DEFAULT_OPSET,
    formats: Sequence[str] | None = None,
    hops: Sequence[int] = (),
    tuned: bool = False,
    limits: UserLimits | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Export a model folder, trained here or adopted, in all formats, or those given, and return its certificate.

    The dense and stateful forms are written at the spec's hop and at each of `hops`. Every file is written aside and
    examined: on all test windows, whole recordings and adversarial inputs against the folder's reference. Those within
    their limits, the built-in ones or `limits`, are put in place together with the certificate. A file exported before
    stays if it was certified for the same model and data, and is removed otherwise, so that the folder never
    contradicts itself. Where no formats are given and a network cannot have one of them, the certificate's `left_out`
    says why. With `tuned` the layouts of the ONNX files are those that are fastest on this machine, and `tuning.json`
    says which these are and what was measured. Calls `on_progress` with what is done.
    Raises UsageError for an unknown format or a hop below 1, ConversionError where a format that was asked for cannot
    be or where none can, CheckError where the model's answers are no probabilities and, after placing the others, where
    a file is out of its limits; the message says by how much.
    """
    wanted = tuple(FORMATS) if formats is None else formats
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        raise UsageError(f"format {', '.join(unknown) or '(none)'} is not known; choose from {', '.join(FORMATS)}")
    if any(hop < 1 for hop in hops):
        raise UsageError(f"hops are {', '.join(map(str, hops))}; give whole numbers from 1")
    spec = ModelSpec.load(folder / files.SPEC)
    record = record_of(folder)
    seen: dict[str, Examination] = {}
    refused: list[str] = []
    left_out: dict[str, str] = {}
    with files.staging(folder) as aside:
        job = Job.open(folder, aside, dataset, opset=opset, limits=limits, on_progress=on_progress)
        require_probabilities(job.examiner.answers)
        if tuned:
            tuning = tune(job.source, aside, job.keeps_limits, on_progress=on_progress)
            job.layouts = tuning["choice"]["layouts"]
            if any((FORMATS[name].engine, FORMATS[name].precision) == ("onnx", "int8") for name in wanted):
                with contextlib.suppress(ConversionError):  # the writers meet it again, and say of which file
                    tuning["int8"] = tune_int8(job)
            files.write_json(aside / files.TUNING, tuning)
        for artefact in planned(wanted, hops, spec.hop):
            name = artefact.name
            on_progress(name)
            try:
                job.require_possible(artefact)
                WRITERS[artefact.engine, artefact.precision](job, artefact)
                found = job.examine(aside / name)
                problems = found.problems
            except CheckError as error:  # answers that are not finite cannot be compared
                problems = [str(error)]
            except ConversionError as error:
                if formats is not None:
                    raise
                left_out[name] = str(error)
                (aside / name).unlink(missing_ok=True)
                continue
            if problems:
                refused.append(f"{name} was not put in place: {'; '.join(problems)}")
                (aside / name).unlink(missing_ok=True)
            else:
                seen[name] = found
        if seen:
            records = calibration_record(job, seen)
            if (folder / files.ORIGIN).exists():
                records[files.ORIGIN] = folder / files.ORIGIN
            certificate = certified(seen, job.examiner, folder, records, now())
            certificate["left_out"] = left_out
            keep_earlier_entries(certificate, folder)
            files.write_json(aside / files.CERTIFICATE, certificate)
            card = model_card(spec, record, certificate, calibration_of(certificate, aside, folder))
            files.write_text(aside / files.CARD, card)
            place(aside, folder, certificate)
    if refused:
        raise CheckError("; ".join(refused))
    if not seen:
        raise ConversionError("nothing can be exported: " + "; ".join(f"{n}: {why}" for n, why in left_out.items()))
    return certificate


def calibration_record(job: Job, seen: Collection[str]) -> dict[str, Path]:
    """Write `calibration.json` for the int8 files among those that keep their limits; return where it is."""
    engines = {found.engine for found in map(artefact_of, seen) if found.precision == "int8"}
    if not engines:
        return {}
    path = job.aside / files.CALIBRATION
    files.write_json(path, job.calibration_record(engines))
    return {files.CALIBRATION: path}


def keep_earlier_entries(certificate: dict[str, Any], folder: Path) -> None:
    """Take over what the present certificate says of other formats: their files, and why others cannot be.

    Only if it is of the same model, which means the same reference, spec and data, and only files whose bytes are
    still those certified.
    """
    try:
        earlier = files.read_json(folder / files.CERTIFICATE, "`edgeconv export`")
        same = all(
            earlier[part][key] == certificate[part][key]
            for part, key in (("reference", "sha256"), ("spec", "sha256"), ("data", "content_hash"))
        )
        entries = {**earlier["artefacts"], **certificate["artefacts"]} if same else certificate["artefacts"]
        if same:  # what could not be then, and was not asked for now, still cannot be
            reasons = {**earlier["left_out"], **certificate["left_out"]}
            certificate["left_out"] = {name: why for name, why in reasons.items() if name not in entries}
            certificate["records"] = {**earlier["records"], **certificate["records"]}
        certificate["artefacts"] = {
            name: entries[name]
            for name in in_order(entries)
            if name in certificate["artefacts"] or files.file_sha256(folder / name) == entries[name]["sha256"]
        }
    except (EdgeconvError, KeyError, ValueError, TypeError, OSError):
        pass  # no certificate, or none that says anything: nothing to take over
    if not has_int8(certificate):
        certificate["records"].pop(files.CALIBRATION, None)


def calibration_of(certificate: dict[str, Any], aside: Path, folder: Path) -> dict[str, Any] | None:
    """Return the record of the int8 files' calibration, written now or earlier; None without int8 files."""
    if not has_int8(certificate):
        return None
    written_now = (aside / files.CALIBRATION).exists()
    return files.read_json((aside if written_now else folder) / files.CALIBRATION, "`edgeconv export`")


def has_int8(certificate: dict[str, Any]) -> bool:
    """Whether a certificate lists a file whose ranges were calibrated."""
    return any(artefact_of(name).precision == "int8" for name in certificate["artefacts"])


def place(aside: Path, folder: Path, certificate: dict[str, Any]) -> None:
    """Move the verified files into the folder, the certificate last.

    The old certificate goes first: between the two moments the folder has none, rather than a wrong one.
    """
    (folder / files.CERTIFICATE).unlink(missing_ok=True)
    if any(path.suffix == ".onnx" for path in aside.iterdir()):
        (folder / files.TUNING).unlink(missing_ok=True)  # what it says of layouts holds for the files before these
    stays = {*certificate["artefacts"], files.CARD}
    if has_int8(certificate):
        stays.add(files.CALIBRATION)
    if files.ONNX in certificate["artefacts"]:
        stays.add(files.TUNING)
    for name in files.exported_files(folder):
        if name not in stays:
            (folder / name).unlink(missing_ok=True)
    for name in files.exported_files(aside):
        if name in stays:
            (aside / name).replace(folder / name)
    (aside / files.CERTIFICATE).replace(folder / files.CERTIFICATE)
