"""The signal contract of a model: what it expects, in which units, and what it answers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from .conditioning import derive
from .conditioning.derive import Derived
from .errors import ArtefactError, ConversionError, MissingFileError
from .plausibility.seen import Seen

SPEC_VERSION = 1
METADATA_KEY = "edgeconv.spec"
"""The `metadata_props` entry of an ONNX file that holds the spec as JSON."""
NETWORK_KEY = "edgeconv.network"
"""The entry with the digest of the network: the forms of one network carry the same."""
COST_KEY = "edgeconv.multiply_adds"
"""The entry with the number of multiply-adds that one more answer takes."""
STATE_KEY = "edgeconv.state"
"""The entry of a stateful file that names its state tensors, as JSON."""


@dataclass(frozen=True)
class Channel:
    """One channel of the signal."""

    name: str
    """Name of the column in a recording, such as `total_acc_x`."""
    unit: str
    """Physical unit of the values, such as `g` or `rad/s`."""
    mean: float = 0.0
    """Mean that the model subtracts, in `unit`; 0 for a network that does not normalise."""
    std: float = 1.0
    """Standard deviation that the model divides by, in `unit`; 1 for a network that does not normalise."""
    minimum: float | None = None
    """Smallest value seen in training, in `unit`."""
    maximum: float | None = None
    """Largest value seen in training, in `unit`."""


@dataclass(frozen=True)
class Triad:
    """Three channels `<name>_x`, `<name>_y`, `<name>_z` of one sensor."""

    name: str
    mean_norm: float
    """Mean over all training samples of √(x² + y² + z²), in the unit of the channels."""


@dataclass(frozen=True)
class ModelSpec:
    """The signal contract that travels inside every ONNX file and lies beside it as `spec.json`."""

    name: str
    """Name of the model, such as `har_conv1d`."""
    version: str
    """Version of the model, chosen by whoever trains it."""
    channels: tuple[Channel, ...]
    """The channels, in the order of the model's last input axis."""
    sampling_rate_hz: float
    """Samples per second."""
    window: int
    """Timesteps in a window."""
    hop: int
    """Timesteps between the starts of two windows, unless the caller asks for another."""
    labels: tuple[str, ...]
    """Label names; the position of a label is its class id."""
    triads: tuple[Triad, ...] = ()
    """What training saw of each three-axis sensor."""
    trained_on: str = ""
    """The training data in words; synthetic data are called synthetic here."""
    input: Literal["signal", "tokens"] = "signal"
    """What a window holds: samples of all channels, or, for a text, one token id for each timestep and no channels."""
    vocabulary: int | None = None
    """How many token ids there are, from 0; None for a signal."""
    derived: tuple[Derived, ...] = ()
    """How channels that no sensor gives come from others, for a source that has only these."""
    seen: Seen | None = None
    """What training saw of a window, by which a signal that is none is recognised."""

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        problem = None
        if self.input not in ("signal", "tokens"):
            problem = f"input is {self.input!r}; it must be 'signal' or 'tokens'"
        elif self.input == "tokens" and (names or not isinstance(self.vocabulary, int) or self.vocabulary < 1):
            problem = f"tokens need a vocabulary and no channels, and it has {self.vocabulary} and {len(names)}"
        elif self.input == "signal" and self.vocabulary is not None:
            problem = f"a signal has no vocabulary, and it has one of {self.vocabulary}"
        elif self.input == "signal" and not names:
            problem = "it has no channels"
        elif len(set(names)) != len(names):
            problem = f"channel names repeat: {', '.join(names)}"
        elif len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            problem = f"it needs two or more different labels, and has {list(self.labels)}"
        elif self.window < 1 or self.hop < 1:
            problem = f"window and hop must be at least 1 timestep, and are {self.window} and {self.hop}"
        elif not (math.isfinite(self.sampling_rate_hz) and self.sampling_rate_hz > 0):
            problem = f"sampling_rate_hz must be positive, and is {self.sampling_rate_hz}"
        else:
            for channel in self.channels:
                if not (math.isfinite(channel.mean) and math.isfinite(channel.std) and channel.std > 0):
                    problem = f"channel {channel.name} has mean {channel.mean} and std {channel.std}"
            problem = problem or derive.problem(self.derived, self.channels, self.sampling_rate_hz)
            if self.seen is not None and len(self.seen.deviation_low) != len(names):
                problem = f"it says what training saw of {len(self.seen.deviation_low)} channels, and has {len(names)}"
        if problem:
            raise ArtefactError(f"the spec of model {self.name!r} is not valid: {problem}")

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Channel names in the model's order."""
        return tuple(channel.name for channel in self.channels)

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Shape of one window: [window, channels], or [window] for tokens."""
        return (self.window,) if self.input == "tokens" else (self.window, len(self.channels))

    @property
    def normalises(self) -> bool:
        """Whether the model subtracts a mean or divides by a standard deviation."""
        return any(channel.mean != 0.0 or channel.std != 1.0 for channel in self.channels)

    def to_json(self) -> str:
        """Return the spec as JSON text with its `spec_version`."""
        values = asdict(self)
        if self.input == "signal":  # files of signals stay as they were before there were tokens
            del values["input"], values["vocabulary"]
        for key in ("derived", "seen"):  # and those without these as they were before them
            if not values[key]:
                del values[key]
        return json.dumps({"spec_version": SPEC_VERSION, **values}, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> ModelSpec:
        """Read a spec that `to_json` wrote.

        `where` names the file in messages. Raises ArtefactError for text that is no spec of a known version.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ArtefactError(f"{where}: the spec is not JSON ({error}); export the model again") from None
        version = data.get("spec_version") if isinstance(data, dict) else None
        if version != SPEC_VERSION:
            raise ArtefactError(
                f"{where}: spec_version is {version!r}, this edgeconv reads {SPEC_VERSION}; "
                "export the model again or install the edgeconv that wrote it"
            )
        try:
            known = {field.name for field in fields(cls)}
            values: dict[str, Any] = {key: value for key, value in data.items() if key in known}
            values["channels"] = tuple(Channel(**channel) for channel in data["channels"])
            values["triads"] = tuple(Triad(**triad) for triad in data.get("triads", ()))
            values["derived"] = tuple(Derived.from_dict(one) for one in data.get("derived", ()))
            values["seen"] = Seen.from_dict(data["seen"]) if data.get("seen") else None
            values["labels"] = tuple(str(label) for label in data["labels"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ArtefactError(f"{where}: the spec is incomplete ({error}); export the model again") from None
        except ArtefactError as error:
            raise ArtefactError(f"{where}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> ModelSpec:
        """Read a `spec.json`.

        Raises MissingFileError where there is none and ArtefactError where it cannot be used.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise MissingFileError(f"{path} is not there; `edgeconv train` writes it") from None
        except UnicodeDecodeError:
            raise ArtefactError(f"{path} is not UTF-8 text; export the model again") from None
        return cls.from_json(text, str(path))


def require_signal(spec: ModelSpec, what: str) -> None:
    """Raise ConversionError where a model reads tokens: a text is answered as a whole, and has no samples to wait for.

    what: what cannot be, for the message
    """
    if spec.input == "tokens":
        raise ConversionError(
            f"{what} is for signals, and model {spec.name!r} reads texts of {spec.window} tokens; "
            "`Classifier.predict` answers whole texts"
        )
