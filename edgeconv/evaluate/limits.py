"""What a candidate must reach: by its precision, from the reference's own noise, or from a file of the user."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.runtime.artefact import Artefact
from edgeconv.runtime.errors import MissingFileError, UsageError

NOISE_FACTOR = 4.0
"""A float copy may differ from its reference by so many times what the reference differs from itself.

Reference and candidate each err by about that much, and the largest of many errors lies above the largest seen in few.
"""
ROUNDING = 16 * float(np.finfo(np.float32).eps)
"""Largest |Δlogit| over the largest |logit| that a float32 copy may have where the reference shows no noise at all."""


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach; None leaves a figure out."""

    relative_logit_diff: float | None = None
    """Largest |Δlogit| over the window's largest |logit|, on real windows, recordings and adversarial inputs."""
    max_abs_diff: float | None = None
    """Largest |Δp| on real windows."""
    accuracy: float | None = None
    """Accuracy, a fraction 0–1, that the file itself must reach."""
    accuracy_drop: float | None = None
    """How far the accuracy (fraction 0–1) may lie below the reference's."""
    top1_agreement: float | None = None
    """Fraction 0–1 of windows on which the top class must be the reference's."""
    calibration_error: float | None = None
    """Largest expected calibration error, a fraction 0–1."""
    rebuilt_diff: float | None = None
    """Largest |Δp| from the same file built again from the model and the recorded calibration."""

    def given(self) -> dict[str, float]:
        """Return the figures that have a limit."""
        return {part.name: value for part in fields(self) if (value := getattr(self, part.name)) is not None}


def tolerance(noise: float) -> float:
    """Return the largest relative |Δlogit| of a float32 copy whose reference differs from itself by `noise`."""
    return NOISE_FACTOR * noise + ROUNDING


QUANTISED: Mapping[tuple[str, str], Limits] = {
    ("onnx", "int8"): Limits(accuracy_drop=0.003, top1_agreement=0.985, rebuilt_diff=1e-6),
    ("tflite", "int8"): Limits(accuracy_drop=0.005, top1_agreement=0.985, rebuilt_diff=1e-6),
    ("tflite", "dynamic"): Limits(accuracy_drop=0.005, top1_agreement=0.985, rebuilt_diff=1e-6),
    ("tflite", "float16"): Limits(accuracy_drop=0.003, top1_agreement=0.995, rebuilt_diff=1e-6),
}
"""Engine and precision → limits. Against the float model they may lose a little; against themselves nothing."""


def limits_of(name: str, noise: float = 0.0) -> Limits:
    """Return what a file must reach by its name, where the reference differs from itself by `noise`."""
    artefact = Artefact.parse(name)
    if artefact is None or artefact.precision == "float32":
        return Limits(relative_logit_diff=tolerance(noise))
    return QUANTISED[artefact.engine, artefact.precision]


@dataclass(frozen=True)
class UserLimits:
    """Limits in place of the built-in ones: for all files, a precision, or one file, the later the stronger."""

    sections: Mapping[str, Mapping[str, float]]

    @classmethod
    def load(cls, path: Path) -> UserLimits:
        """Read a TOML file with sections `all`, a precision (`float32`, `int8` …) or a file name.

        Raises MissingFileError, or UsageError where a section or figure is not known or a value no fraction.
        """
        try:
            with path.open("rb") as file:
                data = tomllib.load(file)
        except FileNotFoundError:
            raise MissingFileError(f"{path} is not there; --limits names a TOML file") from None
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as TOML ({error})") from None
        known = {part.name for part in fields(Limits)}
        for section, values in data.items():
            artefact = Artefact.parse(section)
            if section not in ("all", "float32", "float16", "dynamic", "int8") and artefact is None:
                raise UsageError(
                    f"{path}: section [{section}] is not known; use all, float32, float16, dynamic, int8 or the name "
                    'of an exported file such as ["dense.onnx"]'
                )
            if not isinstance(values, dict):
                raise UsageError(f"{path}: {section} = {values!r} stands outside a section; write [all] above it")
            for key, value in values.items():
                if key not in known:
                    raise UsageError(
                        f"{path}: [{section}] has no figure {key!r}; choose from {', '.join(sorted(known))}"
                    )
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                    raise UsageError(f"{path}: [{section}] {key} is {value!r}; give a number from 0 to 1")
        return cls({section: {key: float(value) for key, value in data[section].items()} for section in data})

    def applied(self, name: str, limits: Limits) -> Limits:
        """Return a file's limits with the user's in their place."""
        artefact = Artefact.parse(name)
        for section in ("all", artefact.precision if artefact else "", artefact.kind.name if artefact else "", name):
            values: Any = self.sections.get(section, {})
            limits = replace(limits, **values)
        return limits
