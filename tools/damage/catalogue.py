"""The damages, by the file that they are done to."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeconv import folder as files
from edgeconv.evaluate.artefacts import artefact_of
from edgeconv.evaluate.keras_model import KerasModel
from edgeconv.export.graph.dense import to_dense
from edgeconv.export.graph.stateful import to_stateful
from edgeconv.export.graph.write import write_dense, write_stateful
from edgeconv.export.onnx import read_model
from edgeconv.runtime import ModelSpec
from edgeconv.runtime.spec import METADATA_KEY, STATE_KEY

from . import onnx_files as o
from . import tflite_files as t


@dataclass(frozen=True)
class Damage:
    """One way to damage one file of a model folder."""

    name: str
    file: str
    apply: Callable[[Path], None]
    """Changes files in a folder; hashes are renewed afterwards."""


def onnx_damage(name: str, file: str, change: o.Edit) -> Damage:
    return Damage(name, file, lambda folder: o.edit(folder / file, change))


def tflite_damage(name: str, file: str, change: t.Edit) -> Damage:
    return Damage(name, file, lambda folder: t.edit(folder / file, change))


def catalogue(folder: Path) -> list[Damage]:
    """Return all damages that can be done to the files of a folder."""
    spec = ModelSpec.load(folder / files.SPEC)
    makers: dict[str, Callable[[str, ModelSpec], Iterator[Damage]]] = {
        "windowed onnx float32": windowed,
        "dense onnx float32": dense,
        "stateful onnx float32": stateful,
        "windowed tflite float32": tflite,
        "windowed tflite float16": half_tflite,
        "windowed tflite dynamic": dynamic_tflite,
        "windowed tflite int8": int8_tflite,
        "windowed onnx int8": int8_onnx,
        "dense onnx int8": int8_onnx,
        "stateful onnx int8": int8_onnx,
    }
    found: list[Damage] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".onnx", ".tflite") and path.name in (kind.name for kind in files.KINDS):
            kind = artefact_of(path.name)
            found += makers[f"{kind.form} {kind.engine} {kind.precision}"](path.name, spec)
    if (folder / files.CALIBRATION).exists():
        engines = json.loads((folder / files.CALIBRATION).read_text())
        found += [
            Damage(f"calibration rows of the {engine} files changed", files.CALIBRATION, other_rows(engine))
            for engine in ("onnx", "tflite")
            if engine in engines
        ]
    return [*found, *records(spec)]


def windowed(file: str, spec: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the windowed file."""
    channels = len(spec.channels)
    mean = np.array([c.mean for c in spec.channels])
    std = np.array([c.std for c in spec.channels])
    last = -1
    for name, change in {
        "one weight of the first convolution, 10 % more": o.weight(0, o.one_more(0.1)),
        "one weight of the second convolution, 10 % more": o.weight(1, o.one_more(0.1)),
        "one weight of the first convolution, 0.5 % more": o.weight(0, o.one_more(0.005)),
        "one weight of the dense layer, 50 % more": o.weight(2, o.one_more(0.5)),
        "one weight of the last layer, 1 % more": o.weight(last, o.one_more(0.01)),
        "sign of one bias turned": o.bias(0, o.other_sign),
        "sign of one bias of the last layer turned": o.bias(last, o.other_sign),
        "biases of a layer dropped": o.bias(1, np.zeros_like),
        "two input channels swapped": o.weight(0, o.swap(1)),
        "two filters of a layer swapped": o.weight(0, o.swap(0)),
        "two classes swapped": lambda p: (o.weight(last, o.swap(0))(p), o.bias(last, o.swap(0))(p)),
        "kernel of the first convolution reversed": o.weight(0, lambda v: v[..., ::-1]),
        "kernel of the second convolution reversed": o.weight(1, lambda v: v[..., ::-1]),
        "one filter zeroed": o.weight(0, o.zero(0, 3)),
        "one input channel ignored": o.weight(0, o.zero(1, channels - 1)),
        "all weights rounded to float16": o.all_weights(o.through("float16")),
        "all weights rounded to bfloat16": o.all_weights(o.through("bfloat16")),
        "all weights rounded to int8": o.all_weights(o.through("int8")),
        "all weights 0.01 % larger": o.all_weights(lambda v: v * np.float32(1.0001)),
        "an activation left out": o.remove("Relu", 0),
        "the last activation left out": o.remove("Relu", -1),
        "ReLU replaced by LeakyReLU": o.retype("Relu", "LeakyRelu", 0, alpha=0.01),
        "pooling phase shifted by one": o.attribute("MaxPool", "pads", lambda _: [0, 1, 0, 0]),
        "largest value replaced by the mean": o.retype("MaxPool", "AveragePool", drop=("dilations", "storage_order")),
        "softmax missing": o.remove("Softmax"),
        "softmax applied twice": o.softmax_again,
        "logits 0.1 % larger": o.temperature(1.001),
        "probabilities rounded to 0.001": o.rounded(0.001),
        "answers given to the next row of the batch": o.roll_rows(),
        "window shifted by one sample": o.take(1, lambda n: [*range(1, n), n - 1], spec.window),
        "window reversed in time": o.take(1, lambda n: list(reversed(range(n))), spec.window),
        "padding shifted: the last sample lost, a first one doubled": o.take(
            1, lambda n: [0, *range(n - 1)], spec.window
        ),
        "input channels in another order": o.take(2, lambda n: [1, 0, *range(2, n)], channels),
        "unit mistaken: input in m/s² for g": o.affine(1 / 9.80665, 0.0),
        "normalised once more": o.affine(1 / np.maximum(std, 1e-6), -mean / std)
        if spec.normalises
        else o.affine(np.full(channels, 1 / 0.9), np.full(channels, -0.05)),
        "input cut off at the range seen in training": o.clip_input(
            float(min(c.minimum or -1 for c in spec.channels)), float(max(c.maximum or 1 for c in spec.channels))
        ),
        "NaN in one weight": o.weight(0, lambda v: np.where(np.arange(v.size).reshape(v.shape) == 0, np.nan, v)),
    }.items():
        yield onnx_damage(name, file, change)
    if spec.normalises:
        yield onnx_damage("normalisation dropped", file, o.affine(std, mean))


