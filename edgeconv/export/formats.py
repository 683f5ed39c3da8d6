"""The formats that a model is exported in, and who writes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgeconv import folder as files
from edgeconv.runtime.artefact import Artefact

from .graph.writer import DEFAULT_LAYOUT
from .int8_onnx import write_int8_onnx
from .int8_tflite import write_int8_tflite
from .job import Job
from .onnx import write_form
from .tflite import write_tflite


def format_name(kind: Artefact) -> str:
    """Return what files of a kind are called in `--format`: `onnx`, `dense`, `dense-int8`, `tflite-float16`."""
    what = kind.engine if kind.form == "windowed" else kind.form
    return what if kind.precision == "float32" else f"{what}-{kind.precision}"


def write_float_onnx(job: Job, artefact: Artefact) -> None:
    """Write `model.onnx`, or the dense or stateful form at a hop."""
    form = format_name(artefact)
    content = write_form(job.source, form, artefact.hop or job.spec.hop, job.layouts.get(form, DEFAULT_LAYOUT))
    (job.aside / artefact.name).write_bytes(content)


Writer = Callable[[Job, Artefact], None]
"""Writes a file aside under its name; raises ConversionError where it cannot be."""
WRITERS: Mapping[tuple[str, str], Writer] = {
    ("onnx", "float32"): write_float_onnx,
    ("onnx", "int8"): write_int8_onnx,
    ("tflite", "float32"): write_tflite,
    ("tflite", "float16"): write_tflite,
    ("tflite", "dynamic"): write_tflite,
    ("tflite", "int8"): write_int8_tflite,
}
"""Engine and precision → who writes its files."""
FORMATS: Mapping[str, Artefact] = {
    format_name(kind): kind for kind in files.KINDS if (kind.engine, kind.precision) in WRITERS
}
"""Names of the formats, in the order in which they are written."""


def planned(formats: Sequence[str], hops: Sequence[int], spec_hop: int) -> list[Artefact]:
    """Return every file to write: the given formats, those of forms with a hop also at each of the other hops."""
    other_hops = sorted(set(hops) - {spec_hop}, reverse=True)
    return [
        kind.at(hop, spec_hop)
        for name, kind in FORMATS.items()
        if name in formats
        for hop in (spec_hop, *(other_hops if kind.form != "windowed" else ()))
    ]
