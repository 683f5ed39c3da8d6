"""Convert a small network around each Keras layer into every format, compare with Keras, and write docs/layers.md.

A cell says `yes` where the file agrees with Keras on random windows (float32: |Δp| ≤ 1e-5; float16: ≤ 0.02; int8 and
dynamic: ≤ 0.1), by how much it is off where it does not, or why there is no file. The cases are in `layer_cases.py`.
With --only TEXT, the rows whose name holds the text are printed and nothing is written.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from layer_cases import cases

from edgeconv.evaluate.artefacts import artefact_of
from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.evaluate.over_recordings import OverRecordings
from edgeconv.evaluate.tflite import TfliteModel, normalise
from edgeconv.export.graph.int8 import Int8Net, integer_layers, quantised
from edgeconv.export.graph.int8 import prepared as unfolded
from edgeconv.export.graph.read import read_net
from edgeconv.export.normalisation import channel_constants, leading_normalisation
from edgeconv.export.onnx import Source, read_model, write_form
from edgeconv.export.ranges import activations, ranges_of
from edgeconv.export.tflite import to_tflite
from edgeconv.export.tflite_child import convert, prepared
from edgeconv.export.tflite_metadata import embed
from edgeconv.runtime import Channel, Classifier, ConversionError, ModelSpec, Scorer, Stepper

PAGE = Path(__file__).resolve().parents[1] / "docs" / "layers.md"
WINDOW, HOP, CHANNELS, CLASSES = 32, 8, 4, 3
SPEC = ModelSpec(
    "layer", "1", tuple(Channel(f"c{i}", "g") for i in range(CHANNELS)), 50.0, WINDOW, HOP, ("a", "b", "c")
)
FLOAT_LIMIT, FLOAT16_LIMIT, INT8_LIMIT = 1e-5, 0.02, 0.1


@dataclass
class Network:
    """A case, built: what every column is made of."""

    model: KerasModel
    windows: np.ndarray
    """float32 [n, window, channels], cut from one recording at the spec's hop"""
    folder: Path
    isolated: bool = False
    """Whether TFLite's converter runs in a process of its own from the start: it crashed before."""

    @cached_property
    def source(self) -> Source:
        """What the ONNX files are written from."""
        return read_model(self.model.model, self.spec)

    @cached_property
    def spec(self) -> ModelSpec:
        """The contract, with what the network's first layer subtracts and divides by."""
        layer = leading_normalisation(self.model.model)
        if layer is None:
            return SPEC
        constants = zip(SPEC.channels, *channel_constants(layer, CHANNELS), strict=True)
        return replace(SPEC, channels=tuple(replace(c, mean=float(m), std=float(s)) for c, m, s in constants))

    @cached_property
    def keras_file(self) -> Path:
        """The model, saved."""
        file = self.folder / "model.keras"
        self.model.model.save(file)
        return file


def windowed(network: Network) -> np.ndarray:
    return Classifier.load(written(network, "onnx")).predict(network.windows)


def dense(network: Network) -> np.ndarray:
    return OverRecordings(Scorer.load(written(network, "dense")), HOP).predict(network.windows)


def stateful(network: Network) -> np.ndarray:
    return OverRecordings(Stepper.load(written(network, "stateful")), HOP).predict(network.windows)


def written(network: Network, form: str) -> Path:
    file = network.folder / f"{form}.onnx"
    file.write_bytes(write_form(network.source, form, HOP))
    return file


def int8_onnx(form: str) -> Callable[[Network], np.ndarray]:
    """Return what quantises a form with the ranges of the windows that it is then tried on."""

    def answers(network: Network) -> np.ndarray:
        source = network.source
        if source.net is None:
            raise ConversionError(source.refusal)
        net = unfolded(read_net(source.converted, keep_first_scale=True))
        integer_layers(net)
        int8 = Int8Net(net, ranges_of(net, activations(net, network.spec, network.windows), "minmax"))
        file = network.folder / f"{form}.int8.onnx"
        file.write_bytes(quantised(write_form(replace(source, net=net), form, HOP), int8))
        if form == "onnx":
            return Classifier.load(file).predict(network.windows)
        return OverRecordings((Scorer if form == "dense" else Stepper).load(file), HOP).predict(network.windows)

    return answers


