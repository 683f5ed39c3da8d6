"""edgeconv inspect."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import signal_options as by
from .console import certificate_of, table, why_missing

if TYPE_CHECKING:
    from edgeconv.runtime import Classifier


def inspect(
    model: Annotated[Path, typer.Argument(help="Model folder or ONNX file.", metavar="MODEL")],
    hop: Annotated[int | None, typer.Option(help="Timesteps between predictions; by default the model's.")] = None,
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Which of the folder's files to say it of.")
    ] = "float32",
    signal: Annotated[
        Path | None, typer.Option("--signal", help="TOML file that describes a source: show what becomes of it.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a model expects and answers, which files it has, and which of them runs for what, and why.

    Example: edgeconv inspect models/har_conv1d --hop 16
    """
    from edgeconv.runtime import Classifier, SlidingWindow
    from edgeconv.runtime.conditioning.wiring import wires_of
    from edgeconv.runtime.spec import require_signal

    classifier = Classifier.load(model, precision=precision)
    spec = classifier.spec
    if spec.input == "tokens":
        if hop is not None:
            require_signal(spec, "a hop")
        uses, hop = {"texts": {"file": "model.onnx" if model.is_dir() else model.name, "why": "whole texts"}}, spec.hop
    else:
        hop = SlidingWindow(spec.window, spec.hop if hop is None else hop, len(spec.channels)).hop
        uses = runs(model, classifier, hop)
    found = {
        "spec": asdict(spec),
        "files": files_of(model, classifier),
        "hop": hop,
        "runs": uses,
    }
    source = by.SignalOptions(signal).read()
    if source is not None:
        require_signal(spec, "a signal")
        found["signal"] = [asdict(wire) for wire in wires_of(spec, source)]
    if json_:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(as_text(classifier, found))
    if source is not None:
        typer.echo(f"\n{signal} says:\n{by.as_text(source, spec)}")


def files_of(model: Path, classifier: Classifier) -> list[dict[str, Any]]:
    """Return what there is of the model: of each file form, precision, hop, cost, size and certificate."""
    from edgeconv.folder import ORIGINAL, file_sha256
    from edgeconv.runtime import Classifier
    from edgeconv.runtime.artefact import Artefact

    if not model.is_dir():
        precision = (Artefact.parse(model.name) or Artefact()).precision
        return [describe(model.name, "windowed", precision, None, classifier.model.multiply_adds, model, "")]
    certified = certificate_of(model).get("artefacts", {})
    classifiers = {classifier.precision: classifier}
    rows = []
    for path in sorted(path for path in model.iterdir() if path.suffix in (".onnx", ".tflite")):
        if path.name == ORIGINAL:  # what the others are compared with
            continue
        entry = certified.get(path.name)
        if entry is None:
            standing = "not certified"
        elif entry["sha256"] != file_sha256(path):
            standing = "changed since it was certified"
        else:
            standing = f"certified, largest |Δp| {entry['max_abs_diff']:.1e}"
        artefact = Artefact.parse(path.name) or Artefact()
        form, hop = artefact.form, None if artefact.form == "windowed" else artefact.hop or classifier.spec.hop
        cost = None
        if path.suffix == ".onnx" and (model / Artefact(precision=artefact.precision).name).exists():
            if artefact.precision not in classifiers:
                classifiers[artefact.precision] = Classifier.load(model, precision=artefact.precision)
            cost = cost_of(classifiers[artefact.precision], form, hop)
        rows.append(describe(path.name, form, artefact.precision, hop, cost, path, standing))
    return rows


def describe(
    name: str, form: str, precision: str, hop: int | None, cost: int | None, path: Path, standing: str
) -> dict[str, Any]:
    """Return one row about a file."""
    return {"file": name, "form": form, "precision": precision, "hop": hop, "multiply_adds": cost,
            "bytes": path.stat().st_size, "certificate": standing}  # fmt: skip


