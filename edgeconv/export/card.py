"""The model card: what the model is, how it was trained, what was seen of it, and under which terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeconv.evaluate.original import ORIGIN_SCHEMA
from edgeconv.runtime.spec import ModelSpec
from edgeconv.train.words import cost_in_words, recipe_in_words

from .said import NOT_KNOWN


def model_card(
    spec: ModelSpec, record: dict[str, Any], certificate: dict[str, Any], calibration: dict[str, Any] | None
) -> str:
    """Return the model card as Markdown, from what the folder's JSON files say and nothing else.

    record: of the training or, for a model made elsewhere, of its origin
    """
    if record.get("schema") == ORIGIN_SCHEMA:
        sections = [
            _origin(spec, record),
            _signal(spec, foreign=True),
            _artefacts(certificate, calibration),
            FOREIGN_LIMITS,
        ]
    else:
        sections = [
            _title(spec, record),
            _signal(spec),
            _protocol(record),
            _results(record, spec),
            _artefacts(certificate, calibration),
            _terms(record),
        ]
    return "\n\n".join(sections) + "\n"


def _title(spec: ModelSpec, training: dict[str, Any]) -> str:
    data = training["data"]
    synthetic = " **These data are synthetic: generated, not measured on people.**" if data["synthetic"] else ""
    network = training.get("network")
    size = cost_in_words(network) if network else f"{training['repeats'][0]['parameters']:,} parameters"
    return (
        f"# {spec.name}\n\n"
        f"A 1-D convolutional network (`{training['config']['network']}`: {size}) that tells "
        f"{_words(spec.labels)} from windows of {spec.window} samples ({spec.window / spec.sampling_rate_hz:.2f} s) of "
        f"{len(spec.channels)} channels at {spec.sampling_rate_hz:g} Hz. Trained on {spec.trained_on}.{synthetic} "
        "Written by `edgeconv export` from `spec.json`, `training.json` and `certificate.json`."
    )


def _origin(spec: ModelSpec, record: dict[str, Any]) -> str:
    reading = record.get("reading", {})
    changes = list(record["changes"])
    if reading.get("channels_first"):
        changes.append("its input is [batch, channels, window], that of the exported files [batch, window, channels]")
    if reading.get("logits"):
        changes.append("its answers are logits, to which the exported files apply the softmax or sigmoid")
    said = "" if spec.trained_on in ("", NOT_KNOWN) else f"; whoever brought it says: on {spec.trained_on}"
    many = f"{spec.window} token ids" if spec.input == "tokens" else (
        f"{spec.window} samples ({spec.window / spec.sampling_rate_hz:.2f} s) of {len(spec.channels)} channels at "
        f"{spec.sampling_rate_hz:g} Hz"
    )  # fmt: skip
    return (
        f"# {spec.name}\n\n"
        f"A network made elsewhere that tells {_words(spec.labels)} from windows of {many}. It came as "
        f"`{record['file']}` (SHA-256 `{record['sha256']}`){'; ' if changes else ''}{'; '.join(changes)}. "
        f"**How it was trained is not known here**{said}. "
        "Written by `edgeconv export` from `spec.json`, `origin.json` and `certificate.json`."
    )


def _signal(spec: ModelSpec, *, foreign: bool = False) -> str:
    if spec.input == "tokens":
        return (
            f"## Input\n\nEvery file takes texts of {spec.window} token ids, int32 from 0 to "
            f"{(spec.vocabulary or 1) - 1}. Which word has which id is not in the files."
        )
    head = ["channel", "unit", "lowest in training", "highest"]
    rows = [[c.name, c.unit, _number(c.minimum), _number(c.maximum)] for c in spec.channels]
    if all(c.minimum is None and c.maximum is None for c in spec.channels):
        head, rows = head[:2], [row[:2] for row in rows]
    int8 = "The int8 file takes" if foreign else "The network does not normalise, so the int8 file takes"
    int8 += " the same values"
    if spec.normalises:
        head += ["mean subtracted", "divided by"]
        rows = [[*row, _number(c.mean), _number(c.std)] for row, c in zip(rows, spec.channels, strict=True)]
        int8 = "Their first layer normalises; the int8 file takes the window already normalised with these constants"
    return (
        "## Input\n\nFloat files take these channels in this order and these units. "
        f"{int8}, in int8 by the scale and zero point stored in it.\n\n" + table(head, rows)
    )


def _protocol(training: dict[str, Any]) -> str:
    config, data = training["config"], training["data"]
    train, test = data["train"], data["test"]
    shared = sorted(set(train["subjects"]) & set(test["subjects"]))
    split = f"**subjects {_words(shared)} are on both sides of the split**" if shared else "no subject is on both sides"
    seeds = [repeat["seed"] for repeat in training["repeats"]]
    versions = ", ".join(f"{name} {version}" for name, version in training["versions"].items())
    return (
        "## Protocol\n\n"
        f"{data['name']}: {train['windows']} training windows of {len(train['subjects'])} subjects, "
        f"{test['windows']} test windows of {len(test['subjects'])} subjects ({_words(test['subjects'])}); {split}. "
        f"{len(seeds)} fits with seeds {seeds[0]} to {seeds[-1]}: {recipe_in_words(config)}. The test windows choose "
        "only which of these fits is shown: the lower-median one, typical and not the best of its kind. "
        f"Read from {data['source']}; content hash `{data['content_hash']}`. {versions}."
    )


def _results(training: dict[str, Any], spec: ModelSpec) -> str:
    repeats = training["repeats"]
    chosen = repeats[training["chosen_repeat"] - 1]
    spread = training["accuracy_sd"]
    plus_minus = "" if spread is None else f" ± {100 * spread:.2f} (sample standard deviation)"
    interval = training.get("accuracy_interval")
    if interval:
        plus_minus += f", 95 % interval of the mean {100 * interval[0]:.2f}–{100 * interval[1]:.2f} %"
    subjects = [
        [subject, *_mean_and_range([r["per_subject"][subject] for r in repeats]), _percent(accuracy)]
        for subject, accuracy in chosen["per_subject"].items()
    ]
    classes = [
        [c["label"], c["windows"], *_mean_and_range([r["per_class"][i]["recall"] for r in repeats]),
         _percent(c["recall"]), _percent(c["precision"]), _percent(c["f1"])]
        for i, c in enumerate(chosen["per_class"])
    ]  # fmt: skip
    confusion = [[label, *row] for label, row in zip(spec.labels, chosen["confusion"], strict=True)]
    return "\n\n".join(
        [
            "## Results on the test subjects",
            f"Accuracy over {len(repeats)} repeats: {100 * training['accuracy_mean']:.2f} %{plus_minus}. "
            f"This model is repeat {training['chosen_repeat']}: accuracy {_percent(chosen['accuracy'])} %, "
            f"macro-F1 {_percent(chosen['macro_f1'])} %. All figures in per cent.",
            table(["subject", "mean of repeats", "lowest–highest", "this model"], subjects),
            table(["class", "windows", "recall, mean", "lowest–highest", "recall", "precision", "F1"], classes),
            "Windows of this model by true class (row) and predicted class (column):",
            table(["", *spec.labels], confusion),
        ]
    )


def _artefacts(certificate: dict[str, Any], calibration: dict[str, Any] | None) -> str:
    entries, data = certificate["artefacts"], certificate["data"]
    rows = [
        [
            f"`{name}`",
            f"{entry['bytes'] / 1024:.0f}",
            f"{_percent(entry['accuracy'])} ({'–'.join(_percent(bound) for bound in entry['accuracy_interval'])})",
            f"{entry['max_abs_diff']:.1e}",
            f"{entry['relative_logit_diff']:.1e}",
            _percent(entry["top1_agreement"]),
            f"{len(entry['flips'])} ({entry['ties']})",
        ]
        for name, entry in entries.items()
    ]
    reference = next(iter(entries.values()))["reference_accuracy"]
    synthetic = " (synthetic: generated, not measured)" if data["synthetic"] else ""
    verdicts = "\n".join(f"- `{name}`: {entry['verdict']}." for name, entry in entries.items())
    head = [
        "file", "KiB", "accuracy % (95 %)", "largest abs. Δp", "largest Δlogit, relative", "same top class %",
        "flips (ties)",
    ]  # fmt: skip
    return (
        f"## Artefacts\n\nEach was compared with `{certificate['reference']['file']}` "
        f"(accuracy {_percent(reference)} %) on all {data['windows']} test windows of {data['name']}{synthetic}, on "
        "whole recordings and on adversarial inputs before it was put in place; `edgeconv verify` repeats it.\n\n"
        + table(head, rows)
        + f"\n\n{verdicts}"
        + ("" if calibration is None else "\n\n" + _calibration(calibration))
    )


def _calibration(record: dict[str, Any]) -> str:
    names = {"onnx": "ONNX", "tflite": "TFLite"}
    return " ".join(_calibrated(record[engine], name) for engine, name in names.items() if engine in record)


def _calibrated(entry: dict[str, Any], name: str) -> str:
    said = (
        f"The int8 ranges of the {name} files were measured on {len(entry['rows'])} windows of the training "
        f"subjects (`{entry['method']}`, seed {entry['seed']}"
    )
    judged = entry.get("judged_on")
    if judged is not None:
        said += (
            f"), chosen on {judged['windows']} windows of other training subjects ({_words(judged['subjects'])}; "
            f"{len(entry['tried'])} tried"
        )
    said += "; `calibration.json` has the row numbers, and what else was tried)."
    if entry.get("float_layers"):
        layers = entry["float_layers"]
        seen = entry["accuracy"]
        said += (
            f" {len(layers)} layers stay in float32 ({_words(f'`{layer}`' for layer in layers)}): accuracy on those "
            f"windows {_percent(seen['all_int8'])} % without and {_percent(seen['int8'])} % with them, "
            f"{_percent(seen['float32'])} % in float32."
        )
    return said


FOREIGN_LIMITS = (
    "## Limits\n\nThe network knows only the classes above and answers with one of them whatever it sees. The figures "
    "say that the files answer as the model does; how good it is on other data than these is not known here."
)
LIMITS = (
    "## Limits\n\nThe network knows only the classes above and answers with one of them whatever it sees. Its "
    "figures hold for sensors mounted as in the training data and for people like those in it."
)


def _terms(training: dict[str, Any]) -> str:
    return f"## Data licence\n\n{training['data']['licence']}\n\n{LIMITS}"


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _mean_and_range(values: list[float]) -> list[str]:
    return [_percent(float(np.mean(values))), f"{_percent(min(values))}–{_percent(max(values))}"]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _words(values: Any) -> str:
    return ", ".join(str(value) for value in values)
