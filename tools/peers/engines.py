"""The engines, each as its own documentation says to use it: a file in, something that answers windows out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeconv.evaluate.keras_model import KerasModel, import_keras
from edgeconv.evaluate.tflite import normalise

from .material import read_spec_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Engine:
    """An engine that holds the network."""

    answer: Callable[[Array], Array]
    """One batch of windows, contiguous, → their outputs."""
    batch: int
    """Windows in a batch."""
    score: Callable[[Array], Array] | None = None
    """All windows → all outputs, where that is not one batch after the other."""
    encode: Callable[[Array], Array] = lambda values: values
    """Samples or windows in physical units → what the engine takes."""
    decode: Callable[[Array], Array] = lambda values: values
    """Outputs → float32 probabilities."""
    facts: dict[str, Any] = field(default_factory=dict)

    def score_all(self, windows: Array) -> Array:
        """Return the outputs of all windows, float32 [n, window, channels], encoded; n is a multiple of the batch."""
        if self.score is not None:
            return self.score(windows)
        starts = range(0, len(windows), self.batch)
        return np.concatenate([self.answer(np.ascontiguousarray(windows[i : i + self.batch])) for i in starts])


def open_onnx_runtime(folder: Path, file: str, batch: int, threads: int) -> Engine:
    """ONNX Runtime with its default session options, but for the number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Engine(lambda windows: session.run(None, {name: windows})[0], batch)


def open_openvino(
    folder: Path, file: str, batch: int, threads: int, hint: str, precision: str | None, asynchronous: bool = False
) -> Engine:
    """OpenVINO with one of its performance hints, its shapes fixed; precision None leaves that to it."""
    import openvino

    model = openvino.Core().read_model(folder / file)
    (source,) = model.inputs
    rows = batch
    if source.partial_shape.rank.get_length() == 2:  # the dense form: as many samples as have so many windows
        spec = read_spec_of(folder)
        rows = spec.window + (batch - 1) * spec.hop
    model.reshape({source: [rows, *(size.get_length() for size in list(source.partial_shape)[1:])]})
    config: dict[str, Any] = {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    if precision is not None:
        config["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.compile_model(model, "CPU", config)
    facts = {"precision": compiled.get_property("INFERENCE_PRECISION_HINT").to_string()}
    request = compiled.create_infer_request()

    def answer(windows: Array) -> Array:
        return request.infer([windows], share_inputs=True)[0]

    if not asynchronous:
        return Engine(answer, batch, facts=facts)
    queue = openvino.AsyncInferQueue(compiled)  # as many requests as the hint calls for
    facts["requests"] = len(queue)
    held: dict[int, Array] = {}  # the queue does not keep what it shares alive
    results: dict[int, Array] = {}

    def take(done: Any, i: int) -> None:
        results[i] = done.get_output_tensor(0).data.copy()
        del held[i]

    queue.set_callback(take)

    def score(windows: Array) -> Array:
        for i in range(0, len(windows), batch):
            held[i] = np.ascontiguousarray(windows[i : i + batch])
            queue.start_async([held[i]], i, share_inputs=True)
        queue.wait_all()
        return np.concatenate([results.pop(i) for i in range(0, len(windows), batch)])

    return Engine(answer, batch, score, facts=facts)


def open_litert(folder: Path, file: str, batch: int, threads: int) -> Engine:
    """LiteRT's interpreter, which runs XNNPACK; `{batch}` in the file's name stands for the batch it was made for."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / file.format(batch=batch)), num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(windows: Array) -> Array:
        interpreter.set_tensor(source["index"], windows)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    if source["dtype"] != np.int8:
        return Engine(answer, batch)
    spec = read_spec_of(folder)
    (scale, zero), (scale_out, zero_out) = source["quantization"], result["quantization"]

    def encode(values: Array) -> Array:
        levels = np.round(normalise(values, spec) / np.float32(scale)) + zero
        return np.clip(levels, -128, 127).astype(np.int8)

    def decode(values: Array) -> Array:
        return (values.astype(np.float32) - np.float32(zero_out)) * np.float32(scale_out)

    return Engine(answer, batch, encode=encode, decode=decode)


def open_keras(folder: Path, file: str, batch: int, threads: int) -> Engine:
    """`Model.predict` of Keras on TensorFlow."""
    import_keras()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = KerasModel.load(folder / file).model

    def score(windows: Array) -> Array:
        return model.predict(windows, batch_size=batch, verbose=0)

    return Engine(score, batch, score)
