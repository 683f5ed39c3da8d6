"""edgeconv doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from edgeconv import __version__

from .console import table


def doctor(
    device: Annotated[
        str | None, typer.Option(help="What has to work: cpu, cuda, cuda:1, or with options as in cuda,tf32,graph.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed, what is missing and what to do, and try a tiny model on each device.

    Exit code 5: the device asked for does not work; without one asked for, the processor.

    Example: edgeconv doctor --device cuda
    """
    try:
        from edgeconv.runtime.doctor import examine
    except ImportError as error:  # without ONNX Runtime the runtime cannot be imported, and says what to install
        finding = {"topic": "onnxruntime", "state": "problem", "text": "not installed", "advice": str(error)}
        _show([finding], as_json, cpu=False, cuda=False)
        raise
    from edgeconv.runtime.devices import Device
    from edgeconv.runtime.errors import DeviceError

    wanted = None if device is None else Device.parse(device)
    report = examine(wanted)
    _show([asdict(finding) for finding in report.findings], as_json, cpu=report.cpu, cuda=report.cuda)
    needs_cuda = wanted is not None and wanted.kind == "cuda"
    if not (report.cuda if needs_cuda else report.cpu):
        raise DeviceError(f"device {wanted or 'cpu'} does not work; the findings say why and what to do")


def _show(findings: list[dict[str, Any]], as_json: bool, **works: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"edgeconv": __version__, **works, "findings": findings}, indent=2))
        return
    rows = []
    for finding in findings:
        advice = f" → {finding['advice']}" if finding["advice"] else ""
        rows.append([finding["state"], finding["topic"], f"{finding['text']}{advice}"])
    typer.echo(table(["", f"edgeconv {__version__}", ""], rows))
