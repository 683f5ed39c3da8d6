"""The options that decide what training gives, as `train` and the verbs that repeat it take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .console import whole_numbers

NetworkOption = Annotated[
    str | None, typer.Option(help="Preset: seed, edge, tiny or audio; or your own function as module:function.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; options win over it.", metavar="FILE")
]
FiltersOption = Annotated[str | None, typer.Option(help="Filters of the layers, such as 48,80,112,128.")]
KernelOption = Annotated[int | None, typer.Option("--kernel-size", help="Timesteps that a convolution spans.")]
DropoutOption = Annotated[float | None, typer.Option(help="Share of values that are dropped in training.")]
OtherOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="Other option of the network; repeatable.", metavar="NAME=VALUE"),
]
RepeatsOption = Annotated[
    int | None, typer.Option(help="Fits that differ in their seed only; by default 10, and 1 for other splits.")
]
EpochsOption = Annotated[int | None, typer.Option(help="Passes over the training windows.")]
BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Windows per step.")]
SeedOption = Annotated[int | None, typer.Option(help="Seed of the first repeat; the next ones count up.")]
StandardiseOption = Annotated[
    bool | None, typer.Option("--standardise/--no-standardise", help="Let the first layer standardise each channel.")
]
RateOption = Annotated[float | None, typer.Option("--learning-rate", help="Highest learning rate.")]
ScheduleOption = Annotated[Literal["constant", "cosine"] | None, typer.Option(help="Course of the learning rate.")]
DecayOption = Annotated[float | None, typer.Option("--weight-decay", help="Weight decay of AdamW; 0 is Adam.")]
SmoothingOption = Annotated[
    float | None, typer.Option("--label-smoothing", help="Share of a target that is spread over all classes.")
]
ClassWeightsOption = Annotated[
    Literal["none", "balanced"] | None, typer.Option("--class-weights", help="balanced: all classes count alike.")
]
AveragedOption = Annotated[
    float | None,
    typer.Option("--averaged-epochs", help="Share of the epochs, from the end, that are averaged."),
]
HeldBackOption = Annotated[
    int | None, typer.Option("--held-back-subjects", help="Training subjects on whom the best epoch is chosen.")
]
PatienceOption = Annotated[int | None, typer.Option(help="Epochs that may bring them nothing before a fit ends.")]
RotationOption = Annotated[
    float | None, typer.Option("--rotation-deg", help="Turn all triads of a window together by about so much.")
]
ScalingOption = Annotated[float | None, typer.Option(help="Multiply a window by 1 and about so much more or less.")]
NoiseOption = Annotated[float | None, typer.Option(help="Add noise of so many deviations of the channel.")]
WarpOption = Annotated[float | None, typer.Option("--time-warp", help="Change the pace of a window by about so much.")]
ChannelDropoutOption = Annotated[
    float | None, typer.Option("--channel-dropout", help="Probability with which a sensor's channels are silent.")
]
RunsOption = Annotated[
    Path | None,
    typer.Option("--runs", help="Folder of the records of runs; by default EDGECONV_RUNS, or runs.", metavar="DIR"),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Fits at once, each with one thread; by default as many as there are cores.")
]
EngineOption = Annotated[
    Literal["local", "ray"], typer.Option(help="Processes on this machine, or Ray here or on a cluster.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster to join: auto, host:port or ray://host:port; by default Ray runs on this machine.",
        metavar="ADDRESS",
    ),
]


def network_options(
    filters: str | None, kernel_size: int | None, dropout: float | None, others: list[str] | None
) -> dict[str, Any]:
    """Return the network's own options; raises UsageError for one that is not NAME=VALUE."""
    import tomllib

    from edgeconv.runtime.errors import UsageError

    found: dict[str, Any] = {}
    if filters is not None:
        numbers = whole_numbers(filters, "--filters")
        found["filters"] = numbers if "," in filters else numbers[0]
    found |= {name: value for name, value in (("kernel_size", kernel_size), ("dropout", dropout)) if value is not None}
    for text in others or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option is {text!r}; give NAME=VALUE, such as dropout=0.2")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value  # a word
    return found
