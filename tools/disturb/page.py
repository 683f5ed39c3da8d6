"""docs/disturbances.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from . import tones
from .ways import DOUBTED, Bound

RIGHT = 0.998
"""Share of windows with the reference's top class below which answers are wrong."""
SHOWN = 200
"""Letters of a message."""


def silently_wrong(row: dict[str, Any]) -> bool:
    """Whether answers are wrong, and nobody was told."""
    silent = row["plain"]["silent"]
    return bool(silent["same"] < RIGHT * silent["windows"])


def missed(row: dict[str, Any]) -> bool:
    """Whether a recording that is described as it is was not answered as promised."""
    right, bound = row["right"], row["bound"] or {"agree": 0.0, "largest": None}
    too_far = bound["largest"] is not None and right["largest"] > bound["largest"]
    return right["code"] != 0 or right["same"] < bound["agree"] * right["windows"] or too_far


def faults(found: dict[str, Any]) -> list[str]:
    """Return what must not be, in words."""
    return [
        *(f"silently wrong: {row['name']}" for row in found["rows"] if silently_wrong(row)),
        *(f"bound missed: {row['name']}" for row in found["rows"] if missed(row)),
        *(f"bound missed: {one['hz']:g} Hz from {one['source']}" for one in found["tones"] if tones.missed(one)),
    ]


def render(found: dict[str, Any]) -> str:
    """Return the page."""
    rows, count = found["rows"], found["recordings"]
    wrong = [row["name"] for row in rows if silently_wrong(row)]
    missing = [text for text in faults(found) if text.startswith("bound")]
    silence = f"**Silently wrong: {len(wrong)} of {len(rows)}**: {'; '.join(wrong)}."
    bounds = f"**{len(missing)} missed**: {'; '.join(missing)}."
    plain = ["disturbance", "told", f"of {count} recordings", "what was said, most often"]
    right = ["disturbance", "told", "windows", "agree", "largest abs. Δp", "bound"]
    return f"""# Recordings that are not as the model wants them

Written by `tools/disturbances.py` ({found["versions"]}): the {count} recordings of {found["data"]}'s test people,
{found["windows"]} windows, are disturbed in {len(rows)} ways and streamed by the command, `edgeconv stream
models/{found["model"]} … --format csv`. A window is compared with that of the recording as it was which begins at the
same time, at whatever sample that is. **Agree** is the share of windows with the same top class: of those answered or
of those that there should be, whichever are more, so that one too many and one that is missing count as wrong. Over a
gap no window may reach.

## Without a word

Nothing is said of the disturbance; in two rows, something wrong. Each recording is streamed alone. Refused means a
message and exit code 3, or 2 where it is the options that cannot be. For some of these a movement has to come first,
and the windows answered until then are counted. Silently wrong: without any note, answers of which less than
{100 * RIGHT:g} % agree.

{silence if wrong else "Nothing was silently wrong."}

{table(plain, [plain_cells(row) for row in rows])}

## Told what it is

All recordings in one run. Units, order, signs, files and stamps on the model's grid may change nothing but the last
digits; of what is resampled {100 * RIGHT:g} % of the windows have to keep their top class. The true signal between the
samples is that of the recording's spectrum, by FFT. Where values are lost, or all above 12.5 Hz, or a sensor is broken,
nothing is promised; `{DOUBTED[0]}` answers the broken ones all the same, and marks the windows.

{bounds if missing else "Every bound holds, also those of the tones below."}

{table(right, [right_cells(row) for row in rows])}

## Delay and aliases

Tones through `edgeconv.runtime.Conditioner` to {found["rate_hz"]:g} Hz, with stamps in ns. How much later their phase
comes out, and how strong; the bounds are {1e3 * tones.DELAY_MS:g} µs and {100 * tones.GAIN:g} %. The time that is
answered is never late; the answer itself is, by what the last row says.

{kept_table(found["tones"])}

Tones above {found["rate_hz"] / 2:g} Hz would come out as others below it, 35 Hz as 15 Hz. What comes out of them, by
its rms, against the tone; the bound is {tones.WEAKER_DB:g} dB, and {tones.WEAKER_JITTER_DB:g} dB with jitter up to
{tones.JITTER_BAND:g} of the source's Nyquist frequency, beyond which nothing is promised.

{lost_table(found["tones"])}
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def told(options: Sequence[str]) -> str:
    quoted = [f"'{option}'" if "*" in option else option for option in options]
    return f"`{' '.join(quoted)}`" if options else "nothing"


def percent(tally: dict[str, Any]) -> str:
    """Return the share that agrees; it is 100 % only where it is all of them."""
    same, windows = tally["same"], tally["windows"]
    return "100 %" if same == windows else f"{min(100 * same / windows, 99.99):.2f} %"


def shorter(text: str) -> str:
    """Return a message as a cell of a table."""
    text = text.replace(", or --allow-implausible to go on as it is", "").replace("|", "\\|")
    text = re.sub(r"this is not the signal that the model was trained on, ([\d.]+ s) from the start", r"after \1", text)
    return text if len(text) <= SHOWN else text[:SHOWN].rsplit(" ", 1)[0] + " …"


def plain_cells(row: dict[str, Any]) -> list[str]:
    plain, parts = row["plain"], []
    if plain["refused"]:
        parts.append(f"{plain['refused']} refused" + (f", after {plain['before']} windows" if plain["before"] else ""))
    for tally, words in ((plain["noted"], "answered with a note"), (plain["silent"], "answered")):
        if tally["recordings"]:
            other = tally["answered"] != tally["expected"]
            windows = f", {tally['answered']} windows where there are {tally['expected']}" if other else ""
            text = f"{tally['recordings']} {words}{windows}: {percent(tally)} agree"
            wrong = tally is plain["silent"] and silently_wrong(row)
            parts.append(f"**silently wrong**: {text}" if wrong else text)
    return [row["name"], told(plain["options"]), "; ".join(parts), shorter(plain["said"])]


def right_cells(row: dict[str, Any]) -> list[str]:
    right = row["right"]
    windows = f"{right['answered']} of {right['expected']}" + (f", {right['marked']} marked" if right["marked"] else "")
    agree = f"**missed**: {percent(right)}" if missed(row) else percent(right)
    bound = Bound(**row["bound"]).words() if row["bound"] else ""
    return [row["name"], told(right["options"]), windows, agree, f"{right['largest']:.2g}", bound]


def kept_table(found: Sequence[dict[str, Any]]) -> str:
    late = {one["source"]: f"{one['late_s']:.2f} s" for one in found}
    kept = [one for one in found if one["delay_ms"] is not None]
    cells = {
        (one["hz"], one["source"]): f"{round(1e3 * one['delay_ms'], 2) + 0.0:.2f} µs, {one['gain']:.4f}" for one in kept
    }
    return by_source(cells, list(late), [["answer later by", *late.values()]])


def lost_table(found: Sequence[dict[str, Any]]) -> str:
    lost = [one for one in found if one["delay_ms"] is None]
    cells = {(one["hz"], one["source"]): f"{tones.level_db(one['gain']):.0f} dB" for one in lost}
    return by_source(cells, list(dict.fromkeys(one["source"] for one in found)))


def by_source(cells: dict[tuple[float, str], str], sources: Sequence[str], last: Sequence[Sequence[str]] = ()) -> str:
    frequencies = sorted({hz for hz, _ in cells})
    rows = [[f"{hz:g} Hz", *(cells.get((hz, source), "") for source in sources)] for hz in frequencies]
    return table(["tone", *sources], [*rows, *last])
