"""What every contestant is given: one network in every form, one recording, and what Keras answers to it."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgeconv.bench.recording import generate_recording
from edgeconv.evaluate.keras_model import KerasModel, held_back_stderr, import_keras
from edgeconv.export.graph.int8 import Int8Net, prepared, quantised
from edgeconv.export.graph.read import read_net
from edgeconv.export.onnx import Source, read_model, write_form
from edgeconv.export.ranges import activations, ranges_of
from edgeconv.export.ways import may_scale_input, with_input
from edgeconv.runtime import ModelSpec
from edgeconv.runtime.forms import form_file

HOPS = (64, 16, 8, 1)
SEED = 1
LITERT_BATCHES = (8, 32, 128)
MATMUL_SIDES = (384, 768)

CONVERTED, FORMS, CSV, SHORT = "converted.onnx", "forms", "recording.csv", "short.npy"
MODEL, TFLITE, INT8 = f"{FORMS}/model.onnx", "model.tflite", "model.int8.tflite"
MODEL_INT8 = f"{FORMS}/model.int8.onnx"
CALIBRATED_ON = 256
"""Windows of the recording that decide the ranges of the int8 ONNX files; which they are does not change the time."""


@dataclass(frozen=True)
class Sizes:
    """How much there is to do."""

    windows: int = 2048
    """Windows of the recording at the model's hop."""
    most_windows: int = 32_768
    """At smaller hops a beginning of the recording is taken, with at most so many windows."""
    at_once: int = 64
    """Streams that the stateful form takes a step at once."""
    sensors: int = 10_000
    packet: int = 32
    csv_repeats: int = 8
    """How often the recording follows itself in the CSV file."""


@dataclass(frozen=True)
class Material:
    """The files in a folder and what is known about them."""

    folder: Path
    spec: ModelSpec
    sizes: Sizes
    multiply_adds: dict[str, int]
    """For one answer: `windowed`, `dense 64`, `stateful 8`, and so on."""
    answers: dict[str, NDArray[np.float32]]
    """What Keras answers, float32 [windows, classes]: by hop, as in `hop 64`, and to the `csv`."""

    def bytes_of(self, file: str) -> int:
        """Return the size of a file of the folder."""
        return (self.folder / file).stat().st_size


