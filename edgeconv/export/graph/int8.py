"""The forms of one network in int8, by ONNX Runtime's static quantisation, all with the same ranges.

Convolutions and matrix products run in integers, with the ReLUs and maximum poolings between them; everything else runs
in float32: what stands in front of the first convolution, which is the normalisation, and the last layer with what
follows it, so that the probabilities have no grain of their own. Each value has one range, whatever form it is in, and
integer sums have no order: so windowed, dense and stateful give the same answers. (Where a layer in the middle stays
float32, its sums in another order can tip a rounding behind it, and one value moves by one step.)

Benoit Jacob et al. Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference.
CVPR 2018.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeconv.runtime.errors import ConversionError
from edgeconv.runtime.spec import NETWORK_KEY

from .dense import as_convolution
from .net import Activation, Conv, Crop, Floats, Net, Pool, Scale, Step, digest
from .writer import node_name

Int8Form = Literal["qoperator-u8", "qoperator-s8", "qdq-u8", "qdq-s8"]
"""Operators over integers, or float operators between conversions that the runtime fuses; with unsigned or signed
values between the layers. Weights are signed."""
INT8_FORMS: tuple[Int8Form, ...] = ("qoperator-u8", "qoperator-s8", "qdq-u8", "qdq-s8")
DEFAULT_FORM: Int8Form = "qoperator-u8"
"""`tools/int8_forms.py` times all four. The trap is `qoperator-s8`, which is slower than float32 on x86."""
WEIGHT_BITS = 7
"""Of the weights' eight. Without VNNI an x86 processor adds two products of an unsigned and a signed byte in 16 bits,
and what does not fit is cut off without a word: ONNX Runtime's "Quantize ONNX models" names this saturation of U8S8 and
one way out, `reduce_range`. 2 · 255 · 64 = 32 640 always fits: answers are the same with and without VNNI. On the
committed network eight bits would halve the mean |Δp| of 1.2e-3, and move its accuracy by less than 0.1 points."""
INTEGER = ("Conv", "Gemm", "Relu", "Clip", "MaxPool", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice")
"""Operators that take integers where what they are given is integers."""

Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Int8Net:
    """What all int8 forms of a network share."""

    net: Net
    ranges: tuple[Range, ...]
    """Lowest and highest of the input and of each step's value."""
    float_layers: frozenset[int] = frozenset()
    """Steps left in float32 besides those of the tail."""
    form: Int8Form = DEFAULT_FORM
    corrections: Mapping[int, Floats] = field(default_factory=dict)
    """Layer → what is added to its bias, float32 [out], where it is int8."""

    @property
    def network(self) -> str:
        """Digest of what it computes: another one than that of the float network."""
        said: tuple[Any, ...] = (digest(self.net), self.ranges, sorted(self.float_layers), self.form, WEIGHT_BITS)
        if self.corrections:
            said += (sorted((number, one.tolist()) for number, one in self.corrections.items()),)
        return hashlib.sha256(repr(said).encode()).hexdigest()


def prepared(net: Net) -> Net:
    """Return the network with average poolings as convolutions, so that these are sums of integers in every form.

    net: with what normalises as a step of its own. Those that pad stay, and those of the tail.
    """
    tail = last_layer(net)
    shapes = net.shapes()

    def as_sum(number: int, step: Step) -> Step:
        pool = step.operation
        if number > tail or not isinstance(pool, Pool) or pool.kind == "max" or pool.padding != (0, 0):
            return step
        return replace(step, operation=as_convolution(pool, shapes[number][0]))

    return replace(net, steps=tuple(as_sum(number, step) for number, step in enumerate(net.steps, 1)))


