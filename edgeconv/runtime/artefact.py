"""The names of a model's exported files, and what they say: engine, form, precision and hop."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, cast

Form = Literal["windowed", "dense", "stateful"]
"""One answer per window; for whole recordings, each convolution computed once; for streams, hop by hop."""
Precision = Literal["float32", "float16", "dynamic", "int8"]
"""Of the weights; `dynamic` has weights in int8 and everything else in float32."""
Engine = Literal["onnx", "tflite"]

_PATTERN = re.compile(
    r"(?:(?P<form>model|dense|stateful)(?:\.hop(?P<hop>[1-9][0-9]*))?(?P<int8>\.int8)?\.onnx"
    r"|model(?:\.(?P<precision>int8|float16|dynamic))?\.tflite)"
)


@dataclass(frozen=True)
class Artefact:
    """One exported file of a model."""

    form: Form = "windowed"
    precision: Precision = "float32"
    engine: Engine = "onnx"
    hop: int | None = None
    """Timesteps between answers, where they are other than the spec's."""

    @classmethod
    def parse(cls, name: str) -> Artefact | None:
        """Return what a file name says; None for a name that no artefact has."""
        found = _PATTERN.fullmatch(name)
        if found is None or (found["form"] == "model" and found["hop"]):
            return None
        if found["form"] is None:
            return cls(precision=cast(Precision, found["precision"] or "float32"), engine="tflite")
        return cls(
            "windowed" if found["form"] == "model" else cast(Form, found["form"]),
            "int8" if found["int8"] else "float32",
            hop=int(found["hop"]) if found["hop"] else None,
        )

    @property
    def name(self) -> str:
        """The file name: `model.onnx`, `dense.hop16.int8.onnx`, `model.float16.tflite`."""
        parts: list[str] = ["model" if self.form == "windowed" else self.form]
        if self.hop is not None:
            parts.append(f"hop{self.hop}")
        if self.precision != "float32":
            parts.append(self.precision)
        return ".".join((*parts, self.engine))

    @property
    def kind(self) -> Artefact:
        """The artefact of the same kind at the spec's hop."""
        return replace(self, hop=None)

    def at(self, hop: int, spec_hop: int) -> Artefact:
        """Return the artefact at a hop; a windowed one answers at any."""
        return replace(self, hop=None if hop == spec_hop or self.form == "windowed" else hop)