def cost_of(classifier: Classifier, form: str, hop: int | None) -> int | None:
    """Return the multiply-adds of one more answer, as the file states them."""
    found = classifier.forms(hop)
    model = {"dense": found.dense, "stateful": found.stateful}.get(form, classifier)
    return None if model is None else model.model.multiply_adds


def runs(model: Path, classifier: Classifier, hop: int) -> dict[str, dict[str, str]]:
    """Return, for each use, the file that runs at a hop and why."""
    from edgeconv.runtime.forms import WORTH_A_STEP, form_file
    from edgeconv.runtime.tuning import read_tuning

    spec, found, whole = classifier.spec, classifier.forms(hop), classifier.model.multiply_adds
    tuning = read_tuning(model) if model.is_dir() else None
    precision = classifier.precision
    windowed = model.name if not model.is_dir() else form_file("windowed", hop, spec, precision)
    dense, stateful = form_file("dense", hop, spec, precision), form_file("stateful", hop, spec, precision)
    why_not = {name: why_missing(model, name, hop) for name in (dense, stateful)}

    def part(form: Any) -> str:
        cost = form.model.multiply_adds
        return f"{cost:,} multiply-adds a window" + ("" if not whole else f", {100 * cost / whole:.0f} % of {whole:,}")

    recordings = (
        {"file": dense, "why": f"each convolution is computed once: {part(found.dense)}"}
        if found.dense
        else {"file": windowed, "why": why_not[dense]}
    )
    if found.stateful is None:
        one = many = {"file": windowed, "why": why_not[stateful]}
    else:
        tuned = tuning is not None and (tuning.network, tuning.hop) == (classifier.model.network, hop)
        rule = "measured on this machine" if tuned else f"alone it pays where it saves {WORTH_A_STEP:,} or more"
        one = {
            "file": stateful if found.stateful_for_one else windowed,
            "why": f"a step takes {part(found.stateful)}; {rule}",
        }
        many = (
            {"file": stateful, "why": f"{found.stateful.state_bytes:,} bytes of state a stream"}
            if hop < spec.window
            else {"file": windowed, "why": "the windows do not overlap"}
        )
    return {"recordings": recordings, "one stream": one, "many streams": many}


def as_text(classifier: Classifier, found: dict[str, Any]) -> str:
    """Return what was found for people."""
    spec = classifier.spec
    rate = spec.sampling_rate_hz
    rows = [[c.name, c.unit, "" if c.minimum is None else f"{c.minimum:.3g} to {c.maximum:.3g}"] for c in spec.channels]
    channels = table(["channel", "unit", "seen in training"], rows) + "\n\n" if rows else ""
    files = table(
        ["file", "form", "precision", "hop", "multiply-adds a window", "KiB", "certificate"],
        [
            [
                row["file"],
                row["form"],
                row["precision"],
                row["hop"] or "any",
                "" if row["multiply_adds"] is None else f"{row['multiply_adds']:,}",
                f"{row['bytes'] / 1024:.0f}",
                row["certificate"],
            ]
            for row in found["files"]
        ],
    )
    takes = (
        f"window {spec.window} samples ({spec.window / rate:g} s), hop {spec.hop} ({spec.hop / rate:g} s), "
        f"{rate:g} samples a second"
        if spec.input == "signal"
        else f"texts of {spec.window} token ids from 0 to {(spec.vocabulary or 1) - 1}"
    )
    at_hop = f"At hop {found['hop']} this runs" if spec.input == "signal" else "This runs"
    uses = "\n".join(f"  {use:<14}{run['file']}: {run['why']}" for use, run in found["runs"].items())
    return (
        f"{spec.name} version {spec.version}, trained on {spec.trained_on}\n"
        f"{takes}\n"
        f"labels {', '.join(spec.labels)}\n\n{channels}{files}\n\n{at_hop}:\n{uses}"
    )