def with_input_scale(net: Net, factor: NDArray[np.float32]) -> Net | None:
    """Return the same network with each input channel times a factor in front, and the first weights divided by it.

    factor: float32 [channels]
    None where something else than convolutions takes the input.
    """
    first = [step.operation for step in net.steps if 0 in step.inputs]
    if not all(isinstance(operation, Conv) for operation in first):
        return None

    def moved(step: Step) -> Step:
        inputs, operation = tuple(i + 1 for i in step.inputs), step.operation
        if 0 not in step.inputs or not isinstance(operation, Conv):
            return replace(step, inputs=inputs)
        weight = operation.weight / factor[operation.input_channels][:, :, None]
        return Step(replace(operation, weight=weight.astype(np.float32)), inputs, step.name)

    scale = Step(Scale(factor, np.zeros_like(factor)), (0,), "input scale")
    return replace(net, steps=(scale, *map(moved, net.steps)))


def last_layer(net: Net) -> int:
    """Return the last step with weights: it and what follows stay float32."""
    return max((number for number, step in enumerate(net.steps, 1) if isinstance(step.operation, Conv)), default=0)


def integer_layers(net: Net) -> list[int]:
    """Return the steps that can run in integers; raises ConversionError where there is none."""
    found = [number for number, step in enumerate(net.steps, 1) if isinstance(step.operation, Conv)]
    found = [number for number in found if number < last_layer(net)]
    if not found:
        raise ConversionError("the network has one layer with weights at most, and the last one stays float32: no int8")
    return found


def tied(net: Net, seen: Sequence[Range]) -> tuple[Range, ...]:
    """Return the ranges that values get: what is clipped, cropped or pooled has that of what it comes from.

    seen: lowest and highest value of the input and of each step's value
    """
    ranges = list(seen)
    for number in _clips(net):
        ranges[net.steps[number - 1].inputs[0]] = ranges[number]
    for number, step in enumerate(net.steps, 1):
        if isinstance(step.operation, Crop) or (isinstance(step.operation, Pool) and step.operation.kind == "max"):
            ranges[number] = ranges[step.inputs[0]]
    return tuple(ranges)


def result_of(net: Net, number: int) -> int:
    """Return the step whose value a layer's int8 result stands for: the activation that its range does, or itself."""
    return next((clip for clip in _clips(net) if net.steps[clip - 1].inputs[0] == number), number)


def _clips(net: Net) -> list[int]:
    """Return the activations that a convolution's own range does: it has no other use, and ends at 0."""
    uses = [i for step in net.steps for i in step.inputs]
    return [
        number
        for number, step in enumerate(net.steps, 1)
        if isinstance(step.operation, Activation)
        and (step.operation.op_type == "Relu" or _clips_at_zero(step.operation))
        and step.inputs[0]
        and isinstance(net.steps[step.inputs[0] - 1].operation, Conv)
        and uses.count(step.inputs[0]) == 1
    ]


def _clips_at_zero(activation: Activation) -> bool:
    low, high = (activation.attributes.get(key) for key in ("min", "max"))
    return activation.op_type == "Clip" and low == 0 and (high is None or high > 0)


def quantised(model: bytes, int8: Int8Net) -> bytes:
    """Return a float ONNX file that was written from `int8.net`, in any form, in int8.

    The same file gives the same bytes. Raises ConversionError where there is nothing to quantise.
    """
    import onnx
    from onnxruntime.quantization import QuantizationMode, QuantType
    from onnxruntime.quantization.calibrate import TensorData
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    proto = onnx.load_from_string(model)
    about = {entry.key: entry.value for entry in proto.metadata_props}
    producer = proto.producer_name
    _correct(proto.graph, int8)
    numbers = _values(proto.graph, int8.net)
    integer = integer_values(int8)
    floats = [node.name for node in proto.graph.node if numbers.get(node.output[0]) not in integer]
    how, sign = int8.form.split("-")
    if how == "qdq":
        numbers |= _own_inputs(proto.graph, {name: numbers[name] for name in numbers if numbers[name] not in integer})
    ranges = {name: TensorData(lowest=low, highest=high) for name, low, high in _bounds(numbers, int8)}
    values = QuantType.QUInt8 if sign == "u8" else QuantType.QInt8
    options = {"ActivationSymmetric": sign == "s8", "WeightSymmetric": True}
    common: tuple[Any, ...] = (QuantType.QInt8, values, ranges, [], floats, list(INTEGER), options)
    per_channel, reduce_range = True, WEIGHT_BITS < 8
    if how == "qdq":
        quantizer = QDQQuantizer(proto, per_channel, reduce_range, *common)
    else:
        quantizer = ONNXQuantizer(proto, per_channel, reduce_range, QuantizationMode.QLinearOps, True, *common)
    quantizer.quantize_model()
    result = quantizer.model.model
    del result.graph.value_info[:]
    del result.metadata_props[:]
    for key, value in (about | {NETWORK_KEY: int8.network}).items():
        entry = result.metadata_props.add()
        entry.key, entry.value = key, value
    result.producer_name, result.producer_version = producer, ""
    return bytes(result.SerializeToString(deterministic=True))


