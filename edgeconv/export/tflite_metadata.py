"""Put into a TFLite file what it takes, what it answers and how: TFLite Metadata, with the spec and labels behind it.

Source: metadata_schema.fbs of TensorFlow Lite Support, version 1.1.0; schema.fbs of TensorFlow Lite.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from edgeconv.evaluate.tflite_metadata import (
    DESCRIPTIONS,
    ENTRY,
    FEATURE_PROPERTIES,
    IDENTIFIER,
    LABELS_FILE,
    NORMALIZATION_OPTIONS,
    SPEC_FILE,
    TABLES,
    TENSOR_AXIS_LABELS,
)
from edgeconv.runtime.spec import ModelSpec

ALIGNMENT = 16
"""Bytes to a multiple of which schema.fbs aligns every buffer, for weights that are used where they lie."""
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The date of every packed file, so that two exports give the same bytes."""
MIN_PARSER_VERSION = "1.0.0"
"""Nothing later than the first version of the schema is used."""


def embed(content: bytes, spec: ModelSpec, *, normalised: bool, licence: str = "") -> bytes:
    """Return a TFLite file with its metadata, the same network in it.

    content: what the converter wrote
    normalised: whether it takes the window already normalised with the spec's constants
    licence: the terms of the data that it was trained on
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    class Aligned(schema.BufferT):  # type: ignore[misc]
        """A buffer whose data start at a multiple of 16; the generated class aligns them to 4."""

        def Pack(self, builder: Any) -> Any:  # noqa: N802 - the generated classes call it so
            if self.data is not None:
                builder.Prep(ALIGNMENT, len(self.data))
                data = builder.CreateByteVector(bytes(self.data))
            schema.BufferStart(builder)
            if self.data is not None:
                schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    flat = pack(model_metadata(spec, normalised, licence))
    model.buffers = [Aligned(buffer.data) for buffer in (*model.buffers, schema.BufferT(flat))]
    others = [entry for entry in model.metadata or () if entry.name != ENTRY.encode()]
    model.metadata = [*others, schema.MetadataT(ENTRY, len(model.buffers) - 1)]
    file = io.BytesIO(flatbuffer_utils.convert_object_to_bytearray(model))
    with zipfile.ZipFile(file, "a") as packed:  # offsets count from the start of the whole file, as unzip wants them
        for name, text in ((LABELS_FILE, "\n".join(spec.labels)), (SPEC_FILE, spec.to_json())):
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # not those of the machine
            packed.writestr(entry, text + "\n")
    return file.getvalue()


def model_metadata(spec: ModelSpec, normalised: bool, licence: str) -> dict[str, Any]:
    """Return the ModelMetadata table as a dictionary."""
    channels = ", ".join(f"{channel.name} [{channel.unit}]" for channel in spec.channels)
    lowest, highest = [c.minimum for c in spec.channels], [c.maximum for c in spec.channels]
    how = "Give them in these units" + ("; the network normalises them itself." if spec.normalises else ".")
    process_units = []
    if normalised and spec.normalises:
        how = "Give (value - mean) / std of each channel."
        mean, std = [c.mean for c in spec.channels], [c.std for c in spec.channels]
        options = {"mean": mean, "std": std}
        process_units = [{"options_type": NORMALIZATION_OPTIONS, "options": options}]
        lowest, highest = (
            [None if v is None else (v - m) / s for v, m, s in zip(values, mean, std, strict=True)]
            for values in (lowest, highest)
        )
    windows: dict[str, Any] = {
        "name": "windows",
        "description": (
            f"{spec.window} samples at {spec.sampling_rate_hz:g} Hz of the channels {channels}. {how} "
            "Where the tensor is int8, its scale and zero point turn the values into it."
        ),
        "dimension_names": ["batch", "time", "channel"],
        "content": {"content_properties_type": FEATURE_PROPERTIES, "content_properties": {}},
        "process_units": process_units,
    }
    if None not in (*lowest, *highest):
        windows["stats"] = {"max": highest, "min": lowest}
    labels = {"name": LABELS_FILE, "description": "The classes, one a line.", "type": TENSOR_AXIS_LABELS}
    probabilities = {
        "name": "probabilities",
        "description": "The probability of each class.",
        "dimension_names": ["batch", "class"],
        "content": {"content_properties_type": FEATURE_PROPERTIES, "content_properties": {}},
        "stats": {"max": [1.0], "min": [0.0]},
        "associated_files": [labels],
    }
    return {
        "name": spec.name,
        "description": (
            f"A 1-D convolutional network for sensor signals that tells {', '.join(spec.labels)}."
            + (f" Trained on {spec.trained_on}." if spec.trained_on else "")
        ),
        "version": spec.version,
        "subgraph_metadata": [
            {"name": "main", "input_tensor_metadata": [windows], "output_tensor_metadata": [probabilities]}
        ],
        "author": "edgeconv",
        "license": f"Of the training data: {licence}" if licence else "",
        "associated_files": [
            {"name": SPEC_FILE, "description": "The signal contract, for edgeconv.", "type": DESCRIPTIONS}
        ],
        "min_parser_version": MIN_PARSER_VERSION,
    }


def pack(values: dict[str, Any], kind: str = "ModelMetadata", identifier: bytes = IDENTIFIER) -> bytes:
    """Return a flatbuffer of a table given as a dictionary; empty values are not set."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, values, kind), file_identifier=identifier)
    return bytes(builder.Output())


def _table(builder: Any, values: dict[str, Any], kind: str) -> Any:
    # Whatever a table points to lies in the buffer before the table is begun.
    slots = []
    for number, (name, form) in enumerate(TABLES[kind]):
        value = values.get(name)
        if value is not None and value not in ("", []):
            slots.append((number, form, _child(builder, value, form)))
    builder.StartObject(len(TABLES[kind]))
    for number, form, value in slots:
        if form == "uint":
            builder.PrependUint32Slot(number, value, 0)
        elif form == "ubyte":
            builder.PrependUint8Slot(number, value, 0)
        elif form == "byte":
            builder.PrependInt8Slot(number, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
    return builder.EndObject()


def _child(builder: Any, value: Any, form: str) -> Any:
    if form in ("uint", "ubyte", "byte"):
        return value
    if form == "string":
        return builder.CreateString(value)
    if form == "[ubyte]":
        return builder.CreateByteVector(value)
    if not form.startswith("["):
        return _table(builder, value, form)
    item = form[1:-1]
    if item == "float":
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return builder.EndVector()
    offsets = [_child(builder, one, item) for one in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