def tflite(weights: str) -> Callable[[Network], np.ndarray]:
    """Return what converts as the export does, but in this process, which is quicker; where that fails, as it does."""

    def answers(network: Network) -> np.ndarray:
        file, given = network.folder / "model.tflite", network.folder / "windows.npz"
        calibration = normalise(network.windows, network.spec) if weights == "int8" else None
        np.savez(given, calibration=normalise(network.windows, network.spec))
        try:
            if network.isolated:
                raise RuntimeError
            model, windows = prepared(str(network.keras_file), *(() if calibration is None else (str(given),)))
            content = convert(model, weights, windows)
        except Exception:  # the converter raises many kinds; the export names the layer
            to_tflite(network.keras_file, file, calibration, weights="float32" if weights == "int8" else weights)
            content = file.read_bytes()
        file.write_bytes(embed(content, network.spec, normalised=weights == "int8"))
        return TfliteModel.load(file, network.spec).predict(network.windows)

    return answers


COLUMNS: dict[str, Callable[[Network], np.ndarray]] = {
    "model.onnx": windowed,
    "dense.onnx": dense,
    "stateful.onnx": stateful,
    "model.int8.onnx": int8_onnx("onnx"),
    "dense.int8.onnx": int8_onnx("dense"),
    "stateful.int8.onnx": int8_onnx("stateful"),
    "model.tflite": tflite("float32"),
    "model.float16.tflite": tflite("float16"),
    "model.dynamic.tflite": tflite("dynamic"),
    "model.int8.tflite": tflite("int8"),
}
"""File → probabilities float32 [n, classes] of it; raises ConversionError where it cannot be written."""
ATTENTION = (
    "In int8 the file is right and TFLite's default delegate is not: without XNNPACK, its own kernels answer within "
    "0.02 of Keras (seen for MultiHeadAttention and Attention); with it, the product of two computed values is off."
)
EQUAL_CHANNELS = (
    "Where all channels of a timestep are equal, which a relu makes happen, layer normalisation multiplies by "
    "1/√ε = 32, and by about 1 elsewhere: in int8 that range has steps of 0.12."
)
UNROLLED = (
    "For int8 the steps are written one after another: TFLite's converter finds no ranges inside a loop, and crashes. "
    "The file grows with the window."
)
NOTES: dict[str, str] = {
    "activation celu": "For int8 written as `elu`, which it is for Keras's alpha of 1: as Keras computes it, with a "
    "minimum, the converter gives what lies in front of it a range that ends at 0, and the file is off by 0.5.",
    "activation softsign": "In int8 TFLite divides by 1 + |x|, whose code may be 0 although its value is not, and its "
    "kernel refuses to divide by a code of 0.",
    "activation sparse_plus": "In int8 the converter gives what lies in front of a selection the range of its result, "
    "which starts at 0, so that what is negative in front of it is cut off before it is used.",
    "Conv1DTranspose dilated": "TFLite's transposed convolution has no dilation.",
    **dict.fromkeys(("Attention", "MultiHeadAttention", "GroupedQueryAttention"), ATTENTION),
    "AdaptiveAveragePooling1D": "In int8 a pooling and what lies in front of it share one range, and the converter "
    "takes that of the averages, which is narrower: larger values are cut off before they are averaged.",
    **dict.fromkeys(("causal dilated residual blocks (as a TCN)",), EQUAL_CHANNELS),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "Bidirectional LSTM", "Bidirectional GRU"), UNROLLED),
}
"""Row → its note below the table."""


def limit_of(file: str) -> float:
    return {"float32": FLOAT_LIMIT, "float16": FLOAT16_LIMIT}.get(artefact_of(file).precision, INT8_LIMIT)


def build(name: str) -> Any:
    """Return the network of a case, with weights as after some training: no bias is zero, no statistic the initial."""
    keras = import_keras()
    keras.utils.set_random_seed(1)
    source = keras.Input((CHANNELS, WINDOW) if "channels_first" in name else (WINDOW, CHANNELS))
    value = cases(keras)[name](source)
    value = keras.layers.Flatten()(value) if len(value.shape) > 2 else value
    model = keras.Model(source, keras.layers.Dense(CLASSES, activation="softmax")(value))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Normalization):
            layer.set_weights([w + rng.uniform(0, 0.5, w.shape) * (w.ndim == 1) for w in layer.get_weights()])
    return model


