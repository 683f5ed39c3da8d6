"""Kill `edgeconv stream --checkpoint` again and again, and see whether its output is that of a run left alone.

Recordings are generated, of several kinds: plain text and NPY, another rate with jitter and gaps, a file that is
followed while it is written, one with a window for every sample, and one of which events are made, written as Parquet
with a report. For each kind a run is left alone once. Then the
same command is started, sent SIGKILL after a random time, and started again, until it comes to its end; and begun anew,
until it was killed as often as wanted. Every output is compared byte by byte, and every report.

    python tools/kill.py                # 200 kills
    python tools/kill.py --kills 10     # a short one
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeconv.runtime.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
STARTING_S = 0.3
"""A process needs some tenths of a second before it does anything, and kills before that say little."""
QUIET_S, PATIENCE_S = 2.0, 60.0
GROWING_S = 5.0
"""How long it takes until a file that is followed is written."""


@dataclass
class Case:
    """One kind of recording, as a command line, and what came of it."""

    name: str
    recordings: list[Path]
    options: list[str] = field(default_factory=list)
    ending: str = ""
    """Of the output's name."""
    kills: int = 0
    amid: int = 0
    """Kills after which something was there to go on from, and something left to do."""
    runs: int = 0
    different: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "har_raw")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--samples", type=int, default=600_000, help="of the longest recording")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default="", help="cases whose names have this in them")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", file=sys.stderr)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(Path(folder), ModelSpec.load(options.model / "spec.json"), options.samples, seed)
        cases = [case for case in cases if options.only in case.name]
        chance = random.Random(seed)
        for number, case in enumerate(cases):
            share = options.kills // len(cases) + (number < options.kills % len(cases))
            torment(case, options.model, Path(folder) / f"out{number}", share, chance)
            print(f"{case.name}: {case.kills} kills, {case.different} outputs differ", file=sys.stderr)
    table = report(cases, seed, time.monotonic() - began)
    print(table)
    if options.out:
        options.out.write_text(table + "\n")
    if any(case.different for case in cases):
        raise SystemExit(4)


