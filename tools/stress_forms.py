"""Random Keras networks through the converter into every form, against the converter's own graph window by window.

Prints how many networks and hops were tried, how many the dense and stateful forms took, why the others were refused,
and the largest difference of the logits relative to the largest logit. Ends with exit code 1 where an accepted form is
out of the tolerance that the tests state: 4e-6 · max(1, largest |logit|).
"""

import argparse
import re
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import onnxruntime

from edgeconv.evaluate.keras_model import import_keras
from edgeconv.evaluate.over_recordings import step_through
from edgeconv.export.onnx import Source, read_model, write_form
from edgeconv.runtime import Channel, ConversionError, ModelSpec, Stepper
from edgeconv.runtime.model_file import OpenModel

TOLERANCE = 4e-6
ACTIVATIONS = ("relu", "elu", "tanh", "sigmoid", "selu", "softsign", "leaky_relu", "swish", "softplus")


def draw_network(rng: np.random.Generator) -> Any:
    """Return a Keras model of one to six random layers that ends in logits."""
    layers = import_keras().layers
    window, channels = int(rng.integers(8, 96)), int(rng.integers(1, 10))
    source = value = import_keras().Input((window, channels))
    if rng.random() < 0.3:
        value = layers.Normalization(mean=rng.normal(size=channels), variance=rng.uniform(0.3, 3, channels))(value)
    for _ in range(int(rng.integers(1, 7))):
        value = draw_layer(rng, layers, value)
    time_left = value.shape[1]
    head = rng.choice(["flatten", "max", "average", "both"])
    if head == "flatten":
        value = layers.Dense(int(rng.integers(2, 17)), activation="relu")(layers.Flatten()(value))
    elif head == "both":
        value = layers.Concatenate()([layers.GlobalMaxPooling1D()(value), layers.GlobalAveragePooling1D()(value)])
    elif head == "max" or time_left == 1:
        value = layers.GlobalMaxPooling1D()(value)
    else:
        value = layers.GlobalAveragePooling1D()(value)
    model = import_keras().Model(source, layers.Dense(int(rng.integers(2, 7)))(value))
    for weights in model.weights:  # batch normalisation would otherwise do nothing
        if "moving" in weights.path or "gamma" in weights.path or "beta" in weights.path:
            weights.assign(rng.uniform(0.4, 1.6, weights.shape))
        elif weights.path.endswith("bias"):
            weights.assign(rng.normal(0, 0.2, weights.shape))
    return model


