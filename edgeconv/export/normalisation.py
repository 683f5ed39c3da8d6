"""The layer of a Keras model that normalises its input: what it does to each channel, and the model without it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.evaluate.keras_model import import_keras


def make_normalisation_constant(model: Any) -> None:
    """Turn the constants of all `Normalization` layers into arrays, also of those in models inside the model.

    As tensors they are captured by the traced function and become extra inputs of the graph.
    """
    keras = import_keras()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def leading_normalisation(model: Any) -> Any | None:
    """Return the `Normalization` that alone sees the model's input, and sees it channel by channel; None without one.

    It may be the first layer of a model that is itself the first layer. This layer and no other is what the spec's mean
    and deviation say, and what an int8 TFLite file leaves to its caller.
    """
    keras = import_keras()
    layers = keras.layers
    if isinstance(model, keras.Sequential):
        first = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)][:1]
    elif isinstance(model, keras.Model) and len(getattr(model, "inputs", None) or ()) == 1:
        nodes = [node for at_depth in model._nodes_by_depth.values() for node in at_depth]
        source = model.inputs[0]
        first = [node.operation for node in nodes if any(tensor is source for tensor in node.input_tensors)]
        if len(first) == 1 and sum(node.operation is first[0] for node in nodes) > 1:
            return None  # it also works elsewhere in the model
    else:
        return None
    if len(first) != 1:
        return None
    layer = first[0]
    if isinstance(layer, layers.Normalization):
        by_channel = layer.axis is None or tuple(layer.axis) in ((-1,), (2,))
        return layer if by_channel and not layer.invert else None
    return leading_normalisation(layer)


def channel_constants(layer: Any, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a `Normalization` subtracts from each channel, and what it divides by: float32 [channels] each."""
    mean = np.broadcast_to(np.asarray(layer.mean, np.float32).reshape(-1), channels)
    deviation = np.sqrt(np.asarray(layer.variance, np.float32).reshape(-1))
    return mean, np.maximum(np.broadcast_to(deviation, channels), np.float32(1e-7))  # Keras's own least divisor


def without_normalisation(model: Any) -> Any:
    """Return the model without its leading normalisation; the model itself where it has none."""
    keras = import_keras()
    leading = leading_normalisation(model)
    if leading is None:
        return model
    return keras.models.clone_model(
        model,
        clone_function=lambda layer: keras.layers.Identity() if layer is leading else layer,
        recursive=True,
    )