def integer_values(int8: Int8Net) -> frozenset[int]:
    """Return the steps whose values are integers: those of integer layers, and of what only clips or picks these."""
    net, clips = int8.net, _clips(int8.net)
    found = set(integer_layers(net)) - int8.float_layers
    for number, step in enumerate(net.steps, 1):
        operation = step.operation
        picks = isinstance(operation, Crop) or (isinstance(operation, Pool) and operation.kind == "max")
        if step.inputs[0] in found and (picks or number in clips):
            found.add(number)
    return frozenset(number for number in found if number < last_layer(net))


def _values(graph: Any, net: Net) -> dict[str, int]:
    """Return which step's value each tensor is, in whatever layout or part; 0 is the input."""
    steps = {node_name(number, step): number for number, step in enumerate(net.steps, 1)}
    # An average pooling may be a convolution in the dense form.
    steps |= {f"conv_{n}": n for n, step in enumerate(net.steps, 1) if isinstance(step.operation, Pool)}
    value = {source.name: int(source.name.removeprefix("state_")) if at else 0 for at, source in enumerate(graph.input)}
    for node in graph.node:
        known = [value[name] for name in node.input if name in value]
        if node.op_type != "Shape" and (node.name in steps or known):
            value[node.output[0]] = steps.get(node.name, known[0] if known else 0)
    return value


def _correct(graph: Any, int8: Int8Net) -> None:
    """Add the corrections to the biases of the layers that will be int8."""
    from onnx import numpy_helper

    names = {f"{node_name(n, int8.net.steps[n - 1])}_bias": n for n in int8.corrections if n not in int8.float_layers}
    for one in graph.initializer:
        if one.name in names:
            corrected = numpy_helper.to_array(one) + int8.corrections[names[one.name]]
            one.CopyFrom(numpy_helper.from_array(corrected, one.name))


def _own_inputs(graph: Any, floats: Mapping[str, int]) -> dict[str, int]:
    """Give each layer that takes a float value a name of its own for it, and return these.

    Conversions are put around a tensor, for all that take it; what else takes the value must not be rounded with it.
    """
    from onnx import helper

    own = {}
    for at, node in reversed(list(enumerate(graph.node))):
        if node.op_type in ("Conv", "Gemm") and node.input[0] in floats:
            name = f"{node.name}_input"
            own[name] = floats[node.input[0]]
            graph.node.insert(at, helper.make_node("Identity", [node.input[0]], [name], name=name))
            graph.node[at + 1].input[0] = name
    return own


def _bounds(numbers: Mapping[str, int], int8: Int8Net) -> Iterator[tuple[str, np.float32, np.float32]]:
    """Yield each tensor's name with its lowest and highest value."""
    for name, number in numbers.items():
        low, high = int8.ranges[number]
        yield name, np.float32(low), np.float32(high)


def names_of(net: Net, numbers: Iterable[int]) -> list[str]:
    """Return what steps are called in every file and in records."""
    return [node_name(number, net.steps[number - 1]) for number in sorted(numbers)]