def dense(file: str, spec: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the dense file."""

    def other_hop(folder: Path) -> None:
        source = read_model(KerasModel.load(folder / files.KERAS).model, spec)
        assert source.net is not None
        content = write_dense(to_dense(source.net, spec.hop - 1), len(spec.labels), spec)
        (folder / file).write_bytes(content)

    yield Damage("hop off by one", file, other_hop)
    for name, change in {
        "one weight of the dense layer, 50 % more": o.weight(2, o.one_more(0.5)),
        "answers given to the next window": o.roll_rows(),
        "recording entered one sample late": o.before_input(_late_start),
        "kernel of the second convolution reversed": o.weight(1, lambda v: v[..., ::-1]),
        "an activation left out": o.remove("Relu", 1),
    }.items():
        yield onnx_damage(name, file, change)


def _late_start(proto: object, source: str, result: str) -> list[object]:
    # The first sample is lost and the last one doubled, so that there are as many answers.
    ends = {
        name: o.constant(proto, f"damage_{name}", np.array([value], np.int64))
        for name, value in (("zero", 0), ("one", 1), ("minus_one", -1), ("end", 2**62))
    }
    return [
        o.helper.make_node("Slice", [source, ends["one"], ends["end"], ends["zero"]], ["damage_late"]),
        o.helper.make_node("Slice", [source, ends["minus_one"], ends["end"], ends["zero"]], ["damage_last_sample"]),
        o.helper.make_node("Concat", ["damage_late", "damage_last_sample"], [result], axis=0),
    ]


def stateful(file: str, spec: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the stateful file."""

    def other_hop(folder: Path) -> None:
        source = read_model(KerasModel.load(folder / files.KERAS).model, spec)
        assert source.net is not None
        # Its samples are those of a hop that is one shorter: the oldest of each hop is not looked at.
        short = write_stateful(to_stateful(source.net, spec.hop - 1), replace(spec, hop=spec.hop))
        (folder / file).write_bytes(short)

    def warm_up(text: str) -> str:
        state = json.loads(text)
        return json.dumps({**state, "warm_up": state["warm_up"] + 1})

    yield Damage("hop off by one", file, other_hop)
    for name, change in {
        "state tensor stale": o.stale_state,
        "state tensor forgotten": o.forgotten_state,
        "state kept one position late": o.late_state,
        "warm-up off by one": o.metadata(STATE_KEY, warm_up),
        "one weight of the second convolution, 10 % more": o.weight(1, o.one_more(0.1)),
        "samples of a hop in reversed order": o.take(1, lambda n: list(reversed(range(n))), spec.hop),
    }.items():
        yield onnx_damage(name, file, change)


def tflite(file: str, _: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the float32 TFLite file."""
    for name, change in {
        "one weight of the first convolution, 10 % more": lambda g: t.write(g.weights(0), o.one_more(0.1)),
        "sign of one bias turned": lambda g: t.write(g.bias(0), o.other_sign),
        "kernel of the second convolution reversed": lambda g: t.write(g.weights(1), lambda v: v[:, :, ::-1]),
        "two input channels swapped": lambda g: t.write(g.weights(0), o.swap(3)),
        "two classes swapped": lambda g: (t.write(g.weights(-1), o.swap(0)), t.write(g.bias(-1), o.swap(0))),
        "an activation left out": t.no_activation(0),
        "largest value replaced by the mean": t.other_pool,
        "all weights of a layer rounded to int8": lambda g: t.write(g.weights(1), o.through("int8")),
    }.items():
        yield tflite_damage(name, file, change)


def half_tflite(file: str, _: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the float16 TFLite file."""
    yield tflite_damage(
        "one weight of the largest layer, turned", file, lambda g: t.write(g.largest("FLOAT16"), o.other_sign)
    )
    yield tflite_damage(
        "weights of the largest layer 1 % larger", file, lambda g: t.write(g.largest("FLOAT16"), lambda v: v * 1.01)
    )


def dynamic_tflite(file: str, _: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the TFLite file with dynamic range."""
    for name, change in {
        "weights of the largest layer moved by one place": lambda v: np.roll(v, 1),
        "the larger weights of the largest layer one step less": lambda v: np.where(
            np.abs(v.astype(int)) > 40, v - np.sign(v), v
        ),
    }.items():
        yield tflite_damage(name, file, lambda g, change=change: t.write(g.largest("INT8"), change))


def int8_tflite(file: str, _: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the int8 TFLite file."""

    def scale_of(graph: t.Graph, tensor: int, factor: float) -> None:
        t.write(graph.quantisation(graph.graph.Tensors(tensor))[0], lambda v: v * np.float32(factor))

    def zero_of(graph: t.Graph, tensor: int, move: int) -> None:
        t.write(graph.quantisation(graph.graph.Tensors(tensor))[1], lambda v: v + move)

    def weights_of(graph: t.Graph, layer: int) -> int:
        return int(graph.layers()[layer].Inputs(1))

    for name, change in {
        "input scale 5 % larger": lambda g: scale_of(g, int(g.graph.Inputs(0)), 1.05),
        "input zero point off by three": lambda g: zero_of(g, int(g.graph.Inputs(0)), 3),
        "output scale halved": lambda g: scale_of(g, int(g.graph.Outputs(0)), 0.5),
        "scales of the first convolution's filters 10 % larger": lambda g: scale_of(g, weights_of(g, 0), 1.1),
        "scales of the filters in another order": lambda g: t.write(
            g.quantisation(g.graph.Tensors(weights_of(g, 0)))[0], lambda v: np.roll(v, 1)
        ),
        "one weight of the first convolution turned": lambda g: t.write(g.weights(0), o.other_sign),
        "kernel of the second convolution reversed": lambda g: t.write(g.weights(1), lambda v: v[:, :, ::-1]),
        "sign of the largest bias turned": lambda g: t.write(g.bias(0), o.other_sign),
        "largest value replaced by the mean": t.other_pool,
    }.items():
        yield tflite_damage(name, file, change)


def int8_onnx(file: str, _: ModelSpec) -> Iterator[Damage]:
    """Yield damages of the int8 ONNX files."""
    for name, change in {
        "one int8 weight turned": o.quantised("weight", o.other_sign),
        "an activation's scale 5 % larger": o.quantised("scale", lambda v: v * np.float32(1.05)),
        "an activation's zero point off by three": o.quantised(
            "zero point", lambda v: (v.astype(int) + (3 if v.astype(int) < 100 else -3)).astype(v.dtype)
        ),
        "scales of the filters in another order": o.quantised("weight scale", lambda v: np.roll(v, 1)),
        "sign of the largest int32 bias turned": o.quantised("bias", o.other_sign),
    }.items():
        yield onnx_damage(name, file, change)


def records(spec: ModelSpec) -> Iterator[Damage]:
    """Yield damages of what lies beside the files."""

    def labels_swapped(folder: Path) -> None:
        first, second, *others = spec.labels
        _new_spec(folder, replace(spec, labels=(second, first, *others)))

    def channels_swapped(folder: Path) -> None:
        first, second, *others = spec.channels
        _new_spec(folder, replace(spec, channels=(second, first, *others)))

    def unit_changed(folder: Path) -> None:
        # Of all channels that have it: those that are derived from one signal have its unit.
        unit = spec.channels[0].unit
        others = tuple(replace(each, unit="m/s^2") if each.unit == unit else each for each in spec.channels)
        _new_spec(folder, replace(spec, channels=others))

    def labels_in_the_file_alone(folder: Path) -> None:
        first, second, *others = spec.labels
        other = replace(spec, labels=(second, first, *others))
        o.edit(folder / files.ONNX, o.metadata(METADATA_KEY, lambda _: other.to_json()))

    def other_reference(folder: Path) -> None:
        model = KerasModel.load(folder / files.KERAS).model
        weights = model.get_weights()
        weights[0].flat[np.abs(weights[0]).argmax()] *= 1.1
        model.set_weights(weights)
        model.save(folder / files.KERAS)

    def better_figures(folder: Path) -> None:
        certificate = json.loads((folder / files.CERTIFICATE).read_text())
        certificate["artefacts"][files.ONNX]["accuracy"] += 0.01
        files.write_json(folder / files.CERTIFICATE, certificate)

    yield Damage("two labels swapped in the spec and in every file", files.SPEC, labels_swapped)
    yield Damage("two channels swapped in the spec and in every file", files.SPEC, channels_swapped)
    yield Damage("a unit changed in the spec and in every file", files.SPEC, unit_changed)
    yield Damage("two labels swapped inside the ONNX file alone", files.ONNX, labels_in_the_file_alone)
    yield Damage("one weight of the Keras model, 10 % more", files.KERAS, other_reference)
    yield Damage("accuracy in the certificate a point higher", files.CERTIFICATE, better_figures)


def other_rows(engine: str) -> Callable[[Path], None]:
    """Return a damage of `calibration.json`: it names other rows than those that made the file."""

    def apply(folder: Path) -> None:
        record = json.loads((folder / files.CALIBRATION).read_text())
        rows = record[engine]["rows"]
        record[engine]["rows"] = rows[: max(1, len(rows) // 8)]
        files.write_json(folder / files.CALIBRATION, record)

    return apply


def _new_spec(folder: Path, spec: ModelSpec) -> None:
    (folder / files.SPEC).write_text(spec.to_json())
    for path in folder.glob("*.onnx"):
        o.edit(path, o.metadata(METADATA_KEY, lambda _: spec.to_json()))