def row(name: str, isolated: bool = False) -> list[str]:
    """Return the cells of a case: for each column `yes`, or why not."""
    rng = np.random.default_rng(0)
    recording = rng.normal(size=(WINDOW + 24 * HOP, CHANNELS)).astype(np.float32)
    windows = np.stack([recording[i : i + WINDOW] for i in range(0, len(recording) - WINDOW + 1, HOP)])
    try:
        model = build(name)
    except Exception as error:  # Keras refuses what it cannot build in many ways
        return [f"Keras refuses it: {first_sentence(str(error))}", *["no"] * (len(COLUMNS) - 1)]
    with tempfile.TemporaryDirectory() as folder:
        network = Network(KerasModel(model), windows, Path(folder), isolated)
        return list(cells(network))


def cells(network: Network) -> Iterator[str]:
    expected = network.model.predict(network.windows)
    for file, column in COLUMNS.items():
        try:
            said = verdict(column(network), expected, limit_of(file))
            converters = said == "yes" and file == "model.onnx" and network.source.net is None
            yield "as converted" if converters else said
        except ConversionError as error:
            yield reason(str(error))


def verdict(got: np.ndarray, expected: np.ndarray, limit: float) -> str:
    difference = float(np.nan_to_num(np.abs(got - expected), nan=np.inf).max())
    return "yes" if difference <= limit else f"**off** by {difference:.1g}"


def reason(text: str) -> str:
    """Return why a form cannot be, short enough for a cell."""
    for sign, short in (
        (" pads: ", "no: it pads"),
        ("RuntimeError: tensorflow/lite/kernels", "no: TFLite cannot run its own file"),
        ("none of TFLite's operators", "no: TFLite has no such operator"),
        (r"^functional\S*: ", "no canonical form"),  # the reader, of a node of the converter's
    ):
        if re.search(sign, text):
            return short
    return f"no: {first_sentence(text)}"


def first_sentence(text: str) -> str:
    plain = re.sub(r"\x1b\[\d*m", "", text)
    return " ".join(re.split(r"(?<=[a-z)])\. |\n\n", plain)[-1].split())[:120].replace("|", "/")


def rows(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows in their order. A crash takes the others in work with it: those are done again, one by one."""
    todo, isolated = list(names), False
    while todo:
        with ProcessPoolExecutor(1 if isolated else os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            some = todo[:1] if isolated else list(todo)
            futures = [pool.submit(row, name, isolated) for name in some]
            try:
                for name, future in zip(some, futures, strict=True):
                    yield name, future.result()
                    todo.remove(name)
                isolated = False
            except BrokenProcessPool:
                if isolated:
                    raise
                isolated = True


def numbered(name: str) -> str:
    """Return the name of a row with the number of its note, if it has one."""
    return f"{name} [{notes().index(NOTES[name]) + 1}]" if name in NOTES else name


def notes() -> list[str]:
    """Return every note once."""
    return list(dict.fromkeys(NOTES.values()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="print the rows whose name holds this text")
    only = arguments.parse_args().only
    lines = []
    for name, found in rows([name for name in cases(import_keras()) if only in name]):
        lines.append(f"| {numbered(name)} | " + " | ".join(found) + " |")
        print(lines[-1], flush=True)
    if only:
        return
    PAGE.write_text(page(lines))
    wrong = [line for line in lines if "**off**" in line.rsplit(" | ", 1)[0]]
    print(f"{count(lines)}, {len(wrong)} rows with a float file that is off")
    sys.exit(1 if wrong else 0)


def count(lines: list[str]) -> str:
    return f"{len(lines)} networks, {len(lines) * len(COLUMNS)} combinations"


def page(lines: list[str]) -> str:
    """Return the page with these rows."""
    head = f"| layer | {' | '.join(f'`{name}`' for name in COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}"
    return (
        "# Layers and formats\n\n"
        "Written by `tools/layer_table.py`, which converts a small network around each layer and compares every file\n"
        "with Keras on random windows: `yes` means |Δp| up to 1e-5, for float16 up to 0.02, for int8 and dynamic up\n"
        "to 0.1, and `off by` says how much more it is. `as converted` is equal, too, but stays as the converter left\n"
        "it, because the layer has no canonical form and so no dense, stateful or int8 one either. A network that\n"
        "takes channels first is exported as its channels-last twin. The networks are not trained. Numbers refer to\n"
        f"the notes below.\n\n{count(lines)}.\n\n"
        + "\n".join([head, *lines])
        + "\n\n"
        + "\n".join(f"{i}. {note}" for i, note in enumerate(notes(), 1))
        + "\n"
    )


if __name__ == "__main__":
    main()
