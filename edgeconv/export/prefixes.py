"""Which layer a converter fails at: found by converting the network up to each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edgeconv.evaluate.keras_model import import_keras


def prefixes(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name of each layer, with its class, and the network from the input to it, in the order of the network.

    A layer that is used several times is left out: what it is part of is still found at a layer behind it.
    """
    keras = import_keras()
    try:
        network = keras.Model(model.inputs, model.outputs)
    except (AttributeError, ValueError):
        return  # a model that is code, not a network of layers
    for layer in network.operations:  # layers, and the operations between them
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            prefix = keras.Model(model.inputs, layer.output)
        except (AttributeError, ValueError):
            continue
        yield f"{layer.name} ({type(layer).__name__})", prefix


def failing_layer(model: Any, convert: Callable[[Any], object]) -> str | None:
    """Return the name of the first layer up to which the network cannot be converted; None where there is none.

    convert: converts a network, raising any exception where it cannot
    """
    for name, prefix in prefixes(model):
        try:
            convert(prefix)
        except Exception:  # converters raise many kinds
            return name
    return None
