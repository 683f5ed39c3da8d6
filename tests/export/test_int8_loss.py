"""What int8 costs a fit, by the same way that an export goes."""

import json

from edgeconv import folder as files
from edgeconv.export.int8_loss import int8_loss, int8_of
from edgeconv.train.config import TrainConfig


def test_a_fit_loses_what_the_export_of_the_same_model_is_certified_to_lose(exported_once, dataset):
    certified = json.loads((exported_once / files.CERTIFICATE).read_text())["artefacts"]["model.int8.onnx"]
    config = TrainConfig(repeats=1, epochs=3, seed=2, standardise=True)
    found = int8_of(exported_once / files.KERAS, dataset, config)
    assert (found.float32, found.int8) == (certified["reference_accuracy"], certified["accuracy"])
    assert abs(found.bytes - certified["bytes"]) < 200, "its spec has another name"
    assert found.float_layers == ()
    assert int8_loss(exported_once / files.KERAS, dataset, config) == found.float32 - found.int8
