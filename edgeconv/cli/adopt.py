"""What `edgeconv export` does with a model file made elsewhere before it exports: make a model folder of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import load_data, note

if TYPE_CHECKING:
    from edgeconv.data.dataset import Dataset

PANEL = "For a .keras or .onnx file made elsewhere"


def _option(help_: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help_, metavar=metavar, rich_help_panel=PANEL)


OutOption = Annotated[Path | None, _option("Model folder to make.", metavar="DIR")]
SpecOption = Annotated[
    Path | None, _option("What the model expects and answers, as JSON; options come first.", metavar="FILE")
]
NameOption = Annotated[str | None, _option("Name of the model; by default the folder's.")]
VersionOption = Annotated[str | None, _option("Version of the model; by default 1.")]
ChannelsOption = Annotated[
    str | None, _option("Name and unit of each, in the order of the model: acc_x:g,acc_y:g.", metavar="LIST")
]
RateOption = Annotated[float | None, _option("Samples a second.")]
WindowOption = Annotated[int | None, _option("Timesteps in a window, where the model leaves them open.")]
HopOption = Annotated[int | None, _option("Timesteps between predictions.")]
LabelsOption = Annotated[str | None, _option("In the order of the output: walk,run.", metavar="LIST")]
VocabularyOption = Annotated[int | None, _option("How many token ids there are, for a model that reads texts.")]
OutputOption = Annotated[str | None, _option("Which of several outputs answers.", metavar="NAME")]
LayoutOption = Annotated[
    str | None, _option("channels-last or channels-first, where an ONNX file's input can be both.", metavar="LAYOUT")
]
LogitsOption = Annotated[bool, _option("Add the softmax (or sigmoid) that the model lacks.", "--logits")]
OverwriteOption = Annotated[bool, _option("Replace what the folder holds.", "--overwrite")]


@dataclass(frozen=True)
class Given:
    """The options that are for a model file only; None where one was not given."""

    out: Path | None
    spec: Path | None
    name: str | None
    version: str | None
    channels: str | None
    sampling_rate_hz: float | None
    window: int | None
    hop: int | None
    labels: str | None
    vocabulary: int | None
    output: str | None
    layout: str | None
    logits: bool
    overwrite: bool

    def require_none(self, model: Path) -> None:
        """Raise UsageError where one was given with a model folder."""
        from edgeconv.runtime.errors import UsageError

        given = [name for name, value in vars(self).items() if value not in (None, False)]
        if given:
            names = ", ".join("--" + OPTION.get(name, name) for name in given)
            raise UsageError(f"{names}: for a .keras or .onnx file only, and {model} is a folder, whose spec says it")


OPTION = {"version": "model-version", "sampling_rate_hz": "sampling-rate"}


def is_foreign(model: Path) -> bool:
    """Whether a path is, or by its name would be, a model file made elsewhere; a SavedModel is a folder, too."""
    if model.is_dir():
        return (model / "saved_model.pb").exists()
    return model.is_file() or model.suffix in (".keras", ".onnx", ".h5", ".hdf5")


def adopt_file(
    model: Path, data: Path | None, given: Given, data_options: Mapping[str, str] | None = None
) -> tuple[Path, Dataset]:
    """Make a model folder of a file made elsewhere, and return it with the data that prove its export.

    What neither `--spec` nor the options say of the signal is taken from `--data` where that is a data set that says
    it, as UCI HAR does.
    """
    from edgeconv.data import load_data as load
    from edgeconv.data.load import data_path
    from edgeconv.export.adopt import adopt, open_foreign
    from edgeconv.export.said import complete_spec, read_channels, read_said, said_by

    foreign = open_foreign(model, given.output)
    said: dict[str, Any] = read_said(given.spec) if given.spec else {}
    options: dict[str, Any] = {
        "name": given.name,
        "version": given.version,
        "channels": None if given.channels is None else read_channels(given.channels),
        "sampling_rate_hz": given.sampling_rate_hz,
        "window": given.window,
        "hop": given.hop,
        "labels": None if given.labels is None else [label.strip() for label in given.labels.split(",")],
        "vocabulary": given.vocabulary,
    }
    said |= {key: value for key, value in options.items() if value is not None}
    dataset = None
    if data is not None and data_path(data).suffix != ".npz":
        dataset = load_data(data, options=data_options)
        taken = {key: value for key, value in said_by(dataset).items() if key not in said}
        if taken:
            note(f"taken from {dataset.name}, because neither --spec nor an option says them: {', '.join(taken)}")
        said |= taken
    missing = [] if given.out else ["--out FOLDER (the model folder to make)"]
    if data is None:
        missing.append("--data FILE (windows that prove the export: an .npz file, or UCI HAR)")
    name = given.out.resolve().name if given.out else ""
    spec = complete_spec(foreign.ends, said, name, given.layout, missing)
    assert given.out is not None
    assert data is not None
    if dataset is None:
        dataset = load(data, spec, data_options)
        note(f"data: {dataset.name}, {len(dataset.train)} training and {len(dataset.test)} test windows")
    spec = adopt(
        foreign,
        spec,
        given.out,
        layout=given.layout,
        logits=given.logits,
        windows=dataset.test.windows,
        overwrite=given.overwrite,
    )
    note(f"{given.out} holds {model.name} as a model folder")
    return given.out, dataset
