"""Examine every file of a model on the same inputs: real windows, whole recordings, and inputs made to find faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data.dataset import Dataset
from edgeconv.data.stitch import recordings
from edgeconv.folder import file_sha256
from edgeconv.runtime.model_file import OpenModel
from edgeconv.runtime.spec import ModelSpec

from .adversarial import adversarial_recordings
from .artefacts import Floats, Predictor, answers_over, artefact_of, cut, load_artefact
from .compare import Comparison, compare
from .examination import Check, Examination
from .limits import Limits, UserLimits, limits_of, tolerance
from .noise import Reference, noise_by_kind, noise_of
from .over_recordings import OverRecordings
from .scores import score
from .statistics import expected_calibration_error, wilson
from .tflite import TfliteModel
from .tflite import ends as tflite_ends

RECORDING_WINDOWS = 2048
"""Windows of whole recordings on which a file is examined, at least, where the data have so many."""


@dataclass(frozen=True)
class Inputs:
    """Recordings with the reference's answers for each of their windows."""

    recordings: list[Floats]
    answers: Floats
    """float32 [predictions, classes], recording after recording."""


class Examiner:
    """One reference and one data set, ready to examine any number of files of the model."""

    def __init__(
        self, reference: Reference, spec: ModelSpec, dataset: Dataset, user_limits: UserLimits | None = None
    ) -> None:
        """Nothing runs until it is asked for."""
        self.reference, self.spec, self.dataset = reference, spec, dataset
        self._user_limits = user_limits
        self._inputs: dict[int, tuple[Inputs, dict[str, Inputs]]] = {}

    @cached_property
    def answers(self) -> Floats:
        """The reference's probabilities on the test windows, float32 [n, classes]."""
        return self.reference.predict(self.dataset.test.windows)

    @cached_property
    def noise(self) -> float:
        """How far the reference lies from itself on the test windows: largest relative |Δlogit|."""
        return noise_of(self.reference, self.dataset.test.windows, self.answers)

    @cached_property
    def adversarial_noise(self) -> dict[str, float]:
        """The same for each kind of adversarial input."""
        kinds = self.inputs(self.spec.hop)[1]
        windows = {
            name: np.concatenate(list(cut(kind.recordings, self.spec.window, self.spec.hop)))
            for name, kind in kinds.items()
        }
        return noise_by_kind(self.reference, windows, {name: kind.answers for name, kind in kinds.items()})

    def inputs(self, hop: int) -> tuple[Inputs, dict[str, Inputs]]:
        """Return test recordings, and adversarial ones by name, with the reference's answers at a hop."""
        if hop not in self._inputs:
            window = self.spec.window
            whole: list[Floats] = []
            windows = 0
            for recording in () if self.spec.input == "tokens" else recordings(self.dataset, "test"):
                samples = recording.samples[max(1, self.spec.hop // 2) :]
                if len(samples) >= window and windows < RECORDING_WINDOWS:
                    whole.append(samples)
                    windows += (len(samples) - window) // hop + 1
            kinds = adversarial_recordings(self.spec, hop)
            # Texts, and recordings of one window each, have nothing between their rows.
            whole = whole or [kinds["any ids" if self.spec.input == "tokens" else "noise"]]
            answers = self._reference_over([*whole, *kinds.values()], hop)
            self._inputs[hop] = (
                Inputs(whole, np.concatenate(answers[: len(whole)])),
                {
                    name: Inputs([samples], answer)
                    for (name, samples), answer in zip(kinds.items(), answers[len(whole) :], strict=True)
                },
            )
        return self._inputs[hop]

    def _reference_over(self, samples: list[Floats], hop: int) -> list[Floats]:
        return answers_over(self.reference, samples, self.spec.window, hop)

    def limits(self, name: str) -> Limits:
        """Return what a file must reach, by its name, the reference's noise and the user's limits."""
        found = limits_of(name, self.noise)
        return found if self._user_limits is None else self._user_limits.applied(name, found)

    def quick(self, path: Path) -> Comparison:
        """Compare a file with the reference on the test windows alone."""
        test = self.dataset.test
        return compare(self.answers, load_artefact(path, self.spec).predict(test.windows), test.class_ids)

    def quality(self, answers: Floats) -> dict[str, Any]:
        """Return how good answers for the test windows are: accuracy by class and subject, and calibration."""
        test = self.dataset.test
        found = score(answers, test.class_ids, test.subjects, self.spec.labels)
        return {
            "accuracy_interval": list(wilson(round(found.accuracy * len(test)), len(test))),
            "per_class": {each.label: {"windows": each.windows, "recall": each.recall} for each in found.per_class},
            "per_subject": {str(subject): accuracy for subject, accuracy in found.per_subject.items()},
            "expected_calibration_error": expected_calibration_error(answers, test.class_ids),
        }

    def examine(self, path: Path, rebuilt: Path | None = None) -> Examination:
        """Run a file on everything and compare it.

        rebuilt: the same file made again from the reference, for a file that is quantised and was not just made
        Raises ArtefactError where it cannot be loaded or has another spec, CheckError where an answer is not finite.
        """
        hop = artefact_of(path.name).hop or self.spec.hop
        candidate = load_artefact(path, self.spec)
        answers = self.run(candidate, hop)
        test = self.dataset.test
        whole, kinds = self.inputs(hop)
        windows = compare(self.answers, answers[0], test.class_ids)
        over = compare(whole.answers, answers[1])
        adversarial = {
            name: compare(kind.answers, answer) for (name, kind), answer in zip(kinds.items(), answers[2:], strict=True)
        }
        again, same_bytes = None, None
        if rebuilt is not None:
            same_bytes = file_sha256(rebuilt) == file_sha256(path)
            others = answers if same_bytes else self.run(load_artefact(rebuilt, self.spec), hop)
            again = compare(np.concatenate(others), np.concatenate(answers))
        limits, quality = self.limits(path.name), self.quality(answers[0])
        return Examination(
            name=path.name,
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            windows=windows,
            recordings=over,
            adversarial=adversarial,
            quality=quality,
            rebuilt=again,
            same_bytes=same_bytes,
            ends=ends_of(candidate),
            limits=limits,
            tolerance=tolerance(self.noise),
            checks=tuple(self._checks(limits, windows, over, adversarial, quality, again)),
        )

    def run(self, model: Predictor, hop: int) -> list[Floats]:
        """Return a model's answers for the test windows, the recordings, and each adversarial recording."""
        whole, kinds = self.inputs(hop)
        samples = [*whole.recordings, *(kind.recordings[0] for kind in kinds.values())]
        over = answers_over(model, samples, self.spec.window, hop)
        count = len(whole.recordings)
        return [model.predict(self.dataset.test.windows), np.concatenate(over[:count]), *over[count:]]

    def _checks(
        self,
        limits: Limits,
        windows: Comparison,
        over: Comparison,
        adversarial: Mapping[str, Comparison],
        quality: Mapping[str, Any],
        rebuilt: Comparison | None,
    ) -> list[Check]:
        found = [Check("windows", "; ".join(windows.violations(limits)))]
        equal = Limits(relative_logit_diff=limits.relative_logit_diff)
        if limits.relative_logit_diff is not None:
            found.append(Check("recordings", _said("on recordings: ", over.violations(equal))))
            for name, seen in adversarial.items():
                # An input that carries rounding further than real windows do gets a limit of its own.
                allowed = max(limits.relative_logit_diff, tolerance(self.adversarial_noise[name]))
                problems = seen.violations(Limits(relative_logit_diff=allowed))
                found.append(Check(f"adversarial: {name}", _said(f"on {name}: ", problems)))
        error, allowed_error = quality["expected_calibration_error"], limits.calibration_error
        if allowed_error is not None:
            problem = f"expected calibration error is {error:.3f}, the limit {allowed_error:.3f}"
            found.append(Check("calibration error", "" if error <= allowed_error else problem))
        if rebuilt is not None and limits.rebuilt_diff is not None:
            problem = (
                f"built again from the model and its calibration the file answers otherwise: largest |Δp| is "
                f"{rebuilt.max_abs_diff:.2g}, the limit {limits.rebuilt_diff:.2g}"
            )
            found.append(Check("rebuilt", "" if rebuilt.max_abs_diff <= limits.rebuilt_diff else problem))
        return found


def _said(where: str, problems: list[str]) -> str:
    return "; ".join(where + problem for problem in problems)


def ends_of(model: Predictor) -> dict[str, Any]:
    """Return shape, type and, where it is quantised, scale and zero point of a model's inputs and outputs."""
    if isinstance(model, TfliteModel):
        return dict(tflite_ends(model))
    opened = model.model.model if isinstance(model, OverRecordings) else getattr(model, "model", None)
    if not isinstance(opened, OpenModel):
        return {}
    session = opened.session
    return {
        way: {end.name: {"shape": end.shape, "type": end.type} for end in found}
        for way, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    }
