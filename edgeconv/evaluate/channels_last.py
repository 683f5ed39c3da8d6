"""Keras layers that take channels first, as the same network with channels last.

TensorFlow has no channels-first convolution for every processor, and TFLite has none at all. The weights of a layer do
not depend on the format, so its twin is the layer with another `data_format` between two `Permute`s, which exchange
time and channels and change no number. From a canonical graph the permutations vanish.
"""

from __future__ import annotations

from typing import Any

from edgeconv.runtime.errors import ConversionError

LAYERS = (
    "Conv1D", "SeparableConv1D", "DepthwiseConv1D", "Conv1DTranspose", "MaxPooling1D", "AveragePooling1D",
    "GlobalMaxPooling1D", "GlobalAveragePooling1D", "AdaptiveMaxPooling1D", "AdaptiveAveragePooling1D",
    "ZeroPadding1D", "Flatten",
)  # fmt: skip
"""Layers of Keras for windows that have a `data_format`."""


def with_channels_last(model: Any) -> Any:
    """Return the model if no layer in it takes channels first, otherwise its twin, in which none does.

    Where the first layer that the windows reach takes channels first, the model takes windows [batch, channels,
    window]; the twin takes [batch, window, channels], as every model here does. The model itself stays as it is.
    Raises ConversionError that names a layer which has no twin.
    """
    return _twin(model, turned=_takes_channels_first(model)) if _mentions(model) else model


def _is_first(layer: Any) -> bool:
    return getattr(layer, "data_format", None) == "channels_first"


def _mentions(layer: Any) -> bool:
    """Whether a layer, or one inside it, takes channels first."""
    inner = [*getattr(layer, "layers", ()), getattr(layer, "layer", None)]
    return _is_first(layer) or any(_mentions(one) for one in inner if one is not None)


def _takes_channels_first(model: Any) -> bool:
    """Whether the windows reach a channels-first layer before any that changes their shape."""
    reached = {id(tensor) for tensor in model.inputs}
    for layer in model.layers:
        for node in layer._inbound_nodes:  # every use of the layer; a loaded Sequential has been put together twice
            inputs = node.input_tensors
            if any(id(tensor) in reached for tensor in inputs):
                if _is_first(layer):
                    return True
                reached.update(id(tensor) for tensor in node.output_tensors if tensor.shape == inputs[0].shape)
    return False


def _twin(model: Any, *, turned: bool) -> Any:
    """Return the twin; `turned` if its input is to have time and channels exchanged."""
    import keras

    if not model.inputs or len(model.inputs) != 1:
        raise ConversionError(f"layer {model.name} takes channels first, and is not a network of one input")
    (old,) = model.inputs
    batch, *sizes = old.shape
    start = keras.Input(batch_shape=(batch, *(sizes[::-1] if turned else sizes)), dtype=old.dtype, name=old.name)
    turns = turned and start
    weights: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _twin(layer, turned=False) if _mentions(layer) else layer
        if _mentions(layer) and not (_is_first(layer) and type(layer).__name__ in LAYERS):
            raise ConversionError(
                f"layer {layer.name} ({type(layer).__name__}) takes channels first and has no channels-last twin; "
                'build it with data_format="channels_last"'
            )
        format_ = {"data_format": "channels_last"} if _is_first(layer) else {}
        new = type(layer).from_config({**layer.get_config(), **format_})
        weights.append((layer, new))
        twins.update({id(new)} if format_ else ())
        return new

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        exchange = keras.layers.Permute((2, 1))
        if id(layer) not in twins:  # takes what the model's layer took
            args = keras.tree.map_structure(lambda value: exchange(value) if value is turns else value, args)
            return layer(*args, **options)
        value = layer(args[0] if args[0] is turns else exchange(args[0]), *args[1:], **options)
        return keras.layers.Permute((2, 1))(value) if len(value.shape) == 3 else value

    twins: set[int] = set()
    results = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    functional = keras.Model(old, results, name=model.name)  # which a Sequential model is not
    twin = keras.models.clone_model(functional, input_tensors=start, clone_function=clone, call_function=call)
    for layer, new in weights:
        new.set_weights(layer.get_weights())
        if hasattr(new, "finalize_state"):  # what a Normalization computes from its weights
            new.finalize_state()
    return twin
