"""Run the scenarios on a model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgeconv import __version__
from edgeconv import folder as files
from edgeconv.runtime import Classifier
from edgeconv.runtime.artefact import Precision
from edgeconv.runtime.devices import Device
from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.machine import fingerprint
from edgeconv.runtime.spec import require_signal

from .clocks import load_average
from .contestant import Entry
from .contestants import Job
from .measure import Plan, measure
from .recording import generate_recording
from .result import Result
from .rows import rows_of
from .scenarios import SCENARIOS, Scenario, find_forms, judge


@dataclass(frozen=True)
class Settings:
    """What the user chose; with the defaults a small network takes about half a minute."""

    scenarios: tuple[str, ...] = tuple(SCENARIOS)
    hop: int | None = None
    """Timesteps between predictions; None for the model's."""
    device: str = "cpu"
    threads: int = 1
    rounds: int = 20
    round_s: float = 0.05
    warm_up_s: float = 1.5
    windows: int = 2048
    """Windows of the recording in offline."""
    streams: int = 100
    """Sensors in multi-stream."""
    packet: int = 32
    """Samples in a packet of a sensor in multi-stream."""
    seed: int = 1
    """Of the signal and of the order of the contestants."""
    precision: Precision = "float32"
    """Of the folder's files."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.scenarios if name not in SCENARIOS]
        if unknown or not self.scenarios:
            said = f"scenario {', '.join(map(repr, unknown))} is not known" if unknown else "no scenario is named"
            raise UsageError(f"{said}; choose from {', '.join(SCENARIOS)}")
        for name in ("hop", "threads", "windows", "streams", "packet"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; give a whole number from 1")
        Device.parse(self.device)
        for name in self.scenarios:
            self.plan_of(SCENARIOS[name])

    def plan_of(self, scenario: Scenario) -> Plan:
        """Return how long a scenario's contestants run; raises UsageError for settings with which they cannot."""
        rounds = self.rounds if scenario.most_rounds is None else min(self.rounds, scenario.most_rounds)
        usual = {"rounds": rounds, "round_s": self.round_s, "warm_up_s": self.warm_up_s, "retries": rounds // 2}
        return Plan(**{**usual, **scenario.plan}, seed=self.seed)


def bench(
    model: Path,
    settings: Settings | None = None,
    on_begin: Callable[[str], None] = lambda _name: None,
    on_scenario: Callable[[str, Result], None] = lambda _name, _so_far: None,
) -> Result:
    """Time a model, a folder or an ONNX file, in the scenarios chosen.

    on_begin: called with the name of a scenario that begins
    on_scenario: called with the name of a scenario that is done and with the result so far
    Raises what `Classifier.load` and `measure` raise.
    """
    began = time.perf_counter()
    settings = settings or Settings()
    # On the processor: here it is only asked what it promises.
    spec = Classifier.load(model, precision=settings.precision).spec
    require_signal(spec, "the benchmark")
    hop = settings.hop or spec.hop
    forms = find_forms(model, spec, hop, settings.precision)
    there = {form: path for form, path in forms.items() if path.exists()}
    load = load_average()
    result = Result(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        edgeconv=__version__,
        machine=asdict(fingerprint()),
        load_average=[load],
        model={
            "name": spec.name,
            "version": spec.version,
            "files": {
                path.name: {"sha256": files.file_sha256(path), "bytes": path.stat().st_size} for path in there.values()
            },
        },
        left_out={form: f"{path.name} is not there" for form, path in forms.items() if form not in there},
        settings={**asdict(replace(settings, hop=hop)), "scenarios": list(settings.scenarios)},
        scenarios={},
    )
    with tempfile.TemporaryDirectory(prefix="edgeconv-bench-") as aside:
        recording = Path(aside) / "recording.npy"
        np.save(recording, generate_recording(spec, spec.window + hop, settings.seed))
        for name in settings.scenarios:
            on_begin(name)
            scenario = SCENARIOS[name]
            job = Job("", str(model), str(recording), settings.device, settings.threads, hop, settings.windows,
                      settings.streams, settings.packet, settings.seed, settings.precision)  # fmt: skip
            paths = {one: there[form] for one, (form, _) in scenario.contestants.items() if form in there}
            entries = [
                Entry(one, scenario.contestants[one][1], {"job": replace(job, file=str(path))})
                for one, path in paths.items()
            ]
            seen = measure(entries, settings.plan_of(scenario), judge)
            result = replace(
                result,
                seconds=time.perf_counter() - began,
                load_average=[load, load_average()],
                scenarios={**result.scenarios, name: rows_of(seen, scenario, job, spec, paths)},
            )
            on_scenario(name, result)
    return result
