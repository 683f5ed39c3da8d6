"""Running graphs, and random networks in canonical form."""

import json

import numpy as np
import onnxruntime
import pytest

from edgeconv.export.graph.net import Activation, Combine, Conv, Crop, Net, Pool, Scale, Step
from edgeconv.runtime import Channel, ModelSpec


@pytest.fixture(scope="session")
def spec_of():
    """A spec for a graph of these sizes."""

    def make(window, channels, classes):
        return ModelSpec(
            "random", "1", tuple(Channel(f"c{i}", "g") for i in range(channels)), 50.0, window, 1,
            tuple(f"l{i}" for i in range(max(2, classes))),
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def run_graph():
    """Run the bytes of an ONNX file on one array."""

    def run(model, array):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
        return session.run(None, {source.name: np.ascontiguousarray(array, np.float32)})[0]

    return run


@pytest.fixture(scope="session")
def run_stateful():
    """Run a stateful file over recordings [streams, time, channels] and return the answers for their windows."""

    def run(model, recordings, window, hop):
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        state = json.loads(session.get_modelmeta().custom_metadata_map["edgeconv.state"])
        streams, _, channels = recordings.shape
        tensors = {
            tensor["input"]: np.full([streams, *tensor["shape"][1:]], tensor["start"], np.float32)
            for tensor in state["tensors"]
        }
        steps = state["warm_up"] + 1
        # What completes no hop before the first window's end goes in front of it.
        lead = np.zeros((streams, steps * hop - window, channels), np.float32)
        fed = np.concatenate([lead, recordings], axis=1).astype(np.float32)
        rows = []
        for at in range(0, fed.shape[1] - hop + 1, hop):
            row, *after = session.run(None, {"samples": fed[:, at : at + hop], **tensors})
            tensors = dict(zip(tensors, after, strict=True))
            rows.append(row)
        return np.stack(rows[steps - 1 :], axis=1)

    return run


class _Builder:
    """Draws steps one after another; only those that fit are taken."""

    def __init__(self, rng, window, channels):
        self.rng, self.window, self.channels = rng, window, channels
        self.steps = []

    @property
    def last(self):
        return len(self.steps)

    def shape(self, number=None):
        return Net(self.window, self.channels, tuple(self.steps)).shapes()[self.last if number is None else number]

    def add(self, operation, inputs=None):
        self.steps.append(Step(operation, inputs or (self.last,), f"step {self.last + 1}"))
        return self.last

    def conv(self, out, kernel, stride=1, dilation=1, groups=1):
        fan_in = self.shape()[0] // groups * kernel
        weight = self.rng.normal(0, 1 / np.sqrt(fan_in), (out, self.shape()[0] // groups, kernel))
        bias = self.rng.normal(0, 0.1, out)
        return self.add(Conv(weight.astype(np.float32), bias.astype(np.float32), stride, dilation, groups))

    def layer(self):
        rng, (channels, time) = self.rng, self.shape()
        kind = rng.choice(["conv", "grouped", "max", "average", "scale", "activation", "residual", "concat"])
        kernel, stride, dilation = (int(rng.integers(1, n)) for n in (6, 4, 4))
        if (kernel - 1) * dilation + 1 > time:
            return
        if kind == "conv":
            self.conv(int(rng.integers(1, 7)), kernel, stride, dilation)
        elif kind == "grouped":
            self.conv(channels * int(rng.integers(1, 3)), kernel, stride, dilation, groups=channels)
        elif kind in ("max", "average"):
            if kernel <= time:
                self.add(Pool(kind, kernel, stride))
        elif kind == "scale":
            factor, shift = rng.normal(1, 0.3, channels), rng.normal(0, 0.3, channels)
            self.add(Scale(factor.astype(np.float32), shift.astype(np.float32)))
        elif kind == "activation":
            self.add(Activation(str(rng.choice(["Relu", "Tanh", "Elu", "Sigmoid"]))))
        else:
            fork, lost = self.last, (kernel - 1) * dilation
            branch = self.conv(channels, kernel, 1, dilation)
            before = int(rng.integers(0, lost + 1))
            other = self.add(Crop(before, lost - before), (fork,))
            self.add(Combine("Concat" if kind == "concat" else str(rng.choice(["Add", "Mul"]))), (branch, other))

    def head(self, classes):
        rng, time = self.rng, self.shape()[1]
        kind = rng.choice(["flatten", "max", "average", "both"])
        if kind == "flatten":
            self.conv(int(rng.integers(2, 9)), time)
            self.add(Activation("Relu"))
        elif kind == "both":
            end = self.last
            one, other = self.add(Pool("max", time), (end,)), self.add(Pool("average", time), (end,))
            self.add(Combine("Concat"), (one, other))
        else:
            self.add(Pool(str(kind), time))
        self.conv(classes, 1)


@pytest.fixture(scope="session")
def random_net():
    """A random network that ends in logits: any mix of layers without padding, residuals, and both kinds of head."""

    def make(seed):
        rng = np.random.default_rng(seed)
        builder = _Builder(rng, int(rng.integers(6, 48)), int(rng.integers(1, 4)))
        for _ in range(int(rng.integers(1, 7))):
            builder.layer()
        builder.head(int(rng.integers(2, 5)))
        return Net(builder.window, builder.channels, tuple(builder.steps))

    return make


@pytest.fixture(scope="session")
def logit_noise():
    """How far two orders of float32 summation may lie apart: 4e-6 of the largest logit, and of 1 below that.

    1.2e-6 was the most seen over 1500 networks at several hops; an error in a graph is larger by orders of magnitude.
    """
    return lambda logits: 4e-6 * max(1.0, float(np.abs(logits).max()))
