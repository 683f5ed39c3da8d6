"""The page: plain Markdown from the results alone, never edited by hand."""

from __future__ import annotations

from collections.abc import Iterator

from .heats import LOOP
from .markdown import number, table, with_unit
from .reasons import REASONS
from .results import Results
from .sections import cold_start, csv, floor, multi_stream, offline, single_stream, two_threads
from .targets import assess

QUIET = 0.1
"""Cores that other processes may keep busy before the page warns of it."""


def render(results: Results) -> str:
    """Return the page."""
    parts = (
        introduction(results), conditions(results), target_section(results), offline(results), floor(results),
        two_threads(results), single_stream(results), multi_stream(results), csv(results), cold_start(results),
        cuda(results), limits(results),
    )  # fmt: skip
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def introduction(results: Results) -> Iterator[str]:
    net, rows = results.network, assess(results)
    judged = [row for row in rows if row["must"] is not None]
    reached = sum(row["reached"] is True for row in judged)
    yield "# Benchmarks"
    yield ""
    yield (
        f"How long does edgeconv take, and how long what you would use otherwise? This page answers with one network, "
        f"`models/{net['name']}` (a convolutional network of {results.multiply_adds['windowed']:,} multiply-adds for a "
        f"window of {net['window']} samples), one machine and one run of one script. The script writes this page; "
        "nothing in it is edited by hand, no row is left out, and every time is that of a program whose answers were "
        "first compared with those of Keras."
    )
    yield ""
    yield f"In short: {reached} of {len(judged)} targets were reached." + _short(results)
    if results.effort != "full":
        yield ""
        yield "**This was a short run to try the script: few rounds and less work. Take none of it as a figure.**"
    busy = [
        row.others_cores for rows in results.heats.values() for row in rows.values() if row.others_cores is not None
    ]
    if busy and (average := sum(busy) / len(busy)) > QUIET:
        yield ""
        yield (
            f"**Other processes kept {average:.1f} of {results.machine['cores']} cores busy meanwhile: the figures are "
            "those of a shared machine.**"
        )


def _short(results: Results) -> str:
    said = ""
    for hop in (64, 8):
        ours, loop = (results.seen("offline", name, "us") for name in (f"edgeconv dense, hop {hop}", LOOP))
        if ours and loop:
            said += (
                f" Over a recording with a window every {hop} samples, edgeconv takes {number(ours.value)} µs a "
                f"window, a loop over windows in ONNX Runtime {number(loop.value)} µs."
            )
    return said


def conditions(results: Results) -> Iterator[str]:
    machine, settings = results.machine, results.settings
    memory = f", {machine['memory_gib']:g} GiB of memory" if machine["memory_gib"] else ""
    yield "## What was measured, and how"
    yield ""
    yield (
        f"- **Machine** `{machine['id']}`: {machine['processor']}, {machine['architecture']}, {machine['cores']} cores"
        f"{memory}, {machine['system']}, Python {machine['python']}."
    )
    yield "- **Versions**: " + ", ".join(f"{name} {version}" for name, version in results.versions.items()) + "."
    yield f"- **Date**: {results.created}; the run took {results.seconds / 60:.0f} minutes."
    for reason, names in _left_out(results).items():
        yield f"- **Left out**, because {reason}: {', '.join(names)}."
    yield (
        f"- **Signal**: one generated recording (seed {settings['seed']}) inside the ranges that the network saw in "
        f"training, {settings['windows']:,} windows at hop {results.network['hop']}. Hop is the number of samples "
        f"between the starts of two windows; at smaller hops a beginning of the recording is taken, with at most "
        f"{settings['most_windows']:,} windows, since what counts is the time per window."
    )
    yield (
        "- **Fair play**: every contestant runs in a process of its own, with one thread unless said otherwise, and "
        "goes from the same samples in memory to probabilities in memory. It is judged first: what computes in float32 "
        "must agree with Keras to |Δp| ≤ 1e-5 on every window, what computes in coarser numbers must mostly name the "
        "same class, and its largest |Δp| stands in the table. What is wrong is not timed. Other engines are used as "
        "their documentation says, with default options but for the threads; “best batch” was found before, by trying."
    )
    yield (
        f"- **Statistics**: {settings['sessions']} sessions, in each of which all processes are started anew. Within a "
        f"session contestants are warmed up and then take turns, in an order drawn anew for each of "
        f"{settings['rounds']['offline']} rounds. A figure is the median of the sessions' medians; in brackets stands "
        "its 95 % bootstrap interval, for which sessions are drawn anew and rounds within them. A ratio is taken round "
        "by round, so that what slows a whole round is not in it."
    )
    yield (
        "- **Again**: `make bench-peers` sets up `.venv-peers` with everything pinned, measures, and writes this page "
        "and [benchmarks.json](benchmarks.json), which holds every round."
    )


def _left_out(results: Results) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for heat, names in results.left_out.items():
        for name, reason in names.items():
            reasons.setdefault(reason, []).append(f"{name} ({heat})")
    return reasons


def target_section(results: Results) -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield (
        "What edgeconv must reach, against what was measured. “The floor” is the time that the multiply-adds which "
        "must be done take at the speed of this machine's float32 matrix product; a program that does them all in "
        "float32 can hardly be faster. Rows without a target are there because the comparison is not like with like: "
        "those engines compute in coarser numbers, or the value is only to be stated."
    )
    yield ""
    rows = assess(results)
    cells = []
    for row in rows:
        sign = {"more": "≥", "less": "≤"}[row["better"]]
        must = "—" if row["must"] is None else f"{sign} {with_unit(format(row['must'], 'g'), row['unit'])}"
        seen = row["measured"]
        value = "not measured" if seen is None else with_unit(number(seen["median"]), row["unit"])
        if seen is not None and seen["low"] != seen["high"]:
            value += f" ({number(seen['low'])}–{number(seen['high'])})"
        reached = {True: "yes", False: "**no**", None: "—"}[row["reached"]]
        cells.append([row["what"], must, value, reached, row["remark"]])
    yield from table(["what", "must reach", "measured", "reached", "remark"], cells, "llrll")
    missed = [row for row in rows if row["reached"] is False]
    if missed:
        yield ""
        yield "Why some are not reached, as far as profiles show:"
        yield ""
        reasons: dict[str, list[str]] = {}
        for row in missed:
            reason = REASONS.get(row["key"].split()[0], "not yet looked into")
            reasons.setdefault(reason, []).append(row["what"])
        yield from (f"- {'; '.join(names)}: {reason}." for reason, names in reasons.items())


def cuda(results: Results) -> Iterator[str]:
    if results.cuda:
        yield results.cuda.strip()
        return
    yield "## CUDA"
    yield ""
    yield (
        "Not measured: no CUDA device. On a machine that has one, `python tools/check_cuda.py --markdown cuda.md` "
        "measures, and `python tools/bench_peers.py --render --cuda cuda.md` puts it here."
    )


def limits(_results: Results) -> Iterator[str]:
    yield "## What this does not show"
    yield ""
    yield (
        "One small network on one kind of processor. A network with more channels leaves less to gain by sharing the "
        "call, one with a longer window more by the dense form; a processor without wide vectors makes everything "
        "dearer but the call. The signal is generated: how often coarser numbers name another class on it says "
        "nothing about their accuracy on real data. `edgeconv bench MODEL` measures your network on your machine."
    )
