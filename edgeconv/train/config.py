"""Everything that decides what training gives, besides the data; from a preset's recipe, a TOML file and options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from edgeconv.runtime.errors import InputError, MissingFileError, UsageError

Schedule = Literal["constant", "cosine"]
ClassWeights = Literal["none", "balanced"]
SplitKind = Literal["official", "folds", "leave-one-subject-out", "random"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what training gives, besides the data."""

    network: str = "seed"
    """A preset, or `module:function` of one's own."""
    repeats: int = 10
    """Fits that differ in their seed only."""
    epochs: int = 10
    batch_size: int = 32
    seed: int = 1
    """Seed of the first repeat; repeat i uses seed + i - 1."""
    standardise: bool = False
    """Whether the network's first layer subtracts the training windows' mean and divides by their deviation."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The network's own options, such as `filters`; those left out are its defaults."""
    split: SplitKind = "official"
    """Whom a fit is tested on: the data set's test subjects, or some of its training subjects in turn."""
    folds: int = 5
    """Parts into which `folds` and `random` divide the training subjects or windows."""
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    """`cosine`: one epoch of warm-up, then half a cosine down to a fiftieth of the learning rate."""
    weight_decay: float = 0.0
    """Of AdamW; 0 is Adam."""
    label_smoothing: float = 0.0
    """Share of each target that is spread over all classes."""
    class_weights: ClassWeights = "none"
    """`balanced`: every class counts alike in the loss, however many windows it has."""
    averaged_epochs: float = 0.0
    """Share of the epochs, counted from the end, whose weights are averaged."""
    held_back_subjects: int = 0
    """Training subjects on whose windows the best epoch is chosen, instead of training on them."""
    patience: int = 10
    """Epochs without a lower loss on the held-back subjects after which a fit ends."""
    rotation_deg: float = 0.0
    """Deviation of the angle by which all triads of a window are turned together, about an axis drawn at random."""
    scaling: float = 0.0
    """Deviation of the factor, about 1, that a window is multiplied by."""
    noise: float = 0.0
    """Deviation of the noise that is added, in deviations of the channel."""
    time_warp: float = 0.0
    """Deviation of a window's pace, about 1, that changes smoothly within it."""
    channel_dropout: float = 0.0
    """Probability with which a sensor's channels are replaced by their mean."""

    def __post_init__(self) -> None:
        for name in ("repeats", "epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; give a whole number from 1")
        for name in ("seed", "held_back_subjects"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; give a whole number from 0")
        if self.folds < 2:
            raise UsageError(f"folds is {self.folds}; give a whole number from 2")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate is {self.learning_rate}; give a number above 0")
        for name in ("weight_decay", "rotation_deg", "scaling", "noise", "time_warp"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; give a number from 0")
        for name, below in (("label_smoothing", 1), ("channel_dropout", 1), ("averaged_epochs", 1)):
            if not 0 <= getattr(self, name) <= below:
                raise UsageError(f"{name} is {getattr(self, name)}; give a share from 0 to {below}")
        for name, choices in (("schedule", Schedule), ("class_weights", ClassWeights), ("split", SplitKind)):
            if getattr(self, name) not in get_args(choices):
                raise UsageError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(choices))}")

    @property
    def augments(self) -> bool:
        """Whether windows are changed before the network sees them."""
        return any((self.rotation_deg, self.scaling, self.noise, self.time_warp, self.channel_dropout))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "options": dict(self.options)}


def make_config(
    network: str | None = None, file: Path | None = None, given: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Put a config together: the network's recipe, over it the TOML file, over that what is given by name.

    The file has the names of `TrainConfig`, and a table `[options]` for the network's own. A split that fits many folds
    has one repeat where nobody says how many. Raises UsageError or InputError for a name or a type that does not fit,
    and MissingFileError.
    """
    from .networks import recipe_of

    said = {} if file is None else _read(file)
    over = {name: value for name, value in (given or {}).items() if value is not None}
    chosen = network or over.pop("network", None) or said.get("network") or TrainConfig.network
    options = {**said.get("options", {}), **over.get("options", {})}
    settings = {**recipe_of(chosen), **said, **over, "network": chosen, "options": options}
    if settings.get("split", TrainConfig.split) != "official":
        settings.setdefault("repeats", 1)
    return TrainConfig(**settings)


def _read(file: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{file} is not there; give a TOML file, or leave --config out") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TOML ({error})") from None
    types = {entry.name: entry for entry in fields(TrainConfig)}
    for name, value in said.items():
        if name not in types:
            raise InputError(f"{file}: {name!r} is not known; the names are {', '.join(types)}")
        wanted = str(types[name].type)
        fits = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "Mapping[str, Any]": isinstance(value, dict),
        }.get(wanted, isinstance(value, str))
        if not fits:
            raise InputError(f"{file}: {name} is {value!r}; expected {wanted.replace('Mapping[str, Any]', 'a table')}")
    return said