def draw_layer(rng: np.random.Generator, layers: Any, value: Any) -> Any:
    """Return the value behind one more layer, or the value itself where the layer does not fit."""
    kind = rng.choice(
        ["conv", "conv", "grouped", "separable", "depthwise", "max", "average", "norm", "residual", "concat", "dropout"]
    )
    channels, length = value.shape[2], value.shape[1]
    kernel, filters = int(rng.integers(1, 7)), int(rng.integers(1, 17))
    stride, dilation = (int(rng.integers(1, 4)), 1) if rng.random() < 0.5 else (1, int(rng.integers(1, 4)))
    extent = (kernel - 1) * dilation + 1
    if extent > length:
        return value
    padding = str(rng.choice(["same", "causal"])) if rng.random() < 0.03 else "valid"
    options = {"strides": stride, "padding": padding, "activation": str(rng.choice(ACTIVATIONS))}
    if kind == "conv":
        return layers.Conv1D(filters, kernel, dilation_rate=dilation, use_bias=bool(rng.random() < 0.8), **options)(
            value
        )
    if kind == "grouped":
        return layers.Conv1D(channels * int(rng.integers(1, 3)), kernel, groups=channels, **options)(value)
    if kind == "separable" and padding != "causal":
        multiplier = int(rng.integers(1, 3))
        return layers.SeparableConv1D(filters, kernel, depth_multiplier=multiplier, **options)(value)
    if kind == "depthwise" and padding != "causal":
        return layers.DepthwiseConv1D(kernel, depth_multiplier=int(rng.integers(1, 3)), **options)(value)
    if kind in ("max", "average") and padding != "causal":
        pool = layers.MaxPooling1D if kind == "max" else layers.AveragePooling1D
        return pool(kernel, stride, padding=padding)(value)
    if kind == "norm":
        return layers.BatchNormalization()(value)
    if kind == "dropout":
        return layers.Dropout(0.3)(value)
    if kind in ("residual", "concat") and extent < length:
        branch = layers.Conv1D(channels, kernel, dilation_rate=dilation, activation="relu")(value)
        before = int(rng.integers(0, extent))
        other = layers.Cropping1D((before, extent - 1 - before))(value)
        return (layers.Add() if kind == "residual" else layers.Concatenate())([branch, other])
    return value


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(form: str, model: bytes, samples: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """Return the form's logits of every window of a recording."""
    running = session(model)
    if form == "dense":
        return running.run(None, {"samples": samples})[0]
    names = (tuple(end.name for end in ends) for ends in (running.get_inputs(), running.get_outputs()))
    stepper = Stepper(OpenModel(running, *names, spec, "cpu", running.get_modelmeta().custom_metadata_map))
    return step_through(stepper, [samples])[0]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--networks", type=int, default=200)
    arguments.add_argument("--hops", type=int, default=4, help="hops drawn for each network, besides 1")
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    print(f"seed {chosen.seed}")
    refused: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    worst = dict.fromkeys(("windowed", "dense", "stateful"), 0.0)
    without = out_of_tolerance = 0
    began = time.monotonic()
    for number in range(chosen.networks):
        rng = np.random.default_rng([chosen.seed, number])
        model = draw_network(rng)
        window, channels = model.input_shape[1:]
        labels = tuple(f"class {i}" for i in range(model.output_shape[1]))
        spec = ModelSpec("random", "1", tuple(Channel(f"c{i}", "g") for i in range(channels)), 50.0, window, 1, labels)
        try:
            source: Source = read_model(model, spec)
        except ConversionError as error:
            without += 1
            refused[f"not converted: {without_numbers(str(error))}"] += 1
            continue
        if source.net is None:
            without += 1
            refused[f"no canonical form: {without_numbers(source.refusal)}"] += 1
            continue
        for hop in sorted({1, *(int(rng.integers(1, window + 12)) for _ in range(chosen.hops))}):
            samples = rng.normal(size=(window + int(rng.integers(0, 3 * window)), channels)).astype(np.float32)
            windows = np.stack([samples[i : i + window] for i in range(0, len(samples) - window + 1, hop)])
            expected = session(source.converted).run(None, {"windows": windows})[0]
            scale = max(1.0, float(np.abs(expected).max()))
            found = {"windowed": session(write_form(source, "onnx", hop)).run(None, {"windows": windows})[0]}
            for form in ("dense", "stateful"):
                try:
                    written = write_form(source, form, hop)
                except ConversionError as error:
                    refused[f"{form}: {without_numbers(str(error))}"] += 1
                    continue
                at_hop = ModelSpec("random", "1", spec.channels, 50.0, window, hop, labels)
                found[form] = answers(form, written, samples, at_hop)
            for form, got in found.items():
                tried[form] += 1
                difference = float(np.abs(got - expected).max()) / scale if got.shape == expected.shape else np.inf
                worst[form] = max(worst[form], difference)
                if difference > TOLERANCE:
                    out_of_tolerance += 1
                    print(f"network {number}, hop {hop}, {form}: {difference:.2e} of the largest logit")
    print(f"{chosen.networks} networks, {without} without a canonical form, in {time.monotonic() - began:.0f} s")
    for form, count in tried.items():
        print(
            f"{form:9} {count} networks x hops, largest relative difference {worst[form]:.2e} (limit {TOLERANCE:.0e})"
        )
    for reason, count in refused.most_common():
        print(f"refused {count}: {reason}")
    sys.exit(1 if out_of_tolerance else 0)


def without_numbers(reason: str) -> str:
    """Return a reason without what differs from network to network."""
    return re.sub(r"\d+", "N", re.sub(r"^\S*?/?([A-Za-z0-9_]+)/\S*", r"\1", reason))[:110]


if __name__ == "__main__":
    main()