def make_cases(folder: Path, spec: ModelSpec, samples: int, seed: int) -> list[Case]:
    """Write the recordings: as random as the training data are wide, at the rate of the model and at another."""
    rng = np.random.default_rng(seed)
    mean, std = (np.array([getattr(channel, key) for channel in spec.channels]) for key in ("mean", "std"))
    values = rng.normal(mean, std, (samples, len(mean)))
    names = ",".join(spec.channel_names)
    write = {"fmt": "%.5f", "delimiter": ",", "comments": ""}
    np.save(folder / "plain.npy", values.astype(np.float32))
    np.savetxt(folder / "plain.csv", values[: samples // 4], header=names, **write)
    np.savetxt(folder / "short.csv", values[: samples // 12], header=names, **write)
    np.savetxt(folder / "growing.csv", values[: samples // 24], header=names, **write)
    count = samples // 6
    times = (np.arange(count) + rng.uniform(-0.2, 0.2, count)) / (2.048 * spec.sampling_rate_hz)
    for at in rng.integers(0, count, 20):
        times[at:] += 3.0
    stamped = np.column_stack([times, values[:count]])
    np.savetxt(folder / "stamped.csv", stamped, header=f"time,{names}", **write)
    np.savetxt(folder / "again.csv", stamped[::-1] * [-1, *[1] * len(mean)], header=f"time,{names}", **write)
    marked = ["--allow-implausible"]  # noise is no acceleration
    return [
        Case("text and NPY, one after the other", [folder / "plain.csv", folder / "plain.npy"], marked),
        Case("another rate, jitter and gaps", [folder / "stamped.csv"], ["--time-column", "time:s", *marked]),
        Case("every sample a window", [folder / "short.csv"], ["--hop", "1", "--format", "csv", *marked]),
        Case("a file that is followed", [folder / "growing.csv"], ["--follow", *marked]),
        Case(
            "events of two, in Parquet",
            [folder / "stamped.csv", folder / "again.csv"],
            ["--time-column", "time:s", "--smooth", "exponential:3s,hold=3s,unknown=0.3", *marked],
            ending=".parquet",
        ),
    ]


def torment(case: Case, model: Path, out: Path, kills: int, chance: random.Random) -> None:
    """Run a case once in peace, and then again and again until it was killed so often."""
    out.mkdir()
    peaceful, killed = (out / f"{name}{case.ending}" for name in ("peaceful", "killed"))
    rows, checkpoint = killed.with_name(f"{killed.name}.rows"), out / "killed.ckpt"
    command = [sys.executable, "-m", "edgeconv", "stream", str(model), *map(str, case.recordings), *case.options]
    began = time.monotonic()
    files = ["--out", str(peaceful), "--report", str(out / "peaceful.report")]
    expected = finish(case, [*command, *files, "--checkpoint", str(out / "peaceful.ckpt")])
    assert expected is not None
    whole_s = time.monotonic() - began
    files = ["--out", str(killed), "--report", str(out / "killed.report")]
    resumable = [*command, *files, "--checkpoint", str(checkpoint)]
    content = case.recordings[0].read_bytes()
    while case.kills < kills:
        killed.unlink(missing_ok=True)
        rows.unlink(missing_ok=True)
        checkpoint.unlink(missing_ok=True)
        case.runs += 1
        before = case.kills
        writer = threading.Thread(target=grow, args=(case.recordings[0], content, chance.random()))
        if "--follow" in case.options:
            case.recordings[0].write_bytes(b"")
            writer.start()
        while True:
            # Not in every run and not for ever: sometimes it has to come to its end.
            wanted = case.kills < kills and case.kills - before < 12
            if not wanted and writer.ident:
                writer.join()
            every_s = chance.choice([0.0, 0.0, 0.02, 0.2])
            program = [*resumable, "--checkpoint-every", str(every_s)]
            after_s = chance.uniform(STARTING_S, whole_s) if wanted else None
            data = finish(case, program, after_s, len(expected))
            if data is not None:
                break
            case.kills += 1
            if case.ending:
                case.amid += rows.exists() and rows.stat().st_size > 0
            else:
                case.amid += checkpoint.exists() and 0 < killed.stat().st_size < len(expected)
        reports = [(out / f"{name}.report").read_bytes() for name in ("peaceful", "killed")]
        case.different += data != expected or reports[0] != reports[1]


def finish(case: Case, program: list[str], kill_s: float | None = None, size: int | None = None) -> bytes | None:
    """Run a command and return what is in its output, or None where it was killed before its end.

    size: what the output of a followed file comes to, where that is known
    """
    output, checkpoint = (Path(program[program.index(option) + 1]) for option in ("--out", "--checkpoint"))
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    if kill_s is not None:
        try:
            process.wait(kill_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    elif "--follow" in case.options:
        wait_until_quiet(process, output, checkpoint, size)
        process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    if process.returncode == -signal.SIGKILL:
        return None
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(program)}\nended with {process.returncode}:\n{said}")
    return output.read_bytes()


def grow(path: Path, data: bytes, seed: float) -> None:
    """Append the content of a recording piece by piece, also in the middle of lines."""
    chance = random.Random(seed)
    ends = sorted(chance.randrange(len(data)) for _ in range(100))
    with path.open("ab", buffering=0) as file:
        for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
            file.write(data[start:end])
            time.sleep(GROWING_S / len(ends))


def wait_until_quiet(process: subprocess.Popen[str], output: Path, checkpoint: Path, size: int | None) -> None:
    """Wait until a followed file was answered, which has no end: until the output is so long, or grows no more."""
    began = since = time.time()
    before = -1
    while process.poll() is None and time.time() - began < PATIENCE_S:
        time.sleep(0.05)
        # A process that has not written anything down may not have begun to listen to signals.
        at_work = checkpoint.exists() and checkpoint.stat().st_mtime > began
        now = output.stat().st_size if output.exists() else 0
        if now != before or not at_work:
            before, since = now, time.time()
        if at_work and (now == size if size is not None else time.time() - since > QUIET_S):
            return


def report(cases: list[Case], seed: int, seconds: float) -> str:
    """Return what happened, as a table."""
    rows = [[case.name, case.kills, case.amid, case.runs, case.different] for case in cases]
    total = [sum(int(row[at]) for row in rows) for at in range(1, 5)]
    head = ["recordings", "`kill -9`", "amid the output", "runs to the end", "outputs that differ"]
    lines = [head, ["---"] * 5, *rows, ["together", *total]]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    return f"{text}\n\nseed {seed}, {seconds:.0f} s"


if __name__ == "__main__":
    main()
