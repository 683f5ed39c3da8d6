"""What `edgeconv export --tune` found to be fastest on a machine: `tuning.json` beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ArtefactError
from .machine import fingerprint

TUNING_FILE = "tuning.json"
SCHEMA = "edgeconv.tuning/1"


@dataclass(frozen=True)
class Tuning:
    """The choices that hold for one network on one machine."""

    network: str
    """Digest of the network that was timed."""
    hop: int
    stateful_for_one: bool
    """Whether a stream that is alone is faster by steps than by windows."""
    threads: Mapping[str, int]
    """Use → processor threads within one run."""


def read_tuning(folder: Path) -> Tuning | None:
    """Return what was chosen for this machine; None where nothing was, or for another machine.

    Raises ArtefactError for a file that cannot be used.
    """
    file = folder / TUNING_FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(f"schema {found['schema']!r}")
        if found["machine"]["id"] != fingerprint().id:
            return None
        choice = found["choice"]
        threads = {str(use): int(number) for use, number in choice["threads"].items()}
        return Tuning(found["network"], int(found["hop"]), choice["one stream"] == "stateful", threads)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(
            f"{file} cannot be used ({type(error).__name__}: {error}); remove it, or write it anew with "
            f"`edgeconv export {folder} --tune`"
        ) from None
