"""Check on a machine with an NVIDIA GPU that CUDA answers as the processor does, and measure from when on it is faster.

    python tools/check_cuda.py models/har_conv1d --json cuda.json --markdown cuda.md

Every ONNX form in the folder is compared with itself on the processor, by max |Δp|, and timed in interleaved rounds:
on the processor, and on CUDA by plain runs, with I/O binding and with a CUDA graph; for one window at a time, as a
stream gives them, up to many at once. Exit codes: 0 equivalent, 4 not equivalent, 5 no CUDA here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import __version__
from edgeconv.cli.console import table
from edgeconv.runtime.binding import Bound
from edgeconv.runtime.devices import Device, create_session
from edgeconv.runtime.errors import CheckError, EdgeconvError, MissingFileError, UsageError
from edgeconv.runtime.model_file import read_spec
from edgeconv.runtime.nvidia import find_driver
from edgeconv.runtime.spec import Channel, ModelSpec

LIMIT = 1e-5
"""Largest |Δp| of a float copy (as in the certificate)."""
RECORDED = 4
"""Runs of one shape after which a CUDA graph is replayed, whatever came before."""
Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Timing:
    """Seconds per run of one way to run one size."""

    median_s: float
    low_s: float
    high_s: float
    """Bounds of a 95 % interval of the median."""


@dataclass(frozen=True)
class Form:
    """What was seen of one ONNX file."""

    file: str
    max_abs_diff: dict[str, float]
    """max |Δp| against the processor, by the way to run."""
    first_s: dict[int, dict[str, float]]
    """Slowest of the first runs, which choose algorithms, take memory and record, by windows per run and way."""
    timings: dict[int, dict[str, Timing]]
    """The runs after those, by windows per run and way."""
    wins_from: int | None
    """The size from which on CUDA is faster at every size; none where it never is."""


def measure(runs: dict[str, Callable[[], Any]], rounds: int, round_s: float = 0.02) -> dict[str, Timing]:
    """Time each run in rounds in which all take turns; edgeconv.bench may take this function's place."""
    repeats = {name: max(1, int(round_s / max(_seconds(run, 5) / 5, 1e-7))) for name, run in runs.items()}
    seen: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seen[name].append(_seconds(runs[name], repeats[name]) / repeats[name])
    rng = np.random.default_rng(0)
    timings = {}
    for name, values in seen.items():
        medians = np.median(rng.choice(values, (2000, len(values))), axis=1)
        low, high = np.quantile(medians, [0.025, 0.975])
        timings[name] = Timing(float(np.median(values)), float(low), float(high))
    return timings


def _seconds(run: Callable[[], Any], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - began


def open_ways(model: bytes, second: Device, threads: int) -> tuple[dict[str, Run], dict[str, Run], Any]:
    """Return the ways to run a model on the processor, those on the second device, and a session to read from."""

    def plain(session: Any) -> Run:
        names = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))

    def bound(device: Device) -> Run:
        return Bound(create_session(model, device, 1, False)[0], device).run

    cpu, device = Device("cpu"), second.kind
    session = create_session(model, cpu, 1, False)[0]
    first = {"cpu, 1 thread": plain(session)}
    if threads > 1:
        first[f"cpu, {threads} threads"] = plain(create_session(model, cpu, threads, True)[0])
    others = {
        f"{device}": plain(create_session(model, second, 1, False)[0]),
        f"{device}, bound": bound(second),
        f"{device}, graph": bound(replace(second, graph=True)),
        f"{device}, graph, tf32": bound(replace(second, graph=True, tf32=True)),
    }
    return first, others, session


def make_inputs(session: Any, spec: ModelSpec, predictions: int, rng: np.random.Generator) -> Arrays:
    """Return noise in the range of each channel, as much as gives this many predictions, and states of noise."""
    signal, *states = session.get_inputs()
    length = spec.window + (predictions - 1) * spec.hop
    # Windows and steps are [how many, timesteps, channels], a recording is [timesteps, channels].
    shape = (predictions, signal.shape[1]) if len(signal.shape) == 3 else (length,)
    means, stds = zip(*map(_noise, spec.channels), strict=True)
    values = rng.normal(means, stds, (*shape, len(spec.channels))).astype(np.float32)
    noise = {state.name: rng.normal(size=(predictions, *state.shape[1:])).astype(np.float32) for state in states}
    return {signal.name: values, **noise}


def _noise(channel: Channel) -> tuple[float, float]:
    if channel.minimum is None or channel.maximum is None:
        return channel.mean, channel.std
    return (channel.minimum + channel.maximum) / 2, (channel.maximum - channel.minimum) / 6


def check_form(file: Path, second: Device, threads: int, sizes: list[int], rounds: int) -> Form:
    """Compare and time one ONNX file."""
    first, others, session = open_ways(file.read_bytes(), second, threads)
    spec = read_spec(session, file)
    rng = np.random.default_rng(0)
    ways = {**first, **others}
    reference = next(iter(first))
    output = session.get_outputs()[0].name
    diffs = dict.fromkeys(others, 0.0)
    firsts, timings = {}, {}
    for size in sizes:
        print(f"check_cuda: {file.name}, {size} at once", file=sys.stderr)
        firsts[size] = dict.fromkeys(ways, 0.0)
        # Other values in each run: a replay that read the values of its recording would be seen.
        for _ in range(RECORDED):
            inputs = make_inputs(session, spec, size, rng)
            answers = {}
            for name, run in ways.items():
                began = time.perf_counter()
                answers[name] = run(inputs)[output]
                firsts[size][name] = max(firsts[size][name], time.perf_counter() - began)
            for name in others:
                diffs[name] = max(diffs[name], _distance(answers[name], answers[reference]))
        timings[size] = measure({name: partial(run, inputs) for name, run in ways.items()}, rounds)
    fair = [name for name in others if "tf32" not in name]
    return Form(file.name, diffs, firsts, timings, wins_from(timings, list(first), fair))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    # NaN is as far away as anything can be.
    return float(np.nan_to_num(np.abs(a - b), nan=np.inf).max(initial=0.0))


