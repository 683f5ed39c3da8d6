"""A config and a network's cost in words, for model cards and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import TrainConfig


def recipe_in_words(config: Mapping[str, Any]) -> str:
    """Return how a network was trained, from the `config` of a `training.json` or `run.json`."""
    said = {**TrainConfig().as_dict(), **config}
    rate = "a constant rate" if said["schedule"] == "constant" else "one epoch of warm-up and a cosine schedule"
    decay = said["weight_decay"]
    parts = [
        f"{said['epochs']} epochs each, batches of {said['batch_size']}",
        f"{f'AdamW with a weight decay of {decay:g}' if decay else 'Adam'} at {said['learning_rate']:g} with {rate}",
        "categorical cross-entropy"
        + (f" with label smoothing of {said['label_smoothing']:g}" if said["label_smoothing"] else "")
        + (", classes weighted to count alike" if said["class_weights"] == "balanced" else ""),
        "standardised input" if said["standardise"] else "no normalisation",
    ]
    changes = [
        text
        for name, text in (
            ("rotation_deg", "all sensors turned together by about {:g}°"),
            ("scaling", "scaled by 1 ± {:g}"),
            ("noise", "noise of {:g} deviations"),
            ("time_warp", "pace changed by about {:g}"),
            ("channel_dropout", "a sensor silent with a probability of {:g}"),
        )
        if said[name]
        for text in [text.format(said[name])]
    ]
    if changes:
        parts.append("training windows changed anew in every epoch (" + ", ".join(changes) + ")")
    if said["averaged_epochs"]:
        parts.append(f"weights averaged over the last {100 * said['averaged_epochs']:g} % of the epochs")
    if said["held_back_subjects"]:
        parts.append(f"the best epoch chosen on {said['held_back_subjects']} training subjects held back")
    return ", ".join(parts)


def cost_in_words(network: Mapping[str, Any]) -> str:
    """Return what a network costs, from the `network` of a `training.json` or `run.json`."""
    values = network["peak_activation_values"]
    uncounted = f", without {', '.join(network['uncounted'])}" if network["uncounted"] else ""
    return (
        f"{network['parameters']:,} parameters, {network['multiply_adds'] / 1e6:.2f} M multiply-adds a window"
        f"{uncounted}, receptive field {network['receptive_field']} timesteps, between layers at most {values:,} "
        f"values at once ({values / 1024:.1f} KiB in int8)"
    )