def prepare(model: Path, folder: Path, sizes: Sizes) -> Material:
    """Write everything that contestants need into a folder.

    model: a model folder with `model.keras`, `spec.json` and the two TFLite files
    """
    spec = ModelSpec.load(model / "spec.json")
    import_keras()
    reference = KerasModel.load(model / "model.keras")
    samples = generate_recording(spec, spec.window + (sizes.windows - 1) * spec.hop, SEED)
    np.save(folder / "recording.npy", samples)
    np.save(folder / SHORT, samples[: spec.window + spec.hop])
    (folder / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    shutil.copy(model / "model.keras", folder)
    parsed = write_csv(folder / CSV, samples, spec, sizes.csv_repeats)
    answers = {f"hop {hop}": windows_of(samples, spec.window, hop, sizes.most_windows) for hop in HOPS}
    answers["csv"] = windows_of(parsed, spec.window, spec.hop)
    answers = {name: reference.predict(np.ascontiguousarray(windows)) for name, windows in answers.items()}
    source = read_model(reference.model, spec)
    multiply_adds = write_onnx(source, folder)
    write_int8_onnx(source, windows_of(samples, spec.window, spec.hop, CALIBRATED_ON), folder)
    write_tflite(model, reference.model, folder)
    for side in MATMUL_SIDES:
        write_matmul(folder / f"matmul{side}.onnx", side)
    return Material(folder, spec, sizes, multiply_adds, answers)


def windows_of(samples: NDArray[np.float32], window: int, hop: int, most: int | None = None) -> NDArray[np.float32]:
    """Return the windows of a recording, float32 [windows, window, channels], a view."""
    return sliding_window_view(samples, window, axis=0)[::hop][:most].transpose(0, 2, 1)


def beginning(samples: NDArray[np.float32], window: int, hop: int, most: int) -> NDArray[np.float32]:
    """Return as much of a recording as has at most so many windows."""
    return samples[: window + (most - 1) * hop]


def write_csv(path: Path, samples: NDArray[np.float32], spec: ModelSpec, repeats: int) -> NDArray[np.float32]:
    """Write the recording several times over, with five digits after the point; return the values that are in it."""
    rounded = np.char.mod("%.5f", samples)
    text = "\n".join(map(",".join, rounded.tolist())) + "\n"
    path.write_text(",".join(spec.channel_names) + "\n" + repeats * text, encoding="utf-8")
    return np.tile(rounded.astype(np.float32), (repeats, 1))


def write_onnx(source: Source, folder: Path) -> dict[str, int]:
    """Write the converter's own graph and every form; return the multiply-adds that each form needs for an answer."""
    import onnx

    spec = source.spec
    (folder / CONVERTED).write_bytes(source.converted)
    (folder / FORMS).mkdir()
    shutil.copy(folder / "spec.json", folder / FORMS)
    multiply_adds = {}
    for form, hop in forms_at(spec):
        content = write_form(source, form, hop)
        name = "model.onnx" if form == "onnx" else form_file(form, hop, spec)
        (folder / FORMS / name).write_bytes(content)
        entries = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
        multiply_adds["windowed" if form == "onnx" else f"{form} {hop}"] = int(entries["edgeconv.multiply_adds"])
    return multiply_adds


def write_int8_onnx(source: Source, windows: NDArray[np.float32], folder: Path) -> None:
    """Write every form in int8, as the export does, with the ranges of these windows: float32 [n, window, channels]."""
    spec, net = source.spec, prepared(read_net(source.converted, keep_first_scale=True))
    net = with_input(net, "by channel" if may_scale_input(net) else "as it is", windows)
    int8 = Int8Net(net, ranges_of(net, activations(net, spec, windows), "minmax"))
    for form, hop in forms_at(spec):
        name = "model.int8.onnx" if form == "onnx" else form_file(form, hop, spec, "int8")
        (folder / FORMS / name).write_bytes(quantised(write_form(replace(source, net=net), form, hop), int8))


def forms_at(spec: ModelSpec) -> list[tuple[str, int]]:
    """Return every form and hop that there is a file for."""
    return [("onnx", spec.hop), *((form, hop) for form in ("dense", "stateful") for hop in HOPS)]


def write_tflite(model: Path, keras_model: Any, folder: Path) -> None:
    """Copy the TFLite files, and convert the model once more for windows in batches, which those do not take."""
    for name in (TFLITE, INT8):
        shutil.copy(model / name, folder)
    keras = import_keras()
    import tensorflow as tf

    for batch in LITERT_BATCHES:
        signature = [tf.TensorSpec((batch, *keras_model.input_shape[1:]), tf.float32, name="windows")]
        archive = keras.export.ExportArchive()
        archive.track(keras_model)
        archive.add_endpoint("serving_default", lambda windows: keras_model(windows, training=False), signature)
        with tempfile.TemporaryDirectory() as aside, held_back_stderr():
            archive.write_out(aside, verbose=False)
            content = tf.lite.TFLiteConverter.from_saved_model(aside).convert()
        (folder / f"batch{batch}.tflite").write_bytes(content)


def write_matmul(path: Path, side: int) -> None:
    """Write an ONNX file that multiplies two square matrices."""
    from onnx import TensorProto, helper, numpy_helper, save

    matrix = np.random.default_rng(SEED).random((side, side), np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [side, side]) for name in "ac"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "matmul", ends[:1], ends[1:], [numpy_helper.from_array(matrix, "b")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def read_spec_of(folder: Path) -> ModelSpec:
    """Return the spec that `prepare` left in the folder."""
    return ModelSpec.load(folder / "spec.json")


def versions_of(packages: tuple[str, ...]) -> dict[str, str]:
    """Return package → version of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def network_of(folder: Path) -> dict[str, Any]:
    """Return name and version of the network, for the page."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    return {key: spec[key] for key in ("name", "version", "window", "hop", "sampling_rate_hz")}