def wins_from(timings: dict[int, dict[str, Timing]], first: list[str], second: list[str]) -> int | None:
    """Return the size from which on, at each size, some second way's interval lies below those of all first ways."""
    start = None
    for size in sorted(timings, reverse=True):
        seen = timings[size]
        if min(seen[name].high_s for name in second) >= min(seen[name].low_s for name in first):
            break
        start = size
    return start


def describe_machine(second: Device, threads: int) -> dict[str, str]:
    import onnxruntime

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    driver = find_driver()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": driver.gpus[second.index] if second.kind == "cuda" and second.index < len(driver.gpus) else "none",
        "driver": f"for CUDA {driver.cuda[0]}.{driver.cuda[1]}" if not driver.problem else "none",
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} processors, {threads} used",
        "platform": platform.platform(),
        "versions": f"edgeconv {__version__}, onnxruntime {onnxruntime.__version__} "
        f"(CUDA {getattr(onnxruntime, 'cuda_version', '') or 'none'}), numpy {np.__version__}",
    }


def pages(machine: dict[str, str], forms: list[Form], trial: bool) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield each part of the report: its text, and head and rows of its table."""
    text = "Both sides ran on the processor, to try this program out: nothing here is about CUDA.\n\n" if trial else ""
    yield text + "\n".join(f"- {key}: {value}" for key, value in machine.items()), [], []
    rows = [[form.file, way, f"{diff:.1e}"] for form in forms for way, diff in form.max_abs_diff.items()]
    text = f"Against the processor, on noise in the range of each channel; the limit is {LIMIT:.0e} (not with TF32):"
    yield text, ["file", "way", "max |Δp|"], rows
    for form in forms:
        side = "the second side" if trial else "CUDA"
        win = "is not faster, even at the largest size"
        if form.wins_from is not None:
            win = f"is faster from {form.wins_from} {'window' if form.wins_from == 1 else 'windows'} a run on"
        text = f"{form.file}: {side} {win} (without TF32). Milliseconds per run, median and its 95 % interval:"
        ways = list(next(iter(form.timings.values())))
        rows = [[str(size), *(_cell(seen[way]) for way in ways)] for size, seen in form.timings.items()]
        yield text, ["windows", *ways], rows
        rows = [[str(size), *(f"{1e3 * seen[way]:.1f}" for way in ways)] for size, seen in form.first_s.items()]
        yield f"{form.file}: milliseconds of the slowest of the first {RECORDED} runs:", ["windows", *ways], rows


def _cell(timing: Timing) -> str:
    return f"{1e3 * timing.median_s:.3f} ({1e3 * timing.low_s:.3f}–{1e3 * timing.high_s:.3f})"


def _markdown(parts: list[tuple[str, list[str], list[list[str]]]]) -> str:
    text = "## CUDA against the processor\n"
    for words, head, rows in parts:
        lines = [head, ["---:" if i else "---" for i in range(len(head))], *rows] if head else []
        cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
        text += f"\n{words}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in cells)
    return text.rstrip() + "\n"


def counts(text: str) -> list[int]:
    """Read whole numbers from 1, with commas between them."""
    numbers = sorted({int(number) for number in text.split(",")})
    if numbers[0] < 1:
        raise ValueError(text)
    return numbers


def count(text: str) -> int:
    """Read one whole number from 1."""
    (number,) = counts(text)
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=Path("models/har_conv1d"), help="model folder")
    parser.add_argument("--second-device", default="cuda", help="cuda:1; or cpu, to try this program without a GPU")
    parser.add_argument("--sizes", type=counts, default="1,8,32,128,512,2048", help="windows per run")
    parser.add_argument(
        "--threads", type=count, default=os.cpu_count() or 1, help="threads of the processor's best way"
    )
    parser.add_argument("--rounds", type=count, default=15, help="rounds in which all ways take turns")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        check(options)
    except EdgeconvError as error:
        print(f"check_cuda: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def check(options: argparse.Namespace) -> None:
    """Check, measure, print and write what was asked for; raises CheckError at the end where it is not equivalent."""
    second = Device.parse(options.second_device)
    if second.kind == "auto" or second.tf32 or second.graph:
        raise UsageError("--second-device is cuda or cuda:1; tf32 and graph are tried in any case")
    files = sorted(options.model.glob("*.onnx"))
    if not files:
        raise MissingFileError(f"{options.model} holds no ONNX file; `edgeconv export` writes them")
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    forms = [check_form(file, second, options.threads, options.sizes, options.rounds) for file in files]
    machine = describe_machine(second, options.threads)
    trial = second.kind == "cpu"
    parts = list(pages(machine, forms, trial))
    for words, head, rows in parts:
        print(words, table(head, rows) if head else "", sep="\n", end="\n\n" if head else "\n")
    if options.markdown:
        options.markdown.write_text(_markdown(parts), encoding="utf-8")
    if options.json:
        report = {"trial": trial, "machine": machine, "limit": LIMIT, "forms": [asdict(form) for form in forms]}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    bad = [
        f"{form.file} on {way}: {diff:.1e}"
        for form in forms
        for way, diff in form.max_abs_diff.items()
        if diff > LIMIT and "tf32" not in way
    ]
    if bad:
        raise CheckError(f"max |Δp| is above {LIMIT:.0e} for {'; '.join(bad)}")


if __name__ == "__main__":
    sys.exit(main())
