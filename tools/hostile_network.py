"""A network that int8 ruins, and what equalised channels and the automatic choice of float layers make of it.

python tools/hostile_network.py [--data "UCI HAR Dataset.zip"] [--model models/har_conv1d] [--decades 1.5]

The channels between the first two convolutions are scaled by factors that span several decades, and the weights behind
them by their inverses: ReLU lets positive factors through, so that the network computes what it did before. But the
values between the two have one scale in int8, in which small channels drown, and the weights behind them get the heavy
tails of the factors. The scaled network is then exported like any other. No seed but the ones written here.

Markus Nagel et al. Data-Free Quantization Through Weight Equalization and Bias Correction. ICCV 2019, for the factors
(there as the cure).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.cli.console import load_data_of
from edgeconv.data import Dataset
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.formats import FORMATS, WRITERS
from edgeconv.export.int8_onnx import rebuild as rebuild_onnx
from edgeconv.export.int8_tflite import rebuild as rebuild_tflite
from edgeconv.export.job import Job

SEED = 11


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("models/har_conv1d"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--decades", type=float, default=1.5, help="factors from 10^-this to 10^this")
    arguments = parser.parse_args()
    began = time.perf_counter()
    dataset = load_data_of(arguments.model, arguments.data)
    with tempfile.TemporaryDirectory(prefix="edgeconv-hostile-") as aside:
        folder = Path(aside)
        for name in (files.SPEC, files.TRAINING):
            shutil.copy(arguments.model / name, folder)
        spread(arguments.model / files.KERAS, folder / files.KERAS, arguments.decades)
        for format_ in ("onnx-int8", "tflite-int8"):
            print("\n".join(judged(folder, dataset, format_)))
    print(f"{time.perf_counter() - began:.0f} s")


def spread(source: Path, target: Path, decades: float) -> None:
    """Scale what the first layer with weights gives, and undo it in the second one; ReLU and pooling lie between."""
    model = KerasModel.load(source).model
    first, second = [layer for layer in model.layers if layer.weights and "conv" in layer.name][:2]
    kernel, bias = first.get_weights()
    factors = 10 ** np.random.default_rng(SEED).uniform(-decades, decades, kernel.shape[-1]).astype(np.float32)
    first.set_weights([kernel * factors, bias * factors])
    kernel, bias = second.get_weights()
    second.set_weights([kernel / factors[:, None], bias])
    model.save(target)


def judged(folder: Path, dataset: Dataset, format_: str) -> list[str]:
    """Return what float32, int8, int8 with equalised channels and with the layers left in float32 reach."""
    artefact = FORMATS[format_]
    job = Job.open(folder, folder, dataset)
    WRITERS[artefact.engine, artefact.precision](job, artefact)
    chosen = job.calibrations[artefact.engine]
    int8 = job.check(folder / artefact.name)
    rebuild = rebuild_onnx if artefact.engine == "onnx" else rebuild_tflite
    plain = {"channels": "as they are", "input": "as it is", "ranges": "minmax"}
    seen = []
    for changed in ({"float_layers": []}, {"float_layers": [], **plain}):
        content = rebuild(job, artefact, {**chosen, **changed})
        assert content is not None
        (folder / artefact.name).write_bytes(content)
        seen.append(job.check(folder / artefact.name))
    all_int8, ruined = seen
    held = {name: f"{100 * value:.2f} %" for name, value in chosen["accuracy"].items()}
    rows = [("float32", held["float32"], f"{100 * int8.reference_accuracy:.2f} %", "")]
    rows += [
        (
            name,
            held.get(key, ""),
            f"{100 * found.accuracy:.2f} %",
            f"same top class on {100 * found.top1_agreement:.2f} %",
        )
        for name, key, found in (
            ("int8, as it is", "", ruined),
            ("int8, all layers", "all_int8", all_int8),
            ("int8, as exported", "int8", int8),
        )
    ]
    subjects = ", ".join(map(str, chosen["judged_on"]["subjects"]))
    return [
        f"{artefact.name:18}  held-back training subjects {subjects}  {len(dataset.test)} test windows",
        *(f"{name:18}  {held_back:>10}  {test:>10}  {more}" for name, held_back, test, more in rows),
        f"left in float32: {', '.join(chosen['float_layers']) or 'nothing'}",
        f"layers, the worst first: {', '.join(ranking(chosen)) or 'not asked for'}",
    ]


def ranking(chosen: dict[str, Any]) -> list[str]:
    """Return each layer with the error that it makes in int8."""
    if "layer_errors" in chosen:
        rows = chosen["layer_errors"]
        return [f"{one['layer'].split(';')[0]} alone |Δp| {one['alone_mean_abs_diff']:.2g}" for one in rows]
    return [f"{one['layer']} alone {one['sqnr_db']} dB" for one in chosen["ranking"]]


if __name__ == "__main__":
    main()
