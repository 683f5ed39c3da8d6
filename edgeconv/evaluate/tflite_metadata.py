"""What a TFLite file says of itself: the TFLite Metadata flatbuffer inside it and the files packed behind it.

Source: metadata_schema.fbs of TensorFlow Lite Support, version 1.1.0, file identifier M001; schema.fbs of TensorFlow
Lite for the way to it. Flatbuffers find a field by its number, so the tables here name the fields in their order, as
far as they are used.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeconv.runtime.errors import ArtefactError
from edgeconv.runtime.spec import ModelSpec

IDENTIFIER = b"M001"
ENTRY = "TFLITE_METADATA"
"""Name of the model's metadata entry whose buffer is the flatbuffer."""
SPEC_FILE, LABELS_FILE = "spec.json", "labels.txt"
"""The packed files: the signal contract, and one label a line in the order of the class ids."""
NORMALIZATION_OPTIONS = FEATURE_PROPERTIES = 1
"""Place of these tables in their unions."""
DESCRIPTIONS, TENSOR_AXIS_LABELS = 1, 2
"""Types of an associated file."""

Fields = tuple[tuple[str, str], ...]
TABLES: Mapping[str, Fields] = {
    "Model": (
        ("version", "uint"),
        ("operator_codes", "unread"),
        ("subgraphs", "unread"),
        ("description", "string"),
        ("buffers", "[Buffer]"),
        ("metadata_buffer", "unread"),
        ("metadata", "[Metadata]"),
    ),
    "Buffer": (("data", "[ubyte]"),),
    "Metadata": (("name", "string"), ("buffer", "uint")),
    "ModelMetadata": (
        ("name", "string"),
        ("description", "string"),
        ("version", "string"),
        ("subgraph_metadata", "[SubGraphMetadata]"),
        ("author", "string"),
        ("license", "string"),
        ("associated_files", "[AssociatedFile]"),
        ("min_parser_version", "string"),
    ),
    "SubGraphMetadata": (
        ("name", "string"),
        ("description", "string"),
        ("input_tensor_metadata", "[TensorMetadata]"),
        ("output_tensor_metadata", "[TensorMetadata]"),
    ),
    "TensorMetadata": (
        ("name", "string"),
        ("description", "string"),
        ("dimension_names", "[string]"),
        ("content", "Content"),
        ("process_units", "[ProcessUnit]"),
        ("stats", "Stats"),
        ("associated_files", "[AssociatedFile]"),
    ),
    "Content": (("content_properties_type", "ubyte"), ("content_properties", "FeatureProperties")),
    "FeatureProperties": (),
    "ProcessUnit": (("options_type", "ubyte"), ("options", "NormalizationOptions")),
    "NormalizationOptions": (("mean", "[float]"), ("std", "[float]")),
    "Stats": (("max", "[float]"), ("min", "[float]")),
    "AssociatedFile": (("name", "string"), ("description", "string"), ("type", "byte"), ("locale", "string")),
}
"""Table → its fields, each with its type; a field that follows its own `_type` is the one member of a union used."""


@dataclass(frozen=True)
class Embedded:
    """What a TFLite file of edgeconv carries besides the network."""

    metadata: dict[str, Any]
    """The ModelMetadata table; tables are dictionaries, vectors lists, and fields that are not set are missing."""
    files: dict[str, bytes]
    """The files packed behind the flatbuffer."""
    spec: ModelSpec

    @property
    def normalised(self) -> bool:
        """Whether the network takes windows that the caller has normalised with the spec's constants."""
        windows = self.metadata["subgraph_metadata"][0]["input_tensor_metadata"][0]
        return any(unit.get("options_type") == NORMALIZATION_OPTIONS for unit in windows.get("process_units", ()))


def read(content: bytes, where: str) -> Embedded:
    """Read what a TFLite file carries.

    `where` names the file in messages. Raises ArtefactError where it carries nothing, or not what edgeconv writes.
    """
    try:
        metadata = read_metadata(content)
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            found = {name: packed.read(name) for name in packed.namelist()}
        embedded = Embedded(
            metadata, found, ModelSpec.from_json(found[SPEC_FILE].decode(), f"{SPEC_FILE} inside {where}")
        )
        _ = embedded.normalised
    except ArtefactError:
        raise
    except (LookupError, ValueError, TypeError, struct.error, zipfile.BadZipFile, RuntimeError) as error:
        raise ArtefactError(
            f"{where} was not exported by this edgeconv: it has no {ENTRY} with {SPEC_FILE}, so its units, channels "
            f"and labels are not known ({' '.join(str(error).split())[:100]}); export it with `edgeconv export`"
        ) from None
    return embedded


def read_metadata(content: bytes) -> dict[str, Any]:
    """Return the ModelMetadata of a TFLite file; raises KeyError without one, ValueError for another identifier."""
    model = unpack(content, "Model")
    entry = next((entry for entry in model.get("metadata", ()) if entry["name"] == ENTRY), None)
    if entry is None:
        raise KeyError(f"no entry {ENTRY}")
    flat = model["buffers"][entry.get("buffer", 0)]["data"]
    if flat[4:8] != IDENTIFIER:
        raise ValueError(f"identifier {flat[4:8]!r}, not {IDENTIFIER!r}")
    return unpack(flat, "ModelMetadata")


def unpack(content: bytes, kind: str) -> dict[str, Any]:
    """Return the root table of a flatbuffer as a dictionary of the fields that are set."""
    from flatbuffers import encode, packer, table

    return _table(table.Table(content, encode.Get(packer.uoffset, content, 0)), kind)


def _table(found: Any, kind: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, (name, form) in enumerate(TABLES[kind]):
        offset = found.Offset(4 + 2 * number)  # a table's field numbers start behind two sizes of two bytes
        union_of_another = values.get(f"{name}_type", 1) != 1
        if offset and form != "unread" and not union_of_another:
            values[name] = _value(found, found.Pos + offset, offset, form)
    return values


def _value(found: Any, place: int, offset: int, form: str) -> Any:
    from flatbuffers import number_types, table

    numbers = {
        "uint": number_types.Uint32Flags,
        "ubyte": number_types.Uint8Flags,
        "byte": number_types.Int8Flags,
    }
    if form in numbers:
        return found.Get(numbers[form], place)
    if form == "string":
        return found.String(place).decode()
    if not form.startswith("["):
        return _table(table.Table(found.Bytes, found.Indirect(place)), form)
    start, length, item = found.Vector(offset), found.VectorLen(offset), form[1:-1]
    if item == "ubyte":
        return bytes(found.Bytes[start : start + length])
    if item == "float":
        return np.frombuffer(found.Bytes, "<f4", length, start).tolist()
    return [_value(found, start + 4 * i, 0, item) for i in range(length)]
