"""Take sounds at 16 kHz down the whole line, time the forms of the network, and write docs/audio.md and its JSON file.

The commands that the page shows are run as they stand in a temporary folder; then a minute of sound goes through the
windowed, the dense and the stateful form, each in a process of its own, in interleaved rounds. With --render the page
is made from docs/audio.json and nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from peers.markdown import number, spread, table

from edgeconv.bench import Contestant, Entry, Measurement, Plan, measure
from edgeconv.bench.scenarios import judge
from edgeconv.bench.statistics import Interval, median, paired_ratio
from edgeconv.runtime import Classifier, Scorer, Stepper, StreamClassifier
from edgeconv.runtime.machine import fingerprint
from edgeconv.runtime.sources import read_recording

DOCS = Path(__file__).resolve().parents[1] / "docs"
MINUTE = "minute.wav"
COMMANDS = (
    "edgeconv data recordings --data synthetic-tones --out recordings",
    "edgeconv train --data synthetic-tones --network audio --repeats 1 --out tones",
    "edgeconv export tones",
    "edgeconv verify tones",
    "edgeconv inspect tones",
    "edgeconv stream tones recordings/*.wav --format csv > predictions.csv",
)
PLAN = Plan(rounds=12, round_s=0.3, warm_up_s=2.0)
BATCH = 32
WINDOWS, DENSE, FILE, ALONE, STEP = (
    f"windowed form, batches of {BATCH}",
    "dense form",
    "WAV file to predictions",
    "windowed form, window by window",
    "stateful form, hop by hop",
)


def run_commands(folder: Path) -> list[dict[str, Any]]:
    """Run the commands in a folder; return of each how long it took and the most memory it held."""
    seen = []
    # A program of that name in front, so that the lines run as they stand.
    program = folder / "edgeconv"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m edgeconv "$@"\n')
    program.chmod(0o755)
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": root}
    for command in COMMANDS:
        print(command, file=sys.stderr, flush=True)
        began = time.perf_counter()
        process = subprocess.Popen(
            ["bash", "-euc", command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command} failed")
        seen.append({
            "command": command,
            "seconds": time.perf_counter() - began,
            "peak_mib": usage.ru_maxrss / 1024,
            "said": [line for line in said.splitlines() if line.startswith("Accuracy")],
        })  # fmt: skip
    return seen


def write_minute(recordings: Path, target: Path, seconds: int = 60) -> None:
    """Write the first minute of the recordings, one after the other, as one WAV file."""
    import wave

    with wave.open(str(target), "wb") as sink:
        left = None
        for path in sorted(recordings.glob("*.wav")):
            with wave.open(str(path)) as source:
                if left is None:
                    sink.setparams(source.getparams())
                    left = seconds * source.getframerate()
                frames = source.readframes(left)
                sink.writeframes(frames)
                left -= len(frames) // (source.getsampwidth() * source.getnchannels())
    if left != 0:
        sys.exit(f"{recordings} holds less than {seconds} s of sound")


def samples_of(model: str, file: str) -> np.ndarray:
    spec = Classifier.load(model).spec
    return np.concatenate(list(read_recording(file, spec.channel_names, sampling_rate_hz=spec.sampling_rate_hz)))


def windowed(model: str, file: str) -> Contestant:
    """All windows of the samples, in batches."""
    classifier, samples = Classifier.load(model), samples_of(model, file)
    spec = classifier.spec
    windows = np.lib.stride_tricks.sliding_window_view(samples, spec.window, axis=0)[:: spec.hop].transpose(0, 2, 1)

    def run() -> np.ndarray:
        return classifier.predict(windows)

    return Contestant(run, units=len(windows), check=run, facts={"multiply_adds": classifier.model.multiply_adds})


def dense(model: str, file: str) -> Contestant:
    """All of the samples through the dense form."""
    scorer, samples = Scorer.load(model), samples_of(model, file)

    def run() -> np.ndarray:
        return scorer.score(samples)

    return Contestant(run, units=len(run()), check=run, facts={"multiply_adds": scorer.model.multiply_adds})


def from_file(model: str, file: str) -> Contestant:
    """Read the file and push its samples, as `edgeconv stream` does; nothing is written."""
    from edgeconv.cli.stream_job import classify

    classifier = Classifier.load(model)
    stream = StreamClassifier(classifier)

    def run() -> np.ndarray:
        return np.array([prediction.probabilities for _, prediction in classify(stream, [Path(file)])])

    scorer = classifier.forms(stream.hop).dense
    return Contestant(
        run, units=len(run()), check=run, facts={"multiply_adds": scorer.model.multiply_adds if scorer else None}
    )


def alone(model: str, file: str) -> Contestant:
    """One window at a time; 64 different ones in turn."""
    classifier, samples = Classifier.load(model), samples_of(model, file)
    window, hop = classifier.spec.window, classifier.spec.hop
    starts = range(0, len(samples) - window + 1, hop)
    some = [samples[None, start : start + window].copy() for start in starts[:64]]

    def run() -> None:
        for one in some:
            classifier.model.run(one)

    return Contestant(
        run,
        units=len(some),
        check=lambda: np.concatenate([classifier.model.run(samples[None, i : i + window])[0] for i in starts]),
        facts={"multiply_adds": classifier.model.multiply_adds},
    )


def hop_by_hop(model: str, file: str) -> Contestant:
    """One hop of one stream at a time, and its state; 64 different ones in turn."""
    stepper, samples = Stepper.load(model), samples_of(model, file)
    hop = stepper.spec.hop
    padded = np.concatenate([np.zeros((stepper.lead, samples.shape[1]), np.float32), samples])
    hops = [padded[None, at : at + hop].copy() for at in range(0, len(padded) - hop + 1, hop)]
    state = stepper.start()

    def run() -> None:
        nonlocal state
        for one in hops[:64]:
            _, state = stepper.step(one, state)

    def answers() -> np.ndarray:
        found, begun = [], stepper.start()
        for one in hops:
            answer, begun = stepper.step(one, begun)
            found.append(answer[0])
        return np.array(found[stepper.warm_up :])

    facts = {"multiply_adds": stepper.model.multiply_adds, "state_bytes": stepper.state_bytes}
    return Contestant(run, units=min(64, len(hops)), check=answers, facts=facts)


CONTESTANTS = {WINDOWS: windowed, DENSE: dense, FILE: from_file, ALONE: alone, STEP: hop_by_hop}
REFERENCE = {WINDOWS: WINDOWS, DENSE: WINDOWS, FILE: WINDOWS, ALONE: ALONE, STEP: ALONE}
"""What each is compared with: a recording with a recording, a stream with a stream."""


def measure_forms(model: Path, file: Path, plan: Plan = PLAN) -> dict[str, Any]:
    """Time the forms of a model on a WAV file; return what was seen, as JSON values."""
    arguments = {"model": str(model), "file": str(file)}
    entries = [Entry(name, make, arguments) for name, make in CONTESTANTS.items()]
    seen = {m.name: m for m in measure(entries, plan, judge, lambda what, _: print(what, file=sys.stderr, flush=True))}
    wrong = [f"{name}: {m.problem}" for name, m in seen.items() if m.problem]
    if wrong:
        sys.exit("; ".join(wrong))
    spec = Classifier.load(model).spec
    return {
        "spec": {"window": spec.window, "hop": spec.hop, "sampling_rate_hz": spec.sampling_rate_hz},
        "predictions": len(seen[WINDOWS].answer),
        "seconds": len(samples_of(str(model), str(file))) / spec.sampling_rate_hz,
        "rows": {name: row_of(seen, name, spec.hop / spec.sampling_rate_hz) for name in seen},
    }


def row_of(seen: dict[str, Measurement], name: str, hop_s: float) -> dict[str, Any]:
    mine, reference = seen[name], seen[REFERENCE[name]]
    return {
        **mine.facts,
        "max_abs_diff": float(np.abs(mine.answer - seen[WINDOWS].answer).max()),
        "us_per_prediction": asdict(median(mine.us_per_unit)),
        "times_as_fast": asdict(paired_ratio(mine.us_per_unit, reference.us_per_unit)),
        "real_time": hop_s / (1e-6 * float(np.median(mine.us_per_unit))),
        "peak_memory_mib": mine.peak_memory_mib,
        "others_cores": mine.others_cores,
    }


def render(results: dict[str, Any]) -> str:
    """Return the page, from the results alone."""
    spec, rows, machine = results["spec"], results["rows"], results["machine"]
    second, hop_ms = spec["window"] / spec["sampling_rate_hz"], 1e3 * spec["hop"] / spec["sampling_rate_hz"]
    fast = Interval(**rows[DENSE]["times_as_fast"])
    busy = [row["others_cores"] for row in rows.values() if row["others_cores"] is not None]
    shared = sum(busy) / len(busy) if busy else 0.0
    accuracy = next(line for command in results["commands"] for line in command["said"])
    lines = [
        "# Sounds at 16 kHz through the same line",
        "",
        "Written by `tools/audio_line.py`, which runs every command below as it stands and measures; nothing here is",
        "edited by hand. The sounds are generated (`synthetic-tones`: silence, tone, chirp or noise in rooms that",
        "colour them) and nothing was recorded, so the accuracy says that the line works, not how well it hears.",
        "",
        "```sh",
        *COMMANDS,
        "```",
        "",
        f"One channel at {spec['sampling_rate_hz']:,.0f} Hz, windows of {spec['window']:,} samples ({second:g} s), an "
        f"answer every {spec['hop']} samples ({hop_ms:g} ms): windows overlap by {1 - hop_ms / 1e3 / second:.0%}. "
        f"The network is the preset `audio`, {results['parameters']:,} parameters, strides of 16 · 4 · 5 = 320. "
        f"Said on the test rooms: “{accuracy}”.",
        "",
        "## What the commands took",
        "",
        *table(
            ["command", "s", "most memory, MiB"],
            [
                [f"`{' '.join(seen['command'].split()[:3])}`", f"{seen['seconds']:.1f}", f"{seen['peak_mib']:.0f}"]
                for seen in results["commands"]
            ],
            "lrr",
        ),
        "",
        "## What the dense form is worth",
        "",
        f"{results['seconds']:g} s of sound, {results['predictions']:,} predictions. Over a recording the dense form "
        f"is {number(fast.value)} times as fast as the windowed form in batches, because it computes every position "
        "once.",
        "",
        *table(
            ["", "multiply-adds per prediction", "µs per prediction", "times as fast as the first of its kind",
             "times real time", "largest abs. Δp", "memory, MiB"],
            [cells(name, rows[name]) for name in rows],
            "lrrrrrr",
        ),
        "",
        f"The first three take the whole recording; “{FILE}” is what `edgeconv stream` does, with reading and without "
        "writing. The last two are one live stream, to which a prediction is due every "
        f"{hop_ms:g} ms; the state of the stateful form has {rows[STEP]['state_bytes']:,} bytes. Brackets are 95 % "
        "bootstrap intervals of the median over rounds. Δp is against the windowed form, on every window; the forms "
        "differ in the order of summing only.",
        "",
        f"Machine `{machine['id']}`: {machine['processor']}, {machine['architecture']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, numpy {machine['numpy']}, onnxruntime "
        f"{machine['onnxruntime']}; one thread; {results['created']}.",
    ]  # fmt: skip
    if shared > 0.1:
        lines += [
            "",
            f"**Other processes kept {shared:.1f} of {machine['cores']} cores busy meanwhile: the timings are those of "
            "a shared machine.** Ratios are taken round by round and suffer less.",
        ]
    return "\n".join(lines) + "\n"


def cells(name: str, row: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{row['multiply_adds']:,}" if row["multiply_adds"] else "—",
        spread(Interval(**row["us_per_prediction"])),
        "1" if REFERENCE[name] == name else spread(Interval(**row["times_as_fast"])),
        number(row["real_time"]),
        f"{row['max_abs_diff']:.1g}",
        f"{row['peak_memory_mib']:.0f}" if row["peak_memory_mib"] else "—",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", action="store_true", help="measure nothing")
    if parser.parse_args().render:
        results = json.loads((DOCS / "audio.json").read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            commands = run_commands(folder)
            write_minute(folder / "recordings", folder / MINUTE)
            training = json.loads((folder / "tones" / "training.json").read_text(encoding="utf-8"))
            results = {
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": asdict(fingerprint()),
                "commands": commands,
                "parameters": training["repeats"][0]["parameters"],
                **measure_forms(folder / "tones", folder / MINUTE),
            }
        (DOCS / "audio.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (DOCS / "audio.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
