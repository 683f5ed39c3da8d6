"""The sections of the page with a table of contestants each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgeconv.bench.statistics import Interval

from .heats import LOOP, MATMULS
from .markdown import number, spread, table
from .material import HOPS
from .results import Results, Row, over_sessions, together
from .targets import floor_us


def offline(results: Results) -> Iterator[str]:
    yield "## A recording at once"
    yield ""
    yield (
        "Every window of the recording, as fast as possible, with one thread. The first row is what a user would "
        "write: the file straight from the converter, and a loop of `session.run` over windows. For the other engines "
        "a window costs the same at every hop, because each is computed by itself; edgeconv's dense form computes what "
        "neighbouring windows share only once. The stateful form is for streams that go on, many at once."
    )
    yield ""
    yield from _throughput_table(results, "offline")
    yield ""
    yield (
        "LiteRT cannot resize the TFLite files of the model folder, so its best batch is of files converted anew. "
        "“Its own precision” is what OpenVINO takes when it is not told: coarser than float32 where the processor is "
        "faster with that. edgeconv's int8 files take their ranges from windows of this recording. Peak memory "
        "is that of the whole process, with Python, numpy and the recording."
    )


def _throughput_table(results: Results, heat: str) -> list[str]:
    def cells(name: str, row: Row) -> list[str]:
        speed = ratio(results, heat, LOOP, name, "us")
        return [
            spread(results.seen(heat, name, "us")),
            "1" if name == LOOP else spread(speed, "×"),
            spread(results.seen(heat, name, "cpu_s_per_1000"), brackets=False),
            *_size(row),
        ]

    head = ["µs per window", "times as fast as the loop", "CPU-s per 1000 windows", *SIZE_HEAD]
    return contestants_table(results, heat, head, cells, but=MATMULS)


SIZE_HEAD = ["peak memory, MiB", "file, MB", "largest &#124;Δp&#124;"]


def _size(row: Row) -> list[str]:
    memory = "—" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.0f}"
    difference = "—" if row.max_abs_diff is None else f"{row.max_abs_diff:.1e}"
    return [memory, f"{row.file_bytes / 1e6:.2f}" if row.file else "—", difference]


def floor(results: Results) -> Iterator[str]:
    yield "### Against the floor"
    yield ""
    products = [(name, results.seen("offline", name, "us")) for name in MATMULS]
    rates = [f"{name} {2e3 / seen.value:.0f} GFLOP/s" for name, seen in products if seen]
    yield (
        "The fastest float32 matrix product that one thread of this machine was seen to do, interleaved with the "
        f"contestants above: {', '.join(rates)} (2 FLOP are a multiply-add). Each file states its multiply-adds."
    )
    yield ""
    at_once = f"{results.settings['at_once']} streams"
    forms = {
        "windowed": "edgeconv windowed",
        **{f"dense {hop}": f"edgeconv dense, hop {hop}" for hop in HOPS},
        **{f"stateful {hop}": f"edgeconv stateful, {at_once}, hop {hop}" for hop in HOPS},
    }
    rows = []
    for form, name in forms.items():
        least, seen = floor_us(results, form), results.rounds("offline", name, "us")
        times = [spread(as_interval(sessions), brackets=False) for sessions in (least, seen)]
        over = as_interval(together(np.divide, seen, least))
        rows.append([name, f"{results.multiply_adds[form]:,}", *times, spread(over, "×")])
    yield from table(["form", "multiply-adds a window", "floor, µs", "measured, µs", "times the floor"], rows, "lrrrr")


def two_threads(results: Results) -> Iterator[str]:
    if "two threads" not in results.heats:
        return
    yield "### With two threads"
    yield ""
    yield from _throughput_table(results, "two threads")


def single_stream(results: Results) -> Iterator[str]:
    yield "## One stream"
    yield ""
    yield (
        "One answer at a time, one thread, the next query as soon as the last is answered. edgeconv's `push` takes a "
        "hop of samples, keeps the window, checks the values and gives a labelled prediction; “stateful” is one "
        "`Stepper.step`; the others are the engine's bare call on a window that lies ready (with int8: and the turning "
        "into int8 and back)."
    )
    yield ""

    def cells(name: str, row: Row) -> list[str]:
        return [
            *(spread(results.seen("single-stream", name, f"p{q}_us"), brackets=q == 50) for q in (50, 90, 99)),
            spread(ratio(results, "single-stream", LOOP, name, "p50_us"), "×") if name != LOOP else "1",
            spread(results.seen("single-stream", name, "cpu_s_per_1000"), brackets=False),
            *_size(row),
        ]

    head = ["p50, µs", "p90, µs", "p99, µs", "times as fast (p50)", "CPU-s per 1000 windows", *SIZE_HEAD]
    yield from contestants_table(results, "single-stream", head, cells)


def multi_stream(results: Results) -> Iterator[str]:
    settings = results.settings
    yield "## Many streams"
    yield ""
    yield (
        f"{settings['sensors']:,} sensors at {results.network['sampling_rate_hz']:g} Hz in one process on one core, "
        f"each sending packets of {settings['packet']} samples, out of step: every packet is pushed into a "
        "`StreamPool` by itself, then all windows that are due are run. The real-time factor is seconds of computing "
        "per second of signal of all sensors; below 1 the core keeps up."
    )
    yield ""

    def cells(name: str, row: Row) -> list[str]:
        return [
            spread(results.seen("multi-stream", name, "real_time_factor")),
            spread(results.seen("multi-stream", name, "us")),
            f"{row.facts.get('bytes_per_stream', 0) / 1000:.1f}",
            "—" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.0f}",
        ]

    head = ["real-time factor", "µs per window", "kB per sensor", "peak memory, MiB"]
    yield from contestants_table(results, "multi-stream", head, cells)


def csv(results: Results) -> Iterator[str]:
    size = results.settings["csv_bytes"]
    yield "## A CSV file to predictions"
    yield ""
    yield (
        f"A file of {size / 1e6:.0f} MB that the system holds in memory, with a header and nine columns, to labelled "
        f"predictions at hop {results.network['hop']}, in one process that may use all cores. The bare parsers only "
        "make arrays of the same file. edgeconv takes polars or pyarrow where they are installed; here each row has "
        "only the one that it names."
    )
    yield ""

    def cells(name: str, row: Row) -> list[str]:
        seen = results.seen("csv", name, "seconds")
        return [
            spread(seen), "—" if seen is None else number(size / 1e6 / seen.value),
            spread(results.seen("csv", name, "cpu_s"), brackets=False),
            "—" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.0f}",
        ]  # fmt: skip

    yield from contestants_table(results, "csv", ["seconds", "MB/s", "CPU-s", "peak memory, MiB"], cells)


def cold_start(results: Results) -> Iterator[str]:
    yield "## Cold start"
    yield ""
    yield (
        "From the start of a process to its first line of output, files already in the system's memory: `edgeconv "
        "stream` to its first prediction, and beside it a process that does nothing but import numpy and ONNX Runtime "
        "and open the same file."
    )
    yield ""

    def cells(name: str, row: Row) -> list[str]:
        memory = "—" if row.peak_memory_mib is None else f"{row.peak_memory_mib:.0f}"
        return [*(spread(results.seen("cold start", name, f)) for f in ("seconds", "cpu_s")), memory]

    yield from contestants_table(results, "cold start", ["seconds", "CPU-s", "peak memory, MiB"], cells)


def contestants_table(
    results: Results, heat: str, head: Sequence[str], cells: Callable[[str, Row], list[str]], but: Sequence[str] = ()
) -> list[str]:
    """Return a table with a line for each contestant of a heat, also for those that were wrong or left out."""
    rows = []
    for name, row in results.heats[heat].items():
        if name in but:
            continue
        remarks = [row.precision] if row.precision != "float32" else []
        if row.facts.get("batch", 1) != 1 and "batches" not in name:
            remarks.append(f"batch {row.facts['batch']}")
        title = f"{name} ({', '.join(remarks)})" if remarks else name
        rows.append([title, *(cells(name, row) if not row.problem else [f"wrong: {row.problem}"])])
    for name, reason in results.left_out.get(heat, {}).items():
        rows.append([name, f"not measured: {reason}"])
    return table(["contestant", *head], rows, "l" + len(head) * "r")


def ratio(results: Results, heat: str, first: str, name: str, figure: str) -> Interval | None:
    """Return how many times the first contestant takes what another one takes, round by round."""
    return as_interval(together(np.divide, *(results.rounds(heat, one, figure) for one in (first, name))))


def as_interval(sessions: Sequence[np.ndarray] | None) -> Interval | None:
    """Return the interval of a figure, if there is one."""
    return None if sessions is None else over_sessions(sessions)
