"""A child process of `tflite.py`: int8 with some layers in float32, that are given, or searched for and reported.

    python -m edgeconv.export.tflite_mixed_child MODEL.keras OUT.tflite|REPORT.json ARRAYS.npz

Source: `tf.lite.experimental.QuantizationDebugger`, whose denied nodes stay in float, and which puts a float copy
beside every int8 layer, fed with what the layer before it gave in int8.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import folder as files
from edgeconv.evaluate.compare import Comparison, compare
from edgeconv.evaluate.limits import limits_of
from edgeconv.evaluate.tflite import open_interpreter, run

from .calibration import figures
from .tflite_child import converter_of, prepared

RANKED_ON = 64
"""Windows on which the layers' errors are measured."""


def debugger_of(converter: Any) -> Any:
    """Return TensorFlow's quantisation debugger over a converter that has its calibration windows."""
    import tensorflow as tf

    debug = tf.lite.experimental
    return debug.QuantizationDebugger(converter=converter, debug_options=debug.QuantizationDebugOptions())


def quantised(debugger: Any, float_layers: Sequence[str]) -> bytes:
    """Return the file with these layers, and both ends, in float32."""
    import tensorflow as tf

    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=list(float_layers))
    return bytes(debugger.get_nondebug_quantized_model())


def layers_of(debugger: Any) -> list[tuple[str, str]]:
    """Return operator and name of the first output of every layer, in the order in which they run."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(debugger.calibrated_model))
    graph = model.subgraphs[0]
    found = []
    for step in graph.operators:
        code = model.operatorCodes[step.opcodeIndex]
        operator = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        found.append((operator, graph.tensors[step.outputs[0]].name.decode()))
    return found


def ranking(debugger: Any, windows: Any, reference: Any) -> list[dict[str, Any]]:
    """Return the layers, those that do most harm first: by the mean |Δp| of a file in which only they are int8.

    windows: float32 [n, window, channels], normalised; reference: float32 [n, classes]
    """
    layers = layers_of(debugger)
    rows = []
    for (operator, name), error in zip(layers, relative_errors(debugger, windows), strict=True):
        alone = quantised(debugger, [other for _, other in layers if other != name])
        harm = float(np.abs(answers(alone, windows) - reference).mean())
        rows.append({"layer": name, "operator": operator, "alone_mean_abs_diff": harm, "relative_error": error})
    return sorted(rows, key=lambda row: -float(row["alone_mean_abs_diff"]))


def answers(content: bytes, windows: Any) -> Any:
    """Return what a file answers to normalised windows."""
    return run(open_interpreter(content, "the file"), windows, "the file")


def relative_errors(debugger: Any, windows: Any) -> list[float | None]:
    """Return how far the values of each layer in int8 are off those in float, side by side with the same int8 input.

    windows: float32 [n, window, channels], normalised
    returns: root mean square of the difference over that of the float values; None for a layer that has no int8 form
    """
    import tensorflow as tf

    debugger.options = tf.lite.experimental.QuantizationDebugOptions()

    def squares(real: Any, coded: Any, scale: float, zero_point: int) -> float:
        off = (coded.astype(np.float64) - zero_point) * scale - real
        return float(np.mean(off**2))

    debug = tf.lite.experimental
    beside = debug.QuantizationDebugger(
        quant_debug_model_content=debugger.get_debug_quantized_model(),
        debug_dataset=lambda: ([window[None]] for window in windows),
        debug_options=debug.QuantizationDebugOptions(
            layer_direct_compare_metrics={
                "off": squares,
                "size": lambda real, *_: float(np.mean(real.astype(np.float64) ** 2)),
            }
        ),
    )
    beside.run()
    # The statistics are named after the int8 copies: `NumericVerify/`, the layer's name, digits, `:`, a number. Both
    # lists are in the order in which the layers run.
    seen = [(key.split("/", 1)[1].rsplit(":", 1)[0], values) for key, values in beside.layer_statistics.items()]
    errors = []
    for _, name in layers_of(debugger):
        error = None
        if seen and seen[0][0].startswith(name) and seen[0][0][len(name) :].isdigit():
            values = seen.pop(0)[1]
            error = float(np.sqrt(values["off"] / max(values["size"], np.finfo(np.float64).tiny)))
        errors.append(error)
    return errors


def smallest(names: Sequence[str], keeps: Callable[[Sequence[str]], bool]) -> list[str]:
    """Return a smallest set of layers that keeps the limits; empty where only all of them do.

    A single layer is taken where one is enough. Otherwise layers are added in the order given until the limits are
    kept, and then every one that can be spared goes back: of the result none can be left out.
    """
    single = next((name for name in names if keeps([name])), None)
    if single is not None:
        return [single]
    for count in range(2, len(names)):
        if keeps(names[:count]):
            kept = list(names[:count])
            for name in reversed(names[: count - 1]):  # without the last one the limits were not kept
                rest = [other for other in kept if other != name]
                if keeps(rest):
                    kept = rest
            return kept
    return []


def search(debugger: Any, windows: Any, reference: Any, class_ids: Any) -> dict[str, Any]:
    """Return as few layers in float32 as keep the limits, none where there is no such set, and how it was found."""
    few = slice(None, None, max(1, len(windows) // RANKED_ON))
    rows = ranking(debugger, windows[few], reference[few])
    tried: list[dict[str, Any]] = []

    def measured(float_layers: Sequence[str]) -> Comparison:
        content = quantised(debugger, float_layers)
        seen = compare(reference, answers(content, windows), class_ids)
        tried.append({"float_layers": list(float_layers), **figures(seen), "bytes": len(content)})
        return seen

    chosen = smallest(
        [row["layer"] for row in rows], lambda names: not measured(names).violations(limits_of(files.INT8_TFLITE))
    )
    return {
        "float_layers": chosen,
        "with_float_layers": next((seen for seen in tried if seen["float_layers"] == chosen), None),
        "layer_errors": rows,
        "float_layers_tried": tried,
    }


def main(keras_file: str, out: str, arrays_file: str) -> None:
    """Write the file with the float layers that the arrays name, or the report of a search for them."""
    arrays = np.load(arrays_file)
    model, _ = prepared(keras_file, arrays_file)
    with converter_of(model, "int8", arrays["calibration"]) as converter:
        debugger = debugger_of(converter)
    if "float_layers" in arrays:
        Path(out).write_bytes(quantised(debugger, arrays["float_layers"].tolist()))
    else:
        report = search(debugger, arrays["windows"], arrays["reference"], arrays["class_ids"])
        Path(out).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
