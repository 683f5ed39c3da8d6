"""Convert a small network around each Keras layer into every format, compare with Keras, and write docs/layers.md.

A cell says `yes` where the file agrees with Keras on random windows (float: |Δp| ≤ 1e-5; int8: |Δp| ≤ 0.1), by how
much it is off where it does not, or why there is no file. With --only TEXT, the rows whose name holds the text are
printed and nothing is written.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.evaluate.keras_model import held_back_stderr, import_keras
from edgeconv.evaluate.over_recordings import OverRecordings
from edgeconv.export.onnx import Source, read_model, write_form
from edgeconv.export.tflite import to_tflite
from edgeconv.runtime import Channel, Classifier, ConversionError, ModelSpec, Scorer, Stepper

PAGE = Path(__file__).resolve().parents[1] / "docs" / "layers.md"
WINDOW, HOP, CHANNELS, CLASSES = 32, 8, 4, 3
SPEC = ModelSpec(
    "layer", "1", tuple(Channel(f"c{i}", "g") for i in range(CHANNELS)), 50.0, WINDOW, HOP, ("a", "b", "c")
)
FLOAT_LIMIT, INT8_LIMIT = 1e-5, 0.1
FORMATS = ("model.onnx", "dense.onnx", "stateful.onnx", "model.tflite", "model.int8.tflite")
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax",
    "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
)  # fmt: skip


def cases(layers: Any) -> dict[str, Callable[[Any], Any]]:
    """Return, by name, functions from the input to the value in front of the classifying layer."""
    conv = layers.Conv1D
    found: dict[str, Callable[[Any], Any]] = {}
    for padding in ("valid", "same", "causal"):
        for stride, dilation in ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3)):
            for kernel in (4, 11):
                name = f"Conv1D padding {padding}, stride {stride}, dilation {dilation}, kernel {kernel}"
                options = {"padding": padding, "strides": stride, "dilation_rate": dilation}
                found[name] = lambda v, kernel=kernel, options=options: conv(6, kernel, **options)(v)
    for activation in ACTIVATIONS:
        found[f"activation {activation}"] = lambda v, a=activation: conv(6, 3, activation=a)(v)
    pools = {
        f"{kind}Pooling1D {padding}": lambda v, kind=kind, padding=padding: getattr(layers, f"{kind}Pooling1D")(
            3, 2, padding=padding
        )(v)
        for kind in ("Max", "Average")
        for padding in ("valid", "same")
    }
    return found | pools | {
        "Conv1D groups 2": lambda v: conv(8, 3, groups=2)(v),
        "Conv1D without bias": lambda v: conv(6, 3, use_bias=False)(v),
        "SeparableConv1D": lambda v: layers.SeparableConv1D(6, 3)(v),
        "SeparableConv1D same, stride 2": lambda v: layers.SeparableConv1D(6, 3, padding="same", strides=2)(v),
        "DepthwiseConv1D": lambda v: layers.DepthwiseConv1D(3, depth_multiplier=2)(v),
        "DepthwiseConv1D same": lambda v: layers.DepthwiseConv1D(3, padding="same")(v),
        "Conv1DTranspose": lambda v: layers.Conv1DTranspose(6, 3, strides=2)(v),
        "Conv1DTranspose same": lambda v: layers.Conv1DTranspose(6, 3, strides=2, padding="same")(v),
        "Conv1DTranspose dilated": lambda v: layers.Conv1DTranspose(6, 3, dilation_rate=2)(v),
        "GlobalAveragePooling1D": lambda v: layers.GlobalAveragePooling1D()(v),
        "GlobalMaxPooling1D": lambda v: layers.GlobalMaxPooling1D()(v),
        "BatchNormalization": lambda v: layers.BatchNormalization()(conv(6, 3)(v)),
        "LayerNormalization": lambda v: layers.LayerNormalization()(v),
        "GroupNormalization": lambda v: layers.GroupNormalization(2)(v),
        "Dropout": lambda v: layers.Dropout(0.5)(v),
        "SpatialDropout1D": lambda v: layers.SpatialDropout1D(0.5)(v),
        "Add of a cropped branch": lambda v: layers.Add()([layers.Cropping1D((1, 1))(v), conv(4, 3)(v)]),
        "Concatenate with a cropped branch": lambda v: layers.Concatenate()(
            [layers.Cropping1D((1, 1))(v), conv(4, 3)(v)]
        ),
        "Multiply, squeeze and excite": lambda v: layers.Multiply()(
            [v, layers.Reshape((1, 4))(layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling1D()(v)))]
        ),
        "ZeroPadding1D": lambda v: conv(4, 3)(layers.ZeroPadding1D((2, 1))(v)),
        "Cropping1D": lambda v: layers.Cropping1D((2, 1))(v),
        "UpSampling1D": lambda v: layers.UpSampling1D(2)(v),
        "PReLU": lambda v: layers.PReLU(shared_axes=[1])(v),
        "Normalization": lambda v: conv(4, 3)(layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4])(v)),
        "Rescaling": lambda v: conv(4, 3)(layers.Rescaling(0.5, 1.0)(v)),
        "Permute": lambda v: conv(4, 3)(layers.Permute((2, 1))(v)),
        "LSTM": lambda v: layers.LSTM(5)(v),
        "GRU": lambda v: layers.GRU(5)(v),
        "Bidirectional LSTM": lambda v: layers.Bidirectional(layers.LSTM(5))(v),
        "MultiHeadAttention": lambda v: layers.MultiHeadAttention(2, 4)(v, v),
    }  # fmt: skip


def row(name: str) -> list[str]:
    """Return the cells of a case: for each format `yes`, or why not."""
    keras = import_keras()
    make = cases(keras.layers)[name]
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    recording = rng.normal(size=(WINDOW + 24 * HOP, CHANNELS)).astype(np.float32)
    windows = np.stack([recording[i : i + WINDOW] for i in range(0, len(recording) - WINDOW + 1, HOP)])
    source = keras.Input((WINDOW, CHANNELS))
    try:
        value = make(source)
    except Exception as error:  # Keras refuses what it cannot build in many ways
        return [f"Keras refuses it: {first_sentence(str(error))}", *["no"] * (len(FORMATS) - 1)]
    value = keras.layers.Flatten()(value) if len(value.shape) == 3 else value
    model = keras.Model(source, keras.layers.Dense(CLASSES, activation="softmax")(value))
    expected = model(windows, training=False).numpy()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        cells = onnx_cells(model, windows, expected, folder)
        model.save(folder / "model.keras")
        for file, calibration, limit in (("a.tflite", None, FLOAT_LIMIT), ("b.tflite", windows, INT8_LIMIT)):
            try:
                to_tflite(folder / "model.keras", folder / file, calibration)
                cells.append(verdict(run_tflite(folder / file, windows), expected, limit))
            except ConversionError as error:
                cells.append(reason(str(error)))
            except RuntimeError:  # the interpreter refuses its own converter's file
                cells.append("no: TFLite cannot run its file")
    return cells


def onnx_cells(model: Any, windows: np.ndarray, expected: np.ndarray, folder: Path) -> list[str]:
    try:
        source: Source = read_model(model, SPEC)
    except ConversionError as error:
        return [reason(str(error))] * 3
    cells = []
    for form in ("onnx", "dense", "stateful"):
        file = folder / f"{form}.onnx"
        try:
            file.write_bytes(write_form(source, form, HOP))
        except ConversionError as error:
            cells.append(reason(str(error)))
            continue
        if form == "onnx":
            got = Classifier.load(file).predict(windows)
        else:
            got = OverRecordings((Scorer if form == "dense" else Stepper).load(file), HOP).predict(windows)
        said = verdict(got, expected, FLOAT_LIMIT)
        cells.append("as converted" if said == "yes" and form == "onnx" and source.net is None else said)
    return cells


def run_tflite(file: Path, windows: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    with held_back_stderr():
        interpreter = tf.lite.Interpreter(str(file))
        interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for window in windows:
        given = window[None]
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            given = np.clip(np.round(given / scale + zero), -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], given)
        interpreter.invoke()
        answer = interpreter.get_tensor(result["index"])[0].astype(np.float32)
        if result["dtype"] == np.int8:
            scale, zero = result["quantization"]
            answer = (answer - zero) * scale
        rows.append(answer)
    return np.array(rows)


def verdict(got: np.ndarray, expected: np.ndarray, limit: float) -> str:
    difference = float(np.nan_to_num(np.abs(got - expected), nan=np.inf).max())
    return "yes" if difference <= limit else f"**off** by {difference:.1g}"


def reason(text: str) -> str:
    """Return why a form cannot be, short enough for a cell."""
    for sign, short in (
        (" pads: ", "no: it pads"),
        ("cannot be brought into canonical form", "no canonical form"),
        ("works on the axes", "no canonical form"),
        ("mixes the axes", "no canonical form"),
        (" of ('batch'", "no canonical form"),
        ("the TFLite converter", "no: TFLite's converter fails"),
    ):
        if sign in text:
            return short
    return f"no: {first_sentence(text)}"


def first_sentence(text: str) -> str:
    plain = re.sub(r"\x1b\[\d*m", "", text)
    return " ".join(re.split(r"(?<=[a-z)])\. |\n\n", plain)[-1].split())[:90].replace("|", "/")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="print the rows whose name holds this text")
    only = arguments.parse_args().only
    names = [name for name in cases(import_keras().layers) if only in name]
    lines = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for name, cells in zip(names, pool.map(row, names), strict=True):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    if only:
        return
    wrong = [line for line in lines if "**off**" in line.rsplit(" | ", 1)[0]]
    head = f"| layer | {' | '.join(f'`{name}`' for name in FORMATS)} |\n|{' --- |' * (len(FORMATS) + 1)}"
    PAGE.write_text(
        "# Layers and formats\n\n"
        "Written by `tools/layer_table.py`, which converts a small network around each layer and compares every file\n"
        "with Keras on random windows: `yes` means |Δp| up to 1e-5, for int8 up to 0.1, and `off by` says how much "
        "more\n"
        "it is. `as converted` is equal, too, but stays as the converter left it, because the layer has no canonical\n"
        "form and so no dense or stateful one either.\n\n"
        f"{len(lines)} networks, {len(lines) * len(FORMATS)} combinations.\n\n" + "\n".join([head, *lines]) + "\n"
    )
    print(
        f"{len(lines)} networks, {len(lines) * len(FORMATS)} combinations, "
        f"{len(wrong)} rows with a float file that is off"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
