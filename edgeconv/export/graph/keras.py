"""The canonical form as a Keras model, so that TFLite's converter gets the network with weights that suit int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeconv.evaluate.keras_model import import_keras
from edgeconv.runtime.errors import ConversionError

from .net import Activation, Combine, Conv, Crop, Floats, Net, Pad, Pool, Scale, Softmax, Step
from .writer import node_name

ACTIVATIONS: Mapping[str, str] = {
    "Elu": "elu", "HardSwish": "hard_swish", "Relu": "relu", "Selu": "selu", "Sigmoid": "sigmoid",
    "Softplus": "softplus", "Softsign": "softsign", "Tanh": "tanh",
}  # fmt: skip
"""ONNX operator without attributes → Keras activation."""


def to_keras(net: Net) -> Any:
    """Return an uncompiled Keras model from windows [batch, window, channels] to the last step's [batch, classes].

    Layers are called what the steps are called in every file. Raises ConversionError that names a step which has no
    Keras layer.
    """
    keras = import_keras()
    source = keras.Input((net.window, net.channels), name="windows")
    values, shapes = [source], net.shapes()
    for number, step in enumerate(net.steps, 1):
        inputs = [values[i] for i in step.inputs]
        values.append(_layer(keras, step, node_name(number, step), inputs, shapes[step.inputs[0]][1]))
    # Without a name it would be numbered, by how many models the process has made, and the number ends in the file.
    return keras.Model(source, keras.layers.Flatten(name="answers")(values[-1]), name="network")


def _layer(keras: Any, step: Step, name: str, inputs: list[Any], length: int) -> Any:
    """Return the value of a step; length: timesteps of its first input."""
    operation, value = step.operation, inputs[0]
    if isinstance(operation, Conv):
        return _convolution(keras, operation, name, step.name, value, length)
    if isinstance(operation, Combine):
        kinds = {"Add": keras.layers.Add, "Mul": keras.layers.Multiply, "Concat": keras.layers.Concatenate}
        return kinds[operation.op_type](name=name)(inputs)
    makers: Mapping[type, Callable[[Any], Any]] = {
        Pool: lambda one: _pool(keras.layers, one, name, length),
        Scale: lambda one: keras.layers.Rescaling(one.factor.tolist(), one.shift.tolist(), name=name),
        Activation: lambda one: _activation(keras.layers, one, name),
        Pad: lambda one: keras.layers.ZeroPadding1D((one.before, one.after), name=name),
        Crop: lambda one: keras.layers.Cropping1D((one.before, one.after), name=name) if one.stride == 1 else None,
        Softmax: lambda _: keras.layers.Softmax(name=name),
    }
    layer = makers[type(operation)](operation)
    if layer is None:
        raise ConversionError(f"{step.name}: Keras has no layer for {operation}")
    return layer(value)


def _convolution(keras: Any, conv: Conv, name: str, layer_name: str, value: Any, length: int) -> Any:
    out, per_group, kernel = conv.weight.shape
    if conv.stride > 1 and conv.dilation > 1:
        raise ConversionError(f"{layer_name}: Keras has no convolution with strides and dilation")
    if conv.padding != (0, 0):
        value = keras.layers.ZeroPadding1D(conv.padding, name=f"{name}_padding")(value)
    options = {"strides": conv.stride, "dilation_rate": conv.dilation, "name": name}
    if kernel == length and conv.padding == (0, 0) and conv.groups == 1:
        value = keras.layers.Flatten(name=f"{name}_flat")(value)
        layer = keras.layers.Dense(out, name=name)
        weight: Floats = conv.weight.transpose(2, 1, 0).reshape(-1, out)
        result = keras.layers.Reshape((1, out), name=f"{name}_over_time")(layer(value))
    elif per_group == 1:
        layer = keras.layers.DepthwiseConv1D(kernel, depth_multiplier=out // conv.groups, **options)
        weight = conv.weight.reshape(conv.groups, -1, kernel).transpose(2, 0, 1)
        result = layer(value)
    else:
        layer = keras.layers.Conv1D(out, kernel, groups=conv.groups, **options)
        weight = conv.weight.transpose(2, 1, 0)
        result = layer(value)
    layer.set_weights([np.ascontiguousarray(weight), conv.bias])
    return result


def _pool(layers: Any, pool: Pool, name: str, length: int) -> Any | None:
    if pool.dilation > 1 or pool.padding != (0, 0):
        return None
    if pool.kernel == length:
        whole = layers.GlobalMaxPooling1D if pool.kind == "max" else layers.GlobalAveragePooling1D
        return whole(keepdims=True, name=name)
    part = layers.MaxPooling1D if pool.kind == "max" else layers.AveragePooling1D
    return part(pool.kernel, pool.stride, name=name)


def _activation(layers: Any, activation: Activation, name: str) -> Any | None:
    attributes = {key: value for key, value in activation.attributes.items() if value is not None}
    if activation.op_type == "LeakyRelu":
        return layers.LeakyReLU(float(attributes.get("alpha", 0.01)), name=name)
    if activation.op_type == "Clip" and attributes.get("min") == 0:
        return layers.ReLU(max_value=attributes.get("max"), name=name)
    known = ACTIVATIONS.get(activation.op_type)
    return None if known is None or attributes else layers.Activation(known, name=name)
