"""Time the four ways to write an int8 network for ONNX Runtime, in both layouts, beside float32.

python tools/int8_forms.py [--model models/har_conv1d] [--rounds 15]

The table is what `DEFAULT_FORM` in `edgeconv/export/graph/int8.py` rests on. Ranges come from a generated recording:
which they are makes no difference to the time. Every contestant runs in a process of its own, in interleaved rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from edgeconv.bench import Contestant, Entry, Plan, measure
from edgeconv.bench.recording import generate_recording
from edgeconv.bench.statistics import median
from edgeconv.cli.console import table
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.graph.int8 import INT8_FORMS, Int8Net, prepared, quantised
from edgeconv.export.graph.read import read_net
from edgeconv.export.graph.writer import Layout
from edgeconv.export.onnx import Source, read_model, write_form
from edgeconv.export.ranges import activations, ranges_of
from edgeconv.runtime import Classifier, ModelSpec, Scorer
from edgeconv.runtime.machine import fingerprint

LAYOUTS: tuple[Layout, ...] = ("2d", "1d")
USES = ("one window", "32 windows", "recording")
WINDOWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("models/har_conv1d"))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    spec = ModelSpec.load(arguments.model / "spec.json")
    source = read_model(KerasModel.load(arguments.model / "model.keras").model, spec)
    with tempfile.TemporaryDirectory(prefix="edgeconv-int8-") as aside:
        variants = write(source, Path(aside))
        entries = [
            Entry(f"{use}: {name}", contestant, {"folder": str(folder), "use": use})
            for use in USES
            for name, folder in variants.items()
        ]
        plan = Plan(rounds=arguments.rounds, round_s=0.03, warm_up_s=0.6)
        times = {seen.name: median(seen.us_per_unit) for seen in measure(entries, plan)}
    cells = [
        [name, *(f"{(t := times[f'{use}: {name}']).value:.1f} ({t.low:.1f}–{t.high:.1f})" for use in USES)]
        for name in variants
    ]
    print(f"{fingerprint().processor}, one thread, hop {spec.hop}; µs a window (95 % interval)")
    print(table(["form, layout", *USES], cells))


def write(source: Source, aside: Path) -> dict[str, Path]:
    """Write the windowed and the dense form in every way; return name → folder."""
    net, spec = prepared(read_net(source.converted, keep_first_scale=True)), source.spec
    int8 = Int8Net(net, ranges_of(net, activations(net, spec, windows_of(spec)), "minmax"))
    found = {}
    for layout in LAYOUTS:
        for form in (None, *INT8_FORMS):
            name = f"{form or 'float32'}, {layout}"
            folder = found[name] = aside / name.replace(", ", "-")
            folder.mkdir()
            for what in ("onnx", "dense"):
                content = write_form(replace(source, net=net) if form else source, what, spec.hop, layout)
                content = quantised(content, replace(int8, form=form)) if form else content
                (folder / f"{what}.onnx").write_bytes(content)
            print(f"written: {name}", file=sys.stderr)
    return found


def windows_of(spec: ModelSpec) -> np.ndarray:
    samples = generate_recording(spec, spec.window + (WINDOWS - 1) * spec.hop, 1)
    return np.ascontiguousarray(sliding_window_view(samples, spec.window, axis=0)[:: spec.hop].transpose(0, 2, 1))


def contestant(folder: str, use: str) -> Contestant:
    if use == "recording":
        scorer = Scorer.load(Path(folder) / "dense.onnx")
        samples = generate_recording(scorer.spec, 16_384, 1)
        return Contestant(lambda: scorer.score(samples), units=len(scorer.score(samples)))
    classifier = Classifier.load(Path(folder) / "onnx.onnx")
    windows = windows_of(classifier.spec)[: 1 if use == "one window" else 32]
    return Contestant(lambda: classifier.model.run(windows), units=len(windows))


if __name__ == "__main__":
    main()
